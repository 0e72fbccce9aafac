"""Nights that kill themselves before their n-th act, in processes of their own.

An act is whatever a night does that could stay behind when it dies: a statement to the warehouse, a file linked, put in
another's place or taken away.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from assets import warehouse
from orchestration import dbt
from tests import nights
from tests.forking import FORKING


def night(workspace: Path, as_of: datetime, dies_before: int | None = None) -> list[str]:
    """Runs a night to its death, or to its end; the acts it came to."""
    log = workspace / "acts.log"
    process = FORKING.Process(target=_run, args=(workspace, as_of, dbt.compiled_models(), log, dies_before))
    process.start()
    process.join(120)
    acts = [json.loads(line) for line in log.read_text().splitlines()]
    log.unlink()
    expected = 0 if dies_before is None else -signal.SIGKILL
    if process.exitcode != expected:
        raise AssertionError(f"the night ended with {process.exitcode} after {len(acts)} acts, not with {expected}")
    return acts


def _run(workspace: Path, as_of: datetime, models: dict[str, str], log: Path, dies_before: int | None) -> None:
    with log.open("w") as file:
        count = 0

        def act(what: str) -> None:
            nonlocal count
            file.write(json.dumps(what) + "\n")
            file.flush()
            if count == dies_before:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

        def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                act(" ".join([name, *_words(arguments)]))
                return function(*arguments, **options)

            return call

        @contextmanager
        def watched(root: Path) -> Iterator[Any]:
            with opened(root) as con:
                yield _Watched(con, counted)

        opened = warehouse.connect
        warehouse.connect = watched  # type: ignore[assignment]
        for module, name in ((os, "link"), (os, "replace"), (os, "unlink"), (shutil, "rmtree")):
            setattr(module, name, counted(name, getattr(module, name)))
        dbt.compiled_models = lambda target="duckdb": models
        nights.run_night(workspace, as_of)


def _words(arguments: Iterable[Any]) -> Iterator[str]:
    for one in arguments:
        if isinstance(one, duckdb.Statement):
            yield one.query
        elif isinstance(one, str | Path):
            yield str(one)


class _Watched:
    """A connection whose every statement is an act."""

    def __init__(self, con: Any, counted: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> None:
        self._con = con
        self._counted = counted

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._con, name)
        return self._counted(name, found) if name in ("execute", "begin", "commit") else found
