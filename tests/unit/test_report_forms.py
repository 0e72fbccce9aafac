"""What a report's numbers, days and drawings look like: pure functions, to the byte."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.core.page import Table, number, words
from assets.report import forms, svg
from assets.report.grid import of_table


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("1234567.005", "1,234,567.01"),  # half away from zero
        ("-1234567.005", "−1,234,567.01"),
        ("-0.004", "0.00"),  # no sign without an amount
        ("0.004999999999999999999999999999", "0.00"),  # not rounded twice
        ("99999999999999999999.999999999999999999", "100,000,000,000,000,000,000.00"),
    ],
)
def test_an_exact_amount_is_shown_with_two_decimals(amount: str, text: str) -> None:
    assert forms.money(Decimal(amount)) == text


def test_what_was_billed_has_the_decimals_of_its_currency() -> None:
    shown = [forms.minor(minor, currency) for minor, currency in [(-250, "USD"), (1808, "JPY"), (12340, "KWD")]]
    assert shown == ["−2.50", "1,808", "12.34"]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_shown_amount_is_within_half_a_cent(amount: Decimal) -> None:
    read = Decimal(forms.money(amount).replace(",", "").replace("−", "-"))
    assert abs(read - amount) <= Decimal("0.005")


def test_quantities_and_shares() -> None:
    assert forms.quantity(Fraction(1, 3)) == "0.333333"
    assert forms.quantity(Decimal("1500.250000000")) == "1,500.25"
    assert forms.share(1, 8) == "12.5 %"
    assert forms.share(1, 0) == ""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "zone", "text"),
    [
        ("2026-05-01", "2026-06-01", "UTC", "1 – 31 May 2026"),
        ("2026-05-01 07:00", "2026-06-01 07:00", "America/Los_Angeles", "1 – 31 May 2026"),
        ("2026-04-30", "2026-05-31", "UTC", "30 Apr – 30 May 2026"),
        ("2025-12-15", "2026-01-15", "UTC", "15 Dec 2025 – 14 Jan 2026"),
        ("2026-05-01", "2026-05-02", "UTC", "1 May 2026"),
        ("2026-05-01 06:30", "2026-06-01", "UTC", "1 May 2026, 06:30 UTC – 1 Jun 2026, 00:00 UTC"),
        # Midnight to midnight although the clock was moved in between.
        ("2026-02-28 23:00", "2026-03-31 22:00", "Europe/Berlin", "1 – 31 Mar 2026"),
    ],
)
def test_a_period_reads_as_its_days(start: str, end: str, zone: str, text: str) -> None:
    assert forms.span(at(start), at(end), zone) == text


def test_a_nights_file_name_needs_no_escape() -> None:
    assert forms.night_file(at("2026-05-01 01:00")) == "night-2026-05-01T010000Z.html"
    assert forms.night_file(at("2026-05-01 01:00:00.000007")) == "night-2026-05-01T010000.000007Z.html"


def test_numbers_of_a_table_stand_on_their_points() -> None:
    grid = of_table("t", Table("", (words("a"), number("n")), [("x", "1.5"), ("y", "1234"), ("z", "-0.25…")]))
    texts = [str(row.cells[1]) for row in grid.groups[0].rows]
    assert [text.strip() for text in texts] == ["1.5", "1,234", "−0.25…"]
    assert len({len(text.partition(".")[2]) for text in texts if "." in text}) == 1
    assert len(texts[1]) - len("1,234") == 1 + len("25…")  # a point and its digits, as blanks


def test_a_chart_draws_every_day_against_a_round_scale() -> None:
    amounts = map(Decimal, ("3", "0", "18.5", "-2"))
    days = [svg.Day(date(2026, 5, number), amount) for number, amount in enumerate(amounts, 1)]
    drawn = svg.daily("Usage <of> Acme & Co", days, "USD", ["3.00", "0.00", "18.50", "−2.00"])
    assert drawn.count("<rect") == 3  # a day without usage has its place and no bar
    assert drawn.count("<g>") == 4
    ticks = re.findall(r'text-anchor="end">([^<]+)<', drawn)
    assert ticks == ["−10", "0", "10", "20"]
    heights = [Decimal(height) for height in re.findall(r'<rect[^>]* height="([\d.]+)"', drawn)]
    assert heights[1] / heights[0] == pytest.approx(Decimal("18.5") / 3, rel=Decimal("0.02"))
    assert "Usage &lt;of&gt; Acme &amp; Co" in drawn


@given(st.decimals(min_value="0.000001", max_value=10**15, allow_nan=False))
def test_a_step_of_an_axis_is_round_and_enough(wanted: Decimal) -> None:
    step = svg.round_step(wanted)
    assert wanted <= step <= wanted * Decimal("2.5")
    assert step.normalize().as_tuple().digits in {(1,), (2,), (5,)}


def test_parts_of_a_whole_fill_it() -> None:
    drawn = svg.stacked([svg.Part("a", 1, "use"), svg.Part("none", 0, "same"), svg.Part("b", 3, "held")])
    widths = [Decimal(width) for width in re.findall(r'width="([\d.]+)"', drawn)]
    assert widths == [Decimal("25.0"), Decimal("75.0")]
    assert svg.stacked([svg.Part("a", 0, "use")]) == ""
