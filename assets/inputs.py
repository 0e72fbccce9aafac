"""What every night was given, kept so that it can be run again elsewhere: the text of each file of catalog/ and
accounts/, and the names and hashes of the raw files it landed.

A *pass* is one time that a night took its inputs in. A night killed and run again with other files is two passes; one
that finds nothing new to do stays one. Texts are kept once for each content.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path

import duckdb

from assets.warehouse import transaction

FOLDERS = {"catalog": ".yaml", "accounts": ".csv"}

TABLES = {
    "books.passes": """
        pass_no BIGINT PRIMARY KEY, as_of TIMESTAMP NOT NULL, book VARCHAR, is_posted BOOLEAN NOT NULL,
        made_by VARCHAR NOT NULL""",
    "books.inputs": """
        pass_no BIGINT NOT NULL, path VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, PRIMARY KEY (pass_no, path)""",
    "books.input_texts": "sha256 VARCHAR PRIMARY KEY, packed BLOB NOT NULL",
}


def made_by() -> str:
    return (
        f"tallyhouse {metadata.version('tallyhouse')}, duckdb {duckdb.__version__}, tzdata {metadata.version('tzdata')}"
    )


def files_of(workspace: Path) -> dict[str, bytes]:
    """The catalogue and account files as they are now, by path."""
    return {
        f"{folder}/{file.name}": file.read_bytes()
        for folder, suffix in FOLDERS.items()
        for file in sorted((workspace / folder).glob(f"*{suffix}"))
        if file.is_file()
    }


def remember(con: duckdb.DuckDBPyConnection, workspace: Path, as_of: datetime) -> None:
    """Note tonight's files before anything is read by them; raw files are added once they have landed."""
    texts = files_of(workspace)
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in texts.items()}
    with transaction(con):
        _add_landed(con)
        last = _passes(con, 1)
        # A night tried again before it was posted, by the same files, is the same pass.
        if not last or last[0].key() != (as_of.replace(tzinfo=None), digests) or last[0].is_posted:
            number = last[0].pass_no + 1 if last else 1
            con.execute(
                "INSERT INTO books.passes VALUES (?, ?, NULL, false, ?)",
                [number, as_of.replace(tzinfo=None), made_by()],
            )
            con.execute(
                "INSERT INTO books.inputs SELECT ?, unnest(?), unnest(?)",
                [number, list(digests), list(digests.values())],
            )
            packed = {digests[path]: zlib.compress(content) for path, content in texts.items()}
            con.execute(
                "INSERT OR IGNORE INTO books.input_texts SELECT unnest(?), unnest(?::BLOB[])",
                [list(packed), list(packed.values())],
            )


def mark_posted(con: duckdb.DuckDBPyConnection) -> None:
    """In the transaction that posts: the last pass is in the books, or was nothing new and no pass of its own."""
    _add_landed(con)
    match _passes(con, 2):
        case [last, before] if before.is_posted and last.key() == before.key() and not last.raw:
            con.execute("DELETE FROM books.inputs WHERE pass_no = ?", [last.pass_no])
            con.execute("DELETE FROM books.passes WHERE pass_no = ?", [last.pass_no])
        case [last, *_]:
            con.execute(
                "UPDATE books.passes SET is_posted = true, book = s.book FROM catalog.settings s WHERE pass_no = ?",
                [last.pass_no],
            )


@dataclass(frozen=True, slots=True)
class Pass:
    pass_no: int
    as_of: datetime
    book: str | None  # once it is posted
    is_posted: bool
    made_by: str
    texts: dict[str, str]  # path -> SHA-256 of catalogue and account files
    raw: dict[str, str]  # of raw files that it landed

    def key(self) -> tuple[datetime, dict[str, str]]:
        return self.as_of, self.texts


def passes(con: duckdb.DuckDBPyConnection, until: datetime) -> list[Pass]:
    """Every pass of the nights up to one, in order."""
    found = _passes(con, -1)
    return [it for it in reversed(found) if it.as_of <= until.replace(tzinfo=None)]


def _passes(con: duckdb.DuckDBPyConnection, most: int) -> list[Pass]:
    """The last passes, the newest first; all of them for -1."""
    rows = con.execute("SELECT * FROM books.passes ORDER BY pass_no DESC LIMIT ?", [most if most >= 0 else 1 << 40])
    found = [
        Pass(number, as_of, book, is_posted, made_by, {}, {})
        for number, as_of, book, is_posted, made_by in rows.fetchall()
    ]
    by_number = {it.pass_no: it for it in found}
    least = min(by_number, default=0)
    files = con.execute("SELECT pass_no, path, sha256 FROM books.inputs WHERE pass_no >= ? ORDER BY path", [least])
    for number, path, digest in files.fetchall():
        it = by_number[number]
        (it.raw if path.startswith("raw/") else it.texts)[path] = digest
    return found


def _add_landed(con: duckdb.DuckDBPyConnection) -> None:
    """Raw files that no pass has yet were landed by the last: one run works at a time, and notes itself first."""
    con.execute("""
        INSERT INTO books.inputs
        SELECT (SELECT max(pass_no) FROM books.passes), 'raw/' || raw_file, any_value(sha256) FROM landing.files
        WHERE source IS NOT NULL AND EXISTS (FROM books.passes)
          AND 'raw/' || raw_file NOT IN (SELECT path FROM books.inputs)
        GROUP BY raw_file""")
