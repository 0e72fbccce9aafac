"""Keeps the promise that nothing is ever rounded but a line: numbers, instants and currencies, read as written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo


class Refusal(Exception):
    """The run is refused before anything is written (SPEC §1)."""


class BadNumber(ValueError):
    """Text that holds no number (SPEC §2, `bad_number`)."""


class TooPrecise(ValueError):
    """A number with more digits than are kept exactly (SPEC §1, `precision`)."""


class BadTimestamp(ValueError):
    """Text that names no instant (SPEC §2, `bad_timestamp`)."""


INTEGER_DIGITS = 18
QUANTITY_PLACES = 9
COST_PLACES = 15

_NUMBER = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]+))?")


def number(text: str) -> Fraction:
    """SPEC §1 "Numbers": the value as written; more than 18 integer digits by value is too precise."""
    match = _NUMBER.fullmatch(text.strip(" \t"))
    if match is None:
        raise BadNumber(text)
    sign, whole, fraction, bare_fraction, exponent = match.groups()
    whole, fraction = whole or "", fraction or bare_fraction or ""
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return Fraction(0)
    if len((exponent or "").lstrip("+-0")) > 6:
        raise TooPrecise(text)
    point = len(digits) - len(fraction) + int(exponent or 0)  # how many of the digits stand before the point
    if point > INTEGER_DIGITS or point < -1000:
        raise TooPrecise(text)
    value = Fraction(int(digits)) * Fraction(10) ** (point - len(digits))
    return -value if sign == "-" else value


def within(value: Fraction, places: int) -> Fraction:
    """SPEC §1: a resulting quantity has up to 9 fractional digits, a cost 15, both up to 18 integer digits."""
    if abs(value) >= 10**INTEGER_DIGITS or (value * 10**places).denominator != 1:
        raise TooPrecise(str(value))
    return value


_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(text: str) -> datetime:
    """SPEC §1: RFC 3339 with an offset, `T` or a space between, digits past the microsecond cut."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise BadTimestamp(text)
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = match.groups()
    try:
        wall = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second),
            int(((fraction or "") + "000000")[:6]),
            tzinfo=UTC,
        )
        if sign is None:
            return wall
        if int(off_hours) > 23 or int(off_minutes) > 59:
            raise BadTimestamp(text)
        offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
        return wall - offset if sign == "+" else wall + offset
    except (ValueError, OverflowError):
        raise BadTimestamp(text) from None


def instant_of_epoch(text: str, unit: str) -> datetime:
    """SPEC §1: a count of seconds, milliseconds or microseconds since 1970, digits past the microsecond cut."""
    try:
        micros = number(text) * {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
        whole = abs(micros.numerator) // micros.denominator
        return EPOCH + timedelta(microseconds=whole if micros >= 0 else -whole)
    except (BadNumber, TooPrecise, OverflowError):
        raise BadTimestamp(text) from None


def micros(at: datetime) -> int:
    """Microseconds since 1970: what a content hash is taken over (SPEC §2)."""
    return (at - EPOCH) // timedelta(microseconds=1)


def seconds(start: datetime, end: datetime) -> Fraction:
    """The exact length of a window."""
    return Fraction((end - start) // timedelta(microseconds=1), 1_000_000)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> timedelta:
    """SPEC §1: an integer and one of s m h d w."""
    match = re.fullmatch(r"([0-9]+)([smhdw])", text.strip())
    if match is None:
        raise Refusal(f"{text!r} is no duration: write an integer and one of s m h d w")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def on_the_wall(
    year: int, month: int, day: int, hour: int, minute: int, second: int, microsecond: int, zone: ZoneInfo
) -> datetime:
    """SPEC §3: a wall time that comes twice is the first, one that is skipped moves on by the gap (fold=0 is both)."""
    local = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=zone, fold=0)
    return local.astimezone(UTC)


_NO_DECIMALS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_WHOLE_HUNDREDS = frozenset(("ISK", "UGX"))
_THREE_DECIMALS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])


def minor_unit(currency: str) -> tuple[int, int]:
    """SPEC §6: (how many minor units make one of the currency, the step Stripe takes them in)."""
    if currency in _NO_DECIMALS:
        return 1, 1
    if currency in _WHOLE_HUNDREDS:
        return 100, 100
    if currency in _THREE_DECIMALS:
        return 1000, 10
    return 100, 1


def half_away(value: Fraction) -> int:
    """The nearest integer, halves away from zero."""
    nearest = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return nearest if value >= 0 else -nearest


def rounded_minor(amount: Fraction, currency: str) -> int:
    """SPEC §6: the only rounding that bills: half away from zero, to what Stripe accepts."""
    per_unit, step = minor_unit(currency)
    return half_away(amount * per_unit / step) * step


def major(amount_minor: int, currency: str) -> Fraction:
    """Minor units back in currency units."""
    return Fraction(amount_minor, minor_unit(currency)[0])
