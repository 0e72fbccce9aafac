"""Data Docs: the report of the checks."""

from __future__ import annotations

import shutil
from pathlib import Path

REPORT = "warehouse/gate/index.html"


def fresh(workspace: Path) -> Path:
    docs = (workspace / REPORT).parent
    shutil.rmtree(docs, ignore_errors=True)
    return docs


def dress(workspace: Path) -> None:
    pass
