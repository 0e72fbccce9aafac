"""The edge: files of bytes become blocks of whole lines, and Arrow batches over them without a copy.

Lines end at LF (a CR before it belongs to the line end, a CR alone to the line). Blank lines are no rows but count as
lines. A file that cannot be read to its end refuses the run by name. Counts, size and SHA-256 (of the bytes on disk)
are taken along while reading.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from isal import igzip, isal_zlib

from assets.core.refusal import Refusal

BLOCK = 8 << 20  # large enough that Python's share per row is nothing, small enough to keep several in memory
_PIECE = 1 << 18
_LONGEST = 1 << 30  # bytes of one line; Arrow's offsets are 32 bit
_BOM = b"\xef\xbb\xbf"
_LF = 10
_BLANK_STARTS = np.isin(np.arange(256), list(b" \t\r\n"))

LINES = pa.schema(
    [
        ("raw_file", pa.dictionary(pa.int32(), pa.string())),
        ("raw_line", pa.int64()),
        ("landed_at", pa.timestamp("us")),
        ("line", pa.string()),
        ("trouble", pa.string()),  # why the line cannot be read, or null
        ("cells", pa.list_(pa.string())),  # of a CSV record that holds quotes; else null
        ("is_doubtful", pa.bool_()),  # of JSON: whether DuckDB might not read it exactly
    ]
)


@dataclass(slots=True)
class Reading:
    """A file on its way in; the last three are known once it has been read to its end."""

    raw_file: str
    path: Path
    landed_at: datetime | None = None  # naive UTC; None where rows only are looked up again
    rows: int = 0
    bytes: int = 0
    sha256: str = ""


class _Hashed(io.RawIOBase):
    """The bytes on disk, hashed as they pass."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.sha256 = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self.sha256.update(memoryview(buffer)[:count])
        self.count += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def unreadable(raw_file: str, error: BaseException) -> Refusal:
    why = " ".join(str(error).split()) or type(error).__name__
    return Refusal(
        f"raw/{raw_file} cannot be read to its end ({why}): put a whole copy in its place, "
        "or take it away, and run again"
    )


def chunks(reading: Reading, size: int = BLOCK) -> Iterator[bytes]:
    """The file's bytes, decompressed by its name's ending."""
    hashed = _Hashed(reading.path)
    try:
        with hashed, _decompressed(hashed, reading) as plain:
            while chunk := plain.read(size):
                yield chunk
            while hashed.read(size):  # what a decompressor left unread is hashed too
                pass
    except (EOFError, OSError, zlib.error, isal_zlib.error) as error:  # type: ignore[misc]  # its stub says instance
        raise unreadable(reading.raw_file, error) from error
    reading.bytes, reading.sha256 = hashed.count, hashed.sha256.hexdigest()


def _decompressed(hashed: _Hashed, reading: Reading) -> IO[bytes]:
    suffix = Path(reading.raw_file).suffix.lower()
    if suffix in (".gz", ".zst") and not reading.path.stat().st_size:
        raise EOFError("it is empty, not even an empty archive")
    if suffix == ".gz":
        return igzip.IGzipFile(fileobj=io.BufferedReader(hashed, 1 << 18))  # type: ignore[no-untyped-call,return-value]
    if suffix == ".zst":
        return pa.CompressedInputStream(pa.PythonFile(hashed, mode="r"), "zstd")  # type: ignore[no-any-return]
    return io.BufferedReader(hashed, 1 << 18)


Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]


def blocks(reading: Reading) -> Iterator[Bytes]:
    """Blocks of whole lines; the last may lack its line end. A line that began in another chunk is a block of its own,
    so that the rest need not be copied."""
    rest: list[bytes] = []
    is_first = True
    for chunk in chunks(reading):
        begin = 0
        if is_first:
            begin, is_first = len(_BOM) if chunk.startswith(_BOM) else 0, False
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest.append(chunk[begin:])
            if sum(map(len, rest)) > _LONGEST:
                raise Refusal(f"raw/{reading.raw_file} has a line of more than 1 GiB: take it apart, or take it away")
            continue
        if rest:
            begin = chunk.find(b"\n") + 1
            yield np.frombuffer(b"".join((*rest, chunk[:begin])), np.uint8)
        if begin < end:
            yield np.frombuffer(chunk, np.uint8)[begin:end]
        rest = [chunk[end:]] if end < len(chunk) else []
    if any(rest):
        yield np.frombuffer(b"".join(rest), np.uint8)


@dataclass(slots=True)
class Block:
    """A block cut into lines: line i is data[offsets[i]:offsets[i + 1]], its number in the file first_line + i."""

    data: Bytes
    offsets: np.ndarray[Any, np.dtype[np.int32]]
    first_line: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def line(self, number: int) -> bytes:
        return self.data[self.offsets[number] : self.offsets[number + 1]].tobytes()


def cut(reading: Reading) -> Iterator[Block]:
    first_line = 1
    for data in blocks(reading):
        ends = positions(data, _LF) + 1
        is_open = not len(ends) or ends[-1] != len(data)
        offsets = np.zeros(len(ends) + 1 + is_open, np.int32)
        offsets[1 : len(ends) + 1] = ends
        if is_open:
            offsets[-1] = len(data)
        block = Block(data, offsets, first_line)
        yield block
        first_line += len(block)


def positions(data: Bytes, byte: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where the byte is, looked for in pieces that stay in the processor's cache."""
    starts = range(0, len(data), _PIECE)
    return np.concatenate([np.flatnonzero(data[it : it + _PIECE] == byte) + it for it in starts])


def written(block: Block) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which lines are not blank."""
    starts = block.data[block.offsets[:-1]]
    kept = np.ones(len(block), bool)
    for number in np.flatnonzero(_BLANK_STARTS[starts]).tolist():
        kept[number] = bool(block.line(number).strip(b" \t\r\n"))
    return kept


def batch(
    reading: Reading, block: Block, kept: np.ndarray[Any, np.dtype[np.bool_]], doubts: str | None = None
) -> pa.RecordBatch:
    """The kept lines of a block, without a copy where all are kept and all are UTF-8."""
    lines = pa.Array.from_buffers(
        pa.string(), len(block), [None, pa.py_buffer(block.offsets), pa.py_buffer(block.data)]
    )
    trouble = pa.nulls(len(block), pa.string())
    if not _is_utf8(block, lines):
        lines, trouble = _repaired(block)
    numbers = pa.array(np.arange(block.first_line, block.first_line + len(block)))
    if not kept.all():
        mask = pa.array(kept)
        lines, trouble, numbers = lines.filter(mask), trouble.filter(mask), numbers.filter(mask)
    cells = pa.nulls(len(lines), LINES.field("cells").type)
    return record_batch(reading, numbers, lines, trouble, cells, doubts)


def record_batch(
    reading: Reading, numbers: pa.Array, lines: pa.Array, trouble: pa.Array, cells: pa.Array, doubts: str | None = None
) -> pa.RecordBatch:
    count = len(lines)
    reading.rows += count
    file = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([reading.raw_file]))
    landed_at = pa.repeat(pa.scalar(reading.landed_at, pa.timestamp("us")), count)
    # The regular expressions of polars scan twice as fast as DuckDB's, and in the thread that reads ahead.
    is_doubtful = pl.Series(lines).str.contains(doubts).to_arrow() if doubts else pa.nulls(count, pa.bool_())
    return pa.record_batch([file, numbers, landed_at, lines, trouble, cells, is_doubtful], schema=LINES)


def _is_utf8(block: Block, lines: pa.Array) -> bool:
    if block.data.max() < 0x80:
        return True
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _repaired(block: Block) -> tuple[pa.Array, pa.Array]:
    """The lines with their invalid bytes shown as \\xNN, and which lines those are."""
    lines, trouble = [], []
    for number in range(len(block)):
        text, why = decoded(block.line(number))
        lines.append(text)
        trouble.append(why)
    return pa.array(lines, pa.string()), pa.array(trouble, pa.string())


def decoded(line: bytes) -> tuple[str, str | None]:
    try:
        return line.decode(), None
    except UnicodeDecodeError:
        return line.decode(errors="backslashreplace"), "it is not UTF-8"


def json_batches(reading: Reading, doubts: str | None) -> Iterator[pa.RecordBatch]:
    """`doubts` is the expression that finds doubtful lines, where anyone asks."""
    for block in cut(reading):
        yield batch(reading, block, written(block), doubts)
