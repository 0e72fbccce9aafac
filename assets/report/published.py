"""What is published, read: nobody writes that file while it is open, so a report disturbs no night and waits for none.

Every number of a report comes from here by SQL. A report is a function of these tables and of an as_of; there is no
other clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TypeAlias

import duckdb

from assets import warehouse
from assets.reader import published_file
from assets.rerate import Row, rows

Connection: TypeAlias = duckdb.DuckDBPyConnection

# What a page may ask of usage; identities, context and files stay where they are.
USED = """
    SELECT account_id, subscription_id, period_start, period_end, occurred_at, landed_at, entered_at, meter, quantity,
           amount, currency, state, counted_in_baseline, plan
    FROM ledger"""

# How many rows a list shows before it only counts them; totals are always of all.
MOST = 12


@contextmanager
def opened(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published tables under their own names, beside room for what a report puts together."""
    file = published_file(workspace)
    with duckdb.connect() as con:
        warehouse.settle_reader(con, workspace)
        con.execute(f"ATTACH {warehouse.text(file)} AS published (READ_ONLY)")
        con.execute("USE published.billing")
        # The end of a period on its account's own calendar says which month it is of: what ends with May is May's.
        con.execute("""
            CREATE TEMP VIEW dated AS
            SELECT periods.*, coalesce(known.name, account_id) AS name, coalesce(known.timezone, 'UTC') AS zone,
                   date_trunc('month', timezone(zone, period_end) - INTERVAL 1 microsecond)::DATE AS month
            FROM periods LEFT JOIN (SELECT account_id, name, timezone FROM accounts) AS known USING (account_id)""")
        yield con


def nights(con: duckdb.DuckDBPyConnection) -> list[datetime]:
    """The as_ofs of all nights, in order."""
    return [as_of for (as_of,) in con.execute("SELECT as_of FROM runs ORDER BY as_of").fetchall()]


def closed_months(con: duckdb.DuckDBPyConnection, touched_by: datetime | None = None) -> list[date]:
    """Months that are over and closed and had anything in them, then or since: all, or those that a night has touched."""
    found = con.execute(
        """
        WITH months AS (
            SELECT month, subscription_id, period_start, state, closed_at, owed, baseline, usage FROM dated
        ), touched AS (
            SELECT month FROM months WHERE closed_at = $1
            UNION SELECT month FROM months SEMI JOIN (FROM invoice_items WHERE created_as_of = $1)
                USING (subscription_id, period_start)
            UNION SELECT month FROM months SEMI JOIN (FROM ledger WHERE entered_at = $1) USING (subscription_id, period_start)
        )
        SELECT month FROM months
        WHERE $1 IS NULL OR month IN (FROM touched)
        GROUP BY month
        HAVING bool_and(state = 'closed') AND bool_or(
            owed <> 0 OR baseline <> 0 OR usage <> 0
            OR (subscription_id, period_start) IN (SELECT (subscription_id, period_start) FROM invoice_items))
           AND (month + INTERVAL 1 month)::TIMESTAMPTZ <= (SELECT max(as_of) FROM runs)
        ORDER BY month""",
        [touched_by],
    )
    return [month for (month,) in found.fetchall()]


def one(con: duckdb.DuckDBPyConnection, query: str, values: list[object] | None = None) -> Row:
    (found,) = rows(con, query, values or [])
    return found


def has(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a table is published: not every workspace has all of them."""
    found = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'published' AND table_name = ?", [table]
    ).fetchone()
    return found is not None
