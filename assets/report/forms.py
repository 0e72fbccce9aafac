"""How numbers and instants look on a page: whole, grouped, aligned, and never through binary floating point.

What was billed is shown in the decimals its currency has. Any other amount is exact, and shown with two decimals,
rounded half away from zero, so that yen owed and yen billed are told apart. A total is of the exact amounts, rounded
once; it is no sum of what stands above it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from assets.core.page import billed, plain

MINUS = "−"  # a true minus is as wide as a digit
_WIDE = Context(prec=100, rounding=ROUND_HALF_UP)  # up is away from zero
_CENT = Decimal("0.01")


def money(amount: Decimal) -> str:
    """An exact amount for show."""
    return grouped(f"{rounded(amount):f}")


def rounded(amount: Decimal, unit: Decimal = _CENT) -> Decimal:
    """Half away from zero; -0.004 is 0.00, without a sign."""
    return _WIDE.quantize(amount, unit) + 0


def minor(amount_minor: int, currency: str) -> str:
    """What was billed, exactly."""
    return grouped(billed(amount_minor, currency))


def grouped(number: str) -> str:
    """A plain number with its thousands apart and a true minus."""
    sign, digits = (MINUS, number[1:]) if number.startswith("-") else ("", number)
    whole, point, rest = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{rest}" if whole.isascii() and whole.isdigit() else number


def count(number: int) -> str:
    return grouped(str(number))


def counted(number: int, noun: str) -> str:
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def quantity(amount: Decimal | Fraction | None, places: int = 6) -> str:
    """A count in its unit; digits past `places` are rounded."""
    if amount is None:
        return ""
    if isinstance(amount, Fraction):
        amount = _WIDE.divide(Decimal(amount.numerator), Decimal(amount.denominator))
    return grouped(plain(rounded(amount, Decimal(1).scaleb(-places))))


def exact(amount: Decimal) -> str:
    """Every digit there is."""
    return grouped(plain(amount))


def share(part: Decimal | int, whole: Decimal | int) -> str:
    """A part in per cent, with one digit."""
    if not whole:
        return ""
    return f"{grouped(str(rounded(_WIDE.divide(Decimal(part) * 100, Decimal(whole)), Decimal('0.1'))))} %"


def day(on: date) -> str:
    return f"{on.day} {on:%b %Y}"


def long_day(on: date) -> str:
    return f"{on.day} {on:%B %Y}"


def local(at: datetime, zone: str) -> datetime:
    """The instant on a zone's wall clock."""
    return at.astimezone(UTC if zone == "UTC" else ZoneInfo(zone))


def instant(at: datetime, zone: str = "UTC") -> str:
    """Such as 1 Jun 2026, 01:00 UTC; seconds only where there are any. An instant without a zone is UTC."""
    wall = local(at if at.tzinfo else at.replace(tzinfo=UTC), zone)
    clock = f"{wall:%H:%M:%S}" if wall.second or wall.microsecond else f"{wall:%H:%M}"
    return f"{day(wall)}, {clock}{' UTC' if zone == 'UTC' else ''}"


def local_days(start: datetime, end: datetime, zone: str) -> tuple[date, date]:
    """The first and the last day that a half-open period touches, on its account's calendar."""
    return local(start, zone).date(), local(end - timedelta(microseconds=1), zone).date()


def span(start: datetime, end: datetime, zone: str = "UTC") -> str:
    """A half-open period as people read it: its first and its last day, where it begins and ends at midnight."""
    if local(start, zone).time() == local(end, zone).time() == time():
        return days(*local_days(start, end, zone))
    return f"{instant(start, zone)} – {instant(end, zone)}"


def days(first: date, last: date) -> str:
    """A range of days, its year and month said once where they are the same."""
    if first == last:
        return day(first)
    if first.year != last.year:
        return f"{day(first)} – {day(last)}"
    if first.month != last.month:
        return f"{first.day} {first:%b} – {day(last)}"
    return f"{first.day} – {day(last)}"


def listed(parts: list[str]) -> str:
    """One, two and three."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]])) if parts else ""


def night_file(as_of: datetime) -> str:
    """A night's page, named by its instant without the colons that neither links nor all file systems take."""
    seconds = f"{as_of:%H%M%S}" + (f".{as_of.microsecond:06}" if as_of.microsecond else "")
    return f"night-{as_of:%Y-%m-%d}T{seconds}Z.html"


def month_file(month: date) -> str:
    return f"month-{month:%Y-%m}.html"
