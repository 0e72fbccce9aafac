"""Landing: every new file below raw/ becomes exact usages in `landing.batch`, in one transaction or not at all.

Files stream through Arrow into one INSERT for each source and shape of file, here or wherever a `reader` takes them.
Rows that quarantine holds for something that may have been mended since are read again from their kept text. At the end
the rows that the edge counted and the rows that the batch holds or ignores must be the same, or nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa

from assets.core.catalogue.models import Source
from assets.landing.again import read_again
from assets.landing.edge import Reading
from assets.landing.links import clear_links, keep, spool
from assets.landing.mapping import is_one_at_most, mapping
from assets.landing.readers import doubts
from assets.landing.reckon import Formula, Weights
from assets.landing.session import landing_session, registered
from assets.landing.shapes import shapes
from assets.landing.survey import Stat, Survey, known_files, stat_of, survey
from assets.landing.tables import ensure_tables
from assets.warehouse import transaction

_NEW = "tallyhouse_new_files"
_FILES = pa.schema(
    [
        ("raw_file", pa.string()), ("source", pa.string()), ("rows", pa.int64()), ("ignored", pa.int64()),
        ("bytes", pa.int64()), ("sha256", pa.string()), ("mtime_ns", pa.int64()), ("ctime_ns", pa.int64()),
        ("landed_at", pa.timestamp("us")), ("format", pa.string()),
    ]
)  # fmt: skip


class Unbalanced(Exception):
    """Rows were lost or made between the edge and the batch: a bug, so nothing of the run stays."""


@dataclass(frozen=True, slots=True)
class LandedFile:
    raw_file: str
    source: str
    rows: int
    ignored: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Landed:
    """What a run landed: `rows` and `ignored` of new files, usages of the whole batch, rows read again."""

    files: tuple[LandedFile, ...]
    rows: int
    ignored: int
    bytes: int
    usages: int
    read_again: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reads:
    """The new files of one source, with all that it takes to read them."""

    source: Source
    weights: Weights
    readings: list[Reading]


#: Puts the rows of files into landing.batch and completes their readings; the Path is for what must be unpacked first.
Reader: TypeAlias = Callable[[duckdb.DuckDBPyConnection, list[Reads], Path, list[Formula]], None]


def land(
    con: duckdb.DuckDBPyConnection,
    workspace: Path,
    sources: Mapping[str, Source],
    weights: Weights,
    as_of: datetime,
    reader: Reader | None = None,
) -> Landed:
    """Read what is new; raises Refusal, with nothing written, where a file cannot be read or has changed."""
    ensure_tables(con)
    if not con.execute("SELECT count(*) FROM landing.batch").fetchall()[0][0]:
        clear_links(workspace)  # of a run that was killed, here or after it had posted
    found = survey(known_files(con), workspace / "raw", sources.values())
    formulas: list[Formula] = []
    with landing_session(con, formulas, weights), transaction(con):
        read_files = _read_new(con, workspace, sources, weights, found, as_of, formulas, reader or read_here)
        files = _balanced(con, read_files)
        again = read_again(con, sources.values(), weights, formulas)
        _list_files(con, found, files, read_files, as_of)
        usages = con.execute("SELECT count(*) FROM landing.batch WHERE emit_no >= 0").fetchall()[0][0]
    return Landed(
        files=files,
        rows=sum(file.rows for file in files),
        ignored=sum(file.ignored for file in files),
        bytes=sum(file.bytes for file in files),
        usages=usages,
        read_again=again,
        warnings=found.warnings,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    source: Source
    reading: Reading
    stat: Stat


def _read_new(
    con: duckdb.DuckDBPyConnection,
    workspace: Path,
    sources: Mapping[str, Source],
    weights: Weights,
    found: Survey,
    as_of: datetime,
    formulas: list[Formula],
    reader: Reader,
) -> list[_Read]:
    """Every new file of every source into the batch; rows that are ignored too, until they are counted."""
    kept: dict[str, Path] = {}
    read: list[_Read] = []
    reads: list[Reads] = []
    for name, raw_files in found.new.items():
        readings = []
        for raw_file in raw_files:
            if raw_file not in kept:
                kept[raw_file] = keep(workspace, raw_file)
            readings.append(Reading(raw_file, kept[raw_file], found.landed_at.get(raw_file, naive_utc(as_of))))
            # After the link was made, which touches the file's ctime.
            read.append(_Read(sources[name], readings[-1], stat_of(workspace / "raw" / raw_file)))
        reads.append(Reads(sources[name], weights, readings))
    if reads:
        with spool(workspace) as directory:
            reader(con, reads, directory, formulas)
    return read


def read_here(con: duckdb.DuckDBPyConnection, reads: list[Reads], spool: Path, formulas: list[Formula]) -> None:
    """In this process, one source after the other."""
    read_into(con, reads, spool, formulas, lambda rows: con.execute(f"INSERT INTO landing.batch {rows}"))


def read_into(
    con: duckdb.DuckDBPyConnection,
    reads: list[Reads],
    spool: Path,
    formulas: list[Formula],
    enter: Callable[[str], object],
) -> None:
    """`enter` gets the queries whose rows are the batch's, and runs each at once: it reads a stream of lines."""
    for it in reads:
        mapped = mapping(it.source, it.weights, len(formulas))
        formulas.extend(mapped.formulas)
        for shape in shapes(it.source.format, it.readings, spool, doubts(mapped)):
            with registered(con, shape.lines, shape.batches()) as lines:
                enter(f"WITH {shape.cells(mapped, lines)}, {mapped.select}")


