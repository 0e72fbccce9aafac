"""The CSV files of accounts/: who buys, since when, and what was told or granted.

A row with a mistake is told and left out; its ids are kept, so that what refers to it is not called unknown
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from assets.core.catalogue.csv_rows import Table
from assets.core.catalogue.models import (
    Account,
    Baseline,
    CreditGrant,
    EntityType,
    Interval,
    Membership,
    Terms,
    ToldPeriod,
)
from assets.core.catalogue.problems import Problems, shown, suggestion
from assets.core.periods import zone_names

T = TypeVar("T")

ACCOUNTS = "accounts/accounts.csv"
SUBSCRIPTIONS = "accounts/subscriptions.csv"
MEMBERSHIPS = "accounts/memberships.csv"
PERIODS = "accounts/periods.csv"
BASELINES = "accounts/baselines.csv"
CREDIT_GRANTS = "accounts/credit_grants.csv"

COLUMNS = {
    ACCOUNTS: ("account_id", "entity_type", "name", "currency", "timezone", "stripe_customer_id"),
    SUBSCRIPTIONS: (
        "subscription_id", "account_id", "plan", "seats", "interval", "anchor_at", "starts_at", "ends_at",
    ),
    MEMBERSHIPS: ("organization_id", "user_id", "joined_at", "left_at"),
    PERIODS: ("subscription_id", "period_start", "period_end"),
    BASELINES: ("account_id", "period_start", "amount"),
    CREDIT_GRANTS: (
        "grant_id", "account_id", "amount_minor", "currency", "granted_at", "expires_at", "priority",
    ),
}  # fmt: skip
_REQUIRED = (ACCOUNTS, SUBSCRIPTIONS)
_ENTITY_TYPES: Sequence[EntityType] = ("user", "organization")
_INTERVALS: Sequence[Interval] = ("month", "year")


@dataclass(slots=True)
class AccountFiles:
    accounts: list[Account]
    terms: list[Terms]
    memberships: list[Membership]
    told_periods: list[ToldPeriod]
    baselines: list[Baseline]
    credit_grants: list[CreditGrant]
    # Rows with mistakes count here; None where a file could not be read whole, so that no id is unknown.
    account_ids: set[str] | None
    subscription_ids: set[str] | None
    broken_subscriptions: set[str]


def read_accounts(workspace: Path, currency: str, problems: Problems) -> AccountFiles:
    def table(file: str) -> Table:
        return Table.open(workspace, file, COLUMNS[file], problems, optional=file not in _REQUIRED)

    account_ids: set[str] = set()
    subscription_ids: set[str] = set()
    broken: set[str] = set()
    accounts_table, terms_table = table(ACCOUNTS), table(SUBSCRIPTIONS)
    accounts = _accounts(accounts_table, currency, account_ids)
    terms = _terms(terms_table, subscription_ids, broken)
    return AccountFiles(
        accounts=accounts,
        terms=terms,
        memberships=_memberships(table(MEMBERSHIPS)),
        told_periods=_told_periods(table(PERIODS)),
        baselines=_baselines(table(BASELINES)),
        credit_grants=_credit_grants(table(CREDIT_GRANTS)),
        account_ids=account_ids if accounts_table.is_whole else None,
        subscription_ids=subscription_ids if terms_table.is_whole else None,
        broken_subscriptions=broken,
    )


def _accounts(rows: Table, default_currency: str, ids: set[str]) -> list[Account]:
    accounts = []
    zones = zone_names()
    for account_id, entity_type, name, currency, timezone, customer in rows:
        ids.add(rows.name("account_id", account_id))
        entity = rows.choice("entity_type", entity_type, _ENTITY_TYPES)
        upper = rows.currency("currency", currency) if currency else default_currency
        zone = timezone.strip() or "UTC"
        if zone not in zones:
            advice = suggestion(zone, zones, "write an IANA name such as Europe/Berlin, or nothing for UTC")
            rows.add(f"timezone is {shown(timezone)}, which is not an IANA time zone", advice)
        if customer:
            rows.name("stripe_customer_id", customer)
        if entity is not None and upper is not None and rows.is_clean:
            accounts.append(Account(rows.line, account_id, entity, name, upper, zone, customer or None))
    return accounts


def _terms(rows: Table, ids: set[str], broken: set[str]) -> list[Terms]:
    terms = []
    for subscription_id, account_id, plan, seats, interval, anchor_at, starts_at, ends_at in rows:
        ids.add(rows.name("subscription_id", subscription_id))
        if subscription_id.startswith("default:"):
            wrong = f"subscription_id is {shown(subscription_id)}, as the default plan names its own"
            rows.add(wrong, "choose an id that does not begin with default:")
        rows.name("account_id", account_id)
        rows.name("plan", plan)
        count = rows.whole("seats", seats, least=1)
        every = rows.choice("interval", interval, _INTERVALS)
        anchor = rows.instant("anchor_at", anchor_at)
        start, end = rows.instant("starts_at", starts_at), rows.instant_or_none("ends_at", ends_at)
        rows.later("ends_at", end, "starts_at", start)
        if rows.is_clean and count is not None and every is not None and anchor is not None and start is not None:
            terms.append(Terms(rows.line, subscription_id, account_id, plan, count, every, anchor, start, end))
        else:
            broken.add(subscription_id)
    return terms


def _memberships(rows: Table) -> list[Membership]:
    memberships = []
    for organization_id, user_id, joined_at, left_at in rows:
        rows.name("organization_id", organization_id)
        rows.name("user_id", user_id)
        joined, left = rows.instant("joined_at", joined_at), rows.instant_or_none("left_at", left_at)
        rows.later("left_at", left, "joined_at", joined)
        if joined is not None and rows.is_clean:
            memberships.append(Membership(rows.line, organization_id, user_id, joined, left))
    return memberships


def _told_periods(rows: Table) -> list[ToldPeriod]:
    told = []
    for subscription_id, period_start, period_end in rows:
        rows.name("subscription_id", subscription_id)
        start, end = rows.instant("period_start", period_start), rows.instant("period_end", period_end)
        rows.later("period_end", end, "period_start", start)
        if start is not None and end is not None and rows.is_clean:
            told.append(ToldPeriod(rows.line, subscription_id, start, end))
    return told


def _baselines(rows: Table) -> list[Baseline]:
    baselines = []
    for account_id, period_start, amount in rows:
        rows.name("account_id", account_id)
        start, money = rows.instant("period_start", period_start), rows.number("amount", amount)
        if start is not None and money is not None and rows.is_clean:
            baselines.append(Baseline(rows.line, account_id, start, money))
    return baselines


def _credit_grants(rows: Table) -> list[CreditGrant]:
    grants = []
    for grant_id, account_id, amount_minor, currency, granted_at, expires_at, priority in rows:
        rows.name("grant_id", grant_id)
        rows.name("account_id", account_id)
        amount = rows.whole("amount_minor", amount_minor, least=1)
        upper = rows.currency("currency", currency)
        granted, expires = (
            rows.instant("granted_at", granted_at),
            rows.instant_or_none("expires_at", expires_at),
        )
        rows.later("expires_at", expires, "granted_at", granted)
        rank = rows.whole("priority", priority or "0")
        if rows.is_clean and amount is not None and upper is not None and granted is not None and rank is not None:
            grant = CreditGrant(rows.line, grant_id, account_id, amount, upper, granted, expires, rank)
            grants.append(grant)
    return grants
