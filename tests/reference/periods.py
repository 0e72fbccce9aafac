"""Which billing periods there are (SPEC §3)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tests.reference.catalogue import BEGINNING, FOREVER, Catalogue, Terms
from tests.reference.exact import on_the_wall
from tests.reference.ledger import DEFAULT_PREFIX

Span = tuple[datetime, datetime]


@dataclass(frozen=True, order=True)
class Period:
    """A billing period of a subscription, half-open."""

    start: datetime
    subscription_id: str
    end: datetime
    account_id: str

    @property
    def key(self) -> tuple[str, datetime]:
        return self.subscription_id, self.start

    def holds(self, at: datetime) -> bool:
        return self.start <= at < self.end


def boundary(anchor: datetime, zone: ZoneInfo, months: int) -> datetime:
    """SPEC §3: the anchor moved by months on the account's wall clock, the day clamped to the month's end."""
    wall = anchor.astimezone(zone)
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    day = min(wall.day, monthrange(year, month + 1)[1])
    return on_the_wall(year, month + 1, day, wall.hour, wall.minute, wall.second, wall.microsecond, zone)


def derived(anchor: datetime, interval: str, zone: ZoneInfo, life: Span, horizon: datetime) -> list[Span]:
    """SPEC §3: the intervals between boundaries, always from the anchor, cut to the subscription's life."""
    step = 12 if interval == "year" else 1
    starts, ends = life
    last = min(ends, horizon)
    if last < starts:
        return []
    months_away = (starts.year - anchor.year) * 12 + starts.month - anchor.month
    k = months_away // step - 2
    spans: list[Span] = []
    while True:
        start, end = boundary(anchor, zone, k * step), boundary(anchor, zone, (k + 1) * step)
        k += 1
        if start > last or start >= ends:
            return spans
        if end > starts and start < end:
            spans.append((max(start, starts), min(end, ends)))


def without(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """SPEC §3: what the holes leave of the spans."""
    left = list(spans)
    for hole_start, hole_end in holes:
        pieces = []
        for start, end in left:
            if hole_end <= start or end <= hole_start:
                pieces.append((start, end))
                continue
            pieces += [piece for piece in ((start, hole_start), (hole_end, end)) if piece[0] < piece[1]]
        left = pieces
    return sorted(left)


def open_periods(terms: tuple[Terms, ...], catalogue: Catalogue, closed: list[Span], horizon: datetime) -> list[Period]:
    """SPEC §3: told periods as told, derived ones where told ones leave room, closed ones fixed."""
    first = terms[0]
    zone = catalogue.accounts[first.account_id].zone
    life = (first.starts_at, terms[-1].ends_at)
    told = list(catalogue.told.get(first.subscription_id, ()))
    spans = without(derived(first.anchor_at, first.interval, zone, life, horizon), told) + told
    return [
        Period(start, first.subscription_id, end, first.account_id)
        for start, end in without(spans, closed)
        if start <= horizon
    ]


def month_of(at: datetime, zone: ZoneInfo) -> Span:
    """SPEC §3: the whole calendar month of the account's zone, for the default plan."""
    wall = at.astimezone(zone)
    following = (wall.year + wall.month // 12, wall.month % 12 + 1)
    start = on_the_wall(wall.year, wall.month, 1, 0, 0, 0, 0, zone)
    return start, on_the_wall(*following, 1, 0, 0, 0, 0, zone)


def default_periods(
    account_id: str, instants: Iterable[datetime], catalogue: Catalogue, closed: list[Span]
) -> list[Period]:
    """SPEC §3: default-plan periods exist where a ledger row or a baseline falls in them."""
    zone = catalogue.accounts[account_id].zone
    open_instants = [at for at in instants if not any(start <= at < end for start, end in closed)]
    months = {month_of(at, zone) for at in open_instants}
    return [
        Period(start, DEFAULT_PREFIX + account_id, end, account_id)
        for start, end in without(months, closed)
        if any(start <= at < end for at in open_instants)
    ]


def default_terms(account_id: str, plan: str) -> tuple[Terms, ...]:
    """SPEC §3: the default plan serves an account with one seat, for as long as need be."""
    return (Terms(DEFAULT_PREFIX + account_id, account_id, plan, 1, "month", BEGINNING, BEGINNING, FOREVER),)


def is_default(subscription_id: str) -> bool:
    return subscription_id.startswith(DEFAULT_PREFIX)
