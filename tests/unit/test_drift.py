"""Two counts on one scale: whole numbers, the same usage on both sides for the same number."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.core import drift

DIVISORS = st.decimals("0.000001", "1073741824", places=6).filter(lambda it: it > 0)


@pytest.mark.parametrize(
    ("reference", "candidate", "factors"),
    [
        ("1", "1", (1, 1, 1)),
        ("1024", "1024", (1, 1, 1024)),
        ("1", "1073741824", (1073741824, 1, 1073741824)),  # GB against bytes
        ("1000", "3", (3, 1000, 3000)),
        ("0.5", "1", (2, 1, 1)),
    ],
)
def test_counts_come_to_whole_common_units(reference: str, candidate: str, factors: tuple[int, int, int]) -> None:
    found = drift.scale(Decimal(reference), Decimal(candidate))
    assert found == drift.Scale(*factors)


@given(DIVISORS, DIVISORS, st.integers(-(10**12), 10**12))
def test_a_common_unit_is_worth_the_same_on_both_sides(reference: Decimal, candidate: Decimal, count: int) -> None:
    found = drift.scale(reference, candidate)
    if found is not None:
        assert Fraction(count * found.reference_factor, found.per) == count / Fraction(reference)
        assert Fraction(count * found.candidate_factor, found.per) == count / Fraction(candidate)


def test_what_would_leave_128_bits_has_no_scale() -> None:
    assert drift.scale(Decimal("0.123456789012345"), Decimal("1.234567890123457")) is None


def test_a_volume_is_reached_by_whole_units() -> None:
    assert drift.whole_units(Decimal("1.5"), 1, 9) == 1_500_000_000
    assert drift.whole_units(Decimal("0.0000000001"), 1, 9) == 1  # anything at all
    assert drift.whole_units(Decimal("0"), 1024, 9) == 0
    assert drift.whole_units(Decimal(10) ** 18, 10**12, 15) == 10**37
