"""Landing on Spark: each task reads some files exactly as landing reads them here, in a DuckDB of its own in memory.

What a task finds it writes as Parquet beside the kept files, under names that follow from its number: one that is
tried again, or twice at once, writes the same file. The driver takes the rows into landing.batch; landing then holds
the tasks' count of rows against what arrived. Driver and executors find the workspace under one path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from assets.core.refusal import Refusal
from assets.landing.edge import Reading
from assets.landing.land import Reader, Reads, read_into
from assets.landing.reckon import Formula
from assets.landing.session import landing_session
from assets.landing.tables import ensure_tables
from assets.spark.tables import carried_column, columns_of, restored_column
from assets.warehouse import text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BYTES = 128 << 20  # of files in a task: some seconds' work, so that starting it costs little and no core idles for long
_LEAST_TASKS = 2  # for each core, where there are files enough: they are not alike
_ANSWER = pa.schema(
    [
        ("raw_file", pa.string()),
        ("source", pa.string()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("problem", pa.string()),  # a refusal's sentence; the rest is null
    ]
)
_SQL_ANSWER = "raw_file string, source string, rows bigint, bytes bigint, sha256 string, problem string"


@dataclass(frozen=True, slots=True)
class _Task:
    number: int
    reads: Reads
    parts: Path  # where its rows go
    spool: Path


def reader(spark: SparkSession) -> Reader:
    """Landing's reader, its files dealt to Spark's tasks."""

    def read(con: duckdb.DuckDBPyConnection, reads: list[Reads], spool: Path, _: list[Formula]) -> None:
        with TemporaryDirectory(dir=spool, prefix="batch-") as parts:
            tasks = _dealt(reads, _cores(spark), Path(parts), spool)
            _complete(reads, _run(spark, tasks))
            rows = ", ".join(restored_column(*column) for column in columns_of(con, "landing.batch").items())
            con.execute(f"INSERT INTO landing.batch SELECT {rows} FROM read_parquet({text(f'{parts}/*.parquet')})")

    return read


def _cores(spark: SparkSession) -> int:
    return int(spark.conf.get("spark.default.parallelism", None) or spark.conf.get("spark.sql.shuffle.partitions") or 1)


def _dealt(reads: list[Reads], cores: int, parts: Path, spool: Path) -> list[_Task]:
    """The files of each source in their order, until a task has enough of them."""
    sizes = {reading.path: reading.path.stat().st_size for it in reads for reading in it.readings}
    enough = min(BYTES, max(1, sum(sizes.values()) // (_LEAST_TASKS * cores)))
    tasks: list[_Task] = []
    for it in reads:
        taken: list[Reading] = []
        for reading in it.readings:
            taken.append(reading)
            if sum(sizes[one.path] for one in taken) >= enough:
                tasks.append(_Task(len(tasks), Reads(it.source, it.weights, taken), parts, spool))
                taken = []
        if taken:
            tasks.append(_Task(len(tasks), Reads(it.source, it.weights, taken), parts, spool))
    return tasks


def _run(spark: SparkSession, tasks: list[_Task]) -> pa.Table:
    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield _read(tasks[number])

    # One number in each partition: every task is scheduled, and tried again, by itself.
    numbers = spark.range(0, len(tasks), 1, len(tasks))
    return numbers.mapInArrow(read, _SQL_ANSWER).toArrow()


def _read(task: _Task) -> pa.RecordBatch:
    """On an executor: the files' rows to Parquet, and what is to be known of each file."""
    try:
        with TemporaryDirectory(dir=task.spool, prefix="task-") as spool, duckdb.connect() as con:
            con.execute(f"SET threads = 1; SET TimeZone = 'UTC'; SET temp_directory = {text(spool)}")
            ensure_tables(con)
            formulas: list[Formula] = []
            with landing_session(con, formulas, task.reads.weights):
                read_into(con, [task.reads], Path(spool), formulas, _Part(con, task))
    except Refusal as refusal:
        return _answer([(None, None, None, None, None, problem) for problem in refusal.problems])
    name = task.reads.source.name
    return _answer([(it.raw_file, name, it.rows, it.bytes, it.sha256, None) for it in task.reads.readings])


class _Part:
    """Where the rows of a task's queries go, one file for each."""

    def __init__(self, con: duckdb.DuckDBPyConnection, task: _Task) -> None:
        self._con, self._task, self._shape = con, task, 0
        columns = columns_of(con, "landing.batch")
        self._typed = ", ".join(f'CAST("{column}" AS {kind}) AS "{column}"' for column, kind in columns.items())
        self._carried = ", ".join(carried_column(column, kind) for column, kind in columns.items())

    def __call__(self, rows: str) -> None:
        file = self._task.parts / f"{self._task.number:06}-{self._shape}.parquet"
        part = file.with_suffix(f".{os.getpid()}")
        self._con.execute(
            f"COPY (SELECT {self._carried} FROM (SELECT {self._typed} FROM ({rows}))) TO {text(part)} (FORMAT parquet)"
        )
        os.replace(part, file)
        self._shape += 1


def _answer(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = [
        pa.array(list(column), kind) for column, kind in zip(zip(*rows, strict=True), _ANSWER.types, strict=True)
    ]
    return pa.record_batch(columns, schema=_ANSWER)


def _complete(reads: list[Reads], answers: pa.Table) -> None:
    """What the tasks learned of the files, into the readings that landing keeps."""
    rows = answers.to_pylist()
    if problems := sorted({row["problem"] for row in rows if row["problem"] is not None}):
        raise Refusal(problems)
    found = {(row["source"], row["raw_file"]): row for row in rows}
    for it in reads:
        for reading in it.readings:
            row = found[it.source.name, reading.raw_file]
            reading.rows, reading.bytes, reading.sha256 = row["rows"], row["bytes"], row["sha256"]
