"""Exact numbers, and the one rounding that bills.

Numbers of the catalogue are read as written, never through binary floating point, and refused where their
digits would not fit the warehouse's exact columns. Money is rounded half away from zero to what Stripe
accepts (SPEC section 6): `minor_step` says for each currency how many decimals its minor unit has and in
which steps an amount may be sent. The warehouse gets it as the table `catalog.currencies`, so SQL rounds by
the same table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation

MAX_INTEGER_DIGITS = 18
QUANTITY_PLACES = 9
MONEY_PLACES = 15

_WIDE = Context(prec=100)  # more than any two amounts of the warehouse have together
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_CURRENCY = re.compile(r"[A-Za-z]{3}", re.ASCII)

_NO_DECIMALS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_WHOLE_HUNDREDS = frozenset(["ISK", "UGX"])  # two decimals to Stripe, which refuses a fraction of one
_WHOLE_TENS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])  # three decimals, but Stripe refuses the third


# Every other currency has two decimals, in steps of one.
UNUSUAL_CURRENCIES = _NO_DECIMALS | _WHOLE_HUNDREDS | _WHOLE_TENS


class NotExactError(ValueError):
    """The value is no number, or has more digits than are kept exactly."""


def exact(value: str | int | Decimal, places: int = MONEY_PLACES) -> Decimal:
    """The number as written: the one constructor of exact numbers.

    Digits count by value, so 1.500 has one fractional digit and 1e3 has four integer ones. A bool or a binary
    float is a bug of the caller and not a number.
    """
    if isinstance(value, (bool, float)) or not isinstance(value, (str, int, Decimal)):
        raise NotExactError(f"{value!r} is not an exact number")
    if isinstance(value, str) and _NUMBER.fullmatch(value) is None:
        raise NotExactError("is not a number")
    try:
        number = Decimal(value)
        if not number:
            return Decimal(0)
        integer_digits = number.adjusted() + 1
    except InvalidOperation:  # an exponent beyond all bounds
        raise NotExactError("is not a number") from None
    if not number.is_finite():
        raise NotExactError("is not a number")
    if integer_digits > MAX_INTEGER_DIGITS:
        raise NotExactError(f"has more than {MAX_INTEGER_DIGITS} digits before the decimal point")
    written = "".join(map(str, number.as_tuple().digits))
    if len(written.rstrip("0")) - integer_digits > places:
        raise NotExactError(f"has more than {places} digits after the decimal point")
    return number


def added(amounts: Iterable[Decimal]) -> Decimal:
    """The sum to its last digit; `+` would round to the 28 digits of Decimal's context."""
    total = Decimal(0)
    for amount in amounts:
        total = _WIDE.add(total, amount)
    return total


def less(amount: Decimal, other: Decimal) -> Decimal:
    """The difference, likewise to its last digit."""
    return _WIDE.subtract(amount, other)


def parse_currency(text: str) -> str:
    """The currency in upper case; ValueError unless it is three letters."""
    if _CURRENCY.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a currency of three letters")
    return text.upper()


def minor_step(currency: str) -> tuple[int, int]:
    """(exponent, step): an amount is sent as a multiple of `step` units of 10 ** -exponent."""
    if currency in _NO_DECIMALS:
        return 0, 1
    if currency in _WHOLE_HUNDREDS:
        return 2, 100
    if currency in _WHOLE_TENS:
        return 3, 10
    return 2, 1


def round_minor(amount: Decimal, currency: str) -> int:
    """The amount in minor units, half away from zero to the currency's step: -0.025 USD is -3."""
    exponent, step = minor_step(currency)
    numerator, denominator = amount.copy_abs().as_integer_ratio()  # integers: no decimal context rounds first
    steps = (2 * numerator * 10**exponent + denominator * step) // (2 * denominator * step)
    minor = int(steps * step)
    return -minor if amount < 0 else minor
