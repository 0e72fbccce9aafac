"""Workspaces for the tests of whole jobs, and what must not change in them."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.golden.case import GOLDEN, Case, read_cases

#: Three nights: a close, a change of every catalogue and account file, an adjustment of what is closed.
CASE = "closed-with-its-price-list-terms-and-baseline"


def case(name: str = CASE) -> Case:
    (found,) = read_cases(GOLDEN / f"{name}.yaml")
    return found


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
