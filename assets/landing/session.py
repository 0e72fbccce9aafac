"""What landing borrows from a DuckDB connection and gives back: two functions of Python's, settings, a stream."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType
from duckdb.sqltypes import INTEGER, VARCHAR

from assets.landing.careful import careful
from assets.landing.mapping import RECKON
from assets.landing.readers import CAREFUL
from assets.landing.reckon import Formula, Weights, reckon

# Rows stream through: what DuckDB holds is the blocks at work and the row groups not yet written. More is of no use.
_MEMORY_LIMIT_MIB = 1_000
_MIB = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}
_AHEAD = 3  # blocks decompressed while DuckDB works on others
_STREAM = "tallyhouse_lines"


@contextmanager
def landing_session(con: duckdb.DuckDBPyConnection, formulas: Sequence[Formula], weights: Weights) -> Iterator[None]:
    """`formulas` may grow while the session lasts: the functions look them up by number."""

    def careful_lines(lines: pa.ChunkedArray) -> pa.Array:
        return pa.array([None if line is None else careful(line) for line in lines.to_pylist()], pa.string())

    def reckon_rows(numbers: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.Array:
        pairs = zip(numbers.to_pylist(), values.to_pylist(), strict=True)
        return pa.array([reckon(formulas[number], row, weights) for number, row in pairs], pa.string())

    is_ordered, limit = con.execute(
        "SELECT current_setting('preserve_insertion_order'), current_setting('memory_limit')"
    ).fetchall()[0]
    number, unit = limit.split()
    is_wide = float(number) * _MIB.get(unit, 0) > _MEMORY_LIMIT_MIB
    arrow, keeps_nulls = PythonUDFType.ARROW, FunctionNullHandling.SPECIAL
    con.create_function(CAREFUL, careful_lines, [VARCHAR], VARCHAR, type=arrow, null_handling=keeps_nulls)
    con.create_function(
        RECKON, reckon_rows, [INTEGER, duckdb.list_type(VARCHAR)], VARCHAR, type=arrow, null_handling=keeps_nulls
    )
    try:
        if is_wide:
            con.execute(f"SET memory_limit = '{_MEMORY_LIMIT_MIB}MiB'")
        con.execute("SET preserve_insertion_order = false")
        yield
    finally:
        if is_wide:
            con.execute(f"SET memory_limit = '{limit}'")
        con.execute(f"SET preserve_insertion_order = {is_ordered}")
        con.remove_function(CAREFUL)
        con.remove_function(RECKON)


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    """The name of a relation that is read once, while a thread reads ahead. What went wrong in reading is raised at
    the end, as it was raised there: the statement only saw the stream end early, so its rows must not stay."""
    ahead: queue.Queue[pa.RecordBatch | None] = queue.Queue(_AHEAD)
    is_over = threading.Event()
    errors: list[BaseException] = []

    def put(item: pa.RecordBatch | None) -> None:
        while not is_over.is_set():
            with suppress(queue.Full):
                ahead.put(item, timeout=0.1)
                return

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
        with suppress(duckdb.TransactionException):  # after a statement that failed, which would be told of no more
            con.unregister(_STREAM)
    if errors:
        raise errors[0]
