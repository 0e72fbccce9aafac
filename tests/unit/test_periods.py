"""Boundaries on the wall clock, told and closed periods, by examples with one line each."""

from __future__ import annotations

import sys
from datetime import datetime
from itertools import pairwise

import pytest

from assets.core.instants import format_instant, parse_instant
from assets.core.periods import (
    BEGINNING,
    END,
    Interval,
    Span,
    calendar_month,
    calendar_months,
    derive,
    union,
    without,
    zone_names,
    zone_of,
)


def at(text: str) -> datetime:
    """2026-05-01, 2026-05-01T12, 2026-05-01T12:30 or a whole timestamp, in UTC."""
    return parse_instant(text + "2000-01-01T00:00:00Z"[len(text) :] if len(text) < 20 else text)


def spans(text: str) -> list[Span]:
    """One span a line: start end."""
    return [(at(start), at(end)) for start, end in (line.split() for line in text.strip().splitlines())]


def written(periods: list[Span]) -> str:
    return "\n".join(f"{format_instant(start)[:16]} {format_instant(end)[:16]}" for start, end in periods)


def starts(zone: str, anchor: str, until: str, interval: Interval = "month", begin: str | None = None) -> str:
    life = (at(begin or anchor), None)
    periods = derive(life, at(anchor), interval, zone_of(zone), until=at(until))
    return " ".join(format_instant(start)[:16] for start, _ in periods)


BOUNDARIES = [
    ("UTC", "2026-01-31T12", "2026-05-01", "2026-01-31T12:00 2026-02-28T12:00 2026-03-31T12:00 2026-04-30T12:00"),
    ("UTC", "2024-01-30", "2024-04-01", "2024-01-30T00:00 2024-02-29T00:00 2024-03-30T00:00"),
    # midnight in Berlin is 23:00 in winter and 22:00 in summer
    ("Europe/Berlin", "2026-02-28T23", "2026-05-01", "2026-02-28T23:00 2026-03-31T22:00 2026-04-30T22:00"),
    # 02:30 is skipped on 29 March (it becomes 03:30) and comes twice on 25 October (the first, of summer)
    ("Europe/Berlin", "2026-02-28T01:30", "2026-04-29", "2026-02-28T01:30 2026-03-28T01:30 2026-04-28T00:30"),
    ("Europe/Berlin", "2026-01-29T01:30", "2026-04-01", "2026-01-29T01:30 2026-02-28T01:30 2026-03-29T01:30"),
    ("Europe/Berlin", "2026-09-25T00:30", "2026-11-26", "2026-09-25T00:30 2026-10-25T00:30 2026-11-25T01:30"),
    # Lord Howe moves by half an hour: 02:15 on 4 October becomes 02:45
    ("Australia/Lord_Howe", "2026-09-03T15:45", "2026-11-01", "2026-09-03T15:45 2026-10-03T15:45"),
    # Samoa had no 30 December 2011 at all: its midnight moves on by 24 h, to that of the 31st
    ("Pacific/Apia", "2011-11-30T10", "2012-01-30", "2011-11-30T10:00 2011-12-30T10:00 2012-01-29T10:00"),
    # Santiago's clocks skip midnight on 6 September: that day begins at 01:00
    ("America/Santiago", "2026-08-06T04", "2026-10-07", "2026-08-06T04:00 2026-09-06T04:00 2026-10-06T03:00"),
]


@pytest.mark.parametrize(("zone", "anchor", "until", "expected"), BOUNDARIES)
def test_boundaries(zone: str, anchor: str, until: str, expected: str) -> None:
    assert starts(zone, anchor, until) == expected


def test_years_are_clamped_in_february_alone() -> None:
    expected = "2024-02-29T00:00 2025-02-28T00:00 2026-02-28T00:00 2027-02-28T00:00 2028-02-29T00:00"
    assert starts("UTC", "2024-02-29", "2028-12-31", "year") == expected


def test_a_twice_told_wall_time_is_the_first_for_the_anchor_too() -> None:
    """The anchor is the second 02:30 of the night: boundaries are the first ones, also this one."""
    expected = "2026-10-24T00:00 2026-10-25T00:30 2026-11-25T01:30"
    assert starts("Europe/Berlin", "2026-10-25T01:30", "2026-12-01", begin="2026-10-24") == expected


@pytest.mark.parametrize("anchor", ["1700-01-31", "2025-12-31", "2026-01-31", "2026-05-31", "2999-01-31", "9998-12-31"])
def test_the_anchor_may_lie_anywhere(anchor: str) -> None:
    expected = "2026-01-01T00:00 2026-01-31T00:00 2026-02-28T00:00 2026-03-31T00:00"
    assert starts("UTC", anchor, "2026-04-01", begin="2026-01-01") == expected


def test_periods_are_cut_to_the_life() -> None:
    life = at("2026-05-10T15:30"), at("2026-07-04")
    assert derive(life, at("2026-05-01"), "month", zone_of("UTC")) == spans("""
        2026-05-10T15:30 2026-06-01
        2026-06-01 2026-07-01
        2026-07-01 2026-07-04""")


def test_told_periods_stand_as_told_and_the_others_keep_what_they_leave() -> None:
    told = spans("""
        2026-05-10 2026-05-20
        2026-06-15 2026-08-03""")
    life = at("2026-05-01"), at("2026-09-01")
    assert derive(life, at("2026-05-01"), "month", zone_of("UTC"), told) == spans("""
        2026-05-01 2026-05-10
        2026-05-10 2026-05-20
        2026-05-20 2026-06-01
        2026-06-01 2026-06-15
        2026-06-15 2026-08-03
        2026-08-03 2026-09-01""")


