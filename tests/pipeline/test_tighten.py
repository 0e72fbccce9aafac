"""A warehouse that is mostly room is written anew, says the same, and is never left half written."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assets import progress, tighten, warehouse
from orchestration import run
from tests import nights
from tests.pipeline.places import case, copied, own_process, without_history

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of two nights of three, most of its warehouse the room of something large that is gone."""
    workspace, script = tmp_path_factory.mktemp("swollen"), case().script
    with warehouse.connect(workspace) as con:
        con.execute("CREATE TABLE large AS SELECT hash(i) AS it, hash(i, 1) AS other FROM range(4000000) AS t(i)")
    for night in (1, 2):
        nights.run_night(workspace, script.before(night, workspace))
    with warehouse.connect(workspace) as con:
        con.execute("DROP TABLE large")
    return workspace


@pytest.fixture
def swollen(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tighten, "LARGE", 0)
    return copied(once, tmp_path / "workspace")


@pytest.fixture
def said() -> Iterator[list[str]]:
    steps: list[str] = []

    def note(step: str, _: str, __: dict[str, Any]) -> None:
        steps.append(step)

    with progress.about(note):
        yield steps


def size(workspace: Path) -> int:
    return warehouse.path(workspace).stat().st_size


def leftovers(workspace: Path) -> list[Path]:
    return list(warehouse.path(workspace).parent.glob(".*.tmp*"))


def everything(workspace: Path) -> dict[str, Any]:
    """All that the file holds: its rows, and how tables, views, columns and rules are described."""
    with warehouse.connect(workspace) as con:
        tables = con.execute("SELECT schema_name, table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
        described = {
            "tables": "SELECT schema_name, table_name, comment, sql FROM duckdb_tables()",
            "views": "SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal",
            "columns": """
                SELECT schema_name, table_name, column_name, data_type, column_default, is_nullable, comment
                FROM duckdb_columns() WHERE NOT internal""",
            "rules": "SELECT schema_name, table_name, constraint_text FROM duckdb_constraints()",
        }
        return {
            **{
                f"{schema}.{table}": con.execute(f"FROM {schema}.{table} ORDER BY ALL").fetchall()
                for schema, table in tables
            },
            **{name: con.execute(f"{query} ORDER BY ALL").fetchall() for name, query in described.items()},
        }


def test_it_says_the_same_in_less(swollen: Path, said: list[str]) -> None:
    large, before = size(swollen), everything(swollen)
    tighten.tighten(swollen)
    assert said == ["tightened"]
    assert 3 * size(swollen) < large
    assert everything(swollen) == before
    tighten.tighten(swollen)
    assert said == ["tightened"], "what is not mostly room stays"


def test_a_night_ends_with_it_and_the_next_goes_on(
    swollen: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own_process(monkeypatch)
    without_history(monkeypatch)
    script, large = case().script, size(swollen)
    run.night(swollen, script.nights[1])
    assert said[-1] == "tightened"
    assert 3 * size(swollen) < large
    nights.run_night(swollen, script.before(3, swollen))
    ours, never = nights.published(swollen), nights.play(script, tmp_path / "never")
    only_jobs = {"checks", "check_rows", "gate_nights"}
    assert [name for name in never if ours[name] != never[name] and name not in only_jobs] == []


def test_a_file_that_somebody_has_open_stays_theirs(swollen: Path, said: list[str]) -> None:
    workspace = swollen
    large = size(workspace)
    with warehouse.path(workspace).open("rb"):
        tighten.tighten(workspace)
    assert (size(workspace), said, leftovers(workspace)) == (large, [], [])
    tighten.tighten(workspace)
    assert size(workspace) < large


def test_what_a_dead_run_has_left_is_taken_away(swollen: Path, said: list[str]) -> None:
    workspace = swollen
    before = everything(workspace)
    file = warehouse.path(workspace)
    file.with_name(f".{file.name}.tmp").write_bytes(file.read_bytes()[:100_000])
    tighten.tighten(workspace)
    assert (said, leftovers(workspace)) == (["tightened"], [])
    assert everything(workspace) == before


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_for_both_the_old_file_stays(swollen: Path, said: list[str]) -> None:
    workspace, script = swollen, case().script
    large, before = size(workspace), everything(workspace)
    with no_file_beyond(1 << 20):
        tighten.tighten(workspace)
    assert (size(workspace), said, leftovers(workspace)) == (large, ["warning"], [])
    assert everything(workspace) == before
    nights.run_night(workspace, script.before(3, workspace))


def test_a_small_warehouse_is_left_as_it_is(swollen: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = swollen
    large = size(workspace)
    monkeypatch.setattr(tighten, "LARGE", 2 * large)
    tighten.tighten(workspace)
    assert (size(workspace), said) == (large, [])


def test_where_there_is_no_warehouse_there_is_nothing_to_tighten(tmp_path: Path) -> None:
    tighten.tighten(tmp_path)
    assert not list(tmp_path.iterdir())
