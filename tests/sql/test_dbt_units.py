"""The unit tests of the models, by dbt itself on a scratch warehouse; and that every check of the night can fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets import verbs, warehouse
from orchestration import dbt
from tests import nights
from tests.golden.case import catalogue_files, raw_files

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

# Two nights that leave nothing out. The first closes April with credit, bills May's overage by the threshold, and finds
# a row of each end; the second, which is not posted, closes May, finds a duplicate, a conflict, a late row for April
# and a row to hold, and reads one again.
NIGHTS = (datetime(2026, 5, 20, tzinfo=UTC), datetime(2026, 6, 1, 1, tzinfo=UTC))
WORKSPACE: dict[str, Any] = {
    "subscriptions": "s1,a1,pro,1,month,2026-04-01T00:00:00Z,2026-04-01T00:00:00Z,",
    "credit_grants": "g1,a1,2000,USD,2026-01-01T00:00:00Z,2026-12-01T00:00:00Z,1",
    "plan": {
        "included": "1.00",
        "daily_refresh": {"basis": "25.00", "rate": "0.01"},
        "threshold": "2.00",
        "minimum": "9.00",
        "charges": [
            {"meter": "money", "pooled": "true"},
            {"meter": "calls", "model": "per_unit", "price": "0.10"},
            {"meter": "peak", "model": "per_unit", "price": "0.10"},
        ],
    },
    "meters": {"old_calls": {"aggregate": "sum"}, "peak": {"aggregate": "max"}},
    "sources": {
        "biller": {
            "files": "old/*.ndjson",
            "format": "ndjson",
            "identity": ["id"],
            "occurred_at": "t",
            "account": "acct",
            "emits": [{"meter": "old_calls", "quantity": "v"}],
        },
    },
    "parity": {"calls": {"reference": {"meter": "old_calls"}, "candidate": {"meter": "calls"}}},
    "usage": {
        "old/1.ndjson": "hour 2026-05-31T12:00:00Z old_calls 2 a1",
        "ev/1.ndjson": """
            april  2026-04-10T00:00:00Z  money  4.00  a1
            may    2026-05-10T00:00:00Z  money  4.00  a1
            call   2026-05-11T00:00:00Z  calls  1     a1
            may    2026-05-10T00:00:00Z  money  4.00  a1
            may    2026-05-10T00:00:01Z  money  8.00  a1
            who    2026-05-12T00:00:00Z  money  3.00  nobody
            noise  2026-05-12T00:00:00Z  noise  3.00  a1
            high   2026-05-11T00:00:00Z  peak   1     a1""",
        "ev/2.ndjson": """
            may    2026-05-10T00:00:00Z  money  4.00  a1
            april  2026-04-10T00:00:00Z  money  7.00  a1
            late   2026-04-12T00:00:00Z  money  0.50  a1
            more   2026-05-21T00:00:00Z  money  1.50  a1
            one    2026-05-31T12:10:00Z  calls  1     a1
            two    2026-05-31T12:20:00Z  calls  1     a1
            whose  2026-05-21T00:00:00Z  money  1.50  nobody""",
    },
}


@dataclass(frozen=True)
class Built:
    workspace: Path
    checks: dict[str, str]  # every check of the night by its name, as the query that finds what breaks it


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The workspace as the second night's models leave it, made by dbt."""
    root = tmp_path_factory.mktemp("workspace")
    raw = {f"raw/{name}": content for name, content in raw_files(WORKSPACE).items()}
    later = {name: raw.pop(name) for name in ("raw/ev/2.ndjson", "raw/old/1.ndjson")}
    write(root, {**catalogue_files(WORKSPACE), **raw})
    nights.run_night(root, NIGHTS[0], is_published=False)
    write(root, later)
    with warehouse.connect(root) as con:
        verbs.take_in(con, root, NIGHTS[1])
        verbs.bring_in(con, root, NIGHTS[1])
        _as_another_version_left_them(con)
    results = list(dbt.build(root))
    assert [f"{it.node.name}: {it.message}" for it in results if it.status not in ("success", "pass")] == []
    return Built(root, {it.node.name: it.node.compiled_code for it in results if it.node.resource_type == "test"})


def _as_another_version_left_them(con: duckdb.DuckDBPyConnection) -> None:
    """What is a table now was a view, and the other way round."""
    con.execute("DROP TABLE night.int_lines__new; CREATE VIEW night.int_lines__new AS SELECT 1 AS one")
    con.execute("DROP VIEW billing.runs; CREATE TABLE billing.runs AS SELECT 1 AS one")


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@pytest.fixture
def checks(built: Built) -> dict[str, str]:
    return built.checks


