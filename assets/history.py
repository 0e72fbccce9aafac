"""The ledger that readers get, brought up to tonight: written is what is new or reads otherwise, and nothing else.

What a published usage says follows from its row in the books, which never changes, and from the slice of the period it
falls in: its bounds, terms and prices. So beside the ledger the published file keeps what it follows from (schema
`kept`). Tonight that is compared: nights that have entered something since, and stretches of subscriptions that are cut
or priced otherwise, are written anew. Should the comparison ever miss a row, there are too many or too few, and the
ledger is published whole.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

Nights = dict[datetime, int]  # the nights of usage, and how much each has entered


@dataclass(frozen=True, slots=True)
class Told:
    """What the published ledger holds, and what of it was written just now."""

    nights: Nights = field(default_factory=dict)
    written: Collection[datetime] = frozenset()
    whole: Collection[datetime] = frozenset()  # of these, the nights that stand in one piece and in order


# What the models say of a usage; whatever else it follows from is in the word of its stretch. DuckDB tells the columns
# that a star leaves out in another order once it has read the view from the file.
_MARK = """
    SELECT md5(regexp_replace(sql, 'EXCLUDE \\([^)]*\\)', '', 'g')) AS said FROM duckdb_views()
    WHERE database_name = current_database() AND schema_name = 'billing' AND view_name = 'ledger'"""

_STRETCHES = "SELECT subscription_id, from_at, until_at, said FROM night.int_periods__stretches"

# Usage that no period holds is shown in its account's currency.
_ACCOUNTS = "SELECT account_id, currency FROM catalog.accounts"

_NOW = {"mark": _MARK, "stretches": _STRETCHES, "accounts": _ACCOUNTS}


def bring_up(con: duckdb.DuckDBPyConnection, order: str) -> Told:
    """Make published.billing.ledger say what billing.ledger says."""
    entered = _nights(con, "books.ledger")
    for table, query in _NOW.items():
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table}_now AS {query}")
    told = _add(con, entered, order) if _continues(con) else None
    if told is None or not _is_whole(con):
        con.execute(f"CREATE OR REPLACE TABLE published.billing.ledger AS FROM billing.ledger ORDER BY {order}")
        told = Told(entered, entered.keys(), entered.keys())
    con.execute("CREATE SCHEMA IF NOT EXISTS published.kept")
    for table in _NOW:
        con.execute(f"""
            CREATE OR REPLACE TABLE published.kept.{table} AS FROM {table}_now;
            DROP TABLE {table}_now""")
    return told


def _nights(con: duckdb.DuckDBPyConnection, ledger: str) -> Nights:
    # A cast of every row is dearer than counting them.
    found = con.execute(f"""
        SELECT entered_at::TIMESTAMP AS night, rows
        FROM (SELECT entered_at, count(*) AS rows FROM {ledger} GROUP BY entered_at) ORDER BY night""")
    return dict(found.fetchall())


def _continues(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a ledger is there that may be added to: one of the same book, as the models of tonight tell it."""
    there = con.execute("""
        SELECT count(*) FROM duckdb_tables() WHERE database_name = 'published'
        AND (schema_name = 'kept' OR (schema_name, table_name) = ('billing', 'ledger'))
    """).fetchall()
    if there != [(len(_NOW) + 1,)]:
        return False
    return con.execute("SELECT (FROM mark_now) = (FROM published.kept.mark)").fetchall() == [(True,)]


def _is_whole(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute(
        "SELECT (SELECT count(*) FROM books.ledger) = (SELECT count(*) FROM published.billing.ledger)"
    ).fetchall() == [(True,)]


def _add(con: duckdb.DuckDBPyConnection, entered: Nights, order: str) -> Told | None:
    """Write what is new or reads otherwise; None where the books have less than is published."""
    told = _nights(con, "published.billing.ledger")
    if not told.keys() <= entered.keys():
        return None
    new = {night for night, count in entered.items() if told.get(night) != count}
    # Before anything is added, so that nothing is told twice.
    other = _read_otherwise(con, new)
    if new & told.keys():
        con.execute(f"DELETE FROM published.billing.ledger WHERE {_of(new)}")
    if new:
        con.execute(f"INSERT INTO published.billing.ledger {_told(con, _of(new))} ORDER BY {order}")
    return Told(entered, new | other, new)


def _read_otherwise(con: duckdb.DuckDBPyConnection, but: Collection[datetime]) -> set[datetime]:
    """Tell usage of before again whose period, price or currency is another; the nights of it."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE changed_stretches AS
        SELECT DISTINCT subscription_id, from_at, until_at FROM (
            (FROM stretches_now EXCEPT FROM published.kept.stretches)
            UNION ALL (FROM published.kept.stretches EXCEPT FROM stretches_now));
        CREATE OR REPLACE TEMP TABLE changed_accounts AS
        SELECT account_id FROM accounts_now FULL JOIN published.kept.accounts AS before USING (account_id)
        WHERE accounts_now.currency IS DISTINCT FROM before.currency""")
    ((since,),) = con.execute("""
        SELECT if(EXISTS (FROM changed_accounts), '-infinity'::TIMESTAMP,
                  (SELECT min(from_at) FROM changed_stretches))::VARCHAR""").fetchall()
    if since is None:
        return set()
    there, here = (_changed(ledger, since, but) for ledger in ("published.billing.ledger", "books.ledger"))
    found = con.execute(f"SELECT DISTINCT entered_at::TIMESTAMP FROM published.billing.ledger WHERE {there}").fetchall()
    if found:
        con.execute(f"DELETE FROM published.billing.ledger WHERE {there}")
        con.execute(f"INSERT INTO published.billing.ledger {_told(con, here)}")
    return {night for (night,) in found}


def _changed(ledger: str, since: str, but: Collection[datetime]) -> str:
    """Which rows of a ledger lie in changed stretches; the bound is what lets most of a long one go unread."""
    bound = f"l.occurred_at >= TIMESTAMP '{since}' AND NOT ({_of(but)})"
    return f"""rowid IN (
        SELECT l.rowid FROM {ledger} AS l SEMI JOIN changed_stretches AS c
            ON l.subscription_id = c.subscription_id AND l.occurred_at >= c.from_at AND l.occurred_at < c.until_at
        WHERE {bound}
        UNION
        SELECT l.rowid FROM {ledger} AS l SEMI JOIN changed_accounts AS c ON l.account_id = c.account_id
        WHERE {bound})"""


def _told(con: duckdb.DuckDBPyConnection, which: str) -> str:
    """The model's own statement over some of the ledger; the rest is left out before anything is reckoned."""
    ((statement,),) = con.execute("""
        SELECT sql FROM duckdb_views()
        WHERE schema_name = 'billing' AND view_name = 'ledger' AND database_name = current_database()""").fetchall()
    _, _, query = statement.rstrip("; \n").partition(" AS ")
    whole = "FROM books.ledger)"
    assert query.count(whole) == 1, "billing.ledger reads the books in one place"
    return str(query.replace(whole, f"FROM books.ledger WHERE {which})"))


def _of(nights: Collection[datetime]) -> str:
    if not nights:
        return "false"
    listed = ", ".join(f"TIMESTAMP '{night}'" for night in sorted(nights))
    return f"entered_at BETWEEN TIMESTAMP '{min(nights)}' AND TIMESTAMP '{max(nights)}' AND entered_at IN ({listed})"
