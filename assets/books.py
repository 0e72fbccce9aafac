"""The system of record. `post` alone enters usage, closes, lines and credit, in one transaction a night, and nothing that
was entered is ever rewritten. What follows from it (sums, charges, windows) or stands for the moment (rows held) is made
anew there; what a night was begun with, what people decide and what listeners were told is noted by whoever does it.

`book` tells the two books apart that are kept over the one ledger: shadow and live. The ledger itself, its duplicates
and its quarantine belong to no book.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from assets.core.catalogue.models import ClosedPeriod
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.inputs import TABLES as INPUTS
from assets.warehouse import ensure

# The terms and price lists that a period was reckoned with.
_SLICE = """
        subscription_id VARCHAR NOT NULL, account_id VARCHAR NOT NULL, currency VARCHAR NOT NULL,
        period_start TIMESTAMP NOT NULL, period_end TIMESTAMP NOT NULL, period_us BIGINT NOT NULL, baseline DECIMAL(38, 15),
        slice_start TIMESTAMP NOT NULL, slice_end TIMESTAMP NOT NULL, plan VARCHAR NOT NULL, seats BIGINT NOT NULL,
        catalog_id VARCHAR NOT NULL, version_from TIMESTAMP NOT NULL, included DECIMAL(38, 15) NOT NULL,
        refresh_allowance DECIMAL(38, 18) NOT NULL, is_overage BOOLEAN NOT NULL, threshold DECIMAL(38, 18),
        minimum DECIMAL(38, 18) NOT NULL, late_window_us BIGINT NOT NULL, bill_from TIMESTAMP, ledger_cutover TIMESTAMP"""

TABLES = {
    "books.ledger": """
        key_hi UHUGEINT NOT NULL, key_lo UHUGEINT NOT NULL, source VARCHAR NOT NULL, meter VARCHAR NOT NULL,
        account_id VARCHAR NOT NULL, subscription_id VARCHAR NOT NULL, is_account_named BOOLEAN NOT NULL, actor VARCHAR,
        occurred_at TIMESTAMP NOT NULL, landed_at TIMESTAMP NOT NULL, entered_at TIMESTAMP NOT NULL,
        quantity DECIMAL(38, 9), cost DECIMAL(38, 15), context VARCHAR, raw_file VARCHAR NOT NULL, raw_line BIGINT NOT NULL, emit_no INTEGER NOT NULL""",
    # The settings of each night, by which usage that lands too late for its period is judged.
    "books.nights": "as_of TIMESTAMP PRIMARY KEY, bill_from TIMESTAMP, late_window_us BIGINT NOT NULL",
    # What periods are reckoned from, so that a night adds up what is new: all of it follows from the ledger and is checked
    # against it. Of a stretch that says something else than here everything is added up again.
    "books.stretches": """
        stretch_no BIGINT NOT NULL, subscription_id VARCHAR NOT NULL, from_at TIMESTAMP NOT NULL, until_at TIMESTAMP NOT NULL,
        said VARCHAR NOT NULL, is_added BOOLEAN NOT NULL""",
    "books.added": """
        stretch_no BIGINT NOT NULL, meter VARCHAR NOT NULL, window_no BIGINT, is_counted_in_baseline BOOLEAN NOT NULL,
        events BIGINT NOT NULL, quantity DECIMAL(38, 9), cost DECIMAL(38, 15)""",
    "books.picks": """
        stretch_no BIGINT NOT NULL, meter VARCHAR NOT NULL, of_value VARCHAR, quantity DECIMAL(38, 9), occurred_at TIMESTAMP,
        key_hi UHUGEINT, key_lo UHUGEINT, clamped DECIMAL(38, 18)""",
    "books.fates": """
        entered_at TIMESTAMP NOT NULL, day DATE NOT NULL, meter VARCHAR NOT NULL, fate VARCHAR NOT NULL,
        usages BIGINT NOT NULL, quantity DECIMAL(38, 9), cost DECIMAL(38, 15)""",
    "books.duplicates": """
        source VARCHAR NOT NULL, raw_file VARCHAR NOT NULL, raw_line BIGINT NOT NULL, emit_no INTEGER NOT NULL,
        meter VARCHAR NOT NULL, key_hi UHUGEINT NOT NULL, key_lo UHUGEINT NOT NULL, occurred_at TIMESTAMP NOT NULL,
        quantity DECIMAL(38, 9), cost DECIMAL(38, 15), is_whole_row BOOLEAN NOT NULL""",
    "books.quarantine": """
        source VARCHAR NOT NULL, raw_file VARCHAR NOT NULL, raw_line BIGINT NOT NULL, reason VARCHAR NOT NULL,
        detail VARCHAR, quantity DECIMAL(38, 9), cost DECIMAL(38, 15), first_seen TIMESTAMP NOT NULL,
        raw_text VARCHAR, row_json VARCHAR""",
    # The usages of the rows in quarantine.
    "books.held": """
        source VARCHAR NOT NULL, raw_file VARCHAR NOT NULL, raw_line BIGINT NOT NULL, emit_no INTEGER NOT NULL,
        meter VARCHAR, occurred_at TIMESTAMP, quantity DECIMAL(38, 9), cost DECIMAL(38, 15)""",
    # What came in, counted before anyone asked where it ends; a row read again is counted anew, and its old count taken back.
    "books.received": """
        received_at TIMESTAMP NOT NULL, source VARCHAR NOT NULL, raw_file VARCHAR NOT NULL, day DATE, meter VARCHAR,
        usages BIGINT NOT NULL, quantity DECIMAL(38, 9) NOT NULL, cost DECIMAL(38, 15) NOT NULL""",
    "books.default_periods": "account_id VARCHAR NOT NULL, seen_at TIMESTAMP NOT NULL",
    "books.closes": """
        book VARCHAR NOT NULL, account_id VARCHAR NOT NULL, subscription_id VARCHAR NOT NULL, plan VARCHAR NOT NULL,
        period_start TIMESTAMP NOT NULL, period_end TIMESTAMP NOT NULL, currency VARCHAR NOT NULL,
        baseline DECIMAL(38, 18) NOT NULL, usage DECIMAL(38, 18) NOT NULL, refresh DECIMAL(38, 18) NOT NULL,
        effective DECIMAL(38, 18) NOT NULL, included DECIMAL(38, 18) NOT NULL, overage DECIMAL(38, 18) NOT NULL,
        metered DECIMAL(38, 18) NOT NULL, minimum DECIMAL(38, 18) NOT NULL, owed DECIMAL(38, 18) NOT NULL,
        billed_minor BIGINT NOT NULL, closed_at TIMESTAMP NOT NULL,
        PRIMARY KEY (book, subscription_id, period_start)""",
    "books.close_slices": f"""
        book VARCHAR NOT NULL, closed_at TIMESTAMP NOT NULL, {_SLICE},
        PRIMARY KEY (book, subscription_id, period_start, slice_start)""",
    "books.threshold_slices": f"""
        book VARCHAR NOT NULL, billed_at TIMESTAMP NOT NULL, {_SLICE},
        PRIMARY KEY (book, billed_at, subscription_id, period_start, slice_start)""",
    "books.charges": """
        book VARCHAR NOT NULL, subscription_id VARCHAR NOT NULL, period_start TIMESTAMP NOT NULL, charge VARCHAR NOT NULL,
        quantity DECIMAL(38, 18), owed DECIMAL(38, 18) NOT NULL""",
    "books.daily_refresh": """
        book VARCHAR NOT NULL, subscription_id VARCHAR NOT NULL, period_start TIMESTAMP NOT NULL, window_no BIGINT NOT NULL,
        window_start TIMESTAMP NOT NULL, usage DECIMAL(38, 18) NOT NULL, allowance DECIMAL(38, 18) NOT NULL,
        refresh DECIMAL(38, 18) NOT NULL""",
    "books.lines": """
        book VARCHAR NOT NULL, line_id VARCHAR PRIMARY KEY, line_no BIGINT NOT NULL, account_id VARCHAR NOT NULL,
        subscription_id VARCHAR NOT NULL, period_start TIMESTAMP NOT NULL, period_end TIMESTAMP NOT NULL, charge VARCHAR NOT NULL,
        reason VARCHAR NOT NULL, amount_minor BIGINT NOT NULL, currency VARCHAR NOT NULL, quantity DECIMAL(38, 18),
        owed DECIMAL(38, 18), description VARCHAR NOT NULL, grant_id VARCHAR, created_as_of TIMESTAMP NOT NULL,
        state VARCHAR NOT NULL, state_reason VARCHAR""",
    "books.credits": """
        book VARCHAR NOT NULL, grant_id VARCHAR NOT NULL, account_id VARCHAR NOT NULL, kind VARCHAR NOT NULL,
        amount_minor BIGINT NOT NULL, balance_before BIGINT NOT NULL, balance_after BIGINT NOT NULL, line_id VARCHAR,
        moved_at TIMESTAMP NOT NULL, movement_no BIGINT NOT NULL, PRIMARY KEY (book, grant_id, movement_no)""",
    # Usage on its way to Stripe, hour by hour: as it was made. How it fares there is the outbox's.
    "books.meter_events": """
        identifier VARCHAR PRIMARY KEY, account_id VARCHAR NOT NULL, meter VARCHAR NOT NULL, aggregate VARCHAR NOT NULL,
        divide_by DECIMAL(38, 15) NOT NULL, currency VARCHAR, bucket_start TIMESTAMP NOT NULL, event_no BIGINT NOT NULL,
        exact DECIMAL(38, 15) NOT NULL, value BIGINT NOT NULL, bill_from TIMESTAMP NOT NULL,
        created_as_of TIMESTAMP NOT NULL""",
    "books.decisions": """
        decision VARCHAR NOT NULL, subject VARCHAR NOT NULL, because VARCHAR NOT NULL, as_of TIMESTAMP NOT NULL,
        detail JSON NOT NULL, PRIMARY KEY (decision, subject, as_of)""",
    "books.runs": "run_id VARCHAR PRIMARY KEY, as_of TIMESTAMP NOT NULL, outcome VARCHAR NOT NULL, counts JSON NOT NULL",
    # A night that the gate has stopped, whatever becomes of it when it is tried again.
    "books.gate_stops": "as_of TIMESTAMP PRIMARY KEY, lines BIGINT NOT NULL, money JSON NOT NULL",
    # The events that were handed over to whoever listens to them.
    "books.announced": "event_id VARCHAR PRIMARY KEY, announced_as_of TIMESTAMP NOT NULL",
    **INPUTS,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about the books, once for a subject and a night."""

    decision: str
    subject: str
    because: str
    as_of: datetime
    detail: dict[str, Any]


