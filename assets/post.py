"""Post: the one transaction in which a checked night enters the books.

Everything before it only computes; everything after it only reads. Killed before the commit, a night has changed nothing
and is done again by the next run; killed after it, doing it again finds nothing left to post.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from assets.books import Decision, record
from assets.core.catalogue.problems import PERIOD_LOCKED, no_version, shown
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.inputs import mark_posted
from assets.landing import clear_batch, clear_links, raw_texts
from assets.limits import refuse_beyond
from assets.warehouse import transaction

# In the order of the story: what came in, what it means for the periods, what it bills.
STEPS = {
    "forget what was weighed before": "DROP TABLE IF EXISTS night.leaks",
    "keep the catalogue of tonight's closes and lines": """
        INSERT INTO books.close_charges
        SELECT s.catalog_id, c.* FROM catalog.charges c, catalog.settings s
        WHERE (EXISTS (FROM night.int_periods__open WHERE is_closing) OR EXISTS (FROM night.int_lines__new))
          AND s.catalog_id NOT IN (SELECT catalog_id FROM books.close_charges);
        INSERT INTO books.close_segments
        SELECT s.catalog_id, c.* FROM catalog.segments c, catalog.settings s
        WHERE (EXISTS (FROM night.int_periods__open WHERE is_closing) OR EXISTS (FROM night.int_lines__new))
          AND s.catalog_id NOT IN (SELECT catalog_id FROM books.close_segments)""",
    "remember where usage of the default plan fell": """
        INSERT INTO books.default_periods
        SELECT account_id, unnest([min(occurred_at), max(occurred_at)]) AS seen_at
        FROM night.int_ledger__new WHERE starts_with(subscription_id, 'default:')
        GROUP BY account_id, date_trunc('day', occurred_at)
        EXCEPT SELECT account_id, seen_at FROM books.default_periods""",
    "close periods": """
        INSERT INTO books.close_slices BY NAME
        SELECT s.book, s.as_of AS closed_at, p.* EXCLUDE (is_closed, is_closing, closed_at)
        FROM night.int_periods__cuts p, catalog.settings s WHERE p.is_closing;
        INSERT INTO books.closes BY NAME
        SELECT s.book, p.* EXCLUDE (is_closed, is_closing), s.as_of AS closed_at
        FROM night.int_periods__reckoned p, catalog.settings s WHERE p.is_closing""",
    # A night done again with further files may bill a period again at its as_of: then by what is in force now.
    "keep what open periods were billed by": """
        DELETE FROM books.threshold_slices t USING catalog.settings s
        WHERE (t.book, t.billed_at) = (s.book, s.as_of) AND EXISTS (
            FROM night.int_lines__new n
            WHERE n.reason = 'threshold' AND (n.subscription_id, n.period_start) = (t.subscription_id, t.period_start));
        INSERT INTO books.threshold_slices BY NAME
        SELECT s.book, s.as_of AS billed_at, p.* EXCLUDE (is_closed, is_closing, closed_at)
        FROM night.int_periods__cuts p, catalog.settings s
        WHERE EXISTS (
            FROM night.int_lines__new n
            WHERE n.reason = 'threshold' AND (n.subscription_id, n.period_start) = (p.subscription_id, p.period_start))""",
    "keep what closed periods owe, late usage included": """
        CREATE TEMP TABLE settled AS
        SELECT s.book, p.subscription_id, p.period_start
        FROM night.int_periods__reckoned p, catalog.settings s WHERE p.is_closing OR p.is_closed;
        DELETE FROM books.charges c WHERE EXISTS (
            FROM settled s WHERE (s.book, s.subscription_id, s.period_start) = (c.book, c.subscription_id, c.period_start));
        INSERT INTO books.charges BY NAME
        SELECT s.book, c.subscription_id, c.period_start, c.charge, c.quantity, c.owed
        FROM night.int_charges__owed c JOIN settled s USING (subscription_id, period_start);
        DELETE FROM books.daily_refresh d WHERE EXISTS (
            FROM settled s WHERE (s.book, s.subscription_id, s.period_start) = (d.book, d.subscription_id, d.period_start));
        INSERT INTO books.daily_refresh BY NAME
        SELECT s.book, d.* FROM night.int_refresh__windows d JOIN settled s USING (subscription_id, period_start);
        DELETE FROM night.int_refresh__windows d USING settled s
        WHERE (s.subscription_id, s.period_start) = (d.subscription_id, d.period_start);
        DROP TABLE settled""",
    "bill": """
        INSERT INTO books.lines BY NAME
        -- Usage from bill_from on is rated by Stripe where it is sent hour by hour; its lines are never sent.
        SELECT n.*, CASE WHEN is_live AND NOT is_rated_there THEN 'pending' ELSE 'shadow' END AS state,
               CASE WHEN is_live AND is_rated_there
                    THEN 'Stripe rates this usage itself (stripe.push: meter_events)' END AS state_reason
        FROM night.int_lines__new n, (
            SELECT book = 'live' AS is_live, push = 'meter_events' AS is_by_hour, bill_from FROM catalog.settings) s,
            LATERAL (SELECT s.is_by_hour AND n.period_end > s.bill_from AS is_rated_there);
        INSERT INTO books.credits BY NAME SELECT * FROM night.int_credits__new""",
    "remember tonight, for the checks of later nights": """
        INSERT INTO gate.usage_seen BY NAME
        SELECT s.as_of, u.* EXCLUDE (incomplete) FROM night.gate_usage u, catalog.settings s;
        CREATE TEMP TABLE standing AS FROM night.gate_standing;
        DELETE FROM gate.periods_seen p USING catalog.settings s WHERE (p.book, p.as_of) = (s.book, s.as_of);
        DELETE FROM gate.periods_seen WHERE as_of < (
            SELECT min(as_of) FROM (SELECT as_of FROM books.runs ORDER BY as_of DESC LIMIT 35));
        INSERT INTO gate.periods_seen BY NAME FROM standing;
        DROP TABLE standing;
        DELETE FROM gate.credits_seen c USING catalog.settings s WHERE c.as_of = s.as_of;
        INSERT INTO gate.credits_seen BY NAME
        SELECT s.as_of, g.account_id, g.currency, count(*) AS grants, sum(g.amount_minor)::BIGINT AS granted_minor
        FROM catalog.credit_grants g, catalog.settings s WHERE g.granted_at <= s.as_of GROUP BY ALL""",
    # A stretch is dropped with its sums once it says something else, or nothing that is billed can come for it any more.
    "keep what was added up": """
        CREATE TEMP TABLE stretches AS
        SELECT s.slice_no, s.subscription_id, s.from_at, s.until_at, s.said, k.stretch_no,
               (coalesce(k.is_added, false) OR p.slice_no IS NOT NULL) AND s.late_at >= n.as_of AS is_added
        FROM night.int_periods__stretches s CROSS JOIN catalog.settings n
        LEFT JOIN books.stretches k USING (subscription_id, from_at, said)
        LEFT JOIN night.int_periods__scope p ON p.slice_no = s.slice_no;
        UPDATE stretches SET stretch_no = n.stretch_no FROM (
            SELECT slice_no, row_number() OVER (ORDER BY slice_no)
                + (SELECT coalesce(max(stretch_no), 0) FROM books.stretches) AS stretch_no
            FROM stretches WHERE stretch_no IS NULL) n
        WHERE n.slice_no = stretches.slice_no;
        DELETE FROM books.added a WHERE NOT EXISTS (FROM stretches s WHERE s.stretch_no = a.stretch_no AND s.is_added);
        DELETE FROM books.picks p WHERE NOT EXISTS (FROM stretches s WHERE s.stretch_no = p.stretch_no AND s.is_added);
        DELETE FROM books.stretches k WHERE NOT EXISTS (
            FROM stretches s WHERE (s.stretch_no, s.is_added) = (k.stretch_no, k.is_added));
        INSERT INTO books.stretches BY NAME
        SELECT s.* EXCLUDE (slice_no) FROM stretches s ANTI JOIN books.stretches USING (stretch_no);
        INSERT INTO books.added BY NAME  -- by meter, which has a quantity or a cost: two thirds of the room
        SELECT s.stretch_no, f.* EXCLUDE (slice_no) FROM night.int_usage__fresh f JOIN stretches s USING (slice_no)
        WHERE s.is_added ORDER BY f.meter, s.stretch_no, f.window_no;
        INSERT INTO books.picks BY NAME
        SELECT s.stretch_no, f.* EXCLUDE (slice_no) FROM night.int_usage__fresh_picks f JOIN stretches s USING (slice_no)
        WHERE s.is_added AND NOT EXISTS (
            FROM books.picks p
            WHERE (p.stretch_no, p.meter) = (s.stretch_no, f.meter) AND p.of_value = f.of_value);  -- a tuple's nulls are equal
        DROP TABLE stretches;
        DELETE FROM books.fates;
        INSERT INTO books.fates BY NAME FROM night.int_ledger__fates""",
    "make meter events": """
        INSERT INTO books.meter_events BY NAME
        SELECT * FROM night.int_events__new""",
    # Before anything else of the batch is entered: it takes back what rows held until now were counted as.
    "tally what was received": """
        INSERT INTO books.received BY NAME
        SELECT s.as_of AS received_at, n.* FROM night.int_received__new n, catalog.settings s""",
    "hold rows": """
        DELETE FROM books.quarantine q WHERE EXISTS (
            FROM landing.batch b WHERE (b.source, b.raw_file, b.raw_line) = (q.source, q.raw_file, q.raw_line));
        DELETE FROM books.held h WHERE NOT EXISTS (
            FROM books.quarantine q WHERE (q.source, q.raw_file, q.raw_line) = (h.source, h.raw_file, h.raw_line));
        INSERT INTO books.quarantine BY NAME SELECT * FROM held;
        INSERT INTO books.held BY NAME
        SELECT * EXCLUDE (verdict, key_hi, key_lo) FROM night.int_batch__kept_out WHERE verdict = 'held'""",
    "count files": """
        UPDATE landing.files f SET accepted = f.accepted + n.accepted, ignored = f.ignored + n.ignored
        FROM (
            SELECT source, raw_file, count(*) FILTER (NOT is_ignored) AS accepted,
                   count(*) FILTER (is_ignored) AS ignored
            FROM (  -- rows, each once: to count what is distinct in groups takes four times as long
                SELECT DISTINCT source, raw_file, raw_line, false AS is_ignored FROM night.int_ledger__new
                UNION ALL SELECT DISTINCT source, raw_file, raw_line, true FROM landing.batch WHERE emit_no = -1)
            GROUP BY ALL) n
        WHERE (f.source, f.raw_file) = (n.source, n.raw_file)""",
    "note duplicates": """
        INSERT INTO books.duplicates BY NAME
        SELECT d.* EXCLUDE (verdict),
               NOT EXISTS (
                   FROM night.int_ledger__new n
                   WHERE (n.source, n.raw_file, n.raw_line) = (d.source, d.raw_file, d.raw_line)) AS is_whole_row
        FROM night.int_batch__kept_out d WHERE d.verdict = 'duplicate'""",
    "enter usage": """
        INSERT INTO books.ledger BY NAME
        SELECT n.*, s.as_of AS entered_at FROM night.int_ledger__new n, catalog.settings s;
        INSERT OR IGNORE INTO books.nights BY NAME SELECT as_of, bill_from, late_window_us FROM catalog.settings""",
    # Nothing is on its way any more. What led to the sums is as large as they are, and nothing after the models reads it.
    "let go of what was laid down on the way": """
        DELETE FROM night.int_ledger__new;
        DELETE FROM night.int_usage__fresh;
        DELETE FROM night.int_usage__added;
        DELETE FROM night.int_usage__windows""",
}


def held_rows(con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    """The rows to hold, with their raw text, as the temporary table `held`."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE held AS
        SELECT e.source, e.raw_file, e.raw_line, any_value(e.reason) AS reason,
               arg_min(e.detail, e.emit_no) AS detail,
               arg_min(b.quantity, e.emit_no) AS quantity, arg_min(b.cost, e.emit_no) AS cost,
               any_value(b.landed_at) AS first_seen,
               coalesce(any_value(b.raw_text), any_value(q.raw_text)) AS raw_text, any_value(q.row_json) AS row_json
        FROM night.int_batch__exceptions e
        JOIN landing.batch b USING (source, raw_file, raw_line, emit_no)
        LEFT JOIN books.quarantine q USING (source, raw_file, raw_line)
        WHERE e.verdict = 'held'
        GROUP BY e.source, e.raw_file, e.raw_line;
        CREATE OR REPLACE TEMP VIEW held_without_text AS
        SELECT source, raw_file, raw_line FROM held WHERE raw_text IS NULL""")
    raw_texts(con, workspace, "held_without_text")
    con.execute("""
        UPDATE held h SET raw_text = t.raw_text, row_json = t.row_json
        FROM raw_texts t WHERE (t.source, t.raw_file, t.raw_line) = (h.source, h.raw_file, h.raw_line)""")


def refuse_unpriced(con: duckdb.DuckDBPyConnection) -> None:
    """A month of the default plan that begins before the plan's first version: only usage says which months there are."""
    unpriced = con.execute("""
        SELECT plan, min(period_start) FROM night.int_periods__slices
        WHERE version_from IS NULL GROUP BY plan ORDER BY plan""").fetchall()
    if unpriced:
        raise Refusal(no_version("catalog/plans.yaml:", plan, start.replace(tzinfo=UTC)) for plan, start in unpriced)


