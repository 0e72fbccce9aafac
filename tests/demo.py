"""The demo with all its nights, played once for all workers of a test session; whoever changes it copies it first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from assets import report
from assets.core.instants import format_instant, parse_instant
from data import DEMO
from orchestration.dbt import compiled_models
from orchestration.demo import play
from tests import nights

# May is closed, and rows of it have come late.
CORRECTED = datetime(2026, 6, 10, 1, tzinfo=UTC)


def played(factory: pytest.TempPathFactory) -> Path:
    """As it is told: in shadow, and the last night live."""
    return _once(factory, "demo", lambda workspace: play(workspace, _night))


def played_in_shadow(factory: pytest.TempPathFactory) -> Path:
    """All its nights in the shadow book."""
    return _once(factory, "demo-in-shadow", _in_shadow)


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    workspace = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not workspace.exists():
            part = shared / f"{name}.part"
            make(part)
            part.rename(workspace)
    return workspace


def _in_shadow(workspace: Path) -> None:
    story = YAML(typ="safe", pure=True).load(DEMO / "nights.yaml")["nights"]
    shutil.copytree(DEMO, workspace)
    for file in {file for night in story for file in night["arrives"]}:
        (workspace / file).unlink()
    for night in story:
        for file in night["arrives"]:
            shutil.copyfile(DEMO / file, workspace / file)
        nights.run_night(workspace, parse_instant(str(night["as_of"])), is_published=night is story[-1])


def _night(workspace: Path, as_of: datetime) -> None:
    nights.run_night(workspace, as_of)
    report.write(workspace)
    if as_of == CORRECTED:
        report.write_account(workspace, "org_acme", "2026-05", compiled_models())
    exports = shutil.ignore_patterns("exports")
    shutil.copytree(workspace / "published", as_of_night(workspace, as_of) / "published", ignore=exports)


def as_of_night(workspace: Path, as_of: datetime) -> Path:
    """A workspace of which there is only what that night published: in shadow up to the last night, which is live."""
    return workspace / "kept" / format_instant(as_of).replace(":", "")
