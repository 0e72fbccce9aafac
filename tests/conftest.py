"""What every test has in common: its kind is the folder it lives in, and who runs it when.

The quickest kind runs first. Then come the groups that take longest, so that no worker is left alone with one at the
end, then the rest. Tests of a group share what is dear to set up, so one worker runs them all.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from assets import progress

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).resolve().parent
# From a function to a browser: what fails first is the smallest thing that is wrong.
KINDS = ("unit", "property", "sql", "pipeline", "spark", "stripe", "browser")
# Golden workspaces are whole nights.
FOLDERS = {**{kind: kind for kind in KINDS}, "golden": "pipeline", "reference": "unit", "benchmarks": "pipeline"}
# Groups of a minute and more, the longest first.
LONG = ("jobs", "spark", "browser", "defects", "explain")

hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")

_GROUP = re.compile(r'^pytestmark = pytest\.mark\.xdist_group\("(\w+)"\)', re.MULTILINE)


@pytest.fixture(autouse=True)
def _nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command listens until its process ends, and tests run several in one."""
    monkeypatch.setattr(progress, "_listeners", [])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(kind_of(item.path))
    groups = list(dict.fromkeys(group_of(item.path) for item in items))
    items.sort(key=lambda item: (_turn(item.path), groups.index(group_of(item.path))))  # stable: else as collected


def _turn(path: Path) -> int:
    kind, group = kind_of(path), group_of(path)
    if group in LONG:
        return LONG.index(group)
    return -1 if kind == "unit" else len(LONG) + KINDS.index(kind)


def kind_of(path: Path) -> str:
    folder = path.resolve().relative_to(TESTS).parts[0]
    if folder not in FOLDERS:
        raise pytest.UsageError(f"{path}: tests live in a folder of their kind: {', '.join(sorted(FOLDERS))}")
    return FOLDERS[folder]


@cache
def group_of(path: Path) -> str | None:
    """The xdist group that a module says it belongs to."""
    found = _GROUP.search(path.read_text())
    return found[1] if found else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Groups that hold: xdist 3.8 hands them over in the names of tests, which pytest 9.2 no longer lets it change."""
    from xdist.scheduler import LoadScopeScheduling

    class InGroups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(TESTS.parent / nodeid.partition("::")[0]) or nodeid

    if config.getoption("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False  # the order above is meant
    return InGroups(config, log)