def refuse_locked(con: duckdb.DuckDBPyConnection) -> None:
    """A closed period never changes again: none of tonight's is the closed one once more, or reaches into it."""
    locked = con.execute("""
        SELECT p.subscription_id, p.period_start, p.period_end, c.period_start, c.period_end, c.closed_at
        FROM night.int_periods__open p JOIN books.closes c
          ON p.subscription_id = c.subscription_id AND p.period_start < c.period_end AND p.period_end > c.period_start
        SEMI JOIN catalog.settings s ON c.book = s.book
        ORDER BY ALL LIMIT 5""").fetchall()
    if locked:
        raise Refusal(
            f"{PERIOD_LOCKED}: subscription {shown(subscription)} has the period from {_at(closed_start)} to {_at(closed_end)}, "
            f"closed on {_at(closed_at)}, and would be reckoned anew from {_at(start)} to {_at(end)}; "
            "put the account files back as they were, and send what is to change as correcting usage or as a credit grant."
            for subscription, start, end, closed_start, closed_end, closed_at in locked
        )


def _at(instant: datetime) -> str:
    return format_instant(instant.replace(tzinfo=UTC))


def post(
    con: duckdb.DuckDBPyConnection, workspace: Path, as_of: datetime, decisions: Iterable[Decision] = ()
) -> dict[str, Any]:
    """Enter tonight into the books, with what was decided for it; the counts of the run."""
    refuse_unpriced(con)
    refuse_locked(con)
    refuse_beyond(con)
    held_rows(con, workspace)
    with transaction(con):
        for sql in STEPS.values():
            con.execute(sql)
        for decision in decisions:
            record(con, decision)
        clear_batch(con)
        mark_posted(con)
        counts = count_run(con)
        con.execute(
            "INSERT OR REPLACE INTO books.runs VALUES (?, ?, 'done', ?)",
            [run_id(as_of), as_of.replace(tzinfo=None), json.dumps(counts)],
        )
    clear_links(workspace)
    return counts


