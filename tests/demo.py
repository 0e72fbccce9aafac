"""The demo with all its nights, played once for all workers of a test session; whoever changes it copies it first."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from orchestration.demo import play
from tests import nights


def played(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    workspace = shared / "demo"
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not workspace.exists():
            part = shared / "demo.part"
            play(part, nights.run_night)
            part.rename(workspace)
    return workspace
