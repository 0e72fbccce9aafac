"""What is sold and who buys (SPEC §1), read from the hand-written files into plain frozen records.

The files are taken to be right: refusing wrong ones is the product's promise and is tested there.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from tests.reference.exact import Refusal, duration, instant, number

FOREVER = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
BEGINNING = datetime.fromisoformat("0001-01-02T00:00:00+00:00")


@dataclass(frozen=True)
class Settings:
    currency: str
    close_grace: timedelta
    late_window: timedelta
    default_plan: str | None
    bill_from: datetime | None
    ledger_cutover: datetime | None
    mode: str


@dataclass(frozen=True)
class Source:
    name: str
    files: str
    format: str
    where: Mapping[str, tuple[str, ...]]
    identity: tuple[str, ...]
    occurred_at: str
    unit: str | None
    account: str | None
    actor: str | None
    context: Mapping[str, str]
    emits: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Meter:
    name: str
    aggregate: str
    divide_by: Fraction
    of: str | None


@dataclass(frozen=True)
class Tier:
    up_to: Fraction | None
    unit: Fraction
    flat: Fraction


@dataclass(frozen=True)
class Charge:
    meter: str
    pooled: bool
    model: str | None
    price: Fraction
    size: Fraction
    free_units: Fraction
    tiers: tuple[Tier, ...]
    rate: Fraction
    fixed: Fraction
    least: Fraction | None
    most: Fraction | None


@dataclass(frozen=True)
class PlanVersion:
    since: datetime
    included: Fraction
    refresh_basis: Fraction
    refresh_rate: Fraction
    overage: bool
    threshold: Fraction | None
    minimum: Fraction
    charges: tuple[Charge, ...]


@dataclass(frozen=True)
class Plan:
    name: str
    priority: int
    currency: str | None
    versions: tuple[PlanVersion, ...]

    def version_at(self, period_start: datetime) -> PlanVersion:
        """SPEC §1: the version in force at a period's start is that period's price list."""
        begun = [version for version in self.versions if version.since <= period_start]
        if not begun:
            raise Refusal(
                f"plan {self.name} has no version at {period_start}: add one, every period needs a price list"
            )
        return max(begun, key=lambda version: version.since)


@dataclass(frozen=True)
class Account:
    account_id: str
    entity_type: str
    currency: str
    zone: ZoneInfo


@dataclass(frozen=True)
class Terms:
    """One row of subscriptions.csv: what a subscription was for a while."""

    subscription_id: str
    account_id: str
    plan: str
    seats: int
    interval: str
    anchor_at: datetime
    starts_at: datetime
    ends_at: datetime  # FOREVER while open

    def in_force(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True)
class Membership:
    organization_id: str
    user_id: str
    joined_at: datetime
    left_at: datetime


@dataclass(frozen=True)
class Grant:
    grant_id: str
    account_id: str
    amount_minor: int
    currency: str
    granted_at: datetime
    expires_at: datetime  # FOREVER when it never does
    priority: int


@dataclass(frozen=True)
class Catalogue:
    settings: Settings
    sources: Mapping[str, Source]
    meters: Mapping[str, Meter]
    weights: Mapping[str, Mapping[str, Fraction]]
    plans: Mapping[str, Plan]
    accounts: Mapping[str, Account]
    terms: Mapping[str, tuple[Terms, ...]]  # by subscription, in order of time
    memberships: tuple[Membership, ...]
    told: Mapping[str, tuple[tuple[datetime, datetime], ...]]  # by subscription
    baselines: Mapping[tuple[str, datetime], Fraction]
    grants: tuple[Grant, ...]
    terms_of_account: Mapping[str, tuple[Terms, ...]] = field(default_factory=dict)

    def terms_at(self, account_id: str, at: datetime) -> Terms | None:
        """SPEC §2 "Subscription": the terms of the account that cover the instant."""
        for terms in self.terms_of_account.get(account_id, ()):
            if terms.in_force(at):
                return terms
        return None


def read_catalogue(workspace: Path) -> Catalogue:
    """SPEC §1: the whole of catalog/ and accounts/, as it stands tonight."""
    meters = _yaml(workspace / "catalog" / "meters.yaml")
    settings = _settings(_yaml(workspace / "catalog" / "workspace.yaml"))
    accounts = workspace / "accounts"
    terms = [_terms(row) for row in _table(accounts / "subscriptions.csv")]
    by_subscription: dict[str, list[Terms]] = {}
    by_account: dict[str, list[Terms]] = {}
    for one in sorted(terms, key=lambda terms: terms.starts_at):
        by_subscription.setdefault(one.subscription_id, []).append(one)
        by_account.setdefault(one.account_id, []).append(one)
    told: dict[str, list[tuple[datetime, datetime]]] = {}
    for row in _table(accounts / "periods.csv"):
        told.setdefault(row["subscription_id"], []).append((instant(row["period_start"]), instant(row["period_end"])))
    return Catalogue(
        settings=settings,
        sources={
            name: _source(name, entry)
            for name, entry in (_yaml(workspace / "catalog" / "sources.yaml").get("sources") or {}).items()
        },
        meters={name: _meter(name, entry) for name, entry in (meters.get("meters") or {}).items()},
        weights={
            name: {key: number(value) for key, value in table.items()}
            for name, table in (_absent(meters.get("weights")) or {}).items()
        },
        plans={
            name: _plan(name, entry)
            for name, entry in (_yaml(workspace / "catalog" / "plans.yaml").get("plans") or {}).items()
        },
        accounts={row["account_id"]: _account(row, settings) for row in _table(accounts / "accounts.csv")},
        terms={name: tuple(rows) for name, rows in by_subscription.items()},
        memberships=tuple(_membership(row) for row in _table(accounts / "memberships.csv")),
        told={name: tuple(sorted(spans)) for name, spans in told.items()},
        baselines={
            (row["account_id"], instant(row["period_start"])): number(row["amount"])
            for row in _table(accounts / "baselines.csv")
        },
        grants=tuple(_grant(row) for row in _table(accounts / "credit_grants.csv")),
        terms_of_account={name: tuple(rows) for name, rows in by_account.items()},
    )


def _yaml(path: Path) -> Mapping[str, Any]:
    # The base loader leaves every scalar as the text it was written as: no price passes through a float.
    if not path.exists():
        return {}
    return _parsed(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=64)  # the same files are read again every night
def _parsed(text: str) -> Mapping[str, Any]:
    return YAML(typ="base", pure=True).load(text) or {}


def _table(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return [row for row in csv.DictReader(lines) if any(row.values())]


def _absent(text: Any) -> Any:
    """A YAML null, or nothing at all, is None."""
    return None if text is None or (isinstance(text, str) and text in ("", "~", "null", "Null", "NULL")) else text


def _true(text: Any, default: bool) -> bool:
    value = _absent(text)
    return default if value is None else str(value).lower() == "true"


def _number(text: Any) -> Fraction:
    value = _absent(text)
    return Fraction(0) if value is None else number(value)


def _maybe_number(text: Any) -> Fraction | None:
    value = _absent(text)
    return None if value is None else number(value)


def _maybe_instant(text: Any) -> datetime | None:
    value = _absent(text)
    return None if value is None else instant(value)


def _settings(entry: Mapping[str, Any]) -> Settings:
    stripe = _absent(entry.get("stripe")) or {}
    mode = _absent(stripe.get("mode")) or "shadow"
    bill_from = _maybe_instant(entry.get("bill_from"))
    if mode == "live" and bill_from is None:
        raise Refusal("stripe.mode is live but bill_from is not set: say from when usage is billed")
    return Settings(
        currency=(_absent(entry.get("currency")) or "USD").upper(),
        close_grace=duration(_absent(entry.get("close_grace")) or "1h"),
        late_window=duration(_absent(entry.get("late_window")) or "35d"),
        default_plan=_absent(entry.get("default_plan")),
        bill_from=bill_from,
        ledger_cutover=_maybe_instant(entry.get("ledger_cutover")),
        mode=mode,
    )


def _any_of(entry: Any) -> dict[str, tuple[str, ...]]:
    return {
        path: tuple(value) if isinstance(value, list) else (value,) for path, value in (_absent(entry) or {}).items()
    }


def _source(name: str, entry: Mapping[str, Any]) -> Source:
    when = entry["occurred_at"]
    identity = entry["identity"]
    return Source(
        name=name,
        files=entry["files"],
        format=entry["format"],
        where=_any_of(entry.get("where")),
        identity=tuple(identity) if isinstance(identity, list) else (identity,),
        occurred_at=when if isinstance(when, str) else when["field"],
        unit=None if isinstance(when, str) else _absent(when.get("unit")),
        account=_absent(entry.get("account")),
        actor=_absent(entry.get("actor")),
        context=dict(_absent(entry.get("context")) or {}),
        emits=tuple({**emit, "when": _any_of(emit.get("when"))} for emit in entry["emits"]),
    )


def _meter(name: str, entry: Mapping[str, Any]) -> Meter:
    divide_by = _maybe_number(entry.get("divide_by"))
    return Meter(name, entry["aggregate"], Fraction(1) if divide_by is None else divide_by, _absent(entry.get("of")))


def _plan(name: str, entry: Mapping[str, Any]) -> Plan:
    currency = _absent(entry.get("currency"))
    return Plan(
        name,
        int(_number(entry.get("priority"))),
        currency.upper() if currency else None,
        tuple(_version(version) for version in entry["versions"]),
    )


def _version(entry: Mapping[str, Any]) -> PlanVersion:
    refresh = _absent(entry.get("daily_refresh")) or {}
    return PlanVersion(
        since=instant(entry["from"]),
        included=_number(entry.get("included")),
        refresh_basis=_number(refresh.get("basis")),
        refresh_rate=_number(refresh.get("rate")),
        overage=_true(entry.get("overage"), True),
        threshold=_maybe_number(entry.get("threshold")),
        minimum=_number(entry.get("minimum")),
        charges=tuple(_charge(charge) for charge in _absent(entry.get("charges")) or ()),
    )


def _charge(entry: Mapping[str, Any]) -> Charge:
    return Charge(
        meter=entry["meter"],
        pooled=_true(entry.get("pooled"), False),
        model=_absent(entry.get("model")),
        price=_number(entry.get("price")),
        size=_number(entry.get("size")),
        free_units=_number(entry.get("free_units")),
        tiers=tuple(
            Tier(_maybe_number(tier.get("up_to")), _number(tier.get("unit")), _number(tier.get("flat")))
            for tier in entry.get("tiers", ())
        ),
        rate=_number(entry.get("rate")),
        fixed=_number(entry.get("fixed")),
        least=_maybe_number(entry.get("min")),
        most=_maybe_number(entry.get("max")),
    )


def _account(row: Mapping[str, str], settings: Settings) -> Account:
    return Account(
        row["account_id"],
        row["entity_type"],
        (row.get("currency") or settings.currency).upper(),
        ZoneInfo(row.get("timezone") or "UTC"),
    )


def _terms(row: Mapping[str, str]) -> Terms:
    return Terms(
        row["subscription_id"],
        row["account_id"],
        row["plan"],
        int(row["seats"]),
        row["interval"],
        instant(row["anchor_at"]),
        instant(row["starts_at"]),
        instant(row["ends_at"]) if row.get("ends_at") else FOREVER,
    )


def _membership(row: Mapping[str, str]) -> Membership:
    return Membership(
        row["organization_id"],
        row["user_id"],
        instant(row["joined_at"]),
        instant(row["left_at"]) if row.get("left_at") else FOREVER,
    )


def _grant(row: Mapping[str, str]) -> Grant:
    return Grant(
        row["grant_id"],
        row["account_id"],
        int(row["amount_minor"]),
        row["currency"].upper(),
        instant(row["granted_at"]),
        instant(row["expires_at"]) if row.get("expires_at") else FOREVER,
        int(row.get("priority") or 0),
    )
