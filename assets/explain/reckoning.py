"""The books as they stood on a line's night, rated again by the models of the night."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from assets.core.numbers import minor_step
from assets.explain.line import Line
from assets.rerate import Models, Relation, lay_out, make, without_rows


def go_back(con: duckdb.DuckDBPyConnection, models: Models, line: Line) -> None:
    """Make what the night reckoned for the line's period: its slices, figures, windows, charges, and the ledger's rows.

    The ledger is the account's, up to that night; the terms and prices are those that the line was billed by, never
    tonight's. `raw` is the published ledger as that night's readers found it, with costs in full.
    """
    # No catalogue is tonight's: every price list is one that the books have kept.
    kept: dict[str, Relation] = {
        **without_rows("catalog.charges", "catalog.segments"),
        "catalog.settings": (
            "SELECT * REPLACE (?::TIMESTAMP AS as_of, ? AS book, '' AS catalog_id) FROM warehouse.catalog.settings",
            [line.created_as_of, line.book],
        ),
    }
    _reckon(con, models, line, _slices(line), kept)


def stay(con: duckdb.DuckDBPyConnection, models: Models, period: Line) -> None:
    """The same for a period that is open: by the terms and prices of the last night."""
    slices = """
        FROM warehouse.night.int_periods__cuts
        WHERE (subscription_id, period_start) = (?, ?)"""
    _reckon(con, models, period, (slices, [period.subscription_id, period.period_start]), {})


def _reckon(
    con: duckdb.DuckDBPyConnection, models: Models, line: Line, slices: Relation, prices: Mapping[str, Relation]
) -> None:
    instead: dict[str, Relation] = {
        **prices,
        "catalog.currencies": (
            "SELECT ? AS currency, ?::INTEGER AS exponent, ?::INTEGER AS step",
            [line.currency, *minor_step(line.currency)],
        ),
        "books.ledger": (
            "FROM warehouse.books.ledger WHERE entered_at <= ? AND (account_id = ? OR subscription_id = ?)",
            [line.created_as_of, line.account_id, line.subscription_id],
        ),
    }
    lay_out(con, instead, slices)
    make(con, models, "int_charges__owed", "ledger")
    con.execute("""
        CREATE TEMP TABLE raw AS
        SELECT shown.*, entries.cost, entries.key_hi, entries.key_lo
        FROM billing.ledger AS shown
        JOIN books.ledger AS entries ON shown.event_key = format('{:032x}{:032x}', entries.key_hi, entries.key_lo)""")


def _slices(line: Line) -> Relation:
    """The terms the line was billed by: those that its close froze, or that were kept for its threshold."""
    period = "(book, subscription_id, period_start) = (?, ?, ?)"
    if line.reason == "threshold":
        return (
            f"""SELECT * EXCLUDE (book, billed_at), NULL::TIMESTAMP AS closed_at,
                   false AS is_closed, false AS is_closing
            FROM warehouse.books.threshold_slices WHERE {period} AND billed_at = ?""",
            [*line.period, line.created_as_of],
        )
    return (
        f"""SELECT * EXCLUDE (book), true AS is_closed, false AS is_closing
        FROM warehouse.books.close_slices WHERE {period}""",
        [*line.period],
    )