def run_id(as_of: datetime) -> str:
    """A night is its as_of: tried again, it is the same run."""
    return f"night-{format_instant(as_of)}"


def count_run(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What stands in the books of this night's as_of, so that a run tried again counts the same.

    Its files are those that landed since the night before it in the books: with those of a night that was stopped.
    """
    row = con.execute("""
        WITH landed AS (
            SELECT rows FROM landing.files WHERE landed_at > (
                SELECT coalesce(max(r.as_of), '-infinity') FROM books.runs r, catalog.settings s WHERE r.as_of < s.as_of)
        )
        SELECT
            (SELECT count(*) FROM landed) AS files,
            (SELECT coalesce(sum(rows), 0)::BIGINT FROM landed) AS rows,
            (SELECT count(*) FROM books.ledger l WHERE l.entered_at = s.as_of) AS usages,
            (SELECT count(*) FROM books.quarantine q) AS held,
            (SELECT count(*) FROM books.closes c WHERE c.closed_at = s.as_of AND c.book = s.book) AS closed_periods,
            (SELECT count(*) FROM books.lines n WHERE n.created_as_of = s.as_of AND n.book = s.book) AS lines
        FROM catalog.settings s""")
    values = row.fetchone()
    assert values is not None
    return dict(zip([column[0] for column in row.description or []], values, strict=True))
