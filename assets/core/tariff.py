"""Every price as straight pieces.

A price list speaks of units after `divide_by` and `free_units`; the ledger counts before them. Here each charge is
turned, once and exactly, into pieces over what the ledger counts: within a piece, owed = base + aggregate x rate, the
rate as a reduced fraction. SQL then picks a piece and does one multiplication and one division, whatever the charge
model was. The aggregate is counted in whole units of 10^-9 (10^-15 on cost meters), so a piece's upper bound is such a
whole number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor

from assets.core.catalogue.models import Charge, Meter, Tier

# What SQL reckons with: whole numbers of 38 digits. Arrow carries no longer ones, Spark has none, DuckDB's 128 bits do.
LARGEST = 10**38 - 1
# A level is averaged over at most a year of microseconds.
LONGEST_PERIOD_US = 366 * 86_400_000_000
# Where money ends on the way (DECIMAL(38, 18)), and with it whatever is added up in one charge.
MOST = 10**20


@dataclass(frozen=True, slots=True)
class Segment:
    up_to_units: int | None  # inclusive; None: no end
    base: Fraction
    rate: Fraction


def digits(meter: Meter) -> int:
    """How many fractional digits a whole unit of the meter's aggregate stands for."""
    return 15 if meter.aggregate == "cost" else 9


def segments(charge: Charge, meter: Meter) -> Iterator[Segment]:
    """The pieces of a charge, from below; nothing is owed up to the free units."""
    per_unit, free = _per_unit(meter), Fraction(charge.free_units)

    def bound(quantity: Fraction) -> int:
        return floor((quantity + free) / per_unit * int(10 ** digits(meter)))

    def piece(up_to: Fraction | None, base: Fraction, unit: Fraction) -> Segment:
        return Segment(None if up_to is None else bound(up_to), base - unit * free, unit * per_unit)

    if charge.model in ("per_unit", "percentage"):
        yield Segment(bound(Fraction(0)), Fraction(0), Fraction(0))
        yield piece(None, Fraction(0), Fraction(_given(charge.price if charge.model == "per_unit" else charge.rate)))
    elif charge.model in ("graduated", "volume"):
        yield Segment(bound(Fraction(0)), Fraction(0), Fraction(0))
        for base, tier in _tier_bases(charge.tiers, is_volume=charge.model == "volume"):
            yield piece(None if tier.up_to is None else Fraction(tier.up_to), base, Fraction(tier.unit))


def _tier_bases(tiers: tuple[Tier, ...], is_volume: bool) -> Iterator[tuple[Fraction, Tier]]:
    """For each tier what is owed in it besides its own unit price from zero on."""
    below, entered = Fraction(0), Fraction(0)
    for tier in tiers:
        unit, flat = Fraction(tier.unit), Fraction(tier.flat)
        if is_volume:
            yield flat, tier
            continue
        yield entered + flat - unit * below, tier
        if tier.up_to is not None:
            entered += flat + unit * (Fraction(tier.up_to) - below)
            below = Fraction(tier.up_to)


def package(charge: Charge, meter: Meter) -> tuple[int, int, int]:
    """(per, free, size): packages begun = ceil((units x per - free) / size), in whole numbers."""
    scale = Fraction(meter.divide_by) * 10 ** digits(meter)
    free, size = Fraction(charge.free_units) * scale, Fraction(_given(charge.size)) * scale
    per = free.denominator * size.denominator
    return per, int(free * per), int(size * per)


def rate(charge: Charge, meter: Meter) -> Fraction:
    """Money per whole unit of quantity (before divide_by), where a charge has one rate for every usage."""
    price = charge.price if charge.model == "per_unit" else charge.rate
    return Fraction(price or 0) / Fraction(meter.divide_by)


def money(value: Fraction) -> Decimal:
    """To 18 fractional digits, half away from zero: what SQL keeps of money on the way."""
    attos = (floor(2 * abs(value) * 10**18) + 1) // 2
    # From digits, not arithmetic: the decimal context would round to 28 of them.
    return Decimal((int(value < 0), tuple(map(int, str(attos))), -18))


def fits(charge: Charge, meter: Meter) -> bool:
    """Whether SQL can multiply and divide by the charge's rates exactly (`times_ratio` in dbt_project/macros)."""
    rates = [rate(charge, meter), *(piece.rate for piece in segments(charge, meter))]
    return all(
        max(abs(it.numerator), 2 * 10**9) * it.denominator <= LARGEST and abs(it.numerator) * _longest(meter) <= LARGEST
        for it in (*rates, _per_unit(meter))
    )


def has_room(charge: Charge, meter: Meter) -> bool:
    """Whether the pieces, or packages, stay within the numbers that SQL reckons with, up to the largest aggregate."""
    pieces = list(segments(charge, meter))
    if any(abs(it.base) >= MOST or (it.up_to_units or 0) * _longest(meter) > LARGEST for it in pieces):
        return False
    if charge.model != "package":
        return True
    per, free, size = package(charge, meter)
    if meter.aggregate == "time_weighted" and per > 1:
        return False
    return max(per * MOST * int(10 ** digits(meter)), free * _longest(meter), size * _longest(meter)) <= LARGEST // 3


def _longest(meter: Meter) -> int:
    return LONGEST_PERIOD_US if meter.aggregate == "time_weighted" else 1


def _per_unit(meter: Meter) -> Fraction:
    return 1 / Fraction(meter.divide_by)


def _given(value: Decimal | None) -> Decimal:
    assert value is not None, "the catalogue's checks let no charge through without it"
    return value
