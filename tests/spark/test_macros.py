"""What the macros say on Spark, on DuckDB and in Python's integers and fractions is one thing, out to the limits."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from math import floor
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import jinja2
import pytest

from orchestration.dbt import PROJECT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.xdist_group("spark")  # where the one JVM is

ATTO = Fraction(1, 10**18)
Rows = Sequence[tuple[int, ...]]
LONGEST = 38


@cache
def macros(engine: str) -> dict[str, Any]:
    """The project's macros as dbt would dispatch them."""
    known: dict[str, Any] = {}

    class Adapter:
        def dispatch(self, name: str) -> Any:
            return known[f"{engine}__{name}"]

    env = jinja2.Environment()  # noqa: S701
    env.globals["adapter"] = Adapter()
    files = sorted((PROJECT / "macros").glob("*.sql"))
    module = env.from_string("\n".join(file.read_text() for file in files)).module
    known.update({name: it for name, it in vars(module).items() if callable(it)})
    return known


def asked(engine: str, made: str, rows: Rows, **more: int) -> str:
    """A macro over rows of whole numbers a, b, c, d, in the order of the rows."""
    whole = "HUGEINT" if engine == "duckdb" else "DECIMAL(38, 0)"
    names = "abcd"[: len(rows[0])]
    listed = ", ".join(
        f"({number}, " + ", ".join(f"CAST('{it}' AS {whole})" for it in row) + ")" for number, row in enumerate(rows)
    )
    said = macros(engine)[made](*names, **more)
    return f"SELECT {said} AS said FROM (VALUES {listed}) AS it(row_no, {', '.join(names)}) ORDER BY row_no"


def on_spark(spark: SparkSession, made: str, rows: Rows, **more: int) -> list[Any]:
    return [row["said"] for row in spark.sql(asked("spark", made, rows, **more)).collect()]


def on_duckdb(made: str, rows: Rows, **more: int) -> list[Any]:
    with duckdb.connect() as con:
        return [said for (said,) in con.execute(asked("duckdb", made, rows, **more)).fetchall()]


