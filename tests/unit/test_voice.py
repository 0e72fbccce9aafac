"""However a command is stopped, whoever waits for it reads one sentence."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
import typer

from assets.notify import news_of
from orchestration.voice import STOPPED, speaking


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_says_so(by: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as left, speaking(is_json=False):
        os.kill(os.getpid(), by)
    assert left.value.exit_code == 1
    assert capsys.readouterr().err == f"stopped: {STOPPED}\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_also_as_duckdb_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    """In the midst of a query it is DuckDB that hears of it first."""
    with pytest.raises(typer.Exit), speaking(is_json=False):
        raise RuntimeError("Query interrupted")
    assert capsys.readouterr().err == f"stopped: {STOPPED}\n"


def test_also_when_something_was_in_its_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever is closing what it was at finds a connection that is still busy, say."""

    def stopped() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            raise RuntimeError("connection is busy")

    with pytest.raises(typer.Exit), speaking(is_json=False):
        stopped()
    assert capsys.readouterr().err == f"stopped: {STOPPED}\n"


def test_what_the_system_refuses_is_said_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(typer.Exit), speaking(is_json=False):
        (tmp_path / "file" / "inside").mkdir()
    said = f"{tmp_path / 'file' / 'inside'}: Not a directory; mend that and run the same command again."
    assert capsys.readouterr().err == f"failed: {said}\n"


def chained(failure: Exception, cause: Exception) -> Exception:
    failure.__cause__ = cause
    return failure


@pytest.mark.parametrize(
    ("failure", "found_at"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), None),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/w/raw/day.csv"), "/w/raw/day.csv"),
        (RuntimeError('Failed to commit: Could not write file "/w/it.wal": No space left on device'), "/w/it.wal"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full\n(Background on this error"), None),
        (chained(RuntimeError("a step failed"), OSError(errno.ENOSPC, "No space left on device")), None),
    ],
)
def test_a_full_disk_is_one_sentence_whoever_met_it(
    failure: Exception, found_at: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit), speaking(is_json=False):
        raise failure
    where = f", found at {found_at}" if found_at else ""
    went_on = "make room and run the same command again: it goes on where this one ended."
    assert capsys.readouterr().err == f"failed: The disk is full{where}; {went_on}\n"


def test_whoever_is_called_for_it_reads_the_same() -> None:
    said = 'model accounts failed: Runtime Error\n  Could not write file "/w/it.wal": No space left on device'
    assert news_of("2026-06-01T01:00:00Z", False, said).text.startswith(
        "The disk is full, found at /w/it.wal; make room"
    )
    assert news_of("2026-06-01T01:00:00Z", False, "something else").text == "something else"
