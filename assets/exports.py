"""What is published, as CSV and Parquet: one file a table, and several of a table that is long.

A part of the ledger holds whole nights. It is full with a million rows; what is entered after that begins the next one,
and so does a night that fills one alone.
A full part is written again only if something in it reads otherwise, so a night writes what is new, however much there
is. The parts stand as `ledger/<first night>.csv`; as long as there is one, it is `ledger.csv`. Of another long table
(`assets/by_month.py`) a part holds a month, and stands as `periods/2026-05.csv`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from assets import by_month
from assets.core.instants import format_instant
from assets.history import Nights, Told
from assets.warehouse import text

FULL = 1_000_000
# Of zstd's levels the first takes a fifth less time than the third, and no more room. Looking for more than a thousand
# values in a column, to number them, takes a fifth of the time, and zstd makes them as small.
FORMATS = {
    "csv": "HEADER",
    "parquet": "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Usage entered from `first` to `last`."""

    first: datetime
    last: datetime
    rows: int

    @property
    def name(self) -> str:
        return format_instant(self.first.replace(tzinfo=UTC)).replace(":", "")


@dataclass(frozen=True, slots=True)
class Export:
    """A file to be put in its place: a table or a part of the ledger, in one format."""

    file: Path
    table: str
    query: str
    options: str

    @property
    def fresh(self) -> Path:
        return self.file.with_name(f".{self.file.name}.tmp")


def parts(nights: Nights) -> list[Part]:
    """The nights of the ledger laid into parts, in order; the same nights make the same parts."""
    found: list[Part] = []
    for night, rows in sorted(nights.items()):
        if found and found[-1].rows < FULL and rows < FULL:
            before = found.pop()
            found.append(Part(before.first, night, before.rows + rows))
        else:
            found.append(Part(night, night, rows))
    return found


def of_table(folder: Path, table: str) -> Iterator[Export]:
    """A table as it stands, which is in order."""
    for suffix, options in FORMATS.items():
        yield Export(folder / f"{table}.{suffix}", table, f"FROM published.billing.{table}", options)


def of_months(folder: Path, table: str, told: by_month.Told, order: str) -> Iterator[Export]:
    """Of a long table the months that something was written of, and those that are not there."""
    if not told.months:
        yield from of_table(folder, table)
    elif len(told.months) == 1:
        yield from _unlike(folder / table, table, _told(table, "true", order, bool(told.written)), bool(told.written))
    else:
        for month in told.months:
            is_changed = month in told.written  # and then it lies in order
            query = _told(table, by_month.of(table, [month]), order, is_changed)
            yield from _unlike(folder / table / name_of(month), table, query, is_changed)


def name_of(month: datetime) -> str:
    return month.isoformat()[:7]


def of_ledger(folder: Path, told: Told, order: str) -> Iterator[Export]:
    """The parts that something was written of, and those that are not there."""
    found = parts(told.nights)
    if len(found) <= 1:
        is_in_order = all(_is_in_order(part, told) for part in found)
        yield from _unlike(folder / "ledger", "ledger", _told("ledger", "true", order, is_in_order), bool(told.written))
    else:
        for part in found:
            is_changed = any(part.first <= night <= part.last for night in told.written)
            query = _told("ledger", _entered(part), order, _is_in_order(part, told))
            yield from _unlike(folder / "ledger" / part.name, "ledger", query, is_changed)


def _is_in_order(part: Part, told: Told) -> bool:
    """A night by itself was sorted when it was written just now; sorting costs as much as writing."""
    return part.first == part.last and part.first in told.whole


def _told(table: str, which: str, order: str, is_in_order: bool) -> str:
    return f"FROM published.billing.{table} WHERE {which}" + ("" if is_in_order else f" ORDER BY {order}")


def _unlike(stem: Path, table: str, query: str, is_changed: bool) -> Iterator[Export]:
    """What stands there already needs not be written; it is put in its place before the file it was made from is."""
    for suffix, options in FORMATS.items():
        file = stem.with_name(f"{stem.name}.{suffix}")
        if is_changed or not file.exists():
            yield Export(file, table, query, options)


def _entered(part: Part) -> str:
    return f"entered_at BETWEEN TIMESTAMPTZ '{part.first}+00' AND TIMESTAMPTZ '{part.last}+00'"


def write(con: duckdb.DuckDBPyConnection, exports: Iterable[Export]) -> None:
    instants = _instants(con)
    for one in exports:
        one.file.parent.mkdir(parents=True, exist_ok=True)
        spelled = instants.get(one.table) if one.file.suffix == ".csv" else None
        query = f"SELECT * REPLACE ({spelled}) FROM ({one.query})" if spelled else one.query
        con.execute(f"COPY ({query}) TO {text(one.fresh)} ({one.options})")


def _instants(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Each table's instants as text, as DuckDB writes them in UTC; it would ask a calendar about each of millions."""
    spelled = """make_timestamp(epoch_us("{0}"))::VARCHAR || '+00' AS "{0}" """
    found = con.execute("""
        SELECT table_name, list(column_name) FROM duckdb_columns()
        WHERE database_name = 'published' AND schema_name = 'billing' AND data_type = 'TIMESTAMP WITH TIME ZONE'
        GROUP BY table_name""")
    return {table: ", ".join(map(spelled.format, columns)) for table, columns in found.fetchall()}


def put_in_place(exports: Iterable[Export]) -> None:
    for one in exports:
        os.replace(one.fresh, one.file)


def clear(folder: Path, table: str, names: Collection[str]) -> None:
    """Take away what the exports of a table no longer are: the one file once there are parts, and parts of no name."""
    kept = {f"{name}.{suffix}" for name in names for suffix in FORMATS} if len(names) > 1 else set()
    old = [folder / f"{table}.{suffix}" for suffix in FORMATS] if kept else []
    if (folder / table).is_dir():
        old += [file for file in (folder / table).iterdir() if file.name not in kept]
    for file in old:
        file.unlink(missing_ok=True)
    if (folder / table).is_dir() and not kept:
        (folder / table).rmdir()
