"""Publishing goes on from what is published: it writes what is new or reads otherwise, and comes to the whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from assets import by_month, exports, history, publish, turns, warehouse
from tests import nights
from tests.pipeline.places import case, copied
from tests.property.generate import Size, generate
from tests.property.seeds import seeds

Row = dict[str, Any]
Written = list[history.Told]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """What each publication has written of the ledger."""
    told: Written = []
    bring_up = history.bring_up

    def noted(con: duckdb.DuckDBPyConnection, order: str, is_begun: bool) -> history.Told:
        told.append(bring_up(con, order, is_begun))
        return told[-1]

    monkeypatch.setattr(history, "bring_up", noted)
    return told


def different(workspace: Path) -> list[str]:
    """The published tables that say something else than the warehouse does."""
    ours, theirs = nights.published(workspace), nights.to_publish(workspace)
    return [name for name in ours if ours[name] != theirs[name]]


def ledger_exports(workspace: Path) -> dict[str, tuple[int, int]]:
    """The files of the ledger's exports, each with what another file in its place would not have."""
    folder = workspace / "published" / "exports"
    found = [*folder.glob("ledger.*"), *folder.glob("ledger/*")]
    return {file.relative_to(folder).as_posix(): (file.stat().st_ino, file.stat().st_mtime_ns) for file in found}


def exported(workspace: Path) -> list[Row]:
    folder = workspace / "published" / "exports"
    files = sorted(name for name in ledger_exports(workspace) if name.endswith(".parquet"))
    parts = [pq.read_table(folder / name).to_pylist() for name in files]
    assert all(part == in_order(part) for part in parts)
    return [row for part in parts for row in part]


def month_exports(workspace: Path, table: str) -> dict[str, tuple[int, int, list[Row]]]:
    """The Parquet files of a long table, each with what another file in its place would not have, and its rows."""
    folder = workspace / "published" / "exports"
    found = [*folder.glob(f"{table}.parquet"), *folder.glob(f"{table}/*.parquet")]
    assert all(file.with_suffix(".csv").stat().st_size for file in found)
    stats = [(file.stem, file.stat()) for file in sorted(found)]
    return {
        name: (stat.st_ino, stat.st_mtime_ns, pq.read_table(file).to_pylist())
        for (name, stat), file in zip(stats, sorted(found), strict=True)
    }


