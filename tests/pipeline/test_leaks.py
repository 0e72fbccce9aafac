"""A leak stops the night: one in the books before anything moves, one that posting makes before anyone reads."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets import post, verbs, warehouse
from assets.gate.stop import Stopped
from assets.night import Night
from orchestration.run import night
from tests import nights
from tests.pipeline.places import NOTED, case, own_process, without_history

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

CASE = case("duplicates-and-conflicts")
AS_OF = CASE.script.nights[-1]


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    own_process(monkeypatch)
    without_history(monkeypatch)


def counts(workspace: Path) -> list[tuple[object, ...]]:
    """How much stands in each table of the books, but for what a night was given: that is noted before it begins."""
    with warehouse.connect(workspace) as con:
        tables = con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'books' ORDER BY ALL"
        ).fetchall()
        return [
            (table, *con.execute(f"SELECT count(*) FROM books.{table}").fetchall()[0])
            for (table,) in tables
            if table not in NOTED
        ]


def test_a_leak_in_the_books_stops_the_night_before_anything_moves(tmp_path: Path) -> None:
    CASE.script.play(tmp_path, lambda as_of: nights.run_night(tmp_path, as_of))
    with warehouse.connect(tmp_path) as con:
        con.execute("DELETE FROM books.duplicates")
    usage = '{"id": "new", "t": "2026-05-02T00:00:00Z", "m": "money", "v": 1, "acct": "a1"}\n'
    (tmp_path / "raw" / "ev" / "new.ndjson").write_text(usage)
    before, told = counts(tmp_path), nights.published(tmp_path)
    with pytest.raises(Stopped, match="no_usage_leaks found "):
        night(tmp_path, AS_OF)
    assert counts(tmp_path) == before
    assert nights.published(tmp_path) == told


def test_a_leak_in_posting_stops_the_night_before_anyone_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_of = CASE.script.before(1, tmp_path)
    with warehouse.connect(tmp_path) as con:
        verbs.take_in(con, tmp_path, as_of)
        verbs.bring_in(con, tmp_path, as_of)
        nights.make_models(con)
    enter = post.STEPS["enter usage"]
    monkeypatch.setitem(
        post.STEPS, "enter usage", enter.replace("n.*", "n.* REPLACE (n.cost + 0.000000000000001 AS cost)")
    )
    one = Night(workspace=str(tmp_path))
    one._clock = as_of
    results = verbs.posted(one)
    assert isinstance(next(results), dg.MaterializeResult)
    checks = [it for it in (next(results), next(results), next(results)) if isinstance(it, dg.AssetCheckResult)]
    assert {it.check_name: it.passed for it in checks} == {
        "every_row_is_accounted_for": True,
        "nothing_has_leaked": False,
        "the_last_closed_day_is_present": True,
    }
    with pytest.raises(dg.Failure, match="check nothing_has_leaked failed; nothing was published"):
        next(results)
