"""The real job through the real command: what it says, how it ends, and that it is the night all other tests play."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from assets import publish, reader, warehouse
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from orchestration import dbt
from orchestration.cli import app
from orchestration.run import night
from tests import nights
from tests.pipeline.places import (
    bytes_below,
    case,
    copied,
    own_process,
    without_history,
    written_by_the_night,
)

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    own_process(monkeypatch)
    without_history(monkeypatch)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The first night of a golden case, by the command in a process of its own; and what it said."""
    workspace = tmp_path_factory.mktemp("first") / "workspace"
    as_of = case().script.before(1, workspace)
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", "nightly", "--as-of", format_instant(as_of), "--json"],
        cwd=ROOT,
        env={**os.environ, "TALLYHOUSE_WORKSPACE": str(workspace)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return workspace, done


@pytest.fixture(scope="module")
def billed(first: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case played on: a night by the command, one as tests play it, one by the job; copy it before a change."""
    workspace = copied(first[0], tmp_path_factory.mktemp("billed") / "workspace")
    script = case().script
    assert len(script.nights) == 3
    nights.run_night(workspace, script.before(2, workspace))
    with pytest.MonkeyPatch.context() as patch:
        own_process(patch)
        night(workspace, script.before(3, workspace))
    return workspace


def tallyhouse(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def nightly(workspace: Path, as_of: datetime) -> Result:
    return tallyhouse("nightly", "--workspace", workspace, "--as-of", format_instant(as_of))


LAST = case().script.nights[-1]
NEXT = LAST + timedelta(hours=1)


def test_the_job_is_the_night_that_tests_play(billed: Path, tmp_path: Path) -> None:
    tables, played = nights.published(billed), nights.play(case().script, tmp_path)
    for kept_by_the_gate in ("checks", "check_rows", "gate_nights"):  # which those nights pass by
        assert tables.pop(kept_by_the_gate) or kept_by_the_gate == "check_rows"
        assert played.pop(kept_by_the_gate) == []
    assert tables == played
    assert case().differences(tables) == []


def test_a_second_run_of_a_night_changes_nothing(billed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves its models compiled, so that whoever asks for a line the next morning does not wait for dbt."""
    workspace = copied(billed, tmp_path / "workspace")
    before, files = nights.published(workspace), bytes_below(workspace / "published")
    del files[str(workspace / reader.PUBLISHED)]  # the file itself counts its turns
    compiled, kept = dbt.compiled_models(), tmp_path / "compiled.json"
    monkeypatch.setattr(dbt, "_compiled_file", lambda target: kept)
    assert nightly(workspace, LAST).exit_code == 0
    assert nights.published(workspace) == before
    assert files.items() <= bytes_below(workspace / "published").items()
    assert json.loads(kept.read_text())["models"] == compiled


def test_the_command_in_its_own_process_speaks_json(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    workspace, done = first
    assert (done.returncode, done.stderr) == (0, "")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [one["event"] for one in said if one["event"] != "warning"]
    assert [step for step in steps if step in _STEPS] == _STEPS
    assert all(isinstance(one["message"], str) and one["message"] for one in said)
    as_of = format_instant(case().script.nights[0])
    assert {one["as_of"] for one in said} == {as_of}
    assert {one["run_id"] for one in said if one["event"] not in ("night", "done")} == {f"night-{as_of}"}
    counts = {one["event"]: one for one in said}
    assert counts["posted"]["usages"] == len(nights.published(workspace)["ledger"]) > 0


_STEPS = ["night", "catalogue", "landed", "reckoned", "posted", "published", "reported", "done"]

# --- what is refused -----------------------------------------------------------------------------------------------


@contextmanager
def unchanged(workspace: Path) -> Iterator[None]:
    before = written_by_the_night(workspace)
    yield
    assert written_by_the_night(workspace) == before


def test_an_earlier_night_is_refused(billed: Path, tmp_path: Path) -> None:
    workspace = copied(billed, tmp_path / "workspace")
    with unchanged(workspace):
        refused = nightly(workspace, LAST - timedelta(seconds=1))
    assert refused.exit_code == 1
    assert f"lies before the last run's {format_instant(LAST)}" in refused.stderr
    assert refused.stderr.startswith("refused: ")


def test_a_wrong_catalogue_is_refused_before_anything_is_written(billed: Path, tmp_path: Path) -> None:
    workspace = copied(billed, tmp_path / "workspace")
    (workspace / "accounts" / "accounts.csv").write_text(
        "account_id,entity_type,name,currency,timezone,stripe_customer_id\na1,organisation,A,USD,Mars/Olympus,cus_1\n"
    )
    (workspace / "raw" / "ev" / "new.ndjson").write_text("{}\n")
    with unchanged(workspace):
        refused = nightly(workspace, NEXT)
        checked = tallyhouse("check", "--workspace", workspace)
    for one in (refused, checked):
        assert one.exit_code == 1
        assert "organisation" in one.stderr
        assert "Mars/Olympus" in one.stderr
        assert all(line.startswith("refused: ") for line in one.stderr.splitlines())


def test_a_wrong_catalogue_leaves_a_new_workspace_without_books(tmp_path: Path) -> None:
    as_of = case().script.before(1, tmp_path)
    (tmp_path / "catalog" / "plans.yaml").write_text("plans: 7\n")
    assert nightly(tmp_path, as_of).exit_code == 1
    assert not (tmp_path / "published").exists()
    assert not (tmp_path / "warehouse" / "tallyhouse.duckdb").exists()


def test_a_file_that_changed_after_landing_is_refused_by_name(billed: Path, tmp_path: Path) -> None:
    workspace = copied(billed, tmp_path / "workspace")
    raw = next(path for path in sorted((workspace / "raw").rglob("*.ndjson")))
    raw.write_bytes(raw.read_bytes() + b"{}\n")
    before = nights.published(workspace)
    refused = nightly(workspace, NEXT)
    assert refused.exit_code == 1
    assert raw.relative_to(workspace).as_posix() in refused.stderr
    assert nights.published(workspace) == before


_HOLDER = """
import fcntl, sys
with open(sys.argv[1], "a+") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write("the night of somebody else")
    lock.flush()
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_at_once_are_refused_politely(billed: Path, tmp_path: Path) -> None:
    workspace = copied(billed, tmp_path / "workspace")
    lock = workspace / "warehouse" / "run.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with unchanged(workspace):
            refused = nightly(workspace, NEXT)
        holder.communicate()
    assert refused.exit_code == 1
    assert "the night of somebody else; wait until it has ended and run again" in refused.stderr
    with warehouse.only_run(workspace, NEXT):  # the lock went with the process that held it
        nights.run_night(workspace, NEXT)


def test_a_missing_workspace_is_refused_and_not_made(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    refused = nightly(nowhere, LAST)
    assert refused.exit_code == 1
    assert str(nowhere) in refused.stderr
    assert not nowhere.exists()
    with pytest.raises(Refusal):
        night(nowhere, LAST)


@pytest.mark.parametrize(
    "words",
    [
        ("nightly",),
        ("nightly", "--workspace", ".", "--as-of", "yesterday"),
        ("nightly", "--workspace", ".", "--as-of", "2026-06-01T01:00:00"),
        ("nightly", "--workspace", ".", "--forced"),
        ("cutover", "--workspace", "."),
        ("weekly",),
    ],
)
def test_wrong_usage_is_exit_2(words: tuple[str, ...]) -> None:
    assert tallyhouse(*words).exit_code == 2


def test_check_reads_and_writes_nothing(tmp_path: Path) -> None:
    case().script.before(1, tmp_path)
    before = bytes_below(tmp_path)
    done = tallyhouse("check", "--workspace", tmp_path, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "checked"
    assert bytes_below(tmp_path) == before


# --- who reads -----------------------------------------------------------------------------------------------------

_READER = """
import sys, duckdb
path = sys.argv[1]
def count(con):
    rows = con.execute("SELECT count(*), (SELECT count(*) FROM billing.runs) FROM billing.ledger").fetchall()
    print(rows[0], flush=True)
con = duckdb.connect(path, read_only=True)
print("open", flush=True)
sys.stdin.readline()
count(con)
con.close()
with duckdb.connect(path, read_only=True) as con:
    count(con)
"""


def test_a_reader_keeps_the_night_it_opened(tmp_path: Path) -> None:
    script = case("late-adjustments-both-signs").script
    nights.run_night(tmp_path, script.before(1, tmp_path))
    old = nights.published(tmp_path)
    file = tmp_path / "published" / "tallyhouse.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", _READER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        whole = file.read_bytes()
        with file.open("rb") as held:
            nights.run_night(tmp_path, script.before(2, tmp_path))
            assert held.read() == whole  # of a small file DuckDB may hold all in memory; every byte counts
        new = nights.published(tmp_path)
        said, _ = reader.communicate("now\n")
    assert said.splitlines() == [f"({len(one['ledger'])}, {len(one['runs'])})" for one in (old, new)]
    assert len(new["ledger"]) > len(old["ledger"]) > 0


def test_every_table_and_column_says_what_it_is(billed: Path) -> None:
    with reader.opened(billed) as con:
        mute = con.execute("""
            SELECT table_name, column_name FROM (
                SELECT schema_name, table_name, '' AS column_name, comment FROM duckdb_tables()
                UNION ALL SELECT schema_name, table_name, column_name, comment FROM duckdb_columns())
            WHERE schema_name = 'billing' AND coalesce(comment, '') = ''""").fetchall()
        assert mute == []
        tables = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'billing'").fetchall()
        assert {name for (name,) in tables} == set(publish.TABLES)


def test_strange_names_reach_the_reader_as_they_are(tmp_path: Path) -> None:
    name, file = "'; drop table ledger; --", 'it\'s 🦆 "day".ndjson'
    workspace = tmp_path / "bob's 🦆 house"
    as_of = case("thirds-add-up").script.before(1, workspace)
    for table, line in (
        ("accounts", f"{name},organization,Ente 🦆 & Söhne,USD,UTC,cus_2"),
        ("subscriptions", f"🦆,{name},pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,"),
    ):
        with (workspace / "accounts" / f"{table}.csv").open("a") as rows:
            rows.write(line + "\n")
    usage = {"id": "🦆", "t": "2026-05-02T00:00:00Z", "m": "units", "v": 7, "acct": name, "user": "🦆"}
    (workspace / "raw" / "ev" / file).write_text(json.dumps(usage) + "\n")
    nights.run_night(workspace, as_of)
    tables = nights.published(workspace)
    (row,) = [row for row in tables["ledger"] if row["account_id"] == name]
    assert (row["subscription_id"], row["actor"], row["raw_file"]) == ("🦆", "🦆", f"ev/{file}")
    exports = workspace / "published" / "exports"
    with (exports / "ledger.csv").open(newline="") as text:
        assert name in [one["account_id"] for one in csv.DictReader(text)]
    for table in publish.TABLES:
        exported = pq.read_table(exports / f"{table}.parquet").to_pylist()
        assert len(exported) == len(tables[table])
    assert name in [one["account_id"] for one in pq.read_table(exports / "ledger.parquet").to_pylist()]
    with duckdb.connect(str(workspace / "published" / "tallyhouse.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM billing.ledger").fetchall() == [(len(tables["ledger"]),)]