def test_a_told_period_is_not_cut_to_the_life() -> None:
    told = spans("2026-05-01 2026-06-01")
    assert derive((at("2026-05-10"), at("2026-05-20")), at("2026-05-01"), "month", zone_of("UTC"), told) == told


CLOSED = spans("""
    2026-05-01 2026-06-01
    2026-06-01 2026-06-20""")


@pytest.mark.parametrize("closed", [CLOSED, union(CLOSED)])
def test_what_a_closed_end_leaves_is_a_period_of_its_own(closed: list[Span]) -> None:
    life = at("2026-04-20"), None
    periods = derive(life, at("2026-05-01"), "month", zone_of("UTC"), closed=closed, until=at("2026-07-01"))
    assert periods == spans("""
        2026-04-20 2026-05-01
        2026-06-20 2026-07-01
        2026-07-01 2026-08-01""")


def test_a_closed_period_leaves_what_it_leaves_of_a_told_one() -> None:
    told = spans("2026-05-01 2026-06-25")
    periods = derive(
        (at("2026-05-01"), None), at("2026-05-01"), "month", zone_of("UTC"), told, CLOSED, at("2026-06-30")
    )
    assert periods == spans("""
        2026-06-20 2026-06-25
        2026-06-25 2026-07-01""")


@pytest.mark.parametrize(("until", "count"), [("2026-04-30T23:59", 0), ("2026-05-01", 1), ("2026-06-01", 2)])
def test_only_what_begins_by_then(until: str, count: int) -> None:
    told = spans("2026-06-01 2026-06-20")
    periods = derive((at("2026-05-01"), None), at("2026-05-01"), "month", zone_of("UTC"), told, until=at(until))
    assert len(periods) == count


def test_the_ends_of_the_calendar_hold() -> None:
    for zone in map(zone_of, ("Pacific/Kiritimati", "Pacific/Midway", "UTC")):
        last = derive((at("9999-11-30"), None), at("1001-01-31"), "month", zone)
        assert last[0][0] == at("9999-11-30")
        assert last[-1][1] == END
        first = derive((BEGINNING, at("0001-03-01")), at("9998-01-31"), "year", zone)
        assert (first[0][0], first[-1][1]) == (BEGINNING, at("0001-03-01"))


@pytest.mark.parametrize(
    ("zone", "instant", "month"),
    [
        ("UTC", "2026-05-31T23:59", "2026-05-01T00:00 2026-06-01T00:00"),
        ("Europe/Berlin", "2026-05-31T22", "2026-05-31T22:00 2026-06-30T22:00"),
        ("America/New_York", "2026-11-01T03:59", "2026-10-01T04:00 2026-11-01T04:00"),
        ("America/New_York", "2026-11-01T04", "2026-11-01T04:00 2026-12-01T05:00"),
        # Havana's clocks went from 01:00 back to 00:00 on 1 November 2020: the first midnight begins the month
        ("America/Havana", "2020-11-01T04:30", "2020-11-01T04:00 2020-12-01T05:00"),
        ("America/Havana", "2020-11-01T05:30", "2020-11-01T04:00 2020-12-01T05:00"),
    ],
)
def test_calendar_month(zone: str, instant: str, month: str) -> None:
    assert written([calendar_month(at(instant), zone_of(zone))]) == month


def test_calendar_months_follow_each_other() -> None:
    months = calendar_months(at("2025-12-31T23:30"), at("2026-03-31T23:30"), zone_of("Europe/Berlin"))
    assert [format_instant(start)[:10] for start, _ in months] == [
        "2025-12-31",
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
    ]
    assert all(one[1] == other[0] for one, other in pairwise(months))


def test_spans_are_joined_and_taken_away() -> None:
    three = spans("2026-05-05 2026-05-07\n2026-05-01 2026-05-03\n2026-05-03 2026-05-04")
    assert union(three) == spans("2026-05-01 2026-05-04\n2026-05-05 2026-05-07")
    whole = at("2026-05-02"), at("2026-05-06")
    assert without(whole, union(three)) == spans("2026-05-04 2026-05-05")
    assert without(whole, []) == [whole]
    assert without(whole, [whole]) == []


def test_zones_are_those_of_the_pinned_package() -> None:
    assert {"UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "CET"} <= zone_names()
    for name in ("", "Europe", "europe/berlin", "../UTC", "posixrules", "Mars/Olympus"):
        with pytest.raises(ValueError, match="not an IANA"):
            zone_of(name)


def test_a_long_history_of_closed_periods_is_not_walked() -> None:
    """A thousand years of closed months take as many calls as one year of them: by arithmetic, not by counting."""

    def calls(born: datetime) -> int:
        count = 0

        def note(_: object, event: str, __: object) -> None:
            nonlocal count
            count += event == "call"

        closed = [(born, at("2026-04-30T12"))]
        sys.setprofile(note)
        try:
            found = derive((born, None), born, "month", zone_of("UTC"), (), closed, at("2026-06-01"))
        finally:
            sys.setprofile(None)
        assert len(found) == 2
        return count

    assert calls(at("1000-01-31T12")) <= 2 * calls(at("2025-01-31T12"))
