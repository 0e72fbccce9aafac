"""A metered charge: what its rows count, and the price of that count, tier by tier as the plan wrote it.

The night keeps a price as straight pieces (assets/core/tariff.py). Here they are read back into tiers, flats and free
units, which is an identity: the tiers shown always add up to what the piece gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Literal

import duckdb

from assets.core import tariff
from assets.core.numbers import added, less
from assets.explain.line import Line, microseconds
from assets.explain.overage import PRICED
from assets.rerate import Row, rows

_LAST_DIGIT = Decimal(1).scaleb(-18)


@dataclass(frozen=True, slots=True)
class Step:
    """Units within one tier, or all of them at one price."""

    above: Fraction | None  # None: from the first unit on
    up_to: Fraction | None  # None: without end
    units: Fraction
    unit_price: Fraction
    flat: Fraction

    @property
    def amount(self) -> Fraction:
        return self.units * self.unit_price + self.flat


@dataclass(frozen=True, slots=True)
class Band:
    """Events that owe alike: the least, the most, or by their value."""

    kind: Literal["least", "between", "most"]
    events: int
    value: Fraction
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Level:
    """A level and how long it stood; while negative it counts as 0."""

    start: datetime
    end: datetime
    level: Decimal

    @property
    def us(self) -> int:
        return microseconds(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Metered:
    plan: str
    meter: str
    aggregate: str
    of_field: str | None
    unit: str | None
    divide_by: Fraction
    model: str | None
    rows: int
    latest_at: datetime | None
    levels: tuple[Level, ...]
    period_us: int
    aggregated: Fraction  # before divide_by
    free_units: Fraction
    price: Decimal | None
    rate: Fraction
    fixed: Decimal
    least: Decimal | None
    most: Decimal | None
    size: Fraction | None
    packages: int
    steps: tuple[Step, ...]
    bands: tuple[Band, ...]
    left_out: tuple[tuple[str, int], ...]  # state, rows: kept, and not counted
    quantity: Decimal  # after divide_by, as billed
    owed: Decimal

    @property
    def amounts(self) -> list[Fraction]:
        """What adds up to the charge."""
        if self.model is None:
            return [self.aggregated]
        if self.bands:
            return [Fraction(it.amount) for it in self.bands]
        if self.model == "package":
            return [self.packages * Fraction(self.price or 0)]
        events = [Fraction(self.fixed) * self.rows] if self.model == "percentage" and self.fixed else []
        return [*(it.amount for it in self.steps), *events]

    @property
    def unended(self) -> Decimal:
        """What ratios without an end leave at the 18th digit."""
        return less(self.owed, added(map(tariff.money, self.amounts)))

    def disagreements(self) -> Iterator[str]:
        """Where the parts shown do not add up to the whole."""
        if abs(self.unended) > _LAST_DIGIT * (len(self.amounts) + 1):
            yield "the tiers do not sum to what is owed"
        if abs(less(self.quantity, tariff.money(self.aggregated / self.divide_by))) > _LAST_DIGIT:
            yield "the rows do not count up to the quantity"
        if self.aggregate == "time_weighted" and self.aggregated * self.period_us != sum(
            (Fraction(max(it.level, Decimal())) * it.us for it in self.levels), Fraction()
        ):
            yield "the changes of the level do not give its average"


def metered(con: duckdb.DuckDBPyConnection, line: Line) -> Metered | None:
    """None where the line's plan and meter are not charged in the period."""
    found = rows(
        con,
        f"""
        SELECT charges.*, counted.units, counted.denominator, owed.quantity, owed.owed, meters.unit
        FROM night.int_usage__metered AS counted
        JOIN ({PRICED}) AS charges USING (plan, meter)
        JOIN night.int_charges__owed AS owed ON owed.charge = 'metered:' || counted.plan || ':' || counted.meter
        LEFT JOIN warehouse.catalog.meters AS meters
            ON meters.meter = charges.meter AND meters.divide_by * charges.divide_den = charges.divide_num
        WHERE owed.charge = ?""",
        [line.charge],
    )
    if not found:
        return None
    (it,) = found
    aggregated = Fraction(it["units"], it["denominator"] * 10 ** it["digits"])
    divide_by = Fraction(it["divide_num"], it["divide_den"])
    states = _states(con, line, it)
    pieces = _pieces(con, it)
    scale = divide_by * 10 ** it["digits"]
    is_package = it["model"] == "package"
    free = Fraction(0)
    if is_package:
        free = Fraction(it["package_free"], it["package_per"]) / scale
    elif pieces:
        free = Fraction(pieces[0].up_to or 0) / divide_by
    size = Fraction(it["package_size"], it["package_per"]) / scale if is_package else None
    over = aggregated / divide_by - free
    is_level = it["aggregate"] == "time_weighted"
    levels, changes = _levels(con, line, it) if is_level else ((), 0)
    return Metered(
        plan=it["plan"],
        meter=it["meter"],
        aggregate=it["aggregate"],
        of_field=it["of_field"],
        unit=it["unit"],
        divide_by=divide_by,
        model=it["model"],
        rows=changes if is_level else states.pop("billable", 0),
        latest_at=_latest_at(con, line, it) if it["aggregate"] == "latest" else None,
        levels=levels,
        period_us=microseconds(line.period_start, line.period_end),
        aggregated=aggregated,
        free_units=free,
        price=it["price"],
        rate=Fraction(it["rate_num"], it["rate_den"]) * divide_by,
        fixed=it["fixed"] or Decimal(),
        least=it["min_amount"],
        most=it["max_amount"],
        size=size,
        packages=max(-(-over // size), 0) if size else 0,
        steps=() if is_package or it["is_clamped"] else tuple(_steps(it["model"], pieces, aggregated, divide_by, free)),
        bands=tuple(_bands(con, line, it)) if it["is_clamped"] else (),
        left_out=() if is_level else tuple(sorted(states.items())),
        quantity=it["quantity"],
        owed=it["owed"],
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    up_to: Fraction | None  # of the aggregate, before divide_by
    base: Fraction
    rate: Fraction


def _pieces(con: duckdb.DuckDBPyConnection, charge: Row) -> list[_Piece]:
    found = rows(
        con,
        """SELECT up_to_units, base, rate_num, rate_den FROM night.int_catalogue__segments
        WHERE (catalog_id, plan, version_from, meter) = (?, ?, ?, ?) ORDER BY segment_no""",
        [charge[name] for name in ("catalog_id", "plan", "version_from", "meter")],
    )
    whole = 10 ** charge["digits"]
    return [
        _Piece(
            None if it["up_to_units"] is None else Fraction(it["up_to_units"], whole),
            Fraction(it["base"]),
            Fraction(it["rate_num"], it["rate_den"]),
        )
        for it in found
    ]


def _steps(
    model: str | None, pieces: Sequence[_Piece], aggregated: Fraction, divide_by: Fraction, free: Fraction
) -> Iterator[Step]:
    """The tiers that the aggregate fills; of a volume price, the one it ends in."""
    for below, piece in pairwise(pieces):
        lower = below.up_to or Fraction(0)
        if aggregated <= lower:
            return
        is_last = piece.up_to is None or aggregated <= piece.up_to
        above = None if lower / divide_by == free else lower / divide_by - free
        up_to = None if piece.up_to is None else piece.up_to / divide_by - free
        unit_price = piece.rate * divide_by
        if model == "graduated":
            end = aggregated if is_last else piece.up_to or aggregated
            jump = piece.base + lower * piece.rate - below.base - lower * below.rate
            yield Step(above, up_to, (end - lower) / divide_by, unit_price, _as_written(jump))
        elif is_last:
            flat = piece.base + unit_price * free
            yield Step(above, up_to, aggregated / divide_by - free, unit_price, _as_written(flat))


def _as_written(flat: Fraction) -> Fraction:
    """Plans give at most 15 decimals; what lies beyond is the 18th digit at which pieces are cut."""
    near = Fraction(round(flat * 10**15), 10**15)
    return near if abs(flat - near) < Fraction(1, 10**16) else flat


_COUNTED = "raw.subscription_id = ? AND raw.period_start IS NOT NULL AND (raw.plan, raw.meter) = (?, ?)"


def _of(line: Line, charge: Row) -> list[str]:
    return [line.subscription_id, charge["plan"], charge["meter"]]


def _states(con: duckdb.DuckDBPyConnection, line: Line, charge: Row) -> dict[str, int]:
    found = con.execute(f"SELECT state, count(*) FROM raw WHERE {_COUNTED} GROUP BY state", _of(line, charge))
    return dict(found.fetchall())


def _latest_at(con: duckdb.DuckDBPyConnection, line: Line, charge: Row) -> datetime | None:
    found = con.execute(
        f"SELECT max(occurred_at)::TIMESTAMP FROM raw WHERE {_COUNTED} AND state = 'billable'", _of(line, charge)
    ).fetchone()
    return found[0] if found else None


def _bands(con: duckdb.DuckDBPyConnection, line: Line, charge: Row) -> Iterator[Band]:
    """What each event owes within min and max, by what decides it."""
    value = "cost" if charge["aggregate"] == "cost" else "quantity"
    found = con.execute(
        f"SELECT {value}, count(*) FROM raw WHERE {_COUNTED} AND state = 'billable' GROUP BY {value}",
        _of(line, charge),
    ).fetchall()
    rate = Fraction(charge["rate_num"], charge["rate_den"])
    divide_by = Fraction(charge["divide_num"], charge["divide_den"])
    bands: dict[Literal["least", "between", "most"], list[tuple[int, Fraction, Decimal]]] = {}
    for each, events in found:
        owed = added([charge["fixed"] or Decimal(), tariff.money(Fraction(each) * rate)])
        least, most = charge["min_amount"], charge["max_amount"]
        kind: Literal["least", "between", "most"] = "between"
        if least is not None and owed < least:
            kind, owed = "least", least
        if most is not None and owed > most:
            kind, owed = "most", most
        bands.setdefault(kind, []).append((events, Fraction(each) / divide_by * events, owed))
    for kind, parts in bands.items():
        yield Band(
            kind,
            sum(events for events, _, _ in parts),
            sum((value for _, value, _ in parts), Fraction()),
            added(tariff.money(Fraction(owed) * events) for events, _, owed in parts),
        )


def _levels(con: duckdb.DuckDBPyConnection, line: Line, charge: Row) -> tuple[tuple[Level, ...], int]:
    """How the account's level went while the plan was in force, and how many changes made it."""
    stretches = con.execute(
        """
        SELECT greatest(slice_start, coalesce(bill_from, slice_start)) AS from_at,
               if(is_closed, slice_end, least(slice_end, ?)) AS to_at,
               period_end + to_microseconds(late_window_us) AS late_at
        FROM night.int_periods__slices WHERE plan = ? ORDER BY slice_start""",
        [line.created_as_of, charge["plan"]],
    ).fetchall()
    stretches = [it for it in stretches if it[0] < it[1]]
    if not stretches:
        return (), 0
    changes = con.execute(
        """
        SELECT occurred_at, sum(quantity), count(*) FROM books.ledger
        WHERE account_id = ? AND meter = ? AND occurred_at < ? AND landed_at <= ?
        GROUP BY occurred_at ORDER BY occurred_at""",
        [line.account_id, charge["meter"], max(it[1] for it in stretches), stretches[0][2]],
    ).fetchall()
    levels: list[Level] = []
    heights = list(accumulate((change for _, change, _ in changes), lambda one, other: added([one, other])))
    for from_at, to_at, _ in stretches:
        before = [height for (at, _, _), height in zip(changes, heights, strict=True) if at <= from_at]
        within = [(at, height) for (at, _, _), height in zip(changes, heights, strict=True) if from_at < at < to_at]
        marks = [(from_at, before[-1] if before else Decimal()), *within]
        ends = [*(at for at, _ in within), to_at]
        for (start, height), end in zip(marks, ends, strict=True):
            if levels and (levels[-1].end, levels[-1].level) == (start, height):  # only the terms changed
                start = levels.pop().start
            levels.append(Level(start, end, height))
    return tuple(levels), sum(count for _, _, count in changes)
