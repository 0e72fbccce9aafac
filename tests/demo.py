"""The demo, all its nights in shadow, played once for all workers of a test session. Copy it before you change it."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from assets.core.instants import parse_instant
from data import DEMO
from tests import nights


def played(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    workspace = shared / "demo"
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not workspace.exists():
            part = shared / "demo.part"
            _play(part)
            part.rename(workspace)
    return workspace


def _play(workspace: Path) -> None:
    story = YAML(typ="safe", pure=True).load(DEMO / "nights.yaml")["nights"]
    late = {file for night in story for file in night["arrives"]}
    shutil.copytree(DEMO, workspace)
    for file in late:
        (workspace / file).unlink()
    for night in story:
        for file in night["arrives"]:
            shutil.copyfile(DEMO / file, workspace / file)
        nights.run_night(workspace, parse_instant(str(night["as_of"])), is_published=night is story[-1])
