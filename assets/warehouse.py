"""The warehouse file: where it is, how it is opened, and that only one run works in it at a time."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import duckdb

from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.progress import tell

# Enough for millions of rows without taking a laptop over; what does not fit spills to warehouse/spill.
MEMORY = "2GB"
_SIZE = re.compile(r"\d+(\.\d+)?\s*([kmgt]i?)?b", re.IGNORECASE | re.ASCII)
LOOK_AGAIN = 0.05  # seconds, for readers to leave


def path(workspace: Path) -> Path:
    return workspace / "warehouse" / "tallyhouse.duckdb"


def settings(workspace: Path) -> dict[str, str]:
    """What the file is opened with; dbt opens it in the same process, so both must ask for the same.

    Set later, a place to spill to could not be set again by the next connection once something lies there.
    """
    return {"temp_directory": str(workspace / "warehouse" / "spill"), "memory_limit": memory_limit()}


def memory_limit() -> str:
    limit = os.environ.get("TALLYHOUSE_MEMORY", MEMORY)
    if _SIZE.fullmatch(limit) is None:
        raise Refusal(f"TALLYHOUSE_MEMORY is {limit!r}; write a number and its unit, such as {MEMORY}.")
    return limit


@contextmanager
def connect(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    path(workspace).parent.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(str(path(workspace)), config={**settings(workspace)})
    try:
        _settle(con)
        yield con
    finally:
        con.close()


def _settle(con: duckdb.DuckDBPyConnection) -> None:
    # A step ends by closing the file, which writes all of it down; in its midst that would only be done twice.
    con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET checkpoint_threshold = '1GB'")


def settle_reader(con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    """The same settings for whoever only reads; readers may be several at once, and each spills to its own place."""
    _settle(con)
    con.execute(f"SET memory_limit = {text(settings(workspace)['memory_limit'])}")
    spill = f"{settings(workspace)['temp_directory']}-{os.getpid()}"
    con.execute(f"SET temp_directory = {text(spill)}")


def _lock(workspace: Path) -> Path:
    return path(workspace).parent / "run.lock"


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All that is done inside, or nothing of it."""
    con.execute("BEGIN")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # on a full disk, say, there is none any more; what is to be told is the failure
            con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")


def ensure(con: duckdb.DuckDBPyConnection, tables: Mapping[str, str]) -> None:
    """Make those of the tables, told by their columns, that are not there; to ask costs less than to tell them all."""
    found = con.execute("""
        SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = current_database()""")
    there = {name for (name,) in found.fetchall()}
    for name, columns in tables.items():
        if name not in there:
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}; CREATE TABLE {name} ({columns})")


@contextmanager
def peek(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """The warehouse read-only, if it has its tables and nobody is writing; making and touching nothing."""
    lock = _lock(workspace)
    if not (path(workspace).exists() and lock.exists()):
        yield None
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # a run is at work, and will be named by whoever asks for the lock
            yield None
            return
        with duckdb.connect(str(path(workspace)), read_only=True) as con:
            yield con if _has_books(con) else None


def _has_books(con: duckdb.DuckDBPyConnection) -> bool:
    books = con.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'books' AND table_name = 'runs'")
    return books.fetchone() is not None


@contextmanager
def reading(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse itself, read-only, its views among its tables; refuses where there are no books or a run is in."""
    no_books = _refuse_without_file(workspace)
    with _as_reader(workspace), duckdb.connect(str(path(workspace)), read_only=True) as con:
        settle_reader(con, workspace)
        if not _has_books(con):
            raise no_books
        yield con


def nowhere(workspace: Path) -> Refusal:
    return Refusal(f"There is no workspace at {workspace}; give the directory that holds catalog/ and accounts/.")


def _refuse_without_file(workspace: Path) -> Refusal:
    """Refuse where there is no warehouse; what to say where it has no books."""
    if not workspace.is_dir():
        raise nowhere(workspace)
    no_books = Refusal(f"{workspace} has no books yet; run its first night with `tallyhouse nightly`.")
    if not path(workspace).exists():
        raise no_books
    return no_books


@contextmanager
def beside(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory, named as the models name theirs, with the warehouse read-only beside it.

    Whatever is reckoned there is gone with it. Refuses where there are no books to look into, or a run writes them.
    """
    no_books = _refuse_without_file(workspace)
    with _as_reader(workspace), duckdb.connect() as con:
        settle_reader(con, workspace)
        con.execute(f"ATTACH {text(path(workspace))} AS warehouse (READ_ONLY)")
        if not _has_books(con):
            raise no_books
        con.execute("ATTACH ':memory:' AS tallyhouse; USE tallyhouse")
        yield con


@contextmanager
def _as_reader(workspace: Path) -> Iterator[None]:
    """Keep runs out for a moment; refuse where one is in."""
    if not _lock(workspace).exists():  # no run has ever been in there: the file was carried here from elsewhere
        yield
        return
    with _lock(workspace).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(workspace, file) from None
        yield


def _busy(workspace: Path, lock: IO[str]) -> Refusal:
    lock.seek(0)
    holder = lock.read().strip() or "another run"
    return Refusal(f"{workspace} is being worked on by {holder}; wait until it has ended and run again.")


def text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    ((count,),) = con.execute(f"SELECT count(*) FROM {relation}").fetchall()
    return int(count)


def query_of(con: duckdb.DuckDBPyConnection, view: str) -> str:
    """The statement behind a view of the schema `billing`, as it stands in the warehouse."""
    ((statement,),) = con.execute(
        """
        SELECT sql FROM duckdb_views()
        WHERE schema_name = 'billing' AND view_name = ? AND database_name = current_database()""",
        [view],
    ).fetchall()
    return str(statement).rstrip("; \n").partition(" AS ")[2]


def clear(file: Path) -> None:
    """Remove a database's file, and what was still to be written to it."""
    for leftover in (file, Path(f"{file}.wal")):
        leftover.unlink(missing_ok=True)


def is_left_alone(file: Path) -> bool:
    """Whether no process has the file open: only then does Linux lease it for writing."""
    with file.open("rb+") as opened:
        try:
            fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except (AttributeError, OSError):  # somebody has, or the system cannot tell
            return False
    return True


def _take(workspace: Path, lock: IO[str]) -> None:
    """Refused where another run is in; where only readers are, they are waited for, as long as no other run comes in.

    No night is lost for somebody's question.
    """
    is_told = False
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(workspace, lock) from None
        fcntl.flock(lock, fcntl.LOCK_UN)
        if not is_told:
            tell("waiting", f"{path(workspace)} is being read; this run begins once whoever reads it is done")
            is_told = True
        time.sleep(LOOK_AGAIN)


@contextmanager
def only_run(workspace: Path, as_of: datetime, act: str = "night") -> Iterator[None]:
    """Hold the workspace for one run, the night of `as_of` or another `act`.

    The system releases the lock of a run that dies, however it dies.
    """
    lock = _lock(workspace)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        _take(workspace, file)
        file.truncate(0)
        file.write(f"the {act} of {format_instant(as_of)} (process {os.getpid()})")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
