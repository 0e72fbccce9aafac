"""Rules between the rows of the account files: small checks in one list, each telling the mistakes it finds.

A check passes over what another, or the reading, has told already: an id that is not known is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeAlias

from assets.core.catalogue import read_accounts as files
from assets.core.catalogue.baseline_checks import baselines_are_told_once, baselines_name_a_period
from assets.core.catalogue.draft import Draft, at_line, did_you_mean
from assets.core.catalogue.models import Terms, ToldPeriod
from assets.core.catalogue.problems import PERIOD_LOCKED, no_version, sentence, shown, suggestion
from assets.core.catalogue.subscriptions import group_terms, periods_of, quarrels
from assets.core.instants import format_instant
from assets.core.numbers import minor_step
from assets.core.periods import END

Check: TypeAlias = Callable[[Draft], Iterator[str]]


def account_ids_are_unique(draft: Draft) -> Iterator[str]:
    first: dict[str, int] = {}
    for account in draft.rows.accounts:
        line = first.setdefault(account.account_id, account.line)
        if line != account.line:
            wrong = f"account_id {shown(account.account_id)} stands on line {line} already"
            yield sentence(at_line(files.ACCOUNTS, account.line), wrong, "give each account one row")


def terms_name_known_accounts(draft: Draft) -> Iterator[str]:
    for row in draft.rows.terms:
        yield from draft.unknown_account(_terms_at(row), "account_id", row.account_id)


def terms_name_known_plans(draft: Draft) -> Iterator[str]:
    for row in draft.rows.terms:
        if draft.plans is not None and row.plan not in draft.plans:
            wrong = f"plan is {shown(row.plan)}, which {draft.plans_file} does not list"
            yield sentence(_terms_at(row), wrong, suggestion(row.plan, draft.plans, "add the plan"))


def plans_suit_the_account_currency(draft: Draft) -> Iterator[str]:
    for row in draft.rows.terms:
        plan, account = draft.plan(row.plan), draft.accounts.get(row.account_id)
        if plan is not None and account is not None and not draft.has_currency(account, plan.currency):
            whose = f"account {shown(row.account_id)} has {account.currency}"
            wrong = f"plan {shown(row.plan)} is for {plan.currency}, and {whose}"
            yield sentence(_terms_at(row), wrong, "choose a plan in the account's currency")


def terms_of_a_subscription_hold_together(draft: Draft) -> Iterator[str]:
    for subscription_id, terms in group_terms(draft.rows.terms).items():
        if subscription_id in draft.rows.broken_subscriptions:
            continue  # a row is missing here, so the others may seem not to touch
        for one, other in pairwise(terms):
            for wrong, advice in quarrels(one, other):
                yield sentence(_terms_at(other), wrong, advice)


def subscriptions_of_an_account_do_not_overlap(draft: Draft) -> Iterator[str]:
    for subscriptions in draft.by_account.values():
        reaching = subscriptions[0]
        for other in subscriptions[1:]:
            if other.starts_at < (reaching.ends_at or END):
                whose = f"{shown(reaching.subscription_id)} on line {reaching.terms[-1].line}"
                wrong = f"subscription {shown(other.subscription_id)} overlaps {whose}, of the same account"
                yield sentence(_terms_at(other.terms[0]), wrong, "end the one before the other starts")
            if (other.ends_at or END) > (reaching.ends_at or END):
                reaching = other


def plans_have_a_version_for_every_period(draft: Draft) -> Iterator[str]:
    for subscription in draft.subscriptions.values():
        for row in subscription.terms:
            plan, account = draft.plan(row.plan), draft.accounts.get(row.account_id)
            if plan is None or account is None or not plan.versions:
                continue
            since = plan.versions[0].version_from
            if since <= subscription.starts_at:
                continue
            ends = [end for _, end in draft.closed.get(row.subscription_id, ())]
            until = max([row.starts_at, *ends])
            periods = periods_of(subscription, account.timezone, draft.told, draft.closed, until)
            served = [start for start, end in periods if start < (row.ends_at or END) and row.starts_at < end]
            if served and served[0] < since:
                yield no_version(_terms_at(row), row.plan, served[0], draft.plans_file)


def memberships_name_organizations(draft: Draft) -> Iterator[str]:
    for row in draft.rows.memberships:
        account = draft.accounts.get(row.organization_id)
        if account is None:
            place = at_line(files.MEMBERSHIPS, row.line)
            yield from draft.unknown_account(place, "organization_id", row.organization_id)
        elif account.entity_type != "organization":
            wrong = f"organization_id is {shown(row.organization_id)}, which is a {account.entity_type}"
            advice = "name an organization of accounts.csv"
            yield sentence(at_line(files.MEMBERSHIPS, row.line), wrong, advice)


def told_periods_name_subscriptions(draft: Draft) -> Iterator[str]:
    known = draft.rows.subscription_ids
    for row in draft.rows.told_periods:
        if known is not None and row.subscription_id not in known:
            wrong = f"subscription_id is {shown(row.subscription_id)}, which subscriptions.csv does not list"
            advice = did_you_mean(row.subscription_id, known, "add it there")
            yield sentence(at_line(files.PERIODS, row.line), wrong, advice)


def told_periods_meet_their_subscription(draft: Draft) -> Iterator[str]:
    for row in draft.rows.told_periods:
        life = draft.subscriptions.get(row.subscription_id)
        if life and (row.period_end <= life.starts_at or row.period_start >= (life.ends_at or END)):
            wrong = f"the period lies outside the life of subscription {shown(row.subscription_id)}"
            yield sentence(at_line(files.PERIODS, row.line), wrong, "mend its bounds, or the subscription's terms")


def told_periods_do_not_overlap(draft: Draft) -> Iterator[str]:
    rows = sorted(draft.rows.told_periods, key=lambda row: (row.period_start, row.line))
    reaching: dict[str, ToldPeriod] = {}
    for row in rows:
        before = reaching.setdefault(row.subscription_id, row)
        if before is not row and row.period_start < before.period_end:
            wrong = f"the period overlaps that of line {before.line}, of the same subscription"
            advice = "let each period end where the next one starts"
            yield sentence(at_line(files.PERIODS, row.line), wrong, advice)
        if row.period_end > before.period_end:
            reaching[row.subscription_id] = row


def told_periods_do_not_cross_closed_ones(draft: Draft) -> Iterator[str]:
    for row in draft.rows.told_periods:
        for start, end in draft.closed.get(row.subscription_id, ()):
            told = (row.period_start, row.period_end)
            if told != (start, end) and told[0] < end and start < told[1]:
                span = f"{format_instant(start)} to {format_instant(end)}"
                wrong = f"the period crosses the closed one from {span} ({PERIOD_LOCKED})"
                yield sentence(at_line(files.PERIODS, row.line), wrong, "tell the closed period as it was closed")


def credit_grants_suit_their_accounts(draft: Draft) -> Iterator[str]:
    first: dict[str, int] = {}
    for row in draft.rows.credit_grants:
        place = at_line(files.CREDIT_GRANTS, row.line)
        line = first.setdefault(row.grant_id, row.line)
        if line != row.line:
            wrong = f"grant_id {shown(row.grant_id)} stands on line {line} already"
            yield sentence(place, wrong, "give each grant its own id")
        yield from draft.unknown_account(place, "account_id", row.account_id)
        account = draft.accounts.get(row.account_id)
        if account is not None and not draft.has_currency(account, row.currency):
            wrong = f"currency is {row.currency}, and account {shown(row.account_id)} has {account.currency}"
            yield sentence(place, wrong, "grant in the account's currency")
        step = minor_step(row.currency)[1]
        if row.amount_minor % step:
            wrong = f"amount_minor is {row.amount_minor}, and Stripe takes {row.currency} in steps of {step}"
            yield sentence(place, wrong, f"write a multiple of {step}")


def _terms_at(row: Terms) -> str:
    return at_line(files.SUBSCRIPTIONS, row.line)


CHECKS: tuple[Check, ...] = (
    account_ids_are_unique,
    terms_name_known_accounts,
    terms_name_known_plans,
    plans_suit_the_account_currency,
    terms_of_a_subscription_hold_together,
    subscriptions_of_an_account_do_not_overlap,
    plans_have_a_version_for_every_period,
    memberships_name_organizations,
    told_periods_name_subscriptions,
    told_periods_meet_their_subscription,
    told_periods_do_not_overlap,
    told_periods_do_not_cross_closed_ones,
    baselines_are_told_once,
    baselines_name_a_period,
    credit_grants_suit_their_accounts,
)
