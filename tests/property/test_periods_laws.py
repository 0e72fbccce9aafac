"""Laws of periods: whatever the anchor, zone, told and closed periods, no instant is billed twice or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from assets.core.periods import (
    Interval,
    Span,
    calendar_month,
    derive,
    to_wall,
    union,
    without,
    zone_names,
    zone_of,
)

FIRST, LAST = datetime(2019, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)

# Zones whose clocks are odd, and any other.
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Africa/Casablanca"]
) | st.sampled_from(sorted(zone_names()))
minutes = st.integers(0, int((LAST - FIRST).total_seconds()) // 60).map(lambda m: FIRST + timedelta(minutes=m))
days = st.integers(0, (LAST - FIRST).days).map(lambda d: FIRST + timedelta(days=d))
instants = days | minutes
intervals: st.SearchStrategy[Interval] = st.sampled_from(["month", "year"])


@st.composite
def disjoint(draw: st.DrawFn, most: int = 3) -> list[Span]:
    """Spans that may touch and never overlap, in any order."""
    ends = sorted(draw(st.lists(instants, unique=True, min_size=0, max_size=2 * most)))
    found = [(one, other) for one, other in pairwise(ends) if draw(st.booleans())]
    return draw(st.permutations(found))


class Life(NamedTuple):
    born: datetime
    died: datetime | None
    anchor: datetime
    interval: Interval
    zone: str
    told: list[Span]
    closed: list[Span]

    def periods(self, until: datetime = LAST, closed: list[Span] | None = None) -> list[Span]:
        shut = self.closed if closed is None else closed
        zone = zone_of(self.zone)
        return derive((self.born, self.died), self.anchor, self.interval, zone, self.told, shut, until)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    born = draw(instants)
    died = draw(st.none() | instants.filter(lambda end: end > born))
    anchor = draw(st.just(born) | instants | st.datetimes(timezones=st.just(UTC)))
    return Life(born, died, anchor, draw(intervals), draw(zones), draw(disjoint()), draw(disjoint()))


@given(lives())
def test_periods_never_overlap_and_come_in_order(life: Life) -> None:
    periods = life.periods()
    assert all(start < end for start, end in periods)
    assert all(one[1] <= other[0] for one, other in pairwise(periods))


@given(lives())
def test_each_instant_of_the_life_is_in_one_period_or_closed(life: Life) -> None:
    covered = union([*life.periods(), *life.closed])
    assert [span for span in without((life.born, min(life.died or LAST, LAST)), covered) if span[0] < LAST] == []


@given(lives())
def test_no_period_reaches_into_a_closed_one(life: Life) -> None:
    shut = union(life.closed)
    assert all(without(period, shut) == [period] for period in life.periods())


@given(lives())
def test_without_closed_ones_told_periods_stand_as_told(life: Life) -> None:
    periods = life.periods(closed=[])
    assert set(life.told) <= set(periods)
    derived = set(periods) - set(life.told)
    assert all(life.born <= start and end <= (life.died or end) for start, end in derived)


@given(lives(), instants)
def test_until_only_cuts_the_list(life: Life, until: datetime) -> None:
    assert life.periods(until) == [period for period in life.periods() if period[0] <= until]


@given(lives(), instants)
def test_closing_what_was_derived_changes_no_other_period(life: Life, now: datetime) -> None:
    """Night after night: the closed ones stay, the open ones are those of the files."""
    before = life.periods(closed=[])
    closed = [period for period in before if period[1] <= now]
    assert life.periods(closed=closed) == [period for period in before if period[1] > now]


@given(lives())
def test_closed_periods_may_come_as_their_unions(life: Life) -> None:
    assert life.periods(closed=union(life.closed)) == life.periods()


def first_showing(wall: datetime, zone: str) -> datetime:
    """By trying every offset around: the first instant that shows the wall time, else the wall time plus the gap."""
    where, guess = zone_of(zone), wall.replace(tzinfo=UTC)

    def offset(instant: datetime) -> timedelta:
        return instant.astimezone(where).utcoffset() or timedelta(0)

    offsets = {offset(guess + timedelta(hours=hours)) for hours in range(-30, 31)}
    showing = [guess - it for it in offsets if to_wall(guess - it, where) == wall]
    return min(showing, default=guess - offset(guess - max(offsets)))


def moved(wall: datetime, months: int) -> datetime:
    """The wall time some months on; where the month has no such day, on the last day that it has."""
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    for day in range(wall.day, wall.day - 4, -1):
        try:
            return wall.replace(year=year, month=month + 1, day=day)
        except ValueError:
            pass
    raise AssertionError("every month has 28 days")


@given(instants, intervals, zones)
@example(datetime(2026, 1, 29, 1, 30, tzinfo=UTC), "month", "Europe/Berlin")  # meets the gap of March
@example(datetime(2026, 9, 25, 0, 30, tzinfo=UTC), "month", "Europe/Berlin")  # meets the hour that comes twice
@example(datetime(2011, 11, 30, 10, tzinfo=UTC), "month", "Pacific/Apia")  # meets the day that never was
def test_boundaries_are_counted_from_the_anchor_on_the_wall_clock(
    anchor: datetime, interval: Interval, zone: str
) -> None:
    wall, step = to_wall(anchor, zone_of(zone)), 12 if interval == "year" else 1
    found = derive((anchor, None), anchor, interval, zone_of(zone), until=anchor + timedelta(days=800))
    for k, (_, end) in enumerate(found, start=1):
        assert end == first_showing(moved(wall, k * step), zone)


@given(instants, zones)
def test_calendar_months_hold_their_instants_and_touch(instant: datetime, zone: str) -> None:
    where = zone_of(zone)
    start, end = calendar_month(instant, where)
    assert start <= instant < end
    assert calendar_month(end, where)[0] == end
    assert calendar_month(start, where) == (start, end)
    assert to_wall(start, where).day == 1 or to_wall(start - timedelta(microseconds=1), where).day != 1
