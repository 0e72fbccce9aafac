"""Terms grouped into subscriptions, and the periods that these have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from assets.core.catalogue.models import Catalogue, ClosedPeriod, Interval, Terms, ToldPeriod
from assets.core.catalogue.problems import shown
from assets.core.instants import format_instant
from assets.core.periods import END, Span, derive, zone_of


@dataclass(frozen=True, slots=True)
class Subscription:
    """The terms of one subscription, which touch, so that its life is a single span."""

    subscription_id: str
    account_id: str
    interval: Interval
    anchor_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    terms: tuple[Terms, ...]  # in order of time


@dataclass(frozen=True, slots=True)
class OpenPeriod:
    subscription_id: str
    account_id: str
    period_start: datetime
    period_end: datetime


def group_terms(terms: Iterable[Terms]) -> dict[str, list[Terms]]:
    """Each subscription's terms in order of time."""
    groups: dict[str, list[Terms]] = defaultdict(list)
    for row in terms:
        groups[row.subscription_id].append(row)
    for rows in groups.values():
        if len(rows) > 1:
            rows.sort(key=lambda row: row.starts_at)
    return dict(groups)


def quarrels(one: Terms, other: Terms) -> Iterator[tuple[str, str]]:
    """Why two rows in order of time are not terms of one subscription: (what is wrong, what to do)."""
    whose = f"line {one.line}, of the same subscription {shown(one.subscription_id)}"
    for column in ("account_id", "interval", "anchor_at"):
        if getattr(one, column) != getattr(other, column):
            yield f"{column} is not that of {whose}", "write the same, or give it another subscription_id"
    if one.ends_at != other.starts_at:
        ends = "has no end" if one.ends_at is None else f"ends at {format_instant(one.ends_at)}"
        wrong = f"starts_at is {format_instant(other.starts_at)}, and {whose}, {ends}"
        yield wrong, "let each row start where the one before it ends"


def as_subscription(terms: list[Terms]) -> Subscription:
    first, last = terms[0], terms[-1]
    return Subscription(
        first.subscription_id,
        first.account_id,
        first.interval,
        first.anchor_at,
        first.starts_at,
        last.ends_at,
        tuple(terms),
    )


def spans_by_subscription(periods: Iterable[ClosedPeriod] | Iterable[ToldPeriod]) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = defaultdict(list)
    for period in periods:
        spans[period.subscription_id].append((period.period_start, period.period_end))
    return dict(spans)


def periods_of(
    subscription: Subscription,
    timezone: str,
    told: dict[str, list[Span]],
    closed: dict[str, list[Span]],
    until: datetime = END,
    since: datetime | None = None,
) -> list[Span]:
    """Its periods that are not closed and begin by `until`.

    With `since`, only what lies after it, at no cost for what lies before; later starts are true ones.
    """
    born = subscription.starts_at if since is None else max(subscription.starts_at, since)
    return derive(
        (born, subscription.ends_at),
        subscription.anchor_at,
        subscription.interval,
        zone_of(timezone),
        told.get(subscription.subscription_id, ()),
        closed.get(subscription.subscription_id, ()),
        until,
    )


def open_periods(catalogue: Catalogue, until: datetime) -> list[OpenPeriod]:
    """Every period of a real subscription that is not closed and begins by `until`."""
    zones = {account.account_id: account.timezone for account in catalogue.accounts}
    told, closed = spans_by_subscription(catalogue.told_periods), spans_by_subscription(catalogue.closed)
    return [
        OpenPeriod(subscription.subscription_id, subscription.account_id, start, end)
        for subscription in map(as_subscription, group_terms(catalogue.terms).values())
        for start, end in periods_of(subscription, zones[subscription.account_id], told, closed, until)
    ]
