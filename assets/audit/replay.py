"""Replay a bundle: the nights again, from their inputs alone, and the tables they come to held against the bundle's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from assets import inputs, parity, warehouse
from assets.audit import archive, tables
from assets.audit.period import audited
from assets.core.instants import format_instant, parse_instant
from assets.core.refusal import Refusal
from assets.progress import tell
from assets.rerate import Models


@dataclass(frozen=True, slots=True)
class Replayed:
    period: str
    workspace: Path
    nights: int
    rows: dict[str, int]
    differences: tuple[str, ...]  # a sentence for each table that is not the same
    other_makers: tuple[str, ...]  # versions that made nights of the bundle, where they are not this one's


def replay(bundle: Path, into: Path, models: Models, checks: Mapping[str, str]) -> Replayed:
    """Build the bundle's workspace anew below `into`, night by night, and compare."""
    if into.exists() and any(into.iterdir()):
        raise Refusal(f"{into} is not empty; give --into a directory that is new.")
    unpacked, workspace = into / "bundle", into / "workspace"
    archive.unpack(bundle, unpacked)
    manifest = _manifest(bundle, unpacked)
    for it in manifest["passes"]:
        _lay_out(it, unpacked, workspace)
        _run(it, workspace, models, checks)
    with warehouse.reading(workspace) as con:
        about = audited(con, manifest["period"])
        ours = into / "tables"
        rows = tables.write(con, parse_instant(manifest["as_of"]), tables.TABLES, ours)
    differences = [
        difference
        for name in tables.TABLES
        if (difference := _difference(name, unpacked / "tables" / f"{name}.csv", ours / f"{name}.csv"))
    ]
    if manifest["periods"] != [[key, _text(start)] for key, start in about.keys]:
        differences.insert(0, "The periods themselves are not the same.")
    makers = {it["made_by"] for it in manifest["passes"]} - {inputs.made_by()}
    nights = len({it["as_of"] for it in manifest["passes"] if it["is_posted"]})
    return Replayed(manifest["period"], workspace, nights, rows, tuple(differences), tuple(sorted(makers)))


def _manifest(bundle: Path, unpacked: Path) -> dict[str, Any]:
    """The manifest, after every file was held against its hash; refuses what can't be replayed."""
    file = unpacked / "manifest.json"
    if not file.is_file():
        raise Refusal(f"{bundle} is no audit bundle: it has no manifest.json.")
    manifest: dict[str, Any] = json.loads(file.read_text())
    if manifest.get("format") != 1:
        raise Refusal(f"{bundle} is of format {manifest.get('format')}, and this Tallyhouse reads format 1.")
    found = {path.relative_to(unpacked).as_posix(): path for path in unpacked.rglob("*") if path.is_file()}
    found.pop("manifest.json")
    wrong = [
        name
        for name in sorted({*found, *manifest["files"]})
        if name not in found or archive.sha256_of(found[name]) != manifest["files"].get(name)
    ]
    problems = [f"{bundle}: {name} is not the file that the manifest names." for name in wrong]
    problems += [
        f"{bundle}: its manifest would lay {name!r} out as {path!r}, which is no file of a workspace that it holds."
        for it in manifest["passes"]
        for path, name in _laid_out(it).items()
        if name not in manifest["files"] or not _is_inside(path)
    ]
    problems += [
        f"{path} was gone or changed when the bundle was made: what it held can't be replayed."
        for path in manifest["gone"]
    ]
    if manifest["unknown_nights"]:
        nights = ", ".join(manifest["unknown_nights"][:3])
        problems.append(
            f"The inputs of {len(manifest['unknown_nights'])} nights ({nights}) were not kept: they can't be replayed."
        )
    if problems:
        raise Refusal(problems)
    return manifest


def _laid_out(it: dict[str, Any]) -> dict[str, str]:
    """Which file of the bundle stands where in the workspace."""
    return {**it["texts"], **{path: path for path in it["raw"]}}


def _is_inside(path: str) -> bool:
    """A bundle comes from somebody else: nothing of it is written but below the folders of a workspace."""
    folder, *rest = PurePosixPath(path).parts or ("",)
    return folder in (*inputs.FOLDERS, "raw") and bool(rest) and ".." not in rest


def _lay_out(it: dict[str, Any], unpacked: Path, workspace: Path) -> None:
    """The workspace as a pass found it: these catalogue and account files and no others, and its raw files added."""
    for folder in inputs.FOLDERS:
        shutil.rmtree(workspace / folder, ignore_errors=True)
    for path, name in _laid_out(it).items():
        target = workspace / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(unpacked / name, target)


def _run(it: dict[str, Any], workspace: Path, models: Models, checks: Mapping[str, str]) -> None:
    """A pass as it was: a night that was stopped before its books is stopped there again. Nothing is sent anywhere."""
    from assets import verbs
    from assets.post import post

    as_of = parse_instant(it["as_of"])
    with warehouse.connect(workspace) as con:
        verbs.take_in(con, workspace, as_of)
        landed = verbs.bring_in(con, workspace, as_of)
        if not it["is_posted"]:
            return
        con.execute("CREATE SCHEMA IF NOT EXISTS night; CREATE SCHEMA IF NOT EXISTS billing")
        for statement in models.values():
            con.execute(statement)
        _refuse_failing(con, it["as_of"], checks)
        # Whoever forced the live book to begin did so with parity as it was.
        counts = post(con, workspace, as_of, parity.refuse_unclean(con, as_of, force=True))
    tell(
        "replayed",
        f"the night of {it['as_of']}: {landed.rows} rows, {counts['lines']} lines",
        as_of=it["as_of"],
        **counts,
    )


def _refuse_failing(con: duckdb.DuckDBPyConnection, as_of: str, checks: Mapping[str, str]) -> None:
    failed = [name for name, check in checks.items() if con.execute(check).fetchone()]
    if failed:
        raise Refusal(f"Check {name} fails when the night of {as_of} is replayed." for name in failed)


def _difference(name: str, theirs: Path, ours: Path) -> str | None:
    """The first line that two files do not share; None where they are the same to the byte."""
    if theirs.read_bytes() == ours.read_bytes():
        return None
    with theirs.open(encoding="utf-8") as left, ours.open(encoding="utf-8") as right:
        for number, (one, other) in enumerate(zip_longest(left, right), start=1):
            if one != other:
                return f"{name} differs from line {number} on: in the bundle {_line(one)}, replayed {_line(other)}."
    return f"{name} differs in its line ends."


def _line(line: str | None) -> str:
    return "no such line" if line is None else repr(line.rstrip("\n"))


def _text(start: datetime) -> str:
    return format_instant(start.replace(tzinfo=UTC))
