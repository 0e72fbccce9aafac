"""What a failure came of, where that has many faces: a full disk, and somebody who stopped it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAID = re.compile(r"no space left on device|disk is full|disk quota exceeded|out of disk space", re.IGNORECASE)
_FILE = re.compile(r"""["'](/[^"']+)["']""")


def no_room(failure: BaseException) -> str | None:
    """A sentence for a failure that came of a full disk, whoever met it: Python, DuckDB, dbt or SQLite."""
    for each in _chain(failure):
        said = next((line for line in str(each).splitlines() if _SAID.search(line)), None)
        if said is None and not (isinstance(each, OSError) and each.errno in _FULL):
            continue
        file = _FILE.search(said or "")
        where = file[1] if file else getattr(each, "filename", None)
        return (
            f"The disk is full{f', found at {where}' if where else ''}; make room and run the same command again:"
            " it goes on where this one ended."
        )
    return None


def is_stopped(failure: BaseException) -> bool:
    """Whether it is only what was in the way when somebody stopped this process."""
    return any(
        str(each) == "Query interrupted"  # as DuckDB says it
        or not isinstance(each, Exception | GeneratorExit | SystemExit)  # as Python and Dagster do
        for each in _chain(failure)
    )


def _chain(failure: BaseException | None) -> Iterator[BaseException]:
    """The failure, and those it came of."""
    seen: list[BaseException] = []
    while failure is not None and failure not in seen:
        yield failure
        seen.append(failure)
        failure = failure.__cause__ or failure.__context__
