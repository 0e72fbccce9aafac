"""The rows behind a line, as a query on the published file that anyone can run and that gives exactly them.

The published ledger sees every row with the eyes of the last night: where terms were moved since, a row may stand in
another period than it was billed in. So a query is tried before it is shown: first the one that reads best, then one by
instants, then one by keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from assets.core.instants import format_instant
from assets.explain.line import Line, Story, utc
from assets.explain.metered import Metered
from assets.explain.overage import Overage
from assets.reader import PUBLISHED
from assets.rerate import Row, rows

COLUMNS = "raw_file, raw_line, occurred_at, actor, meter, quantity, amount"


@dataclass(frozen=True, slots=True)
class RawRows:
    count: int
    sql: str | None  # None: the published file does not hold them
    since: int = 0  # of them, those that came since the line before
    is_priced_anew: bool = False  # the amounts in the published file are by another price list


@dataclass(frozen=True, slots=True)
class Meant:
    """Which rows of the period count."""

    meters: dict[str, list[str]]  # by plan
    is_level: bool = False
    has_baseline: bool = False


def meant_by(facts: Overage | Metered) -> Meant:
    if isinstance(facts, Metered):
        return Meant({facts.plan: [facts.meter]}, is_level=facts.aggregate == "time_weighted")
    meters: dict[str, list[str]] = {}
    for it in facts.pooled:
        meters.setdefault(it.plan, []).append(it.meter)
    return Meant(meters, has_baseline=any(it.in_baseline for it in facts.pooled))


def raw_rows(con: duckdb.DuckDBPyConnection, workspace: Path, story: Story, meant: Meant) -> RawRows:
    """The rows' query, tried on the ledger of the line's night and on the published file."""
    line = story.line
    slices = rows(con, "FROM night.int_periods__slices ORDER BY slice_start")
    if not meant.meters:
        return RawRows(0, None)
    first = _by_level(line, meant, slices) if meant.is_level else _by_period(line, meant)
    there = _seen(con, first)
    if not there.count or not (workspace / PUBLISHED).exists():
        return RawRows(there.count, None)
    last = story.before[-1].created_as_of if story.before else None
    since = _seen(con, [*first, f"entered_at > {_at(last)}"]).count if last else 0
    keys = [key for (key,) in con.execute(_query("event_key", first)).fetchall()] if there.count <= 1000 else []
    con.execute(f"ATTACH {_text(str(workspace / PUBLISHED))} AS published (READ_ONLY); USE published")
    try:
        for where in (first, _by_instants(line, meant, slices), [f"event_key IN {_texts(keys)}"] if keys else []):
            found = _seen(con, where) if where else None
            if found and (found.count, found.keys) == (there.count, there.keys):
                return RawRows(there.count, _query(COLUMNS, where), since, found.amount != there.amount)
        return RawRows(there.count, None)
    finally:
        con.execute("USE tallyhouse; DETACH published")


@dataclass(frozen=True, slots=True)
class _Seen:
    count: int
    keys: int | None
    amount: Decimal | None


def _seen(con: duckdb.DuckDBPyConnection, where: Sequence[str]) -> _Seen:
    found = con.execute(
        f"SELECT count(*), bit_xor(hash(event_key)), sum(amount) FROM ({_query('event_key, amount', where)})"
    ).fetchone()
    assert found is not None
    return _Seen(*found)


def _query(columns: str, where: Sequence[str]) -> str:
    conditions = "\n  AND ".join(where)
    return f"SELECT {columns}\nFROM billing.ledger\nWHERE {conditions}\nORDER BY occurred_at, event_key"


def _by_period(line: Line, meant: Meant) -> list[str]:
    """As the ledger's own columns say it."""
    return [
        f"subscription_id = {_text(line.subscription_id)}",
        f"period_start = {_at(line.period_start)}",
        f"entered_at <= {_at(line.created_as_of)}",
        _pairs(meant.meters),
        "(state = 'billable' OR counted_in_baseline)" if meant.has_baseline else "state = 'billable'",
    ]


def _by_instants(line: Line, meant: Meant, slices: Sequence[Row]) -> list[str]:
    """By what never changes of a row, and the terms as they were."""
    if meant.is_level:
        return []
    stretches = [
        f"occurred_at >= {_at(it['slice_start'])} AND occurred_at < {_at(it['slice_end'])} "
        f"AND {_meter(meant.meters[it['plan']])}"
        for it in slices
        if it["plan"] in meant.meters
    ]
    bill_from = slices[0]["bill_from"]
    begun = [] if bill_from is None else [f"occurred_at >= {_at(bill_from)}"]
    if begun and meant.has_baseline:
        begun = [f"({begun[0]} OR counted_in_baseline)"]
    return [
        f"subscription_id = {_text(line.subscription_id)}",
        f"({' OR '.join(stretches)})",
        f"entered_at <= {_at(line.created_as_of)}",
        f"landed_at <= {_at(_late_at(slices))}",
        *begun,
    ]


def _by_level(line: Line, meant: Meant, slices: Sequence[Row]) -> list[str]:
    """Every change of the account's level up to the end of the plan's time in the period."""
    ((plan, (meter,)),) = meant.meters.items()
    ends = [it["slice_end"] if it["is_closed"] else min(it["slice_end"], line.created_as_of) for it in slices]
    end = max(end for it, end in zip(slices, ends, strict=True) if it["plan"] == plan)
    return [
        f"account_id = {_text(line.account_id)}",
        f"meter = {_text(meter)}",
        f"occurred_at < {_at(end)}",
        f"entered_at <= {_at(line.created_as_of)}",
        f"landed_at <= {_at(_late_at(slices))}",
    ]


def _late_at(slices: Sequence[Row]) -> datetime:
    late_at: datetime = slices[0]["period_end"] + timedelta(microseconds=slices[0]["late_window_us"])
    return late_at


def _pairs(meters: dict[str, list[str]]) -> str:
    if len(meters) == 1:
        ((plan, names),) = meters.items()
        return f"plan = {_text(plan)} AND {_meter(names)}"
    pairs = ", ".join(f"({_text(plan)}, {_text(name)})" for plan, names in meters.items() for name in names)
    return f"(plan, meter) IN ({pairs})"


def _meter(names: Sequence[str]) -> str:
    return f"meter = {_text(names[0])}" if len(names) == 1 else f"meter IN {_texts(names)}"


def _texts(values: Iterable[str]) -> str:
    return "(" + ", ".join(map(_text, values)) + ")"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _at(instant: datetime) -> str:
    return f"'{format_instant(utc(instant))}'"