def in_order(rows: list[Row], table: str = "ledger") -> list[Row]:
    columns = publish.TABLES[table].split(", ")
    return sorted(rows, key=lambda row: [row[column] for column in columns])


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Two files take turns, however short; whether the one before was brought up, each time it might have been."""
    found: list[bool] = []
    catch_up = history.catch_up

    def noted(con: duckdb.DuckDBPyConnection, anew: Collection[str]) -> bool:
        found.append(catch_up(con, anew))
        return found[-1]

    monkeypatch.setattr(turns, "LONG", 0)
    monkeypatch.setattr(history, "ONE_IN", 1)
    monkeypatch.setattr(turns, "_share", lambda file, fresh: False)
    monkeypatch.setattr(history, "catch_up", noted)
    return found


def before(workspace: Path) -> Path:
    return workspace / "published" / ".tallyhouse.duckdb.before"


@pytest.mark.parametrize("is_by_turns", [False, True])
@pytest.mark.parametrize("seed", seeds([9]))
def test_night_after_night_it_is_what_it_would_be_at_once(
    seed: int, is_by_turns: bool, tmp_path: Path, written: Written, request: pytest.FixtureRequest
) -> None:
    """Terms move, prices change, periods close, usage is late; a part of the exports is written when it changed."""
    request.getfixturevalue("monkeypatch").setattr(exports, "FULL", 12)
    taken = request.getfixturevalue("taken") if is_by_turns else []
    script = generate(seed, tmp_path / "generated", size=Size(accounts=4, events=80, nights=5, days=70)).script
    workspace = tmp_path / "workspace"
    stood: dict[str, tuple[int, int]] = {}
    kept = 0
    for number in range(1, len(script.nights) + 1):
        nights.run_night(workspace, script.before(number, workspace))
        assert different(workspace) == [], number
        told = nights.published(workspace)["ledger"]
        assert in_order(exported(workspace)) == told, number
        stands, parts = ledger_exports(workspace), exports.parts(count_by_night(told))
        for part in parts if len(parts) > 1 else []:
            is_written = any(part.first <= night <= part.last for night in written[-1].written)
            for name in (f"ledger/{part.name}.csv", f"ledger/{part.name}.parquet"):
                if name in stood:
                    assert (stood[name] != stands[name]) == is_written, (number, name)
                    kept += not is_written
        stood = stands
    assert kept, "no part was left as it stood"
    assert before(workspace).exists() == any(taken) == is_by_turns
    tonight = [as_of.replace(tzinfo=None) for as_of in script.nights]
    assert any(one.written and min(one.written) < as_of for one, as_of in zip(written, tonight, strict=True)), (
        "nothing read otherwise"
    )


@pytest.mark.parametrize("is_by_turns", [False, True])
@pytest.mark.parametrize("seed", seeds([9]))
def test_of_a_long_table_a_night_writes_the_months_that_say_something_else(
    seed: int, is_by_turns: bool, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_month, "LONG", 8)
    taken = request.getfixturevalue("taken") if is_by_turns else []
    script = generate(seed, tmp_path / "generated", size=Size(accounts=4, events=80, nights=5, days=70)).script
    workspace = tmp_path / "workspace"
    stood: list[dict[str, dict[str, tuple[int, int, list[Row]]]]] = []
    left = parted = 0
    for number in range(1, len(script.nights) + 1):
        nights.run_night(workspace, script.before(number, workspace))
        assert different(workspace) == [], number
        told = nights.published(workspace)
        stands = {table: month_exports(workspace, table) for table in by_month.TABLES}
        for table, parts in stands.items():
            assert all(rows == in_order(rows, table) for _, _, rows in parts.values())
            assert in_order([row for _, _, rows in parts.values() for row in rows], table) == told[table]
            parted += len(parts) > 1
            earlier = [it[table] for it in stood[-1 - is_by_turns :]]  # a file that takes its turn is the last but one
            for month, (*file, rows) in parts.items() if stood and len(told[table]) >= by_month.LONG else ():
                if all(month in it and it[month][2] == rows for it in earlier):
                    assert file == list(earlier[-1][month][:2]), (number, table, month)
                    left += 1
        stood.append(stands)
    assert left
    assert parted
    for _ in range(3):  # a push between two nights tells a few tables anew, and the others go along
        with duckdb.connect(str(workspace / "published" / "tallyhouse.duckdb")) as con:
            con.execute("UPDATE billing.runs SET outcome = 'another'")
        with warehouse.connect(workspace) as con:
            assert publish.renew(con, workspace, ("runs",))
        assert different(workspace) == []
    with warehouse.connect(workspace) as con:
        con.execute("UPDATE books.charges SET owed = owed + 1")
        for _ in range(3):  # also where a file takes its turn that has not heard of it
            publish.publish(con, workspace)
            assert different(workspace) == []
    assert any(taken) == is_by_turns


def test_a_long_table_is_mended_and_may_become_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other models said, rows that are lost and a lost export are told anew; a short table is one file again."""
    script = case("late-adjustments-both-signs").script
    workspace = tmp_path / "workspace"
    monkeypatch.setattr(by_month, "LONG", 1)
    nights.play(script, workspace)
    folder = workspace / "published" / "exports"
    parts = sorted((folder / "periods").iterdir())
    assert len(parts) > 2
    assert not (folder / "periods.csv").exists()
    stood = parts[0].read_bytes()
    parts[0].unlink()
    with duckdb.connect(str(workspace / "published" / "tallyhouse.duckdb")) as con:
        con.execute("UPDATE kept.months SET said = 'by other models' WHERE of_table = 'periods'")
        con.execute("UPDATE billing.periods SET owed = owed + 1; ALTER TABLE billing.charges ADD COLUMN note VARCHAR")
        con.execute("DELETE FROM billing.daily_refresh WHERE rowid = 0")
    with warehouse.connect(workspace) as con:
        publish.publish(con, workspace)
        assert different(workspace) == []
        assert parts[0].read_bytes() == stood
        monkeypatch.setattr(by_month, "LONG", 1_000)
        publish.publish(con, workspace)
    assert different(workspace) == []
    assert (folder / "periods.csv").exists()
    assert not (folder / "periods").exists()


def test_a_night_without_usage_leaves_the_ledgers_exports_as_they_stand(tmp_path: Path) -> None:
    script = case("late-adjustments-both-signs").script
    workspace = tmp_path / "workspace"
    as_of = script.before(1, workspace)
    nights.run_night(workspace, as_of)
    stood = ledger_exports(workspace)
    nights.run_night(workspace, as_of + timedelta(minutes=1))
    assert ledger_exports(workspace) == stood
    (workspace / "published" / "exports" / "ledger.parquet").unlink()
    nights.run_night(workspace, as_of + timedelta(minutes=2))
    stands = ledger_exports(workspace)
    assert stands.keys() == stood.keys()
    assert stands["ledger.csv"] == stood["ledger.csv"]
    assert in_order(exported(workspace)) == nights.published(workspace)["ledger"]


