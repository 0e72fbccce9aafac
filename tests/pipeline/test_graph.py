"""What Dagster shows and starts: the graph as one reads it, no I/O at import, and the schedule by ticking time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.core.catalogue.shipped_checks import shipped
from assets.gate.asset import blocking
from assets.night import days_of
from orchestration import dbt
from orchestration.definitions import tallyhouse
from orchestration.jobs import every_night
from orchestration.lineage import lineage
from tests import nights
from tests.pipeline.places import case

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

ROOT = Path(__file__).resolve().parents[2]
GRAPH = Path(__file__).with_name("graph.txt")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TALLYHOUSE_WORKSPACE", raising=False)  # which begins with its own first day
        return tallyhouse()


def drawn(definitions: dg.Definitions) -> str:
    """The assets in an order in which each comes after what it reads: group, key, what it reads, what it promises."""
    graph = definitions.resolve_asset_graph()
    lines = []
    for key in graph.toposorted_asset_keys:
        node = graph.get(key)
        partitioned = "daily" if isinstance(node.partitions_def, dg.DailyPartitionsDefinition) else "unpartitioned"
        lines.append(f"{node.group_name}/{key.to_user_string()} ({partitioned})")
        lines += [f"    reads {', '.join(sorted(parent.to_user_string() for parent in node.parent_keys))}"] * bool(
            node.parent_keys
        )
        lines += [f"    check {check.name}" for check in sorted(node.check_keys, key=lambda one: one.name)]
    return "\n".join(lines) + "\n"


def test_the_graph_reads_as_the_story_of_the_data(definitions: dg.Definitions) -> None:
    found = drawn(definitions)
    if os.environ.get("GRAPH") == "write":  # after a change that is meant: then read the difference
        GRAPH.write_text(found)
    assert found == GRAPH.read_text(), "the graph has changed; GRAPH=write pytest tests/pipeline/test_graph.py keeps it"


_WATCH = """
import os, sys, sysconfig
quiet = tuple(os.path.realpath(path) for path in {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix})
def watch(event, arguments):
    if event in ("socket.connect", "subprocess.Popen", "os.mkdir", "os.rename", "os.remove", "sqlite3.connect"):
        print(event, arguments, flush=True)
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        is_module = path.endswith((".py", ".pyc", ".so", "direct_url.json"))
        if not is_module and not path.startswith((*quiet, "/proc/", "/sys/", "/dev/", "/etc/", "/usr/")):
            print(event, path, flush=True)
import assets, orchestration
import assets.night, dagster  # the libraries' own affairs are not ours
sys.addaudithook(watch)
import orchestration.definitions
assert "dagster_dbt" not in sys.modules
assert "dbt" not in sys.modules
"""


def test_importing_the_definitions_does_no_io() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WATCH], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.returncode) == ("", 0), done.stdout + done.stderr


@pytest.mark.parametrize("day", ["2024-02-29", "2025-03-30", "2025-10-26"])
def test_a_tick_asks_for_the_night_of_its_day(definitions: dg.Definitions, day: str) -> None:
    tick = datetime.fromisoformat(day).replace(hour=2, tzinfo=UTC)
    repository = definitions.get_repository_def()
    with dg.build_schedule_context(scheduled_execution_time=tick, repository_def=repository) as context:
        (request,) = every_night.evaluate_tick(context).run_requests or []
    assert (request.partition_key, request.run_key) == (day, day)
    job = definitions.resolve_job_def("nightly")
    assert isinstance(job.partitions_def, dg.DailyPartitionsDefinition)
    assert job.partitions_def.has_partition_key(day)
    assert every_night.job_name == job.name
    assert (every_night.cron_schedule, every_night.execution_timezone) == ("0 2 * * *", "UTC")


def test_a_partition_alone_runs_at_two_in_its_morning(
    definitions: dg.Definitions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the UI and the schedule start it: a workspace from the environment, a day, and no word about as_of."""
    monkeypatch.setenv("TALLYHOUSE_WORKSPACE", str(tmp_path))
    case("thirds-add-up").script.before(1, tmp_path)
    quiet: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("nightly").execute_in_process(
            run_config=quiet, partition_key="2025-06-03", instance=instance
        )
        assert done.success
        checks = done.get_asset_check_evaluations()
        kept = {
            event.materialization.asset_key.to_user_string(): event.materialization.metadata
            for event in (one.step_materialization_data for one in done.get_asset_materialization_events())
        }
    made_of = kept["periods"]["dagster/column_lineage"].value
    assert isinstance(made_of, dg.TableColumnLineage)
    assert set(made_of.deps_by_column["owed"]) == {
        dg.TableColumnDep(dg.AssetKey("books"), "closes.owed"),
        dg.TableColumnDep(dg.AssetKey("int_periods__reckoned"), "owed"),
    }
    assert checks
    assert all(check.passed for check in checks)
    tables = nights.published(tmp_path)
    assert {row["reason"] for row in tables["quarantine"]} == {"future"}  # the case's usage is of 2026
    (run,) = tables["runs"]
    assert run["as_of"] == datetime(2025, 6, 3, 2, tzinfo=UTC)


def test_days_begin_with_the_first_night(tmp_path: Path) -> None:
    assert days_of(tmp_path).get_first_partition_key() == "2020-01-01"  # none yet, so any may be the first
    as_of = case("thirds-add-up").script.before(1, tmp_path)
    nights.run_night(tmp_path, as_of)
    days = days_of(tmp_path)
    assert days.get_first_partition_key() == f"{as_of:%Y-%m-%d}"
    assert not days.has_partition_key("2020-01-01")
    assert days.has_partition_key(f"{datetime.now(UTC):%Y-%m-%d}")


def test_what_stops_a_night_shows_as_blocking(definitions: dg.Definitions, tmp_path: Path) -> None:
    graph = definitions.resolve_asset_graph()
    shown = {key.name: graph.get(key).blocking for key in graph.asset_check_keys if key.asset_key.path == ["gate"]}
    assert shown == {**{name: check.severity == "block" for name, check in shipped().items()}, "own_checks_pass": False}
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "checks.yaml").write_text("checks: {rows_held_stay_few: {severity: block}}")
    assert blocking(tmp_path) == {name for name in shown if shown[name]} | {"rows_held_stay_few"}


def test_every_column_is_followed_to_columns_that_exist() -> None:
    manifest = json.loads(dbt.manifest_files()[1].read_text())
    columns = {node["name"]: set(node["columns"]) for node in manifest["nodes"].values()}
    sources = {(source["schema"], source["name"]) for source in manifest["sources"].values()}
    found = lineage(manifest)
    assert found.keys() == dbt.compiled_models().keys()
    for model, made_of in found.items():
        assert made_of.keys() == columns[model], model
        for schema, table, column in {one for of in made_of.values() for one in of}:
            is_known = (schema, table) in sources or column in columns[table]
            assert is_known, (model, schema, table, column)
    # What comes from nothing is counted, numbered or said by the model itself.
    of_nothing = {f"{model}.{column}" for model, made_of in found.items() for column, of in made_of.items() if not of}
    assert "periods.state" in of_nothing
    assert not {name for name in of_nothing if name.endswith(("amount", "amount_minor", "owed", "cost", "quantity"))}
    assert found["invoice_items"]["amount_minor"] == [("books", "lines", "amount_minor")]
    assert ("books", "duplicates", "cost") in found["leak_ledger"]["duplicate"]  # through unions and sums
