"""The tables beside the ledger that grow by every month there ever was: a long one is brought up to tonight by months.

Beside a long table the published file keeps what each of its months said, summed up in a number: a month that says
something else tonight is written anew, whatever the reason, and the others stay as they lie.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import duckdb

from assets.warehouse import count, query_of

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
OWN = {*TABLES, "months"}  # no other copies them from file to file
LONG = 1_000_000  # rows; what is shorter is written whole, and lies in one order

Months = dict[datetime, tuple[int, str]]  # the rows of each, and what they say

# What the macro `shown` makes. Rounding takes twenty times as long as summing up what is rounded, and follows from it;
# written otherwise it would be summed up rounded, slower and as right.
_SHOWN = re.compile(r"CAST\(([^()]+) AS DECIMAL\(38, 12\)\)")


@dataclass(frozen=True, slots=True)
class Told:
    """The months of a long table, and which of them were written just now; of a short one nothing."""

    months: Collection[datetime]
    written: Collection[datetime]


def bring_up(con: duckdb.DuckDBPyConnection, table: str, order: str) -> Told:
    """Make a table of the published file say what the models say."""
    return _bring_up(con, table, f"billing.{table}", _tonight, f" ORDER BY {order}")


def catch_up(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """Make a table of the published file say what `latest` says."""
    _bring_up(con, table, f"latest.billing.{table}", partial(_kept, database="latest"), in_order="")


def _bring_up(
    con: duckdb.DuckDBPyConnection,
    table: str,
    told: str,
    say: Callable[[duckdb.DuckDBPyConnection, str], Months],
    in_order: str,
) -> Told:
    """Make it say what `told` does; `say` tells what the months of that hold."""
    target = f"published.billing.{table}"
    here = say(con, table) if count(con, told) >= LONG else {}
    there = _kept(con, table, "published")
    other = {month for month in here.keys() | there.keys() if here.get(month) != there.get(month)}
    if there.keys() <= other or not _is_whole(con, target, told, there):
        con.execute(f"CREATE OR REPLACE TABLE {target} AS FROM {told}{in_order}")
        other = set(here)
    elif other:
        con.execute(f"DELETE FROM {target} WHERE {of(table, other)}")
        con.execute(f"INSERT INTO {target} FROM {told} WHERE {of(table, other)}{in_order}")
    con.execute("DELETE FROM published.kept.months WHERE of_table = ?", [table])
    if here:
        kept = [(table, month, rows, said) for month, (rows, said) in here.items()]
        con.executemany("INSERT INTO published.kept.months VALUES (?, ?, ?, ?)", kept)
    return Told(sorted(here), other)


def of(table: str, months: Collection[datetime]) -> str:
    """The rows of some months, as a condition."""
    listed = ", ".join(f"TIMESTAMP '{month}'" for month in sorted(months))
    return f"{_month(table)} IN ({listed})"


def _month(table: str) -> str:
    # Of the instant itself, a calendar would be asked about each of millions.
    return f"date_trunc('month', make_timestamp(epoch_us({TABLES[table]})))"


def _tonight(con: duckdb.DuckDBPyConnection, table: str) -> Months:
    """What each month says by tonight's models; other models say other things."""
    query = query_of(con, table)
    exact = _SHOWN.sub(r"\1", query)
    summed_up = "count(*), md5(?) || sum(hash(t)::HUGEINT)"
    found = con.execute(f"SELECT {_month(table)} AS month, {summed_up} FROM ({exact}) AS t GROUP BY month", [query])
    return {month: (rows, said) for month, rows, said in found.fetchall()}


def _kept(con: duckdb.DuckDBPyConnection, table: str, database: str) -> Months:
    found = con.execute(f"SELECT month, rows, said FROM {database}.kept.months WHERE of_table = ?", [table])
    return {month: (rows, said) for month, rows, said in found.fetchall()}


def _is_whole(con: duckdb.DuckDBPyConnection, target: str, told: str, there: Months) -> bool:
    """Whether a published table has the columns it is to have, and the rows that are kept of it."""
    try:
        columns, found = ([it[:2] for it in con.execute(f"DESCRIBE FROM {it}").fetchall()] for it in (told, target))
        return columns == found and count(con, target) == sum(rows for rows, _ in there.values())
    except duckdb.CatalogException:  # it is not there
        return False
