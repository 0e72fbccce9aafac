"""Every price as straight pieces: the pieces say what the charge models of the specification say, at every edge."""

from decimal import Decimal
from fractions import Fraction

import pytest

from assets.core import tariff
from assets.core.catalogue.models import Charge, Meter, Tier


def owed(charge: Charge, meter: Meter, aggregate: str) -> Fraction:
    """What SQL does with the pieces: the first one whose upper bound the aggregate does not pass."""
    units = Fraction(aggregate) * 10 ** tariff.digits(meter)
    piece = next(p for p in tariff.segments(charge, meter) if p.up_to_units is None or units <= p.up_to_units)
    return piece.base + piece.rate * Fraction(aggregate)


UNITS = Meter("units", "sum")
KILO = Meter("kilo", "sum", divide_by=Decimal(1000))
TIERS = (
    Tier(Decimal(10), Decimal(1), Decimal(2)),
    Tier(Decimal(20), Decimal("0.5"), Decimal(3)),
    Tier(None, Decimal("0.25"), Decimal(4)),
)


@pytest.mark.parametrize(
    "aggregate, graduated, volume",
    [
        ("-5", "0", "0"),
        ("0", "0", "0"),
        ("0.000000001", "2.000000001", "2.000000001"),
        ("10", "12", "12"),
        ("10.01", "15.005", "8.005"),
        ("20", "20", "13"),
        ("21", "24.25", "9.25"),
    ],
)
def test_tiers_are_inclusive_above_and_flat_once_entered(aggregate: str, graduated: str, volume: str) -> None:
    assert owed(Charge("units", model="graduated", tiers=TIERS), UNITS, aggregate) == Fraction(graduated)
    assert owed(Charge("units", model="volume", tiers=TIERS), UNITS, aggregate) == Fraction(volume)


@pytest.mark.parametrize("aggregate, expected", [("0", "0"), ("5000", "0"), ("5001", "0.002"), ("7000", "4")])
def test_free_units_come_after_divide_by(aggregate: str, expected: str) -> None:
    charge = Charge("kilo", model="per_unit", price=Decimal(2), free_units=Decimal(5))
    assert owed(charge, KILO, aggregate) == Fraction(expected)


def test_a_percentage_is_a_price_per_unit_of_money() -> None:
    charge = Charge("money", model="percentage", rate=Decimal("0.029"), free_units=Decimal(100))
    assert owed(charge, Meter("money", "cost"), "150.5") == Fraction("1.4645")


def test_packages_begun_come_from_whole_numbers() -> None:
    charge = Charge("kilo", model="package", size=Decimal("2.5"), price=Decimal(1), free_units=Decimal(5))
    per, free, size = tariff.package(charge, KILO)

    def begun(aggregate: int) -> int:
        return max(-((free - aggregate * 10**9 * per) // size), 0)

    assert [begun(a) for a in (0, 5000, 5001, 7500, 7501)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    "value, expected",
    [
        (Fraction(1, 3), "0.333333333333333333"),
        (Fraction(2, 3), "0.666666666666666667"),
        (Fraction(-1, 2 * 10**18), "-0.000000000000000001"),
        (Fraction(10**19 + 1, 10), "1000000000000000000.100000000000000000"),
    ],
)
def test_money_keeps_eighteen_digits_half_away_from_zero(value: Fraction, expected: str) -> None:
    assert tariff.money(value) == Decimal(expected)


def test_prices_that_sql_could_not_divide_exactly_do_not_fit() -> None:
    gib = Meter("gib", "sum", divide_by=Decimal(2**30))
    assert tariff.fits(Charge("gib", model="per_unit", price=Decimal("0.000016")), gib)
    assert tariff.fits(Charge("gib", model="per_unit", price=Decimal("0.000000123456789")), gib)
    assert not tariff.fits(Charge("gib", model="per_unit", price=Decimal("123456789012.123456789012345")), gib)
    level = Meter("level", "time_weighted", divide_by=Decimal(2**30))
    assert tariff.fits(Charge("level", model="per_unit", price=Decimal("0.123456789012345")), level)
    assert not tariff.fits(Charge("level", model="per_unit", price=Decimal("123456789012.123456789012345")), level)


def one_bound(unit: str = "0") -> tuple[Tier, ...]:
    """A tier that ends as late as one can."""
    return Tier(Decimal("9" * 18), Decimal(unit), Decimal(0)), Tier(None, Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    "charge, meter, has_room",
    [
        # 10^18 units at 99.9 come to less than 10^20.
        (Charge("x", model="graduated", tiers=one_bound("99.9")), UNITS, True),
        (Charge("x", model="graduated", tiers=one_bound("100.1")), UNITS, False),
        # A bound of 10^18 is 10^29 before divide_by, and just below 10^38 in whole units: 38 digits.
        (Charge("x", model="volume", tiers=one_bound()), Meter("x", "sum", divide_by=Decimal(10**11)), True),
        (Charge("x", model="volume", tiers=one_bound()), Meter("x", "sum", divide_by=Decimal(10**12)), False),
        # Packages of a level are counted in microseconds, of at most a year.
        (Charge("x", model="package", size=Decimal(10**15), price=Decimal(1)), Meter("x", "time_weighted"), True),
        (Charge("x", model="package", size=Decimal(10**16), price=Decimal(1)), Meter("x", "time_weighted"), False),
        # A size that is no whole number of units multiplies every aggregate.
        (Charge("x", model="package", size=Decimal("1e-15"), price=Decimal(1)), UNITS, True),
        (
            Charge("x", model="package", size=Decimal("1e-15"), price=Decimal(1)),
            Meter("x", "sum", divide_by=Decimal("1e-9")),
            False,
        ),
    ],
)
def test_prices_leave_room_for_the_largest_aggregate(charge: Charge, meter: Meter, has_room: bool) -> None:
    assert tariff.has_room(charge, meter) is has_room
