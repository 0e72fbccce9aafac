"""What a failure came of, where that has many faces: a full disk, and somebody who stopped it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_FULL = re.compile(r"no space left on device|disk is full|disk quota exceeded", re.IGNORECASE)
_FILE = re.compile(r"""["'](/[^"']+)["']""")


def no_room(said: str) -> str | None:
    """A sentence for what was said of a full disk, whoever met it: Python, DuckDB, dbt or SQLite."""
    line = next((line for line in said.splitlines() if _FULL.search(line)), None)
    if line is None:
        return None
    file = _FILE.search(line)
    where = f", found at {file[1]}" if file else ""
    return f"The disk is full{where}; make room and run the same command again: it goes on where this one ended."


def all_said(failure: BaseException) -> str:
    """By the failure, and by those it came of."""
    return "\n".join(map(str, _chain(failure)))


def is_stopped(failure: BaseException) -> bool:
    """Whether it is only what was in the way when somebody stopped this process."""
    return any(
        str(each) == "Query interrupted"  # as DuckDB says it
        or not isinstance(each, Exception | GeneratorExit | SystemExit)  # as Python and Dagster do
        for each in _chain(failure)
    )


def _chain(failure: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while failure is not None and failure not in seen:
        yield failure
        seen.append(failure)
        failure = failure.__cause__ or failure.__context__
