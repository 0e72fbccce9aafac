"""The published file as a reader opens it: read-only by construction, and in nobody's way.

The file is replaced by a rename, so an open one keeps its night to the end and no run waits for it. DuckDB opens it
read-only, may touch no other file and no network, and can't be told otherwise once it is open.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from assets.core.instants import format_instant
from assets.core.page import Column, Table, plain
from assets.core.refusal import Refusal

# A table is for the eye; whoever wants every row or the whole of a long text takes CSV or JSON.
MOST_ROWS = 200
MOST_CHARACTERS = 80


PUBLISHED = Path("published") / "tallyhouse.duckdb"


def published_file(workspace: Path) -> Path:
    file = workspace / PUBLISHED
    if not file.exists():
        raise Refusal(f"Nothing is published in {workspace} yet; run its first night with `tallyhouse nightly`.")
    return file


@contextmanager
def opened(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file; what a query spills goes to a directory that is gone with the connection."""
    file = published_file(workspace)
    with tempfile.TemporaryDirectory(prefix="tallyhouse-sql-") as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "TimeZone": "UTC",
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
            "enable_external_access": False,
            "lock_configuration": True,
        }
        with duckdb.connect(str(file), read_only=True, config=config) as con:
            con.execute("USE billing")
            yield con


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement found: its columns, and its rows as DuckDB gives them."""

    columns: tuple[str, ...]
    numbers: tuple[bool, ...]
    cursor: duckdb.DuckDBPyConnection

    def rows(self) -> Iterator[tuple[Any, ...]]:
        while rows := self.cursor.fetchmany(1000):
            yield from rows

    def table(self) -> tuple[Table, bool]:
        """The first rows as a table, and whether there are more."""
        rows = self.cursor.fetchmany(MOST_ROWS + 1)
        columns = tuple(Column(name, is_number) for name, is_number in zip(self.columns, self.numbers, strict=True))
        cells = [[_shown(value) for value in row] for row in rows[:MOST_ROWS]]
        return Table("", columns, cells), len(rows) > MOST_ROWS


_NUMBERS = ("INT", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "BIGNUM")


def answers(con: duckdb.DuckDBPyConnection, sql: str) -> Iterator[Answer]:
    """Each statement's answer in turn; a Refusal with DuckDB's own words where one is wrong."""
    try:
        for statement in con.extract_statements(sql):
            cursor = con.execute(statement)
            described = cursor.description or []
            kinds = [str(kind) for _, kind, *_ in described]
            numbers = tuple(any(name in kind for name in _NUMBERS) and kind[-1] != "]" for kind in kinds)
            yield Answer(tuple(name for name, *_ in described), numbers, cursor)
    except duckdb.Error as error:
        raise Refusal(str(error).strip()) from None


def text(value: Any) -> str:
    """A value as CSV and JSON carry it: every digit, instants in RFC 3339."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return format_instant(value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value, default=text, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def jsonable(value: Any) -> Any:
    """Whole numbers, truth and lists stay what they are; an exact decimal is text, for JSON readers make it binary."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [jsonable(one) for one in value]
    if isinstance(value, dict):
        return {str(key): jsonable(one) for key, one in value.items()}
    return text(value)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Decimal):
        return plain(value)
    line = " ".join(text(value).splitlines())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"
