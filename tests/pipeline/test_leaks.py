"""A leak that posting makes stops the night before anyone reads; one in the books, before anything moves: test_gate."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets import post, verbs, warehouse
from assets.night import Night
from tests import nights
from tests.pipeline.places import case

CASE = case("duplicates-and-conflicts")


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


def test_a_night_counts_what_it_enters(tmp_path: Path) -> None:
    """Also what another one has landed, which then was stopped or died."""
    as_of = CASE.script.before(1, tmp_path)
    with warehouse.connect(tmp_path) as con:
        verbs.take_in(con, tmp_path, as_of)
        verbs.bring_in(con, tmp_path, as_of)
    nights.run_night(tmp_path, as_of + timedelta(hours=1))
    tables = nights.published(tmp_path)
    assert [json.loads(run["counts"])["usages"] for run in tables["runs"]] == [len(tables["ledger"])]
    assert {row["landed_at"] for row in tables["ledger"]} == {as_of}