@pytest.fixture(scope="module")
def opened(built: Built) -> Iterator[duckdb.DuckDBPyConnection]:
    with warehouse.connect(built.workspace) as connection:
        connection.execute("SET threads = 1; SET search_path = 'night'")
        yield connection


@pytest.fixture
def con(opened: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse in a transaction that leaves it as it was."""
    opened.execute("BEGIN")
    yield opened
    opened.execute("ROLLBACK")


def test_the_unit_tests_of_the_models_pass(built: Built) -> None:
    results = list(dbt.invoke(built.workspace, "test", "--select", "test_type:unit"))
    assert len(results) > 20
    assert [f"{it.node.name}: {it.message}" for it in results if it.status != "pass"] == []


def test_the_scratch_night_leaves_nothing_out(con: duckdb.DuckDBPyConnection) -> None:
    def all_of(query: str) -> list[Any]:
        return [value for (value,) in con.execute(query).fetchall()]

    assert all_of("SELECT DISTINCT reason FROM night.int_lines__new ORDER BY 1") == ["adjustment", "close"]
    assert all_of("SELECT DISTINCT verdict FROM night.int_batch__exceptions ORDER BY 1") == ["duplicate", "held"]
    assert all_of("SELECT reason FROM books.lines WHERE charge = 'overage' ORDER BY 1") == ["close", "threshold"]
    assert all_of("SELECT kind FROM books.credits ORDER BY movement_no")[:2] == ["grant", "use"]
    assert all_of("SELECT count(*) FROM night.int_credits__new") == [1]
    assert all_of("SELECT reason FROM books.quarantine ORDER BY 1") == ["key_conflict", "unknown_account"]
    assert all_of("SELECT count(*) FROM books.duplicates") == [1]
    assert all_of("SELECT ignored FROM landing.files ORDER BY raw_file") == [1, 0, 0]
    assert all_of("SELECT raw_line FROM landing.batch WHERE raw_file = 'ev/1.ndjson'") == [6]


# A ledger of roundings that says something else; it is a view, so what it says stands in for it.
ROUNDED = (
    "CREATE TABLE said AS FROM billing.rounding_ledger; DROP VIEW billing.rounding_ledger;"
    "CREATE VIEW billing.rounding_ledger AS SELECT * REPLACE ({}) FROM night.said"
)
ATTO = "0.000000000000000001"

TOLD_TWICE = (
    "INSERT INTO books.gate_stops VALUES (TIMESTAMP '2026-05-01', 1, '{}');"
    "CREATE TABLE told AS FROM billing.events; DROP VIEW billing.events;"
    "CREATE VIEW billing.events AS FROM night.told UNION ALL FROM night.told"
)

# Of a shadow night there are no meter events: these are of calls, and stand for all there were in their hours.
EVENT = (
    "INSERT INTO int_events__new BY NAME SELECT 'it' AS identifier, 'a1' AS account_id, 'calls' AS meter,"
    " TIMESTAMP '2026-05-31 12:00:00' AS bucket_start, 2 AS exact, 2 AS value"
)
HOURS = (
    "INSERT INTO int_events__scope BY NAME SELECT TIMESTAMP '2026-05-31' AS from_at, TIMESTAMP '2026-06-01' AS until_at"
)

TWICE = (
    "CREATE TABLE happened AS FROM billing.events; DROP VIEW billing.events;"
    "CREATE VIEW billing.events AS FROM night.happened UNION ALL FROM night.happened"
)

# What breaks the promise of a check -> the check that says so. Several ways where it promises several things.
BROKEN = [
    # the grain of every model
    ("no_two_rows_share_a_key", "INSERT INTO int_periods__reckoned FROM int_periods__reckoned"),
    ("no_two_rows_share_a_key", "UPDATE int_periods__reckoned SET subscription_id = NULL"),
    ("no_two_rows_share_a_key", "INSERT INTO int_parity__scope FROM int_parity__scope"),
    ("no_two_rows_share_a_key", "INSERT INTO int_parity__seam (comparison) VALUES ('c'), ('c')"),
    ("no_two_rows_share_a_key", "INSERT INTO books.quarantine FROM books.quarantine"),
    ("no_two_rows_share_a_key", "INSERT INTO landing.files FROM landing.files"),
    # from rows to the ledger
    ("every_row_ends_once", "DELETE FROM int_ledger__new WHERE raw_line = 3"),
    ("every_row_ends_once", "INSERT INTO int_ledger__new FROM int_ledger__new WHERE raw_line = 3"),
    ("every_row_ends_once", "UPDATE int_ledger__new SET raw_line = 99 WHERE raw_line = 3"),
    ("every_row_ends_once", "INSERT INTO int_batch__exceptions FROM int_batch__exceptions"),
    ("every_row_ends_once", "DELETE FROM int_batch__exceptions WHERE verdict = 'duplicate'"),
    (
        "every_row_ends_once",
        "INSERT INTO landing.batch BY NAME SELECT * REPLACE (99 AS emit_no) FROM landing.batch WHERE raw_line = 2;"
        "INSERT INTO int_ledger__new BY NAME SELECT * REPLACE (2 AS raw_line, 99 AS emit_no) FROM int_ledger__new"
        " WHERE raw_line = 3",
    ),
    ("every_row_ends_once", "UPDATE landing.files SET rows = rows + 1"),
    ("usage_enters_the_ledger_once", "INSERT INTO int_ledger__new FROM int_ledger__new WHERE raw_line = 3"),
    (
        "usage_enters_the_ledger_once",
        "INSERT INTO int_ledger__new BY NAME SELECT * EXCLUDE (entered_at) FROM books.ledger WHERE meter = 'calls'",
    ),
    ("an_actor_has_one_payer_at_a_time", "INSERT INTO int_payers__spans (actor) VALUES ('ann')"),
    # from the ledger to periods and their slices
    ("every_entry_has_a_slice", "DELETE FROM int_periods__slices WHERE is_closed"),
    ("every_entry_has_a_slice", "UPDATE int_periods__slices SET version_from = NULL"),
    ("every_entry_has_a_slice", "UPDATE int_periods__slices SET period_end = '2026-05-21 00:00:00' WHERE is_closing"),
    ("slices_tile_their_periods", "UPDATE int_periods__slices SET slice_end = slice_end - INTERVAL 1 DAY"),
    ("slices_tile_their_periods", "UPDATE int_periods__slices SET slice_start = slice_start + INTERVAL 1 DAY"),
    ("slices_tile_their_periods", "INSERT INTO int_periods__slices FROM int_periods__slices"),
    (
        "slices_tile_their_periods",
        "UPDATE int_periods__slices SET period_end = period_end + to_days(1), slice_end = slice_end + to_days(1)",
    ),
    (
        "no_period_closes_twice",
        "UPDATE int_periods__open SET period_start = period_start - INTERVAL 1 MICROSECOND WHERE is_closing",
    ),
    ("a_slice_is_reckoned_once", "INSERT INTO int_periods__scope FROM int_periods__scope"),
    # from rows to money
    ("usage_is_added_up_once", "UPDATE int_usage__added SET events = events + 1"),
    ("usage_is_added_up_once", "UPDATE int_usage__added SET quantity = quantity + 0.000000001 WHERE meter = 'calls'"),
    ("usage_is_added_up_once", "UPDATE int_usage__added SET cost = cost - 0.000000000000001 WHERE meter = 'money'"),
    ("usage_is_added_up_once", "UPDATE int_usage__added SET slice_no = slice_no + 1"),
    ("usage_is_added_up_once", "DELETE FROM int_usage__added WHERE meter = 'calls'"),
    ("usage_is_added_up_once", "INSERT INTO int_usage__added FROM int_usage__added"),
    ("usage_is_picked_from_rows", "UPDATE int_usage__picked SET units = units + 1"),
    ("usage_is_picked_from_rows", "DELETE FROM int_usage__picked"),
    ("usage_sums_to_windows", "UPDATE int_usage__windows SET usage = usage + 0.000000000000000001"),
    ("usage_sums_to_windows", "DELETE FROM int_usage__windows"),
    ("usage_sums_to_windows", "DELETE FROM int_refresh__windows WHERE usage > 0"),
    ("events_sum_to_metered", "UPDATE int_usage__metered SET events = events + 1"),
    ("events_sum_to_metered", "DELETE FROM int_usage__metered WHERE events > 0"),
    ("a_meter_is_charged_once", "INSERT INTO int_usage__metered FROM int_usage__metered"),
    ("a_window_is_refreshed_once", "INSERT INTO int_refresh__windows FROM int_refresh__windows"),
    ("refresh_within_allowance_and_usage", "UPDATE int_refresh__windows SET refresh = allowance WHERE usage = 0"),
    ("refresh_within_allowance_and_usage", "UPDATE int_refresh__windows SET refresh = usage WHERE usage > allowance"),
    ("refresh_within_allowance_and_usage", "UPDATE int_refresh__windows SET refresh = 0"),
    ("refresh_within_allowance_and_usage", "UPDATE int_refresh__windows SET window_start = '2026-06-01 02:00:00'"),
    ("a_period_is_reckoned_once", "INSERT INTO int_periods__figures FROM int_periods__figures"),
    ("a_charge_is_owed_once", "INSERT INTO int_charges__owed FROM int_charges__owed"),
    ("owed_is_never_null", "DELETE FROM int_charges__owed WHERE charge = 'overage' AND period_start = '2026-05-01'"),
    ("owed_is_never_null", "DELETE FROM int_charges__owed WHERE charge = 'metered:pro:calls'"),
    ("owed_is_never_null", "DELETE FROM int_charges__owed WHERE charge = 'minimum'"),
    ("one_currency_per_period", "UPDATE int_charges__owed SET currency = 'EUR' WHERE charge = 'minimum'"),
    ("one_currency_per_period", "UPDATE books.lines SET currency = 'EUR' WHERE reason = 'threshold'"),
    # from money to lines
    ("lines_sum_to_rounded_owed", "UPDATE int_lines__new SET amount_minor = amount_minor + 1"),
    ("lines_sum_to_rounded_owed", "DELETE FROM int_lines__new WHERE reason = 'adjustment'"),
    ("lines_sum_to_rounded_owed", "DELETE FROM int_lines__new WHERE charge = 'minimum' AND reason = 'close'"),
    ("lines_sum_to_rounded_owed", "UPDATE int_charges__owed SET owed = owed - 0.006"),
    ("lines_sum_to_rounded_owed", "UPDATE int_charges__owed SET owed = owed + 0.005"),
    ("lines_are_new_and_say_something", "UPDATE int_lines__new SET line_id = (SELECT min(line_id) FROM books.lines)"),
    ("lines_are_new_and_say_something", "UPDATE int_lines__new SET amount_minor = 0"),
    ("credit_meets_only_what_is_due", "UPDATE int_lines__new SET amount_minor = -99999 WHERE grant_id IS NOT NULL"),
    ("credit_meets_only_what_is_due", "UPDATE int_lines__new SET amount_minor = 1 WHERE grant_id IS NOT NULL"),
    ("credit_chain_unbroken", "UPDATE int_credits__new SET balance_before = balance_before + 1"),
    ("credit_chain_unbroken", "UPDATE int_credits__new SET movement_no = movement_no + 1"),
    ("credit_chain_unbroken", "DELETE FROM int_credits__new WHERE kind = 'use'"),
    (
        "credit_chain_unbroken",
        "UPDATE int_credits__new SET amount_minor = -balance_before - 1, balance_after = -1;"
        "UPDATE int_lines__new SET amount_minor = (SELECT amount_minor FROM int_credits__new)"
        " WHERE grant_id IS NOT NULL",
    ),
    # two counts of the same usage
    ("an_account_is_compared_once_an_hour", "INSERT INTO int_parity__hours FROM int_parity__hours"),
    ("an_hour_is_totalled_once", "INSERT INTO int_parity__totals FROM int_parity__totals"),
    ("usage_sums_to_parity", "UPDATE int_parity__hours SET candidate_usages = candidate_usages + 1"),
    ("usage_sums_to_parity", "DELETE FROM int_parity__hours"),
    ("usage_sums_to_parity", "UPDATE int_parity__scope SET is_going_live = true, bill_from = '2026-05-31 00:00:00'"),
    ("parity_raises_no_alert", "UPDATE int_parity__totals SET is_alert = true"),
    ("a_period_stands_once", "INSERT INTO int_periods__reckoned FROM int_periods__reckoned"),
    # usage hour by hour
    ("an_event_is_made_once", f"{EVENT}; INSERT INTO int_events__new FROM int_events__new"),
    ("meter_events_sum_to_rounded_totals", f"{EVENT}; UPDATE int_events__new SET value = value + 1"),
    ("meter_events_sum_to_rounded_totals", f"{EVENT}; UPDATE int_events__new SET exact = 0.49"),
    ("meter_events_sum_to_rounded_totals", f"{EVENT}; {HOURS}; UPDATE int_events__new SET exact = exact + 0.1"),
    ("meter_events_sum_to_rounded_totals", HOURS),
    ("an_event_happens_once", TWICE),
    # what rounding leaves over
    ("rounding_leaves_at_most_half_a_step", "UPDATE books.lines SET amount_minor = amount_minor + 1 WHERE owed > 0"),
    ("rounding_leaves_at_most_half_a_step", "UPDATE books.lines SET owed = owed + 0.0051 WHERE reason = 'close'"),
    ("rounding_leaves_at_most_half_a_step", "UPDATE int_lines__new SET amount_minor = amount_minor - 1"),
    ("rounding_leaves_at_most_half_a_step", f"UPDATE int_lines__new SET owed = owed + {ATTO}"),
    ("rounding_leaves_at_most_half_a_step", "DELETE FROM books.lines WHERE reason = 'threshold'"),
    ("rounding_leaves_at_most_half_a_step", "UPDATE books.lines SET owed = NULL WHERE reason = 'threshold'"),
    ("rounding_leaves_at_most_half_a_step", "INSERT INTO int_lines__new FROM int_lines__new"),
    ("rounding_leaves_at_most_half_a_step", ROUNDED.format(f"residue + {ATTO} AS residue")),
    ("rounding_leaves_at_most_half_a_step", ROUNDED.format(f"exact - {ATTO} AS exact")),
    ("rounding_leaves_at_most_half_a_step", ROUNDED.format("rounded + 1 AS rounded, exact + 1 AS exact")),
    ("rounding_leaves_at_most_half_a_step", ROUNDED.format(f"exact + {ATTO} AS exact, residue + {ATTO} AS residue")),
    ("rounding_leaves_at_most_half_a_step", ROUNDED.format("line_no + 1 AS line_no")),
    ("rounding_leaves_at_most_half_a_step", f"{ROUNDED.format('line_id AS line_id')} WHERE charge = 'minimum'"),
    # what the books say happened
    ("an_event_happens_once", TOLD_TWICE),
    # from what was received to where it ended
    ("no_usage_leaks", "DELETE FROM books.ledger WHERE meter = 'calls'"),
    ("no_usage_leaks", "INSERT INTO books.ledger FROM books.ledger WHERE meter = 'calls'"),
    ("no_usage_leaks", "UPDATE books.ledger SET quantity = quantity + 0.000000001 WHERE meter = 'calls'"),
    ("no_usage_leaks", "UPDATE books.ledger SET cost = cost - 0.000000000000001 WHERE raw_line = 1"),
    ("no_usage_leaks", "UPDATE books.ledger SET cost = NULL WHERE raw_line = 1"),
    ("no_usage_leaks", "UPDATE books.ledger SET occurred_at = occurred_at + INTERVAL 1 DAY WHERE raw_line = 1"),
    ("no_usage_leaks", "UPDATE books.ledger SET meter = 'units' WHERE raw_line = 1"),
    ("no_usage_leaks", "DELETE FROM books.duplicates"),
    ("no_usage_leaks", "UPDATE books.duplicates SET cost = 0"),
    ("no_usage_leaks", "DELETE FROM books.quarantine WHERE reason = 'key_conflict'"),
    ("no_usage_leaks", "DELETE FROM books.held WHERE raw_line = 5"),
    ("no_usage_leaks", "UPDATE books.held SET cost = cost + 1 WHERE raw_line = 5"),
    ("no_usage_leaks", "DELETE FROM books.received WHERE meter IS NULL"),
    ("no_usage_leaks", "UPDATE books.received SET usages = usages + 1 WHERE meter = 'calls'"),
    ("no_usage_leaks", "UPDATE landing.files SET ignored = ignored + 1"),
    ("no_usage_leaks", "DELETE FROM int_ledger__new WHERE raw_line = 3"),
    ("no_usage_leaks", "UPDATE int_ledger__new SET quantity = quantity + 1 WHERE raw_line = 3"),
    ("no_usage_leaks", "INSERT INTO int_batch__exceptions FROM int_batch__exceptions WHERE verdict = 'held'"),
    ("no_usage_leaks", "DELETE FROM landing.batch WHERE raw_line = 6"),
    ("no_usage_leaks", "DELETE FROM books.held WHERE raw_line = 6"),
]


def test_the_scratch_night_breaks_no_promise(checks: dict[str, str], con: duckdb.DuckDBPyConnection) -> None:
    assert {check: con.execute(query).fetchall() for check, query in checks.items()} == {check: [] for check in checks}


@pytest.mark.parametrize(("check", "broken"), BROKEN)
def test_what_breaks_a_promise_is_found(
    check: str, broken: str, checks: dict[str, str], con: duckdb.DuckDBPyConnection
) -> None:
    con.execute(broken)
    assert con.execute(checks[check]).fetchall() != []


def test_every_check_is_seen_to_fail(checks: dict[str, str]) -> None:
    assert {check for check, _ in BROKEN} == set(checks)
