"""The ledger that readers get, brought up to tonight: written is what is new or reads otherwise, and nothing else.

What a published usage says follows from its row in the books, which never changes, and from the slice of the period it
falls in: its bounds, terms and prices. So beside the ledger the published file keeps what it follows from (schema
`kept`). Tonight that is compared: nights that have entered something since, and stretches of subscriptions that are cut
or priced otherwise, are written anew. Should the comparison ever miss a row, there are too many or too few, and the
ledger is published whole.

Beside each night the file keeps in which turn (by which publication) its usage was written last: by that a file of an
earlier turn is brought up to a later one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from assets import by_month
from assets.warehouse import count, query_of

# A file is brought up to a later one where one row in so many, or fewer, has been written since.
ONE_IN = 4

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
_KEPT = (*_NOW, "nights", "months", "turn")


def goes_on(con: duckdb.DuckDBPyConnection) -> bool:
    """Take down what tonight's usage follows from; whether the ledger that is published may be added to.

    It may be if it is there, and tonight's models would tell it in the same words.
    """
    for table, query in _NOW.items():
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table}_now AS {query}")
    there = con.execute("""
        SELECT count(*) FROM duckdb_tables() WHERE database_name = 'published'
        AND (schema_name = 'kept' OR (schema_name, table_name) = ('billing', 'ledger'))""").fetchall()
    if there != [(len(_KEPT) + 1,)]:
        return False
    return con.execute("SELECT (FROM mark_now) = (FROM published.kept.mark)").fetchall() == [(True,)]


def begin_turn(con: duckdb.DuckDBPyConnection) -> None:
    """Number this publication."""
    con.execute("""
        CREATE SCHEMA IF NOT EXISTS published.kept;
        CREATE TABLE IF NOT EXISTS published.kept.nights (night TIMESTAMP, rows BIGINT, turn BIGINT);
        CREATE TABLE IF NOT EXISTS published.kept.months (of_table VARCHAR, month TIMESTAMP, rows BIGINT, said VARCHAR);
        CREATE TABLE IF NOT EXISTS published.kept.turn AS SELECT 0::BIGINT AS no;
        UPDATE published.kept.turn SET no = no + 1""")


def catch_up(con: duckdb.DuckDBPyConnection, anew: Collection[str]) -> bool:
    """Make `published`, a file of an earlier turn, say what `latest` says, but for tables that are told anew.

    It is not where much of the ledger has been written since: then the file is copied sooner.
    """
    since = "turn > (SELECT no FROM published.kept.turn)"
    ((follows, written, rows),) = con.execute(f"""
        SELECT (SELECT no FROM latest.kept.turn) > (SELECT no FROM published.kept.turn)
               AND NOT EXISTS (
                   SELECT night, rows, turn FROM latest.kept.nights WHERE NOT {since}
                   EXCEPT SELECT night, rows, turn FROM published.kept.nights),
               (SELECT coalesce(sum(rows), 0) FROM latest.kept.nights WHERE {since}),
               (SELECT coalesce(sum(rows), 0) FROM latest.kept.nights)""").fetchall()
    if not follows or written * ONE_IN > rows:
        return False
    nights = {night for (night,) in con.execute(f"SELECT night FROM latest.kept.nights WHERE {since}").fetchall()}
    con.execute(f"DELETE FROM published.billing.ledger WHERE {_of(nights)}")
    con.execute(f"INSERT INTO published.billing.ledger FROM latest.billing.ledger WHERE {_of(nights)}")
    others = con.execute("""
        SELECT schema_name, table_name FROM duckdb_tables()
        WHERE database_name = 'latest' AND (schema_name, table_name) <> ('billing', 'ledger')""").fetchall()
    for schema, table in others:
        if table not in by_month.OWN and (schema == "kept" or table not in anew):
            con.execute(f"CREATE OR REPLACE TABLE published.{schema}.{table} AS FROM latest.{schema}.{table}")
    for table in by_month.TABLES:
        if table not in anew:
            by_month.catch_up(con, table)
    return count(con, "published.billing.ledger") == int(rows)


def bring_up(con: duckdb.DuckDBPyConnection, order: str, is_begun: bool) -> Told:
    """Make published.billing.ledger say what billing.ledger says."""
    entered = _nights(con)
    told = _add(con, entered, order) if is_begun else None
    if told is None or count(con, "published.billing.ledger") != count(con, "books.ledger"):
        con.execute(f"CREATE OR REPLACE TABLE published.billing.ledger AS FROM billing.ledger ORDER BY {order}")
        told = Told(entered, entered.keys(), entered.keys())
    for table in _NOW:
        con.execute(f"""
            CREATE OR REPLACE TABLE published.kept.{table} AS FROM {table}_now;
            DROP TABLE {table}_now""")
    _note(con, told)
    return told


def _note(con: duckdb.DuckDBPyConnection, told: Told) -> None:
    """Keep what each night has, and that what was written just now was written in this turn."""
    ((turn,),) = con.execute("SELECT no FROM published.kept.turn").fetchall()
    before = dict(con.execute("SELECT night, turn FROM published.kept.nights").fetchall())
    rows = [
        f"(TIMESTAMP '{night}', {count}, {turn if night in told.written else before[night]})"
        for night, count in told.nights.items()
    ]
    con.execute("DELETE FROM published.kept.nights")
    if rows:
        con.execute(f"INSERT INTO published.kept.nights VALUES {', '.join(rows)}")


def _nights(con: duckdb.DuckDBPyConnection) -> Nights:
    # A cast of every row is dearer than counting them.
    found = con.execute("""
        SELECT entered_at::TIMESTAMP AS night, rows
        FROM (SELECT entered_at, count(*) AS rows FROM books.ledger GROUP BY entered_at) ORDER BY night""")
    return dict(found.fetchall())


def _add(con: duckdb.DuckDBPyConnection, entered: Nights, order: str) -> Told | None:
    """Write what is new or reads otherwise; None where the books have less than is published."""
    told = dict(con.execute("SELECT night, rows FROM published.kept.nights").fetchall())
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
    query = query_of(con, "ledger")
    whole = "FROM books.ledger)"
    assert query.count(whole) == 1, "billing.ledger reads the books in one place"
    return query.replace(whole, f"FROM books.ledger WHERE {which})")


def _of(nights: Collection[datetime]) -> str:
    if not nights:
        return "false"
    listed = ", ".join(f"TIMESTAMP '{night}'" for night in sorted(nights))
    return f"entered_at BETWEEN TIMESTAMP '{min(nights)}' AND TIMESTAMP '{max(nights)}' AND entered_at IN ({listed})"
