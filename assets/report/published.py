"""What is published, read: a file that nobody writes while it is open, so a report disturbs no night and waits for none.

Every number of a report comes from here by SQL. A report is a function of these tables and of an as_of; there is no
other clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb

from assets.core.refusal import Refusal
from assets.rerate import Row, rows

# How many rows a list shows before it only counts them; totals are always of all.
MOST = 12


@contextmanager
def opened(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published tables under their own names, beside room for what a report puts together."""
    file = workspace / "published" / "tallyhouse.duckdb"
    if not file.exists():
        raise Refusal(f"Nothing is published in {workspace} yet; run its first night with `tallyhouse nightly`.")
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        con.execute(f"ATTACH '{str(file).replace(chr(39), chr(39) * 2)}' AS published (READ_ONLY)")
        con.execute("USE published.billing")
        # The end of a period on its account's own calendar says which month it is of: what ends with May is May's.
        con.execute("""
            CREATE TEMP VIEW dated AS
            SELECT periods.*, coalesce(accounts.name, account_id) AS name, coalesce(accounts.timezone, 'UTC') AS timezone,
                   date_trunc('month', timezone(coalesce(accounts.timezone, 'UTC'), period_end) - INTERVAL 1 microsecond)::DATE
                       AS month
            FROM periods LEFT JOIN (SELECT account_id, name, timezone FROM accounts) AS accounts USING (account_id)""")
        yield con


def nights(con: duckdb.DuckDBPyConnection) -> list[datetime]:
    """The as_ofs of all nights, in order."""
    return [as_of for (as_of,) in con.execute("SELECT as_of FROM runs ORDER BY as_of").fetchall()]


def one(con: duckdb.DuckDBPyConnection, query: str, values: list[object] | None = None) -> Row:
    (found,) = rows(con, query, values or [])
    return found


def has(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a table is published: not every workspace has all of them."""
    found = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'published' AND table_name = ?", [table]
    ).fetchone()
    return found is not None
