"""The file to be published next: it says what readers have now, and is not theirs.

Where the system lets two files share their bytes, it is a copy. Elsewhere a long file would be copied whole every night
for the little that is new, so two of them take turns: the one that readers had before is brought up to what they have
now, out of that. It takes its turn only if the system says that nobody has it open any more, neither to query it nor to
carry it elsewhere; if somebody has, the file is copied after all, and theirs stays as it is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import duckdb

from assets import history
from assets.warehouse import clear, is_left_alone, text

LONG = 256 << 20  # bytes; what is shorter is copied sooner than it is brought up

# The oldest storage version is what every DuckDB an analyst may have can open.
OPENED = "(STORAGE_VERSION 'v1.0.0')"


def make(con: duckdb.DuckDBPyConnection, file: Path, fresh: Path, anew: Collection[str]) -> bool:
    """Make `fresh` say what `file` says, but for tables told anew; whether bytes had to be moved for it."""
    _forget_edits(file)
    before = _before(file)
    if before.exists() and before.samefile(file):  # a run has died as it put them in their places
        before.unlink()
    if _share(file, fresh):
        return False
    if not _take_turn(con, before, file, fresh, anew):
        _copy(file, fresh)
    return True


def replace(file: Path, fresh: Path, is_moved: bool) -> None:
    """Put `fresh` before readers; a long file that they had is kept for its turn, if bytes have to be moved here."""
    before = _before(file)
    before.unlink(missing_ok=True)
    if is_moved and file.stat().st_size >= LONG:
        with suppress(OSError):  # no second name for a file on this system: it will be copied
            os.link(file, before)
    _forget_edits(file)
    os.replace(fresh, file)


def _forget_edits(file: Path) -> None:
    """What somebody has written into the published file, kept beside it by DuckDB: no part of the next."""
    Path(f"{file}.wal").unlink(missing_ok=True)


def _before(file: Path) -> Path:
    return file.with_name(f".{file.name}.before")


def _take_turn(con: duckdb.DuckDBPyConnection, before: Path, file: Path, fresh: Path, anew: Collection[str]) -> bool:
    if not before.exists() or not is_left_alone(before):
        return False
    # Under the name of what is being made: whatever becomes of this run, no other one takes it for whole.
    os.replace(before, fresh)
    try:
        con.execute(f"ATTACH {text(file)} AS latest (READ_ONLY)")
        con.execute(f"ATTACH {text(fresh)} AS published {OPENED}")
        is_up = history.catch_up(con, anew)
    except duckdb.Error:  # not a file that can be gone on from
        is_up = False
    finally:
        for name in ("latest", "published"):
            con.execute(f"DETACH DATABASE IF EXISTS {name}")
    if not is_up:
        clear(fresh)
    return is_up


def _share(file: Path, fresh: Path) -> bool:
    """A file of its own with the same bytes, which stand on the disk once until one of the two is written to."""
    with file.open("rb") as source, fresh.open("wb") as target:
        try:
            fcntl.ioctl(target.fileno(), 0x40049409, source.fileno())  # FICLONE of Linux
        except OSError:
            return False
    return True


def _copy(file: Path, fresh: Path) -> None:
    """The same bytes moved by the system, and by us where it does not do that."""
    with file.open("rb") as source, fresh.open("wb") as target:
        left = os.fstat(source.fileno()).st_size
        try:
            while left:
                left -= os.copy_file_range(source.fileno(), target.fileno(), left) or left
            return
        except (AttributeError, OSError):  # not on this system, or not between these files
            pass
    shutil.copyfile(file, fresh)