def pairs(seed: int, digits: int, divisor_digits: int, count: int = 60) -> list[tuple[int, int]]:
    """Whole numbers of every length, about powers of ten and halves of the divisor, with a divisor above zero."""
    random = Random(seed)
    made = [(n, d) for n in (0, 1, 5, 10**19, 10**digits - 1) for d in (1, 2, 3, 10**19, 10**divisor_digits - 1)]
    for _ in range(count):
        by = random.randrange(1, 10 ** random.randint(1, divisor_digits))
        number = random.randrange(10 ** random.randint(1, digits))
        # On a multiple and on a half of one, and next to both.
        near = (number // by) * by + random.choice((0, by // 2, by - by // 2)) + random.choice((-1, 0, 1))
        made += [(number, by), (min(max(near, 0), 10**digits - 1), by)]
    return [(sign * n, d) for n, d in made for sign in (1, -1)]


def test_a_quotient_of_38_digits_is_exact(spark: SparkSession) -> None:
    rows = pairs(1, LONGEST, LONGEST)
    assert (
        on_spark(spark, "quotient", rows)
        == on_duckdb("quotient", rows)
        == [(abs(n) // d) * (1 if n >= 0 else -1) for n, d in rows]
    )


def test_division_rounds_half_away_from_zero(spark: SparkSession) -> None:
    # DuckDB doubles first: it has room for that in 128 bits.
    rows = pairs(2, LONGEST - 1, LONGEST - 1)
    assert (
        on_spark(spark, "divide_round", rows)
        == on_duckdb("divide_round", rows)
        == [away(Fraction(n, d)) for n, d in rows]
    )


def test_division_on_spark_rounds_up_to_the_last_of_38_digits(spark: SparkSession) -> None:
    """Included amounts in 10^-18ths times seconds come close to them (docs/design.md)."""
    rows = [(sign * n, d) for n in (8 * 10**37 - 1, 10**38 - 1) for d in (2_678_400, 31_622_400, 7) for sign in (1, -1)]
    assert on_spark(spark, "divide_round", rows) == [away(Fraction(n, d)) for n, d in rows]


@pytest.mark.parametrize("digits", [9, 15])
def test_units_times_a_rate_round_once_at_the_18th_digit(digits: int, spark: SparkSession) -> None:
    random = Random(digits)
    rows: list[tuple[int, int, int]] = []
    while len(rows) < 120:
        units = random.randrange(10 ** random.randint(1, 37)) * random.choice((1, -1))
        numerator, denominator = (random.randrange(1, 10 ** random.randint(1, 27)) for _ in "nd")
        owed = Fraction(units * numerator, denominator * 10**digits)
        # What the catalogue lets through (tariff.fits), and what a charge may come to (docs/design.md).
        if max(numerator, 2 * 10**9) * denominator < 10**38 and abs(owed) < 10**20 - 1:
            rows.append((units, numerator, denominator))
    expected = [away(Fraction(u * n, d * 10**digits) / ATTO) * ATTO for u, n, d in rows]
    assert [Fraction(it) for it in on_spark(spark, "times_ratio", rows, digits=digits)] == expected
    assert [Fraction(it) for it in on_duckdb("times_ratio", rows, digits=digits)] == expected


@pytest.mark.parametrize("over", [1, 7, 2_678_400_000_000, 31_622_400_000_001])
def test_a_mean_times_a_rate_rounds_once_too(over: int, spark: SparkSession) -> None:
    """The product of both divisors may be longer than any number there is."""
    random = Random(over)
    rows: list[tuple[int, int, int, int]] = [(1, 1, 1, 2), (-1, 1, 1, 2 * 10**9), (3, 5, 10**28, over)]
    while len(rows) < 160:
        numerator, denominator = (random.randrange(1, 10 ** random.randint(1, 28)) for _ in "nd")
        units = random.randrange(10 ** random.randint(1, 37)) * random.choice((1, -1))
        if random.random() < 0.5:  # about a half of the last digit, where one more or less decides
            halves = Fraction((2 * random.randrange(10**9) + 1) * denominator * over, 2 * 10**9 * numerator)
            units = floor(halves) + random.choice((0, 1))
        owed = Fraction(units * numerator, denominator * over * 10**9)
        if (
            max(numerator, 2 * 10**9) * denominator < 10**38
            and numerator * over < 10**38
            and abs(owed) < 10**20 - 1
            and abs(units) < 10**37
        ):
            rows.append((units, numerator, denominator, over))
    exact = [Fraction(u * n, d * o * 10**9) / ATTO for u, n, d, o in rows]
    for ask in (on_duckdb, partial(on_spark, spark)):
        assert [Fraction(it) / ATTO for it in ask("times_ratio_over", rows)] == [away(it) for it in exact]
        assert ask("is_rounded_over", rows) == [int(it.denominator > 1) for it in exact]


def test_amounts_are_taken_as_whole_numbers_and_back_without_a_digit_lost(spark: SparkSession) -> None:
    random = Random(5)
    amounts = [Decimal(f"{random.randrange(-(10**20), 10**20)}.{random.randrange(10**15):015}") for _ in range(40)]
    amounts += [Decimal(0), Decimal("-0.000000000000001"), Decimal("99999999999999999999.999999999999999")]
    listed = ", ".join(f"(CAST('{it}' AS DECIMAL(38, 15)))" for it in amounts)
    made = macros("spark")["femto"]("it.a")
    rows = spark.sql(f"SELECT a, {made} AS said FROM (VALUES {listed}) AS it(a)").collect()
    assert {row["a"]: int(row["said"]) for row in rows} == {it: int(Fraction(it) * 10**15) for it in amounts}


def away(value: Fraction) -> int:
    """Half away from zero."""
    whole = floor(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole
