"""CSV at the edge: lines without a quote stay whole for SQL to split; records with quotes are taken apart here.

The first record is the header. A record counts where it begins; one that quotes never close is one malformed row to
the end of the file, with the lines that it swallowed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from assets.core.refusal import Refusal
from assets.landing.edge import LINES, Block, Reading, batch, cut, decoded, positions, record_batch, written

csv.field_size_limit((1 << 31) - 1)  # the module's default of 128 KiB is no limit of ours


class _Lines:
    """The lines of a file one by one, across its blocks; `block` and `number` say where the next one is."""

    def __init__(self, reading: Reading) -> None:
        self._blocks = cut(reading)
        self.block = Block(np.zeros(0, np.uint8), np.zeros(1, np.int32), 1)
        self.number = 0

    def next_block(self) -> bool:
        """On to the next block, whatever was left of this one; False at the end of the file."""
        following = next(self._blocks, None)
        if following is None:
            return False
        self.block, self.number = following, 0
        return True

    def __iter__(self) -> Iterator[bytes]:
        while self.number < len(self.block) or self.next_block():
            self.number += 1
            yield self.block.line(self.number - 1)


def _record(lines: _Lines) -> tuple[list[str] | None, str, str | None]:
    """The record that begins at the next line: its cells, its text, and why it has none."""
    taken: list[str] = []
    troubles: list[str] = []

    def texts() -> Iterator[str]:
        for line in lines:
            text, trouble = decoded(line)
            taken.append(text)
            troubles.extend([trouble] if trouble else [])
            yield text

    cells: list[str] | None = None
    try:
        cells = next(csv.reader(texts(), strict=True))
    except csv.Error as error:
        troubles.append(f"it is no CSV record: {error}")
    return (None if troubles else cells), "".join(taken), troubles[0] if troubles else None


def header(reading: Reading) -> tuple[str, ...]:
    """The columns of a file that is only looked into; empty if it has no record."""
    return _header(reading, _Lines(reading))


def _header(reading: Reading, lines: _Lines) -> tuple[str, ...]:
    for line in lines:
        if line.strip(b" \t\r\n"):
            break
    else:
        return ()
    lines.number -= 1
    cells, _, trouble = _record(lines)
    if cells is None:
        raise Refusal(f"raw/{reading.raw_file}: its header cannot be read ({trouble}): correct it in a new file")
    repeated = sorted({name for name in cells if cells.count(name) > 1})
    if repeated:
        raise Refusal(
            f"raw/{reading.raw_file}: the header names {', '.join(map(repr, repeated))} twice: "
            "rename a column in a new file, and take this one away"
        )
    return tuple(cells)


def csv_batches(reading: Reading) -> Iterator[pa.RecordBatch]:
    lines = _Lines(reading)
    _header(reading, lines)
    while lines.number < len(lines.block) or lines.next_block():
        yield from _block_batches(reading, lines)


def _block_batches(reading: Reading, lines: _Lines) -> Iterator[pa.RecordBatch]:
    """What is left of the block: its plain lines at once, then its records with quotes."""
    block = lines.block
    kept = written(block)
    kept[: lines.number] = False
    records: list[tuple[int, str, str | None, list[str] | None]] = []
    for start in _quoted(block):
        if start < lines.number or lines.block is not block:
            continue  # swallowed by the record before
        lines.number = int(start)
        cells, text, trouble = _record(lines)
        records.append((block.first_line + int(start), text, trouble, cells))
        kept[start : lines.number if lines.block is block else len(block)] = False
    if lines.block is block:
        lines.number = len(block)
    if kept.any():
        yield batch(reading, block, kept)
    if records:
        numbers, texts, troubles, found = zip(*records, strict=True)
        yield record_batch(
            reading,
            pa.array(numbers, pa.int64()),
            pa.array(texts, pa.string()),
            pa.array(troubles, pa.string()),
            pa.array(found, LINES.field("cells").type),
        )


def _quoted(block: Block) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The lines that hold a quote."""
    return np.unique(np.searchsorted(block.offsets, positions(block.data, ord('"')), side="right") - 1)
