"""What people read: every digit, no noise, columns that stand on their decimal points."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from io import StringIO

import pytest
from rich.console import Console

from assets.core.numbers import added, less
from assets.core.page import (
    Code,
    Page,
    Table,
    Text,
    aligned,
    billed,
    counted,
    decimals,
    exactly,
    from_minor,
    lines_of,
    money,
    number,
    plain,
    words,
)
from orchestration.terminal import print_page

LONG = Decimal("12345678901234567890.123456789012345678")


@pytest.mark.parametrize(
    ("value", "least", "text"),
    [
        (Decimal("1.500000000000000000"), 0, "1.5"),
        (Decimal("1.500000000000000000"), 2, "1.50"),
        (Decimal("0.000000000000000001"), 2, "0.000000000000000001"),
        (Decimal("-0.00"), 2, "0.00"),
        (Decimal("-0.10"), 0, "-0.1"),
        (Decimal("1E+3"), 0, "1000"),
        (Decimal("100"), 0, "100"),
        (7, 2, "7.00"),
        (LONG, 2, str(LONG)),
    ],
)
def test_plain(value: Decimal | int, least: int, text: str) -> None:
    assert plain(value, least) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 3), "0.333333333333333333…"),
        (Fraction(-2, 3), "-0.666666666666666667…"),
        (Fraction(1, 8), "0.125"),
        (Fraction(1, 10**18), "0.000000000000000001"),
        (Fraction(1, 2**30), "0.000000000931322575…"),  # it has an end, beyond what the night keeps
        (Fraction(40), "40"),
    ],
)
def test_exactly(value: Fraction, text: str) -> None:
    assert exactly(value) == text


def test_amounts_have_the_decimals_that_can_be_billed() -> None:
    assert {code: decimals(code) for code in ("USD", "JPY", "KWD", "ISK")} == {"USD": 2, "JPY": 0, "KWD": 2, "ISK": 0}
    assert [billed(-1230, code) for code in ("USD", "JPY", "KWD")] == ["-12.30", "-1230", "-1.23"]
    assert (billed(1200, "ISK"), money(Decimal("1.5"), "JPY"), money(Decimal(2), "USD")) == ("12", "1.5", "2.00")
    assert from_minor(-1, "KWD") == Decimal("-0.001")


def test_sums_keep_every_digit() -> None:
    assert added([LONG, LONG.copy_negate(), Decimal("0.000000000000000001")]) == Decimal("1e-18")
    assert less(LONG, Decimal(1)) == Decimal("12345678901234567889.123456789012345678")


def test_numbers_stand_on_their_points() -> None:
    assert aligned(["1.5", "-10", "", "0.125"]) == ["  1.5  ", "-10    ", "       ", "  0.125"]


def test_counted() -> None:
    assert (counted(1, "row"), counted(0, "row"), counted(12, "row")) == ("1 row", "0 rows", "12 rows")


PAGE: Page = [
    Text("Said."),
    Table(
        "Sums",
        (words("what"), number("amount")),
        [("one", "1.25"), ("another", f"{LONG}")],
        [("total", "3")],
    ),
    Code("SELECT 1;"),
]


def test_a_page_in_plain_text() -> None:
    assert list(lines_of(PAGE)) == [
        "Said.",
        "",
        "Sums",
        "  what                                      amount",
        "  -------  ---------------------------------------",
        "  one                         1.25",
        "  another  12345678901234567890.123456789012345678",
        "  -------  ---------------------------------------",
        "  total                       3",
        "",
        "SELECT 1;",
    ]


def test_a_table_without_titles_has_no_head() -> None:
    table = Table("", (words(""), number("")), [("a", "1")])
    assert list(lines_of([table])) == ["  a  1"]


def test_a_narrow_terminal_loses_no_digit() -> None:
    out = StringIO()
    print_page(PAGE, Console(file=out, width=20, force_terminal=True, highlight=False, color_system=None))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert any(line.split() == ["another", str(LONG)] for line in lines)
    assert "SELECT 1;" in lines
    assert "…" not in out.getvalue()
