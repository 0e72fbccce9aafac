"""The catalogue as a night has it: read and checked once, however many of its steps ask.

Reading twenty thousand accounts costs half a second, and five steps of a night want them. What was read stays good as
long as every byte of the files, the periods that are closed and the night are the same; anything else is read anew, but
for what the night itself closes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from assets.books import closed_periods
from assets.core.catalogue.loading import in_book, load
from assets.core.catalogue.models import Catalogue
from assets.inputs import files_of

if TYPE_CHECKING:
    import duckdb

_Key: TypeAlias = tuple[object, ...]

_last: dict[_Key, Catalogue] = {}  # one at most


def catalogue_of(con: duckdb.DuckDBPyConnection | None, workspace: Path, as_of: datetime) -> Catalogue:
    """What `load` makes of the workspace beside its books (none yet: no connection); Refusal as it has."""
    key = _key(con, workspace, as_of)
    if key in _last:
        return _last[key]
    loaded = load(workspace, closed_periods(con) if con else [], as_of)
    _last.clear()
    if _key(con, workspace, as_of) == key:  # else somebody was just writing there
        _last[key] = loaded
    return loaded


def still_holds(con: duckdb.DuckDBPyConnection, workspace: Path, as_of: datetime) -> None:
    """The night has closed periods as its catalogue cuts them: to read the same bytes again would say the same."""
    for key, loaded in list(_last.items()):
        if key[:2] == (workspace, as_of):
            _last.clear()
            _last[*key[:3], _closes(con)] = replace(loaded, closed=in_book(closed_periods(con), loaded.settings))


def _key(con: duckdb.DuckDBPyConnection | None, workspace: Path, as_of: datetime) -> _Key:
    digest = hashlib.sha256()
    try:
        for path, content in files_of(workspace).items():
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
    except OSError:
        return (object(),)  # like no other: whoever loads it says what can't be read
    return workspace, as_of, digest.digest(), _closes(con) if con else (0, None)


def _closes(con: duckdb.DuckDBPyConnection) -> object:
    return con.execute("""
        SELECT count(*), sum(hash(book, subscription_id, period_start, period_end)::HUGEINT) FROM books.closes
    """).fetchone()
