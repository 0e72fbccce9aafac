"""Exact values for the numbers that SQL's short cut leaves over, and the words for those that are none.

A number counts by value: up to 18 integer digits as read, and in the result up to 9 fractional digits in a quantity
and 15 in a cost. Operands may have more, as long as the result fits. Nothing here is rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from assets.core.catalogue.models import Expr, Field, Number, Product, Sum, TimeUnit, Weight
from assets.core.numbers import MAX_INTEGER_DIGITS, MONEY_PLACES, QUANTITY_PLACES
from assets.core.reasons import REASONS

_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_BLANKS = " \t\n\v\f\r"
# Where a number's digits stop being worth reckoning with: far beyond any result that fits, far below what hurts.
_MOST_DIGITS = 2_000
_MICROSECOND_PLACES: Mapping[TimeUnit, int] = {"s": 6, "ms": 3, "us": 0}
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 0001 to 9999

# A problem is 'N reason|detail' where N is the reason's rank, so that the least text is the first reason; numbers never
# hold a '|'. These are the reasons that a row has by itself.
MALFORMED, MISSING_FIELD, BAD_TIMESTAMP, BAD_NUMBER, PRECISION = (
    f"{rank} {reason}|" for rank, reason in enumerate(REASONS[:5], 1)
)

Exact = tuple[int, int]  # (mantissa, exponent): mantissa × 10 ** exponent
Weights = Mapping[str, Mapping[str, Decimal]]


class Problem(Exception):
    """A value that cannot be read; the message is the problem's text."""


@dataclass(frozen=True, slots=True)
class Formula:
    """What is to be made of some fields of a row: a quantity, a cost or an instant in microseconds."""

    fields: tuple[str, ...]
    expr: Expr
    kind: str  # 'quantity', 'cost', or the unit of an epoch: 's', 'ms', 'us'


def fields_of(expr: Expr) -> tuple[str, ...]:
    """The paths that an expression reads, each once."""
    match expr:
        case Field(path):
            return (path,)
        case Weight(field=path):
            return (path,)
        case Product(parts) | Sum(parts):
            return tuple(dict.fromkeys(path for part in parts for path in fields_of(part)))
        case _:
            return ()


def weighed_fields(expr: Expr) -> tuple[str, ...]:
    """The paths that an expression looks up as text."""
    match expr:
        case Weight(field=path):
            return (path,)
        case Product(parts) | Sum(parts):
            return tuple(path for part in parts for path in weighed_fields(part))
        case _:
            return ()


def reckon(formula: Formula, values: list[str | None], weights: Weights) -> str:
    """The formula's value as plain digits (of an instant: its microseconds), or the problem's text."""
    row = {path: value or None for path, value in zip(formula.fields, values, strict=True)}
    try:
        for path, value in row.items():
            if value is None:
                raise Problem(f"{MISSING_FIELD}{path} is absent")
        if formula.kind in ("quantity", "cost"):
            places = QUANTITY_PLACES if formula.kind == "quantity" else MONEY_PLACES
            return _plain(_value(formula.expr, row, weights), formula, places)
        return _microseconds(formula, row)
    except Problem as problem:
        return str(problem)


def _value(expr: Expr, row: Mapping[str, str | None], weights: Weights) -> Exact:
    match expr:
        case Field(path):
            return _number(path, row[path] or "")
        case Number(value):
            return _exact(value)
        case Weight(path, table):
            listed = weights[table]
            weight = listed.get(row[path] or "", listed.get("default"))
            if weight is None:
                raise Problem(f"{BAD_NUMBER}{path} is {_shown(row[path])}, which the weights of {table} do not list")
            return _exact(weight)
        case Product(parts):
            mantissa, exponent = 1, 0
            for factor, power in _all(parts, row, weights):
                mantissa, exponent = mantissa * factor, exponent + power
            return mantissa, exponent
        case Sum(parts):
            terms = _all(parts, row, weights)
            least = min(power for _, power in terms)
            return sum(term * 10 ** (power - least) for term, power in terms), least


def _all(parts: tuple[Expr, ...], row: Mapping[str, str | None], weights: Weights) -> list[Exact]:
    """Every part's value; of several problems the first reason, so that a field that is no number comes before one
    with too many digits."""
    found: list[Exact] = []
    problems: list[str] = []
    for part in parts:
        try:
            found.append(_value(part, row, weights))
        except Problem as problem:
            problems.append(str(problem))
    if problems:
        raise Problem(min(problems))
    return found


def _number(path: str, text: str) -> Exact:
    match = _NUMBER.fullmatch(text.strip(_BLANKS))
    if match is None:
        raise Problem(f"{BAD_NUMBER}{path} is {_shown(text)}, which is not a number")
    sign, whole, fraction, power = match[1], match[2], match[3] or "", match[4] or "0"
    written = (whole + fraction).lstrip("0")
    digits = written.rstrip("0")
    if not digits:
        return 0, 0
    if len(digits) > _MOST_DIGITS or len(power.lstrip("+-0")) > 9:
        raise Problem(f"{PRECISION}{path} is {_shown(text)}, more digits than are kept")
    exponent = int(power) - len(fraction) + len(written) - len(digits)
    if len(digits) + exponent > MAX_INTEGER_DIGITS or exponent < -_MOST_DIGITS:
        raise Problem(f"{PRECISION}{path} is {_shown(text)}, more digits than are kept")
    return int(sign + digits), exponent


def _exact(value: Decimal) -> Exact:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)  # the catalogue holds finite numbers only
    mantissa = int("".join(map(str, digits)))
    return -mantissa if sign else mantissa, exponent


def _plain(value: Exact, formula: Formula, places: int) -> str:
    """The value with exactly `places` fractional digits, if that loses none of them."""
    mantissa, exponent = value
    scaled, rest = divmod(abs(mantissa) * 10 ** max(exponent + places, 0), 10 ** max(-exponent - places, 0))
    if rest or scaled >= 10 ** (MAX_INTEGER_DIGITS + places):
        shown = ", ".join(formula.fields) or "the quantity"
        raise Problem(
            f"{PRECISION}{shown} gives a {formula.kind} with more than {MAX_INTEGER_DIGITS} integer "
            f"or {places} fractional digits"
        )
    digits = str(scaled).rjust(places + 1, "0")
    return f"{'-' if mantissa < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _microseconds(formula: Formula, row: Mapping[str, str | None]) -> str:
    """An epoch number as microseconds, further digits cut."""
    (path,) = formula.fields
    text = row[path] or ""
    try:
        mantissa, exponent = _number(path, text)
    except Problem:
        raise Problem(f"{BAD_TIMESTAMP}{path} is {_shown(text)}, which is not an epoch number") from None
    exponent += next(places for unit, places in _MICROSECOND_PLACES.items() if unit == formula.kind)
    whole = abs(mantissa) * 10 ** max(exponent, 0) // 10 ** max(-exponent, 0)
    instant = -whole if mantissa < 0 else whole
    if not _FIRST_US <= instant <= _LAST_US:
        raise Problem(f"{BAD_TIMESTAMP}{path} is {_shown(text)}, outside the years 0001 to 9999")
    return str(instant)


def _shown(text: str | None) -> str:
    text = text or ""
    return f'"{text}"' if len(text) <= 80 else f'"{text[:80]}…"'
