"""Billing periods (SPEC section 3), as pure functions of the account files.

Boundaries are the anchor plus or minus k months, or years, on the account's wall clock, always counted from
the anchor, with the day clamped to its month. A period told by the processor stands as told, a closed one
is fixed, and a derived interval, cut to the subscription's life, keeps what they leave of it.

Nothing is walked that need not be: the interval around any instant is found by arithmetic, so an anchor in
1700 or in 9998 costs what one of yesterday does, and a long history of closed periods is skipped.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, tzinfo
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

Interval: TypeAlias = Literal["month", "year"]
Span: TypeAlias = tuple[datetime, datetime]  # [start, end)

# What lies outside the calendar is clamped to its ends: no date can be written there, so nothing falls there.
BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)

_MONTHS: dict[Interval, int] = {"month": 1, "year": 12}
_A_FIRST = datetime(1970, 1, 1)  # noqa: DTZ001 - what a wall clock shows at the start of a month, in any zone


def to_wall(instant: datetime, zone: tzinfo) -> datetime:
    """What the zone's clocks show at the instant, without zone."""
    try:
        return instant.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return instant.replace(tzinfo=None)


class Boundaries:
    """The instants at which the wall clock shows `wall` moved by k times `months`, for every whole k."""

    __slots__ = ("_known", "_months", "_time", "_wall", "_zone")

    def __init__(self, wall: datetime, months: int, zone: tzinfo) -> None:
        self._wall = wall
        self._time = wall.time().replace(fold=0)
        self._months = months
        self._zone = zone
        self._known: dict[int, datetime] = {}

    def at(self, k: int) -> datetime:
        instant = self._known.get(k)
        if instant is None:
            instant = self._known[k] = self._reckon(k)
        return instant

    def _reckon(self, k: int) -> datetime:
        wall = self._wall
        year, month = divmod(wall.year * 12 + wall.month - 1 + k * self._months, 12)
        if year < MINYEAR:
            return BEGINNING
        if year > MAXYEAR:
            return END
        day = wall.day if wall.day <= 28 else min(wall.day, monthrange(year, month + 1)[1])
        # A wall time that comes twice is the first, one that is skipped moves on by the gap: fold=0 is both.
        try:
            return datetime.combine(date(year, month + 1, day), self._time, self._zone).astimezone(UTC)
        except OverflowError:
            return BEGINNING if year == MINYEAR else END

    def index(self, instant: datetime) -> int:
        """The k whose interval [at(k), at(k + 1)) holds the instant."""
        wall = to_wall(instant, self._zone)
        k = ((wall.year - self._wall.year) * 12 + wall.month - self._wall.month) // self._months
        while BEGINNING < self.at(k) > instant:
            k -= 1
        while self.at(k + 1) <= instant < END:
            k += 1
        return k

    def intervals(self, start: datetime, end: datetime, until: datetime) -> Iterator[Span]:
        """The intervals that meet [start, end), cut to it, in order, as far as they begin by `until`."""
        if start >= end or start > until:
            return
        k = self.index(start)
        while start < end and start <= until:
            k += 1
            stop = min(self.at(k), end)
            if start < stop:
                yield start, stop
            start = stop


def derive(
    life: tuple[datetime, datetime | None],
    anchor: datetime,
    interval: Interval,
    zone: tzinfo,
    told: Iterable[Span] = (),
    closed: Iterable[Span] = (),
    until: datetime = END,
) -> list[Span]:
    """A subscription's periods that are not closed and begin at or before `until`, in order.

    `life` runs from the first starts_at to the last ends_at of its terms (None: open). Of the closed periods
    only where they lie counts, so they may come one by one or in their unions.
    """
    told, closed = list(told), union(closed)
    periods = [piece for span in told for piece in without(span, closed)]
    boundaries = Boundaries(to_wall(anchor, zone), _MONTHS[interval], zone)
    born, died = life
    for start, end in without((born, died or END), union([*told, *closed])):
        periods += boundaries.intervals(start, end, until)
    return sorted(span for span in periods if span[0] <= until)


def calendar_month(instant: datetime, zone: tzinfo) -> Span:
    """The whole calendar month of the zone that holds the instant."""
    return calendar_months(instant, instant, zone)[0]


def calendar_months(first: datetime, last: datetime, zone: tzinfo) -> list[Span]:
    """The calendar months of the zone from the one that holds `first` to the one that holds `last`."""
    months = Boundaries(_A_FIRST, 1, zone)
    bounds = [months.at(k) for k in range(months.index(first), months.index(last) + 2)]
    return list(pairwise(bounds))


def union(spans: Iterable[Span]) -> list[Span]:
    """The same instants in disjoint spans that do not touch, in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def without(span: Span, taken: list[Span]) -> list[Span]:
    """What disjoint spans in order leave of a span."""
    start, end = span
    left = []
    for taken_start, taken_end in taken:
        if start < min(taken_start, end):
            left.append((start, min(taken_start, end)))
        start = max(start, taken_end)
    return [*left, (start, end)] if start < end else left


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every IANA name."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """The IANA zone; ValueError where there is none of that name.

    Read from the pinned tzdata package, not from the machine, whose own rules may be of another year and
    would then move a boundary between two runs of the same files.
    """
    if name not in zone_names():
        raise ValueError(f"{name!r} is not an IANA time zone")
    if name == "UTC":
        return UTC  # the same zone, reckoned faster
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)
