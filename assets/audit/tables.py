"""The tables of an audit: the ledger, the arithmetic, the lines, the runs, as CSV in an order of their own.

Every one is a function of what the nights were given. What only the world outside knows, such as Stripe's ids, is kept
apart in FACTS: it is part of the bundle, and no replay could come to it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

_SHOWN = "SEMI JOIN shown USING (subscription_id, period_start)"
_BOOKED = "SEMI JOIN audited USING (book, subscription_id, period_start)"
_CATALOGUES = """
    SELECT DISTINCT catalog_id FROM (
        FROM books.close_slices UNION ALL BY NAME FROM books.threshold_slices) SEMI JOIN audited
    USING (book, subscription_id, period_start)"""

TABLES = {
    "ledger": f"SELECT * FROM billing.ledger {_SHOWN} ORDER BY occurred_at, event_key",
    "daily_refresh": f"""
        SELECT * FROM billing.daily_refresh {_SHOWN} ORDER BY subscription_id, period_start, window_start""",
    "periods": f"SELECT * FROM billing.periods {_SHOWN} ORDER BY subscription_id, period_start",
    "charges": f"SELECT * FROM billing.charges {_SHOWN} ORDER BY subscription_id, period_start, charge",
    "invoice_items": f"""
        SELECT * EXCLUDE (state, state_reason, stripe_id) FROM billing.invoice_items {_SHOWN}
        ORDER BY created_as_of, subscription_id, period_start, charge, line_id""",
    "rounding_ledger": f"""
        SELECT * FROM billing.rounding_ledger {_SHOWN} WHERE created_as_of <= $as_of
        ORDER BY subscription_id, period_start, charge, line_no""",
    # The grants that met lines, and how.
    "credits": f"""
        WITH uses AS (
            FROM billing.credits SEMI JOIN (SELECT line_id FROM billing.invoice_items {_SHOWN}) USING (line_id))
        SELECT c.* FROM billing.credits c
        WHERE line_id IN (SELECT line_id FROM uses) OR (kind = 'grant' AND grant_id IN (SELECT grant_id FROM uses))
        ORDER BY grant_id, movement_no""",
    # The terms and prices they were reckoned with.
    "close_slices": f"FROM books.close_slices {_BOOKED} ORDER BY subscription_id, period_start, slice_start",
    "threshold_slices": f"""
        FROM books.threshold_slices {_BOOKED} ORDER BY billed_at, subscription_id, period_start, slice_start""",
    "close_charges": f"FROM books.close_charges WHERE catalog_id IN ({_CATALOGUES}) ORDER BY ALL",
    "close_segments": f"FROM books.close_segments WHERE catalog_id IN ({_CATALOGUES}) ORDER BY ALL",
    # A file that no source matches is counted, but is nothing that a night was given.
    "runs": """
        SELECT run_id, as_of, outcome, json_merge_patch(counts, '{"files": null}') AS counts FROM billing.runs
        WHERE as_of <= $as_of ORDER BY as_of""",
}

FACTS = {
    "stripe": f"""
        SELECT line_id, state, state_reason, stripe_id FROM billing.invoice_items {_SHOWN} ORDER BY line_id""",
    "decisions": "FROM billing.decisions WHERE as_of <= $as_of ORDER BY as_of, decision, subject",
}


def write(con: duckdb.DuckDBPyConnection, as_of: datetime, queries: dict[str, str], to: Path) -> dict[str, int]:
    """Each query as a CSV file; its rows by name. The periods are those of the temporary table `audited`."""
    con.execute("""
        CREATE OR REPLACE TEMP VIEW shown AS
        SELECT subscription_id, period_start::TIMESTAMPTZ AS period_start FROM audited""")
    to.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, query in queries.items():
        values = {"as_of": as_of} if "$as_of" in query else {}
        con.execute(f"CREATE OR REPLACE TEMP TABLE written AS {query}", values)
        (rows[name],) = con.execute("SELECT count(*) FROM written").fetchone() or (0,)
        file = str(to / f"{name}.csv").replace("'", "''")
        con.execute(f"COPY (FROM written) TO '{file}' (HEADER)")
    return rows
