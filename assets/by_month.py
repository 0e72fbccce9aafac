"""The tables beside the ledger that grow by every month there ever was: a long one is brought up to tonight by months.

Beside a long table the published file keeps what each of its months said, summed up in a number: a month that says
something else tonight is written anew, whatever the reason, and the others stay as they lie.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

# Each with the instant by which a row belongs to a month.
TABLES = {
    "daily_refresh": "period_start",
    "periods": "period_start",
    "charges": "period_start",
    "invoice_items": "created_as_of",
    "rounding_ledger": "created_as_of",
    "meter_events": "created_as_of",
    "events": "happened_at",
}
LONG = 1_000_000  # rows; what is shorter is written whole, and lies in one order

Months = dict[datetime, tuple[int, str]]  # the rows of each, and what they say

# Rounding for show takes twenty times as long as summing up what is rounded, and follows from it.
_SHOWN = re.compile(r"CAST\(([^()]+) AS DECIMAL\(38, 12\)\)")


@dataclass(frozen=True, slots=True)
class Told:
    """The months of a long table, and which of them were written just now; of a short one nothing."""

    months: Collection[datetime] = field(default_factory=list)
    written: Collection[datetime] = field(default_factory=list)


def bring_up(con: duckdb.DuckDBPyConnection, table: str, order: str) -> Told:
    """Make a table of the published file say what the models say."""
    return _bring_up(con, table, f"billing.{table}", order)


def catch_up(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """Make a table of the published file say what `latest` says."""
    _bring_up(con, table, f"latest.billing.{table}", None)


def _bring_up(con: duckdb.DuckDBPyConnection, table: str, told: str, order: str | None) -> Told:
    target, in_order = f"published.billing.{table}", f" ORDER BY {order}" if order else ""
    is_long = _count(con, told) >= LONG
    tonight = (_tonight(con, table) if order else _kept(con, "latest", table)) if is_long else {}
    there = _kept(con, "published", table)
    other = {month for month in tonight.keys() | there.keys() if tonight.get(month) != there.get(month)}
    if there.keys() <= other or not _is_whole(con, target, told, there):
        con.execute(f"CREATE OR REPLACE TABLE {target} AS FROM {told}{in_order}")
        other = set(tonight)
    elif other:
        con.execute(f"DELETE FROM {target} WHERE {of(table, other)}")
        con.execute(f"INSERT INTO {target} FROM {told} WHERE {of(table, other)}{in_order}")
    con.execute("DELETE FROM published.kept.months WHERE of_table = ?", [table])
    if tonight:
        rows = [(table, month, count, said) for month, (count, said) in tonight.items()]
        con.executemany("INSERT INTO published.kept.months VALUES (?, ?, ?, ?)", rows)
    return Told(sorted(tonight), other)


def of(table: str, months: Collection[datetime]) -> str:
    """The rows of some months, as a condition."""
    listed = ", ".join(f"TIMESTAMP '{month}'" for month in sorted(months))
    return f"{_month(table)} IN ({listed})"


def _month(table: str) -> str:
    # Of the instant itself, a calendar would be asked about each of millions.
    return f"date_trunc('month', make_timestamp(epoch_us({TABLES[table]})))"


def query_of(con: duckdb.DuckDBPyConnection, view: str) -> str:
    """The statement behind a view of the schema `billing`, as it stands in the warehouse."""
    ((statement,),) = con.execute(
        """
        SELECT sql FROM duckdb_views()
        WHERE schema_name = 'billing' AND view_name = ? AND database_name = current_database()""",
        [view],
    ).fetchall()
    return str(statement).rstrip("; \n").partition(" AS ")[2]


def _tonight(con: duckdb.DuckDBPyConnection, table: str) -> Months:
    """What each month says by tonight's models; other models say other things."""
    query = query_of(con, table)
    exact = _SHOWN.sub(r"\1", query)
    summed_up = "count(*), md5(?) || sum(hash(t)::HUGEINT)"
    found = con.execute(f"SELECT {_month(table)} AS month, {summed_up} FROM ({exact}) AS t GROUP BY month", [query])
    return {month: (rows, said) for month, rows, said in found.fetchall()}


def _kept(con: duckdb.DuckDBPyConnection, database: str, table: str) -> Months:
    found = con.execute(f"SELECT month, rows, said FROM {database}.kept.months WHERE of_table = ?", [table])
    return {month: (rows, said) for month, rows, said in found.fetchall()}


def _is_whole(con: duckdb.DuckDBPyConnection, target: str, told: str, there: Months) -> bool:
    """Whether a published table has the columns it is to have, and the rows that are kept of it."""
    try:
        columns, found = ([it[:2] for it in con.execute(f"DESCRIBE FROM {it}").fetchall()] for it in (told, target))
        return columns == found and _count(con, target) == sum(rows for rows, _ in there.values())
    except duckdb.CatalogException:  # it is not there
        return False


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    ((count,),) = con.execute(f"SELECT count(*) FROM {relation}").fetchall()
    return int(count)
