"""New logs ask for a night: by ticking the sensor, as Dagster does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets import warehouse
from orchestration.definitions import tallyhouse
from orchestration.sensors import new_raw_files
from orchestration.settings import TOLD_BY
from tests import nights
from tests.pipeline.places import case, copied

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

NOW = "2026-07-02T15:04:05Z"


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return tallyhouse()


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("sensed") / "workspace"
    as_of = case("thirds-add-up").script.before(1, workspace)
    with warehouse.only_run(workspace, as_of):
        nights.run_night(workspace, as_of)
    return workspace


@pytest.fixture
def workspace(billed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One night done, and a file that has come since."""
    workspace = copied(billed, tmp_path / "workspace")
    (workspace / "raw" / "ev" / "new.ndjson").write_text("{}\n")
    monkeypatch.setenv("TALLYHOUSE_WORKSPACE", str(workspace))
    monkeypatch.setenv("TALLYHOUSE_NOW", NOW)
    return workspace


def tick(cursor: str | None) -> tuple[dg.RunRequest | None, str, str | None]:
    """What a tick asks for, why it asks for nothing, and the cursor it leaves."""
    with dg.build_sensor_context(cursor=cursor) as context:
        done = new_raw_files(context)
        if isinstance(done, dg.SkipReason):
            return None, done.skip_message or "", context.cursor
        assert isinstance(done, dg.RunRequest)
        return done, "", context.cursor


def test_new_files_ask_for_one_night_once_they_have_stopped_growing(workspace: Path) -> None:
    asked, why, cursor = tick(None)
    assert (asked, why) == (None, "1 file is new; a night reads it once it has stopped growing.")
    (workspace / "raw" / "ev" / "new.ndjson").write_text("{}\n{}\n")
    asked, why, cursor = tick(cursor)  # it has grown
    assert asked is None
    asked, _, cursor = tick(cursor)
    assert asked is not None
    assert asked.partition_key == "2026-07-02"
    night = {"workspace": str(workspace), "as_of": NOW}
    assert asked.run_config == {"resources": {"night": {"config": night}}}
    again, why, cursor = tick(cursor)
    assert (again, why) == (None, "A night was asked for with this 1 file.")
    # What the night has landed is nothing new; what comes then is.
    nights.run_night(workspace, datetime(2026, 7, 2, 15, 4, 5, tzinfo=UTC))
    assert tick(cursor)[:2] == (None, "Nothing is new below raw/.")
    (workspace / "raw" / "ev" / "newer.ndjson").write_text("{}\n")
    _, _, cursor = tick(cursor)
    second, _, _ = tick(cursor)
    assert second is not None
    assert second.run_key != asked.run_key


def test_a_night_at_work_is_left_alone(workspace: Path) -> None:
    with warehouse.only_run(workspace, datetime(2026, 7, 2, tzinfo=UTC)):
        assert tick(None)[:2] == (None, "A night is at work.")


def test_files_left_alone_ask_for_nothing(workspace: Path) -> None:
    new = workspace / "raw" / "ev" / "new.ndjson"
    new.rename(new.with_suffix(".part"))
    assert tick(None)[:2] == (None, "Nothing is new below raw/.")
    assert tick(json.dumps({"seen": "x"}))[:2] == (None, "Nothing is new below raw/.")


def test_the_night_it_asks_for_is_one_that_the_job_takes(workspace: Path, definitions: dg.Definitions) -> None:
    _, _, cursor = tick(None)
    asked, _, _ = tick(cursor)
    assert asked is not None
    job = definitions.resolve_job_def("nightly")
    assert new_raw_files.job_name == job.name
    assert job.partitions_def is not None
    assert job.partitions_def.has_partition_key(asked.partition_key or "")
    dg.validate_run_config(job, asked.run_config)


def test_what_becomes_of_it_is_told_by_the_daemon(workspace: Path) -> None:
    """Of a night of the command line alone it says nothing, since that has told of itself."""
    _, _, cursor = tick(None)
    asked, _, _ = tick(cursor)
    assert asked is not None
    assert TOLD_BY not in asked.tags


def test_a_range_of_days_is_one_night_after_the_other(definitions: dg.Definitions) -> None:
    """A backfill: every asset says one partition a run, and the pool lets one run in at a time."""
    graph = definitions.resolve_asset_graph()
    policies = {key.to_user_string(): graph.get(key).backfill_policy for key in graph.materializable_asset_keys}
    assert len(policies) > 40
    assert set(policies.values()) == {dg.BackfillPolicy.multi_run(1)}
    pools = {pool for key in graph.materializable_asset_keys for pool in graph.get(key).pools or ()}
    assert pools == {"warehouse"}


def test_every_asset_says_what_it_is_and_whose(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        name = key.to_user_string()
        assert node.description, name
        assert node.owners == ["team:billing"], name
        assert node.kinds, name
        assert node.group_name != "default", name
        if node.group_name in ("ledger", "rating", "lines", "parity", "billing"):
            schema = node.metadata["dagster/column_schema"]
            assert schema.columns, name
            assert all(column.type and column.description for column in schema.columns), name
