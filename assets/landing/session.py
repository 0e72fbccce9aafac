"""What landing borrows from a DuckDB connection and gives back: two functions of Python's, settings, a stream."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from assets.landing.careful import careful
from assets.landing.mapping import RECKON
from assets.landing.readers import CAREFUL
from assets.landing.reckon import Formula, Weights, reckon

# Rows stream through: what DuckDB holds is the blocks at work and the row groups not yet written. More is of no use.
_MEMORY_LIMIT = "1GB"
_AHEAD = 3  # blocks decompressed while DuckDB works on others
_STREAM = "tallyhouse_lines"


@contextmanager
def landing_session(
    con: duckdb.DuckDBPyConnection, formulas: Sequence[Formula], weights: Weights
) -> Iterator[None]:
    """`formulas` may grow while the session lasts: the functions look them up by number."""

    def careful_lines(lines: pa.ChunkedArray) -> pa.Array:
        return pa.array([None if line is None else careful(line) for line in lines.to_pylist()], pa.string())

    def reckon_rows(numbers: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.Array:
        pairs = zip(numbers.to_pylist(), values.to_pylist(), strict=True)
        return pa.array([reckon(formulas[number], row, weights) for number, row in pairs], pa.string())

    settings = con.execute(
        "SELECT current_setting('memory_limit'), current_setting('preserve_insertion_order')"
    ).fetchall()[0]
    con.create_function(
        CAREFUL, careful_lines, ["VARCHAR"], "VARCHAR", type="arrow", null_handling="special"  # type: ignore[arg-type,list-item]
    )
    con.create_function(
        RECKON, reckon_rows, ["INTEGER", "VARCHAR[]"], "VARCHAR", type="arrow", null_handling="special"  # type: ignore[arg-type,list-item]
    )
    try:
        con.execute(f"SET memory_limit = '{_MEMORY_LIMIT}'")
        con.execute("SET preserve_insertion_order = false")
        yield
    finally:
        con.execute(f"SET memory_limit = '{settings[0]}'")
        con.execute(f"SET preserve_insertion_order = {settings[1]}")
        con.remove_function(CAREFUL)
        con.remove_function(RECKON)


@contextmanager
def registered(
    con: duckdb.DuckDBPyConnection, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> Iterator[str]:
    """The name of a relation that is read once, while a thread reads ahead. What went wrong in reading is raised at
    the end, as it was raised there: the statement only saw the stream end early, so its rows must not stay."""
    ahead: queue.Queue[pa.RecordBatch | None] = queue.Queue(_AHEAD)
    is_over = threading.Event()
    errors: list[BaseException] = []

    def put(item: pa.RecordBatch | None) -> None:
        while not is_over.is_set():
            try:
                return ahead.put(item, timeout=0.1)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for batch in batches:
                put(batch)
                if is_over.is_set():
                    return
        except BaseException as error:
            errors.append(error)
        finally:
            put(None)

    thread = threading.Thread(target=read, name="landing-reader", daemon=True)
    thread.start()
    con.register(_STREAM, pa.RecordBatchReader.from_batches(schema, iter(ahead.get, None)))
    try:
        yield _STREAM
    finally:
        is_over.set()
        thread.join()
        con.unregister(_STREAM)
    if errors:
        raise errors[0]
