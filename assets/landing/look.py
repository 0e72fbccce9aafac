"""A look through raw/ before a night begins: what landing would refuse is refused before anything is written.

What it costs is decompressing new files once more, several at once; landing reads them from links of its own and
refuses by itself, for a file may change in between.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from assets.core.catalogue.models import Source
from assets.core.refusal import Refusal
from assets.landing.csv_records import header
from assets.landing.edge import Reading, chunks, unreadable
from assets.landing.parquet import parquet_batches, parquet_schema
from assets.landing.survey import Known, survey


def look_through(workspace: Path, sources: Mapping[str, Source], known: dict[str, Known]) -> None:
    """Refuse landed files whose bytes differ, and new ones that can't be read to their end, all by name."""
    raw = workspace / "raw"
    new = survey(known, raw, sources.values()).new
    formats = {(raw_file, sources[name].format) for name, raw_files in new.items() for raw_file in raw_files}
    with tempfile.TemporaryDirectory(prefix="tallyhouse-") as spool, ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(lambda it: _problems(Reading(it[0], raw / it[0]), it[1], Path(spool)), sorted(formats))
        problems = dict.fromkeys(chain.from_iterable(found))
    if problems:
        raise Refusal(problems)


def _problems(reading: Reading, file_format: str, spool: Path) -> tuple[str, ...]:
    try:
        _read(reading, file_format, spool)
    except Refusal as refusal:
        return refusal.problems
    return ()


def _read(reading: Reading, file_format: str, spool: Path) -> None:
    if file_format == "parquet":
        for _ in parquet_batches(reading, parquet_schema(reading, spool), spool):
            pass
        return
    if file_format == "csv":
        header(reading)
    if reading.path.suffix.lower() in (".gz", ".zst"):
        for _ in chunks(reading):
            pass
        return
    try:
        reading.path.open("rb").close()
    except OSError as error:
        raise unreadable(reading.raw_file, error) from error
