"""However a command is stopped, whoever waits for it reads one sentence."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import typer

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


def test_what_the_system_refuses_is_said_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(typer.Exit), speaking(is_json=False):
        (tmp_path / "file" / "inside").mkdir()
    said = f"{tmp_path / 'file' / 'inside'}: Not a directory; mend that and run the same command again."
    assert capsys.readouterr().err == f"failed: {said}\n"
