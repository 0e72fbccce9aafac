"""What every test has in common: its kind is the folder it lives in, and the quick kinds run first."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
# From a function to a browser: what fails first is the smallest thing that is wrong.
KINDS = ("unit", "property", "sql", "pipeline", "spark", "stripe", "browser")
# Golden workspaces are whole nights.
FOLDERS = {**{kind: kind for kind in KINDS}, "golden": "pipeline", "reference": "unit", "benchmarks": "pipeline"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(kind_of(item.path))
    items.sort(key=lambda item: KINDS.index(kind_of(item.path)))  # stable: within a kind, as collected


def kind_of(path: Path) -> str:
    folder = path.resolve().relative_to(TESTS).parts[0]
    if folder not in FOLDERS:
        raise pytest.UsageError(f"{path}: tests live in a folder of their kind: {', '.join(sorted(FOLDERS))}")
    return FOLDERS[folder]
