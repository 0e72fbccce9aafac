"""How far one count of usage is from another, on whole numbers: no division stands between a drift and its verdict.

Two meters may sell in different units (bytes here, gigabytes there). Both counts are brought to the largest unit that
is a whole part of both, so that reference and candidate are integers and a drift above 2 % is
`|candidate − reference| × 50 > |reference|`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, gcd, lcm

PLACES = 4  # fractional digits of a threshold
_LARGEST = 10**12  # of a factor, so that products stay within 128 bits
_BEYOND = 10**37  # more than any usage that can be counted


@dataclass(frozen=True, slots=True)
class Scale:
    """A count times its factor is in common units, and `per` common units are one unit that is sold."""

    reference_factor: int
    candidate_factor: int
    per: int


def scale(reference_divide_by: Decimal, candidate_divide_by: Decimal) -> Scale | None:
    """None where the two can't be brought to whole numbers small enough to multiply with."""
    reference, candidate = 1 / Fraction(reference_divide_by), 1 / Fraction(candidate_divide_by)
    per = lcm(reference.denominator, candidate.denominator)
    factors = int(reference * per), int(candidate * per)
    common = gcd(*factors, per)
    made = Scale(factors[0] // common, factors[1] // common, per // common)
    return made if max(made.reference_factor, made.candidate_factor, made.per) <= _LARGEST else None


def whole_units(volume: Decimal, per: int, digits: int) -> int:
    """The least whole number of common units, counted in 10 ** -digits, that is not below the volume."""
    units: int = ceil(Fraction(volume) * per * 10**digits)
    return min(units, _BEYOND)
