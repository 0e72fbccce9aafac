"""Publish: what readers open, made beside the old one and put in its place by a rename.

A reader who has the old file open keeps the old night to the end; whoever opens it next sees the new one; nobody ever
sees half of either, and the warehouse itself is never opened by a reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from assets import by_month, exports, history, turns
from assets.reader import PUBLISHED
from assets.warehouse import clear, count, text, transaction

# The tables readers get, each with the order that makes its exports the same on every machine.
TABLES = {
    "ledger": "occurred_at, event_key",
    "daily_refresh": "subscription_id, period_start, window_start",
    "periods": "subscription_id, period_start",
    "charges": "subscription_id, period_start, charge",
    "invoice_items": "created_as_of, subscription_id, period_start, charge, line_id",
    "credits": "grant_id, movement_no",
    "quarantine": "source, raw_file, raw_line",
    "files": "raw_file, source",
    "rounding_ledger": "subscription_id, period_start, charge, line_no",
    "leak_ledger": "day, meter, measure",
    "meter_events": "created_as_of, account_id, meter, bucket_start, event_no",
    "reconciliation": "customer, kind, name, stripe_id, meter, bucket_start, invoice, currency",
    "runs": "as_of",
    "accounts": "account_id",
    "meters": "meter",
    "parity": "comparison, hour_start, unit",
    "parity_hours": "comparison, hour_start, account_id",
    "decisions": "as_of, decision, subject",
    "events": "happened_at, event, event_id",
    "checks": "as_of, check_name",
    "check_rows": "as_of, check_name, row_no",
    "gate_nights": "as_of",
}


def publish(con: duckdb.DuckDBPyConnection, workspace: Path) -> dict[str, int]:
    """Write published/ from the books: what grows by the month goes on from what is there, all else is told anew.

    Returns the rows of each table.
    """
    return _publish(con, workspace, tuple(TABLES))


def renew(con: duckdb.DuckDBPyConnection, workspace: Path, tables: Sequence[str]) -> bool:
    """Put what has changed of these tables since the last night before readers too; whether anything had."""
    file = workspace / PUBLISHED
    if not file.exists():
        publish(con, workspace)
        return True
    changed = [table for table in tables if not _is_current(con, file, table)]
    if changed:
        _publish(con, workspace, changed)
    return bool(changed)


def _is_current(con: duckdb.DuckDBPyConnection, file: Path, table: str) -> bool:
    try:
        con.execute(f"ATTACH {text(file)} AS published (READ_ONLY)")
    except duckdb.IOException:  # somebody has it open to write; the next file is not theirs
        return False
    try:
        pair = (f"FROM billing.{table}", f"FROM published.billing.{table}")
        there, here = (f"({one} EXCEPT ALL {other})" for one, other in (pair, pair[::-1]))
        row = con.execute(f"SELECT count(*) FROM ({there} UNION ALL {here})").fetchone()
    finally:
        con.execute("DETACH published")
    return row == (0,)


def _publish(con: duckdb.DuckDBPyConnection, workspace: Path, tables: Sequence[str]) -> dict[str, int]:
    target = workspace / "published"
    target.mkdir(parents=True, exist_ok=True)
    fresh = target / ".tallyhouse.duckdb.tmp"
    clear(fresh)
    is_moved = (workspace / PUBLISHED).exists() and turns.make(con, workspace / PUBLISHED, fresh, anew=tables)
    con.execute(f"ATTACH {text(fresh)} AS published {turns.OPENED}")
    try:
        goes_on = "ledger" not in tables or history.goes_on(con)
        if not goes_on:  # all is told anew, in a file without the room that the old took
            con.execute("DETACH published")
            clear(fresh)
            con.execute(f"ATTACH {text(fresh)} AS published {turns.OPENED}")
        con.execute("CREATE SCHEMA IF NOT EXISTS published.billing")
        history.begin_turn(con)
        told = history.Told()
        months: dict[str, by_month.Told] = {}
        for table in tables:
            if table == "ledger":
                told = history.bring_up(con, TABLES[table], goes_on)
            elif table in by_month.TABLES:
                months[table] = by_month.bring_up(con, table, TABLES[table])
            else:
                anew = f"FROM {_relation(con, table)} ORDER BY {TABLES[table]}"
                con.execute(f"CREATE OR REPLACE TABLE published.billing.{table} AS {anew}")
        _comment(con)
        rows = {table: count(con, f"published.billing.{table}") for table in tables}
        files = list(_exports(target / "exports", tables, told, months))
        exports.write(con, files)
    finally:
        con.execute("DETACH published")
    exports.put_in_place(files)
    turns.replace(workspace / PUBLISHED, fresh, is_moved and goes_on)
    if told.nights:
        exports.clear(target / "exports", "ledger", [part.name for part in exports.parts(told.nights)])
    for table, it in months.items():
        exports.clear(target / "exports", table, [exports.name_of(month) for month in it.months])
    return rows


def _relation(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Where a table is told from; the leaks of a night that was weighed as it was posted need not be weighed again."""
    weighed = "SELECT 1 FROM duckdb_tables() WHERE (schema_name, table_name) = ('night', 'leaks')"
    is_weighed = table == "leak_ledger" and con.execute(weighed).fetchone()
    return "night.leaks" if is_weighed else f"billing.{table}"


def _exports(
    folder: Path, tables: Sequence[str], told: history.Told, months: Mapping[str, by_month.Told]
) -> Iterator[exports.Export]:
    for table in tables:
        if table == "ledger":
            yield from exports.of_ledger(folder, told, TABLES[table])
        elif table in months:
            yield from exports.of_months(folder, table, months[table], TABLES[table])
        else:
            yield from exports.of_table(folder, table)


def _comment(con: duckdb.DuckDBPyConnection) -> None:
    """Carry the descriptions of the models and their columns over, so that the file explains itself."""
    described = """
        SELECT 'TABLE', view_name, NULL, comment FROM duckdb_views()
        WHERE database_name = current_database() AND schema_name = 'billing' AND comment IS NOT NULL
        UNION ALL
        SELECT 'COLUMN', table_name, column_name, comment FROM duckdb_columns()
        WHERE database_name = current_database() AND schema_name = 'billing' AND comment IS NOT NULL"""
    comments = [
        f"COMMENT ON {kind} published.billing.{name} IS {text(comment)}"
        for kind, table, column, comment in con.execute(described).fetchall()
        if table in TABLES
        for name in [f'{table}."{column}"' if column else table]
    ]
    with transaction(con):  # each by itself would wait for the disk
        con.execute("; ".join(comments))
