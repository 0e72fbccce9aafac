"""Files of one source that one statement can read: all of an NDJSON source, those of one header or one schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from assets.landing.csv_records import csv_batches, header
from assets.landing.edge import LINES, Reading, json_batches
from assets.landing.mapping import Mapping
from assets.landing.parquet import parquet_batches, parquet_cells, parquet_lines, parquet_schema, row_json
from assets.landing.readers import csv_cells, csv_row_json, csv_split, json_cells


@dataclass(frozen=True, slots=True)
class Shape:
    readings: tuple[Reading, ...]
    lines: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]
    cells: Callable[[Mapping, str], str]  # a mapping and the relation of lines -> the CTEs that give `cells`
    texts: Callable[[str], str]  # the relation of lines -> a SELECT of raw_line, raw_text and row_json


def shapes(file_format: str, readings: list[Reading], spool: Path, doubts: str | None = None) -> Iterator[Shape]:
    """`spool` is a directory for what must be unpacked before it can be read; `doubts` finds the lines of JSON that
    must be read with care."""
    if file_format == "ndjson":
        yield _json_shape(tuple(readings), doubts)
        return
    by_key: dict[object, tuple[object, list[Reading]]] = {}
    for reading in readings:
        key = header(reading) if file_format == "csv" else parquet_schema(reading, spool)
        name = key if isinstance(key, tuple) else key.to_string(show_field_metadata=False)
        by_key.setdefault(name, (key, []))[1].append(reading)
    for key, alike in by_key.values():
        if isinstance(key, tuple):
            yield _csv_shape(tuple(alike), key)
        else:
            yield _parquet_shape(tuple(alike), key, spool)


def _json_shape(readings: tuple[Reading, ...], doubts: str | None) -> Shape:
    return Shape(
        readings,
        LINES,
        lambda: (batch for reading in readings for batch in json_batches(reading, doubts)),
        json_cells,
        lambda lines: f"SELECT raw_file, raw_line, line AS raw_text, CAST(NULL AS VARCHAR) AS row_json FROM {lines}",
    )


def _csv_shape(readings: tuple[Reading, ...], columns: tuple[str, ...]) -> Shape:
    return Shape(
        readings,
        LINES,
        lambda: (batch for reading in readings for batch in csv_batches(reading)),
        lambda mapping, lines: csv_cells(mapping, lines, columns),
        lambda lines: (
            f"WITH {csv_split(lines)} "
            f"SELECT raw_file, raw_line, line AS raw_text, {csv_row_json(columns)} AS row_json FROM split"
        ),
    )


def _parquet_shape(readings: tuple[Reading, ...], schema: pa.Schema, spool: Path) -> Shape:
    return Shape(
        readings,
        parquet_lines(schema),
        lambda: (batch for reading in readings for batch in parquet_batches(reading, schema, spool)),
        lambda mapping, lines: parquet_cells(mapping, lines, schema),
        lambda lines: f"SELECT raw_file, raw_line, {row_json(schema)} AS raw_text, raw_text AS row_json FROM {lines}",
    )
