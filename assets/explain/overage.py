"""Overage: what the pooled usage of a period comes to beyond its refresh and what is included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import duckdb

from assets.core import tariff
from assets.core.numbers import added, less
from assets.explain.line import Line, microseconds
from assets.rerate import rows


@dataclass(frozen=True, slots=True)
class Pooled:
    """The usage of one meter under one plan."""

    plan: str
    meter: str
    rows: int
    quantity: Fraction | None  # after divide_by; None: the rows carry money
    price: Decimal | None
    amount: Fraction
    in_baseline: Fraction  # of the amount, what a baseline has counted already


@dataclass(frozen=True, slots=True)
class Window:
    start: datetime
    usage: Decimal
    allowance: Decimal
    refresh: Decimal


@dataclass(frozen=True, slots=True)
class Share:
    """What one stretch of terms adds to the included."""

    start: datetime
    end: datetime
    plan: str
    seats: int
    included: Decimal

    @property
    def us(self) -> int:
        return microseconds(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Overage:
    pooled: tuple[Pooled, ...]
    left_out: tuple[tuple[str, int, Decimal], ...]  # state, rows, their amount: kept, and owing nothing
    baseline: Decimal
    usage: Decimal  # not counted in the baseline
    windows: tuple[Window, ...]
    refresh: Decimal
    effective: Decimal
    shares: tuple[Share, ...]
    period_us: int  # of which terms may cover only a part
    included: Decimal
    plan: str
    is_overage: bool
    threshold: Decimal | None
    owed: Decimal

    @property
    def raw(self) -> Decimal:
        return added([self.baseline, self.usage])

    @property
    def unended(self) -> Decimal:
        """What prices without an end leave at the 18th digit: they are divided once a window, and here once."""
        shown = added(tariff.money(it.amount - it.in_baseline) for it in self.pooled)
        return less(self.usage, shown)

    @property
    def unmeant(self) -> Decimal:
        """What ratios without an end left, where a number of 15 digits is meant (macro `meant`)."""
        exactly = max(less(self.effective, self.included), Decimal()) if self.is_overage else Decimal()
        return less(self.owed, exactly)

    def disagreements(self) -> Iterator[str]:
        """Where the parts shown do not add up to the whole."""
        if abs(self.unended) > Decimal(len(self.windows) * len(self.pooled) + 1).scaleb(-18):
            yield "the rows do not sum to the usage of the windows"
        if added(it.refresh for it in self.windows) != self.refresh:
            yield "the windows do not sum to the refresh"
        if any(it.refresh != min(max(it.usage, Decimal()), it.allowance) for it in self.windows):
            yield "a window gives back other than its usage, up to its allowance"
        if self.effective != max(less(self.raw, self.refresh), Decimal()):
            yield "baseline, usage and refresh do not give what is effective"
        included = sum((Fraction(it.included) * it.seats * it.us for it in self.shares), Fraction())
        if tariff.money(included / self.period_us) != self.included:
            yield "the terms do not sum to what is included"
        # Each usage and each refresh of a window, and the included, may be off by half of the last digit.
        if abs(self.unmeant) > Decimal(2 * len(self.windows) * len(self.pooled) + 1).scaleb(-18):
            yield "what is effective and included do not give the overage"


def overage(con: duckdb.DuckDBPyConnection, line: Line) -> Overage:
    (figures,) = rows(con, "FROM night.int_periods__figures")
    windows = rows(con, "FROM night.int_refresh__windows ORDER BY window_start")
    slices = rows(con, "FROM night.int_periods__slices ORDER BY slice_start")
    return Overage(
        pooled=tuple(_pooled(con, line)),
        left_out=tuple(_left_out(con, line)),
        baseline=figures["baseline"],
        usage=figures["usage"],
        windows=tuple(Window(it["window_start"], it["usage"], it["allowance"], it["refresh"]) for it in windows),
        refresh=figures["refresh"],
        effective=figures["effective"],
        shares=tuple(
            Share(it["slice_start"], it["slice_end"], it["plan"], it["seats"], it["included"]) for it in slices
        ),
        period_us=slices[0]["period_us"],
        included=figures["included"],
        plan=figures["plan"],
        is_overage=figures["is_overage"],
        threshold=figures["threshold"],
        owed=figures["overage"],
    )


# The price list of the period, by plan: each plan of a period has one.
PRICED = """
    SELECT DISTINCT charges.*
    FROM night.int_catalogue__charges AS charges
    JOIN night.int_periods__slices AS slices USING (catalog_id, plan, version_from)"""


def _pooled(con: duckdb.DuckDBPyConnection, line: Line) -> Iterator[Pooled]:
    found = rows(
        con,
        f"""
        SELECT raw.plan, raw.meter, charges.aggregate = 'cost' AS is_cost, charges.price,
               charges.rate_num, charges.rate_den, charges.divide_num, charges.divide_den, count(*) AS rows,
               sum(raw.cost) AS cost, sum(raw.cost) FILTER (raw.counted_in_baseline) AS cost_in_baseline,
               sum(raw.quantity) AS quantity,
               sum(raw.quantity) FILTER (raw.counted_in_baseline) AS quantity_in_baseline
        FROM raw JOIN ({PRICED}) AS charges USING (plan, meter)
        WHERE raw.subscription_id = ? AND raw.period_start IS NOT NULL AND charges.is_pooled
          AND (raw.state = 'billable' OR raw.counted_in_baseline)
        GROUP BY ALL ORDER BY raw.plan, raw.meter""",
        [line.subscription_id],
    )
    for it in found:
        counted = "cost" if it["is_cost"] else "quantity"
        rate = Fraction(1) if it["is_cost"] else Fraction(it["rate_num"], it["rate_den"])
        total, in_baseline = Fraction(it[counted] or 0), Fraction(it[f"{counted}_in_baseline"] or 0)
        yield Pooled(
            it["plan"],
            it["meter"],
            it["rows"],
            None if it["is_cost"] else total * it["divide_den"] / it["divide_num"],
            it["price"],
            total * rate,
            in_baseline * rate,
        )


def _left_out(con: duckdb.DuckDBPyConnection, line: Line) -> list[tuple[str, int, Decimal]]:
    return con.execute(
        f"""
        SELECT raw.state, count(*), coalesce(sum(raw.amount), 0)
        FROM raw JOIN ({PRICED}) AS charges USING (plan, meter)
        WHERE raw.subscription_id = ? AND raw.period_start IS NOT NULL AND charges.is_pooled
          AND raw.state <> 'billable' AND NOT raw.counted_in_baseline
        GROUP BY raw.state ORDER BY raw.state""",
        [line.subscription_id],
    ).fetchall()