def ensure_books(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that are not there yet."""
    ensure(con, TABLES)


def ensure_closed_prices(con: duckdb.DuckDBPyConnection) -> None:
    """The prices closed periods were reckoned with, shaped as the catalogue's own tables are."""
    for name in ("charges", "segments"):
        con.execute(
            f"CREATE TABLE IF NOT EXISTS books.close_{name} AS SELECT '' AS catalog_id, * FROM catalog.{name} LIMIT 0"
        )


def remember_stops(con: duckdb.DuckDBPyConnection) -> None:
    """Before a night is judged again: that it was stopped has happened all the same."""
    con.execute(
        "INSERT OR IGNORE INTO books.gate_stops SELECT as_of, lines, money FROM gate.nights WHERE verdict = 'stops'"
    )


def closed_periods(con: duckdb.DuckDBPyConnection) -> list[ClosedPeriod]:
    """Every period that a book has closed."""
    return [
        ClosedPeriod(subscription_id, start.replace(tzinfo=UTC), end.replace(tzinfo=UTC), book)
        for subscription_id, start, end, book in con.execute(
            "SELECT subscription_id, period_start, period_end, book FROM books.closes"
        ).fetchall()
    ]


def refuse_going_back(last: datetime | None, as_of: datetime) -> None:
    if last and as_of < last:
        raise Refusal(
            f"as_of {format_instant(as_of)} lies before the last run's {format_instant(last)}; "
            "nights go forward only: give a later --as-of."
        )


def record(con: duckdb.DuckDBPyConnection, it: Decision) -> None:
    """Enter a decision, in the caller's transaction."""
    con.execute(
        "INSERT INTO books.decisions VALUES (?, ?, ?, ?, ?)",
        [it.decision, it.subject, it.because, it.as_of.replace(tzinfo=None), json.dumps(it.detail)],
    )


def last_as_of(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """The business clock of the last run that left something behind."""
    row = con.execute("""
        SELECT max(as_of) FROM (
            SELECT max(as_of) AS as_of FROM books.runs UNION ALL SELECT max(landed_at) FROM landing.files)
    """).fetchone()
    return row[0].replace(tzinfo=UTC) if row and row[0] else None


def nights_done(con: duckdb.DuckDBPyConnection) -> set[datetime]:
    """The as_ofs of the nights that are in the books."""
    rows = con.execute("SELECT as_of FROM books.runs WHERE outcome = 'done'").fetchall()
    return {as_of.replace(tzinfo=UTC) for (as_of,) in rows}


def last_night(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """The as_of of the last night that is in the books."""
    return max(nights_done(con), default=None)