def _balanced(con: duckdb.DuckDBPyConnection, read: list[_Read]) -> tuple[LandedFile, ...]:
    """Count what came of each file, drop the ignored rows, and hold the edge's count against both."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for source in {one.source.name: one.source for one in read}.values():
        # A row of several usages counts once; where each row is one at most, plain counting is many times faster.
        rows = "count(*)" if is_one_at_most(source) else "count(DISTINCT raw_line)"
        found = con.execute(
            f"""
            SELECT raw_file, {rows} FILTER (emit_no >= 0), count(*) FILTER (emit_no < 0)
            FROM landing.batch
            WHERE source = $source AND raw_file IN (SELECT unnest($files))
            GROUP BY raw_file
            """,
            {
                "source": source.name,
                "files": [one.reading.raw_file for one in read if one.source.name == source.name],
            },
        ).fetchall()
        counts.update({(source.name, raw_file): (landed, ignored) for raw_file, landed, ignored in found})
    con.execute("DELETE FROM landing.batch WHERE emit_no < 0")
    files = []
    for one in read:
        reading = one.reading
        landed, ignored = counts.get((one.source.name, reading.raw_file), (0, 0))
        if landed + ignored != reading.rows:
            raise Unbalanced(
                f"raw/{reading.raw_file}: {reading.rows} rows were read for {one.source.name}, "
                f"{landed} landed and {ignored} ignored"
            )
        files.append(LandedFile(reading.raw_file, one.source.name, reading.rows, ignored, reading.bytes))
    return tuple(files)


def _list_files(
    con: duckdb.DuckDBPyConnection, found: Survey, files: tuple[LandedFile, ...], read: list[_Read], as_of: datetime
) -> None:
    """Bring landing.files up to date: read files, files that no source matches, new stats of unchanged bytes."""
    for raw_file in (*found.unmatched, *found.matched):
        con.execute("DELETE FROM landing.files WHERE raw_file = $1 AND source IS NULL", [raw_file])
    for raw_file, stat in found.touched.items():
        con.execute(
            "UPDATE landing.files SET mtime_ns = $2, ctime_ns = $3 WHERE raw_file = $1",
            [raw_file, stat.mtime_ns, stat.ctime_ns],
        )
    rows: list[tuple[object, ...]] = [
        (file.raw_file, file.source, file.rows, file.ignored, file.bytes, one.reading.sha256, one.stat.mtime_ns,
         one.stat.ctime_ns, one.reading.landed_at, one.source.format)
        for file, one in zip(files, read, strict=True)
    ]  # fmt: skip
    rows += [
        (raw_file, None, 0, 0, stat.bytes, digest, stat.mtime_ns, stat.ctime_ns, naive_utc(as_of), None)
        for raw_file, (stat, digest) in found.unmatched.items()
    ]
    if rows:
        columns = [
            pa.array(list(column), kind) for column, kind in zip(zip(*rows, strict=True), _FILES.types, strict=True)
        ]
        con.register(_NEW, pa.table(columns, schema=_FILES))
        try:
            con.execute(f"INSERT INTO landing.files BY NAME SELECT * FROM {_NEW}")
        finally:
            con.unregister(_NEW)


def naive_utc(instant: datetime) -> datetime:
    """An aware instant as the warehouse keeps it."""
    return instant.astimezone(UTC).replace(tzinfo=None)
