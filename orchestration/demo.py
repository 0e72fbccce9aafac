"""The demo: a workspace with the logs of five products, and its nights, one after the other as they would have come."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ruamel.yaml import YAML

from assets import progress, warehouse
from assets.books import nights_done
from assets.core.instants import format_instant, parse_instant
from data import DEMO
from orchestration.run import night


def play(workspace: Path, run: Callable[[Path, datetime], object] = night) -> None:
    """Make the workspace where it is missing and run the nights it has not had."""
    nights = YAML(typ="safe", pure=True).load(DEMO / "nights.yaml")["nights"]
    arrivals = {file for each in nights for file in each["arrives"]}
    for file in sorted(path.relative_to(DEMO).as_posix() for path in DEMO.rglob("*") if path.is_file()):
        if file != "nights.yaml" and file not in arrivals:
            _arrive(workspace, file)
    done = _nights_done(workspace)
    for each in nights:
        as_of = parse_instant(str(each["as_of"]))
        for file in each["arrives"]:
            _arrive(workspace, file)
        if as_of not in done:
            progress.tell("night", f"as of {format_instant(as_of)}. {each['story']}", as_of=format_instant(as_of))
            run(workspace, as_of)


def _arrive(workspace: Path, file: str) -> None:
    target = workspace / file
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DEMO / file, target)


def _nights_done(workspace: Path) -> set[datetime]:
    with warehouse.peek(workspace) as con:
        return nights_done(con) if con else set()
