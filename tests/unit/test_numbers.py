"""Numbers are the digits that stand there, and one rule rounds money to what Stripe accepts."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.core.numbers import NotExactError, exact, minor_step, parse_currency, round_minor


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0.1", Decimal("0.1")),
        ("1.50", Decimal("1.5")),
        ("1e3", Decimal(1000)),
        ("1E-15", Decimal("0.000000000000001")),
        ("-0", Decimal(0)),
        ("0e999999", Decimal(0)),
        (".5", Decimal("0.5")),
        ("5.", Decimal(5)),
        ("+7", Decimal(7)),
        ("000000000000000000001", Decimal(1)),
        ("1.0000000000000000000000", Decimal(1)),  # digits count by value
        ("999999999999999999.999999999999999", Decimal("999999999999999999.999999999999999")),
        (12, Decimal(12)),
        (Decimal("1.25"), Decimal("1.25")),
    ],
)
def test_exact(written: str | int | Decimal, number: Decimal) -> None:
    assert exact(written) == number


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "is not a number"),
        ("1_000", "is not a number"),
        ("1,5", "is not a number"),
        ("0x10", "is not a number"),
        ("NaN", "is not a number"),
        ("Infinity", "is not a number"),
        (Decimal("NaN"), "is not a number"),
        (Decimal("Infinity"), "is not a number"),
        ("١", "is not a number"),
        (" 1", "is not a number"),
        ("1e99999999999999999999", "is not a number"),
        ("1000000000000000000", "more than 18 digits before"),
        ("1e18", "more than 18 digits before"),
        ("1e999999", "more than 18 digits before"),
        ("0.0000000000000001", "more than 15 digits after"),
        ("1e-999999", "more than 15 digits after"),
        (0.1, "not an exact number"),
        (1.0, "not an exact number"),
        (True, "not an exact number"),
        (None, "not an exact number"),
    ],
)
def test_not_exact(written: Any, why: str) -> None:
    with pytest.raises(NotExactError, match=why):
        exact(written)


def test_places_are_the_callers() -> None:
    assert exact("0.000000001", places=9) == Decimal("1e-9")
    with pytest.raises(NotExactError, match="more than 9 digits after"):
        exact("0.0000000001", places=9)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.005", "USD", 1),
        ("-0.005", "USD", -1),
        ("0.015", "USD", 2),
        ("-0.025", "USD", -3),
        ("0.0049999999999999999", "USD", 0),
        ("15.005", "EUR", 1501),
        ("-2.5", "JPY", -3),
        ("2.4", "XOF", 2),
        ("1.4999", "ISK", 100),
        ("1.5", "ISK", 200),
        ("-0.5", "UGX", -100),
        ("-0.005", "KWD", -10),
        ("1.0149", "BHD", 1010),
        ("1.015", "TND", 1020),
        ("999999999999999999.995", "USD", 10**20),
    ],
)
def test_round_minor(amount: str, currency: str, minor: int) -> None:
    assert round_minor(Decimal(amount), currency) == minor


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=15, min_value=-(10**15), max_value=10**15),
    st.sampled_from(["USD", "JPY", "ISK", "KWD"]),
)
def test_rounds_to_the_nearest_step_and_away_from_zero_on_a_tie(amount: Decimal, currency: str) -> None:
    exponent, step = minor_step(currency)
    exactly = Fraction(amount) * 10**exponent
    with localcontext() as context:
        context.prec = 3  # whatever the caller's context is
        rounded = round_minor(amount, currency)
    assert rounded % step == 0
    assert abs(rounded - exactly) <= Fraction(step, 2)
    if abs(rounded - exactly) == Fraction(step, 2):
        assert abs(rounded) > abs(exactly)
    assert round_minor(-amount, currency) == -rounded


@pytest.mark.parametrize(
    ("currencies", "exponent", "step"),
    [
        ("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF", 0, 1),
        ("ISK UGX", 2, 100),
        ("BHD JOD KWD OMR TND", 3, 10),
        ("USD EUR HUF TWD", 2, 1),
    ],
)
def test_minor_step(currencies: str, exponent: int, step: int) -> None:
    assert {minor_step(currency) for currency in currencies.split()} == {(exponent, step)}


def test_currencies_are_three_letters_in_any_case() -> None:
    assert parse_currency("usD") == "USD"
    for wrong in ("", "us", "usdt", "u$d", "ÜSD", "123", "ßd"):
        with pytest.raises(ValueError, match="three letters"):
            parse_currency(wrong)