def test_what_does_not_go_on_is_told_whole(tmp_path: Path, written: Written) -> None:
    """A file of other models, of books that stand elsewhere since, or of no night that is known, is no beginning."""
    script = case("late-adjustments-both-signs").script
    workspace, earlier = tmp_path / "workspace", tmp_path / "earlier"
    nights.run_night(workspace, script.before(1, workspace))
    copied(workspace, earlier)
    nights.run_night(workspace, script.before(2, workspace))
    assert len(written[-1].written) == 1
    file = workspace / "published" / "tallyhouse.duckdb"
    shutil.copy(file, earlier / "published" / "tallyhouse.duckdb")
    with duckdb.connect(str(file)) as con:
        con.execute("UPDATE kept.mark SET said = 'of old'")
    for place in (workspace, earlier):
        with warehouse.connect(place) as con:
            publish.publish(con, place)
        assert written[-1].written == count_by_night(nights.to_publish(place)["ledger"]).keys()
        assert different(place) == []


def test_a_file_takes_its_turn_only_when_nobody_has_it_open(tmp_path: Path, taken: list[bool]) -> None:
    """Neither a query that goes on nor a copy under way sees the nights after it."""
    script = case("late-adjustments-both-signs").script
    workspace = tmp_path / "workspace"
    file = workspace / "published" / "tallyhouse.duckdb"
    as_of = script.before(1, workspace)
    nights.run_night(workspace, as_of)
    had = file.read_bytes()
    with file.open("rb") as carried:
        for minute in range(1, 4):
            nights.run_night(workspace, as_of + timedelta(minutes=minute))
            assert different(workspace) == []
        assert carried.read() == had
    assert taken == [True], "theirs is passed over, and the one after it is not"
    nights.run_night(workspace, as_of + timedelta(minutes=4))
    with duckdb.connect(str(file), read_only=True) as reader:
        told = reader.execute("SELECT count(*) FROM billing.runs").fetchall()
        nights.run_night(workspace, as_of + timedelta(minutes=5))
        nights.run_night(workspace, as_of + timedelta(minutes=6))
        assert reader.execute("SELECT count(*) FROM billing.runs").fetchall() == told
    assert different(workspace) == []


_EDITOR = """
import duckdb, os, sys
con = duckdb.connect(sys.argv[1])
con.execute("DELETE FROM billing.runs; CREATE TABLE billing.notes AS SELECT 1 AS one")
print("written", flush=True)
sys.stdin.read()
os._exit(1)  # before DuckDB has brought it from its log into the file
"""


def test_what_somebody_writes_into_the_file_is_gone_with_it(tmp_path: Path) -> None:
    """Neither it nor what DuckDB keeps beside the file gets into what is published next; nor does it hold that up."""
    script = case("late-adjustments-both-signs").script
    workspace = tmp_path / "workspace"
    as_of = script.before(1, workspace)
    nights.run_night(workspace, as_of)
    file = workspace / "published" / "tallyhouse.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", _EDITOR, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as editor:
        assert editor.stdout is not None
        assert editor.stdout.readline() == "written\n"
        with warehouse.connect(workspace) as con:
            assert publish.renew(con, workspace, ("runs", "events"))
        assert different(workspace) == []
    with subprocess.Popen([sys.executable, "-c", _EDITOR, str(file)], stdin=subprocess.DEVNULL) as editor:
        editor.wait()
    assert Path(f"{file}.wal").exists()
    nights.run_night(workspace, as_of + timedelta(minutes=1))
    assert not Path(f"{file}.wal").exists()
    assert different(workspace) == []


def test_a_run_that_dies_between_two_names_leaves_readers_theirs(
    tmp_path: Path, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = case("late-adjustments-both-signs").script
    workspace = tmp_path / "workspace"
    as_of = script.before(1, workspace)
    nights.run_night(workspace, as_of)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("assets.turns.os.replace", die)
        with pytest.raises(KeyboardInterrupt):
            nights.run_night(workspace, as_of + timedelta(minutes=1))
    file = workspace / "published" / "tallyhouse.duckdb"
    with duckdb.connect(str(file), read_only=True) as reader:
        nights.run_night(workspace, as_of + timedelta(minutes=2))
        assert reader.execute("SELECT count(*) FROM billing.runs").fetchall() == [(1,)]
    assert taken == []
    assert different(workspace) == []


def test_the_file_alone_is_all_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens from any directory and wherever it is carried: nothing in it points at a file beside it."""
    monkeypatch.setattr(exports, "FULL", 1)
    script = case("late-adjustments-both-signs").script
    told = nights.play(script, tmp_path / "workspace")
    assert len(list((tmp_path / "workspace" / "published" / "exports" / "ledger").iterdir())) > 2
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "workspace" / "published" / "tallyhouse.duckdb", tmp_path / "elsewhere" / "carried.duckdb")
    shutil.rmtree(tmp_path / "workspace")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with duckdb.connect("carried.duckdb", read_only=True) as con:
        assert con.execute("SELECT count(*) FROM billing.ledger").fetchall() == [(len(told["ledger"]),)]


def count_by_night(ledger: list[Row]) -> dict[datetime, int]:
    found: dict[datetime, int] = {}
    for row in ledger:
        night = row["entered_at"].astimezone(UTC).replace(tzinfo=None)
        found[night] = found.get(night, 0) + 1
    return found
