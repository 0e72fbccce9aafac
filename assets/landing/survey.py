"""What lies below raw/, against what has landed: new files by source, files without one, files that changed.

Only the names of files decide what is left alone (SPEC section 1). A landed file may go away; one whose bytes differ
refuses the run.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from assets.core.catalogue.models import Source
from assets.core.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Stat:
    bytes: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Known:
    """What landing.files says of a file."""

    stat: Stat
    sha256: str
    sources: frozenset[str]
    landed_at: datetime | None  # when a source first read it, naive UTC


@dataclass(frozen=True, slots=True)
class Survey:
    new: dict[str, tuple[str, ...]]  # source -> files, sorted
    landed_at: dict[str, datetime]  # files that another source has read before
    unmatched: dict[str, tuple[Stat, str]]  # files to be listed without a source: stat and SHA-256
    matched: tuple[str, ...]  # files listed without a source so far, which have one now
    touched: dict[str, Stat]  # landed files whose stat differs but not their bytes
    warnings: tuple[str, ...]


def survey(known: dict[str, Known], raw: Path, sources: Iterable[Source]) -> Survey:
    patterns = [(source.name, pattern(source.files)) for source in sources]
    new: dict[str, list[str]] = {}
    landed_at: dict[str, datetime] = {}
    unmatched: dict[str, tuple[Stat, str]] = {}
    matched: list[str] = []
    touched: dict[str, Stat] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for raw_file in files_below(raw):
        path, before = raw / raw_file, known.get(raw_file)
        try:
            raw_file.encode()
            stat = stat_of(path)
            names = [name for name, matches in patterns if matches.fullmatch(raw_file)]
            is_changed = before is not None and before.stat != stat
            # What a source is about to read is hashed on the way in.
            digest = sha256_of(path) if is_changed or (before is None and not names) else ""
        except UnicodeEncodeError:
            problems.append(f"raw/{os.fsencode(raw_file)!r}: a file's name must be UTF-8: rename it")
            continue
        except OSError as error:
            problems.append(f"raw/{raw_file} cannot be read ({error.strerror}): correct that, or take it away")
            continue
        if before is not None and before.sources and digest not in ("", before.sha256):
            problems.append(
                f"raw/{raw_file} has landed and its bytes are different now: put the file back as it was, "
                "and add what is new as a file of another name"
            )
            continue
        if before is not None and is_changed:
            touched[raw_file] = stat
        for name in names:
            if before is None or name not in before.sources:
                new.setdefault(name, []).append(raw_file)
                if before is not None and before.landed_at is not None:
                    landed_at[raw_file] = before.landed_at
        is_listed = before is not None and not before.sources
        if names and is_listed:
            matched.append(raw_file)
        if not names and (before is None or is_listed):
            warnings.append(f"raw/{raw_file}: no source of sources.yaml matches this file, so nothing of it was read")
            if before is None or is_changed:
                unmatched[raw_file] = (stat, digest)
    if problems:
        raise Refusal(problems)
    return Survey(
        {name: tuple(files) for name, files in new.items()},
        landed_at,
        unmatched,
        tuple(matched),
        touched,
        tuple(warnings),
    )


def stat_of(path: Path) -> Stat:
    found = path.stat()
    return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_files(con: duckdb.DuckDBPyConnection) -> dict[str, Known]:
    rows = con.execute("""
        SELECT raw_file, any_value(bytes), any_value(mtime_ns), any_value(ctime_ns), any_value(sha256),
            list(source) FILTER (source IS NOT NULL), min(landed_at) FILTER (source IS NOT NULL)
        FROM landing.files
        GROUP BY raw_file
    """).fetchall()
    return {row[0]: Known(Stat(*row[1:4]), row[4], frozenset(row[5] or ()), row[6]) for row in rows}


def files_below(raw: Path) -> list[str]:
    """Relative names, sorted, of all files that are not left alone; links are followed, each directory once."""
    return sorted(_walked(raw, "", set()))


def _walked(directory: Path, prefix: str, seen: set[str]) -> Iterator[str]:
    real = os.path.realpath(directory)
    if real in seen or not directory.is_dir():
        return
    seen = seen | {real}  # of this branch: two links may lead to one directory, but none into itself
    for entry in os.scandir(directory):
        if entry.is_dir():
            yield from _walked(Path(entry.path), f"{prefix}{entry.name}/", seen)
        elif entry.is_file() and not entry.name.startswith((".", "_")) and not entry.name.endswith((".tmp", ".part")):
            yield prefix + entry.name


def pattern(glob: str) -> re.Pattern[str]:
    """A glob over whole relative names: `*` and `?` stay within a name, `**` is any number of directories."""
    steps = glob.split("/")
    parts: list[str] = []
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        if step == "**":
            parts.append(".*" if is_last else "(?:[^/]+/)*")
        else:
            parts.append(_name_pattern(step) + ("" if is_last else "/"))
    return re.compile("".join(parts), re.DOTALL)


_GLOB_PIECE = re.compile(r"\*+|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def _name_pattern(step: str) -> str:
    parts: list[str] = []
    for piece in _GLOB_PIECE.findall(step):
        if piece[0] == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif len(piece) > 1:  # a class such as [0-9] or [!a]
            inside = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
            is_not = inside.startswith("!")
            parts.append("(?!/)[" + ("^" if is_not else "") + inside.removeprefix("!").replace("^", "\\^") + "]")
        else:
            parts.append(re.escape(piece))
    return "".join(parts)
