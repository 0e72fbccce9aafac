"""The catalogue is read once a night, and again as soon as a byte of it, a close or the night is another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from assets import books, read_once, warehouse
from assets.core.catalogue.loading import load
from assets.core.catalogue.models import Catalogue
from assets.core.refusal import Refusal
from assets.read_once import catalogue_of, still_holds
from tests import nights
from tests.pipeline.places import case

AS_OF = datetime(2026, 6, 1, 2, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(read_once, "_last", {})
    case().script.before(1, tmp_path)
    return tmp_path


@pytest.fixture
def con(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with warehouse.connect(workspace) as connection:
        books.ensure_books(connection)
        yield connection


def test_who_asks_twice_gets_what_was_read(con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    first = catalogue_of(None, workspace, AS_OF)  # before there are books there is no close either
    assert catalogue_of(con, workspace, AS_OF) is first
    assert catalogue_of(con, workspace, AS_OF + timedelta(days=1)) is not first
    assert catalogue_of(con, workspace, AS_OF) == first


def test_a_byte_more_is_another_catalogue(con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    first = catalogue_of(con, workspace, AS_OF)
    file = workspace / "accounts" / "accounts.csv"
    told = file.read_bytes()
    file.write_bytes(told + b"late,organization,Late,USD,UTC,\n")
    second = catalogue_of(con, workspace, AS_OF)
    assert [it.account_id for it in second.accounts] == [*(it.account_id for it in first.accounts), "late"]
    file.write_bytes(told + b"late,nobody,Late,USD,UTC,\n")
    for _ in range(2):
        with pytest.raises(Refusal, match="entity_type"):
            catalogue_of(con, workspace, AS_OF)
    file.write_bytes(told)
    assert catalogue_of(con, workspace, AS_OF) == first


def test_a_close_is_seen(con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    first = catalogue_of(con, workspace, AS_OF)
    con.execute(
        """INSERT INTO books.closes
        SELECT 'shadow', 'a', 's', 'p', '2026-04-01', '2026-05-01', 'USD', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '2026-05-02'"""
    )
    second = catalogue_of(con, workspace, AS_OF)
    assert (len(first.closed), len(second.closed)) == (0, 1)


def test_what_the_night_itself_closes_is_no_reason_to_read_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = case("baseline-example-of-section-5").script
    closed = 0
    for number in range(1, len(script.nights) + 1):
        as_of = script.before(number, workspace)
        with warehouse.connect(workspace) as con:
            nights.run_night(workspace, as_of, is_published=False)
            still_holds(con, workspace, as_of)
            anew = load(workspace, books.closed_periods(con), as_of)
            with monkeypatch.context() as patched:
                patched.delattr(read_once, "load")
                assert catalogue_of(con, workspace, as_of) == anew
            closed = len(anew.closed)
    assert closed


def test_what_is_being_written_meanwhile_is_not_kept(
    con: duckdb.DuckDBPyConnection, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def and_then_somebody_writes(*told: object) -> Catalogue:
        loaded = load(*told)  # type: ignore[arg-type]
        with (workspace / "accounts" / "accounts.csv").open("a") as file:
            file.write("more,organization,More,USD,UTC,\n")
        return loaded

    monkeypatch.setattr(read_once, "load", and_then_somebody_writes)
    first = catalogue_of(con, workspace, AS_OF)
    monkeypatch.setattr(read_once, "load", load)
    assert len(catalogue_of(con, workspace, AS_OF).accounts) == len(first.accounts) + 1


def test_what_cannot_be_read_is_refused_by_name(con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    catalogue_of(con, workspace, AS_OF)
    file = workspace / "accounts" / "accounts.csv"
    file.unlink()
    file.mkdir()
    with pytest.raises(Refusal, match=r"accounts\.csv"):
        catalogue_of(con, workspace, AS_OF)
