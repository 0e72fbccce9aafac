"""Make a bundle: what the nights were given, what they came to, and a manifest that says which is which by its hash."""

from __future__ import annotations

import json
import tempfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from assets import inputs, warehouse
from assets.audit import archive, tables
from assets.audit.period import Audited, audited
from assets.core.instants import format_instant

README = """\
An audit bundle of Tallyhouse: {period}, as it stood after the night of {as_of}.

manifest.json    every file by its SHA-256; the nights, and what each was given
inputs/          catalogue and account files, below the pass in which each first stood as it is
raw/             the raw files that had landed by then
tables/          what the nights came to: ledger, arithmetic, lines, credits, prices in force, runs
facts/           what the world outside added: states and ids of Stripe, decisions of people

`tallyhouse audit --replay FILE` runs the nights again from inputs/ and raw/ alone and compares tables/ byte for byte.
"""


@dataclass(frozen=True, slots=True)
class Bundled:
    file: Path
    period: str
    as_of: datetime
    periods: int
    nights: int
    rows: dict[str, int]
    gone: tuple[str, ...]  # raw files that were no longer there, or no longer the same
    unknown: tuple[str, ...]  # nights whose inputs were not kept
    manifest_sha256: str


def bundle(workspace: Path, period: str, to: Path) -> Bundled:
    """The bundle of a closed month, or of one closed period."""
    with warehouse.reading(workspace) as con, tempfile.TemporaryDirectory(prefix="tallyhouse-audit-") as scratch:
        folder = Path(scratch)
        about = audited(con, period)
        rows = tables.write(con, about.as_of, tables.TABLES, folder / "tables")
        facts = tables.write(con, about.as_of, tables.FACTS, folder / "facts")
        passes = inputs.passes(con, about.as_of)
        written = _write_inputs(con, passes, folder)
        raw, gone = _raw(workspace, passes)
        unknown = _unknown(con, passes, about.as_of)
        (folder / "README.txt").write_text(README.format(period=period, as_of=format_instant(about.as_of)))
        members = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()} | raw
        manifest = {
            **_about(about),
            "passes": [_pass(it, written) for it in passes],
            "gone": gone,
            "unknown_nights": unknown,
            "rows": rows | facts,
            "files": {name: archive.sha256_of(path) for name, path in sorted(members.items())},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        first = [("manifest.json", folder / "manifest.json"), ("README.txt", members.pop("README.txt"))]
        archive.pack([*first, *sorted(members.items())], to)
        digest = archive.sha256_of(folder / "manifest.json")
    return Bundled(
        to,
        period,
        about.as_of,
        len(about.keys),
        len({it.as_of for it in passes}),
        rows,
        tuple(gone),
        tuple(unknown),
        digest,
    )


def _about(it: Audited) -> dict[str, Any]:
    return {
        "format": 1,
        "period": it.period,
        "as_of": format_instant(it.as_of),
        "book": it.book,
        "periods": [[key, format_instant(start.replace(tzinfo=UTC))] for key, start in it.keys],
    }


def _pass(it: inputs.Pass, written: dict[str, str]) -> dict[str, Any]:
    """A pass and where in the bundle each of its files stands."""
    return {
        "pass": it.pass_no,
        "as_of": format_instant(it.as_of.replace(tzinfo=UTC)),
        "is_posted": it.is_posted,
        "made_by": it.made_by,
        "texts": {path: written[f"{path} {digest}"] for path, digest in it.texts.items()},
        "raw": it.raw,
    }


def _write_inputs(con: duckdb.DuckDBPyConnection, passes: list[inputs.Pass], folder: Path) -> dict[str, str]:
    """Every catalogue and account file once for each content; where it stands by path and hash."""
    written: dict[str, str] = {}
    for it in passes:
        for path, digest in it.texts.items():
            if f"{path} {digest}" not in written:
                name = f"inputs/{it.pass_no:05}-{it.as_of:%Y-%m-%dT%H%M%S}Z/{path}"
                (packed,) = (
                    con.execute("SELECT packed FROM books.input_texts WHERE sha256 = ?", [digest]).fetchone() or ()
                )
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(zlib.decompress(packed))
                written[f"{path} {digest}"] = name
    return written


def _raw(workspace: Path, passes: list[inputs.Pass]) -> tuple[dict[str, Path], list[str]]:
    """The raw files that are still what landed, and the names of those that are not."""
    there: dict[str, Path] = {}
    gone: list[str] = []
    for it in passes:
        for path, digest in it.raw.items():
            file = workspace / path
            if file.is_file() and archive.sha256_of(file) == digest:
                there[path] = file
            else:
                gone.append(path)
    return there, sorted(gone)


def _unknown(con: duckdb.DuckDBPyConnection, passes: list[inputs.Pass], as_of: datetime) -> list[str]:
    known = {it.as_of for it in passes if it.is_posted}
    nights = con.execute(
        "SELECT as_of FROM books.runs WHERE as_of <= ? ORDER BY as_of", [as_of.replace(tzinfo=None)]
    ).fetchall()
    return [format_instant(night.replace(tzinfo=UTC)) for (night,) in nights if night not in known]
