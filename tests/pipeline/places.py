"""Workspaces for the tests of whole jobs, and what must not change in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from tests.golden.case import GOLDEN, Case, read_cases

#: Three nights: a close, a change of every catalogue and account file, an adjustment of what is closed.
CASE = "closed-with-its-price-list-terms-and-baseline"


#: The tables of the books that say what a night was given, noted before it reads anything.
NOTED = {"passes", "inputs", "input_texts"}


def case(name: str = CASE) -> Case:
    (found,) = read_cases(GOLDEN / f"{name}.yaml")
    return found


def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process of its own would begin with: no home of Dagster's, no workspace."""
    for name in ("DAGSTER_HOME", "TALLYHOUSE_WORKSPACE", "TALLYHOUSE_DEBUG"):
        monkeypatch.delenv(name, raising=False)


def without_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster keeps what it did in memory: half of what a small night takes is writing it down."""
    monkeypatch.setattr(dg.DagsterInstance, "get", dg.DagsterInstance.ephemeral)


def copied(workspace: Path, to: Path) -> Path:
    return shutil.copytree(workspace, to)


def bytes_below(*roots: Path) -> dict[str, bytes]:
    """Every file below, by path: what a run that changes nothing leaves as it is."""
    return {str(path): path.read_bytes() for root in roots for path in sorted(root.rglob("*")) if path.is_file()}


def written_by_the_night(workspace: Path) -> dict[str, bytes]:
    """The warehouse and all that readers open; Dagster's history of runs and the lock are no part of the books."""
    return bytes_below(workspace / "published") | {
        "warehouse": (workspace / "warehouse" / "tallyhouse.duckdb").read_bytes()
    }
