"""The warehouse's file written anew, where most of it is room that a large night has left behind.

DuckDB uses such room again and gives none of it back. A backfill takes three times what it leaves in the books; nights
like the ones before find their room in it, so that writing anew never costs more than what has just been entered.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from assets import warehouse
from assets.progress import tell, warn

LARGE = 512 << 20  # bytes; what is smaller is nobody's trouble


def tighten(workspace: Path) -> None:
    """Done last, when the money has gone its way; the new file takes the old one's name once it is whole, if nobody has
    that open."""
    file = warehouse.path(workspace)
    fresh = file.with_name(f".{file.name}.tmp")
    warehouse.clear(fresh)  # of a run that has died at it
    if not file.exists():
        return
    try:
        with warehouse.connect(workspace) as con:
            if not _is_mostly_room(con):
                return
            con.execute(f"ATTACH {warehouse.text(fresh)} AS fresh")
            con.execute(f"COPY FROM DATABASE {file.stem} TO fresh")
            con.execute("DETACH fresh")
    except duckdb.Error as error:  # no room on the disk for both
        warehouse.clear(fresh)
        warn("tighten", f"{file}: it is mostly room and could not be written anew: {error}; it stays as it is")
        return
    # Closed, the old file has all that was ever written to it.
    if file.with_name(f"{file.name}.wal").exists() or not warehouse.is_left_alone(file):
        warehouse.clear(fresh)
        return
    before, after = file.stat().st_size, fresh.stat().st_size
    os.replace(fresh, file)
    tell(
        "tightened", f"{(before - after) >> 20} MiB of room given back, {after >> 20} left", before=before, after=after
    )


def _is_mostly_room(con: duckdb.DuckDBPyConnection) -> bool:
    ((all_of_it, room, size),) = con.execute("""
        SELECT total_blocks, free_blocks, block_size FROM pragma_database_size()
        WHERE database_name = current_database()""").fetchall()
    return bool(all_of_it * size >= LARGE and 2 * room > all_of_it)
