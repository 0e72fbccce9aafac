"""The command of whoever must be sure of a month that is over: a bundle of it, and the bundle run again elsewhere."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from assets.core.instants import format_instant
from assets.core.page import counted
from assets.core.refusal import Refusal
from orchestration.voice import Json, Voice, speaking

# Not the one that all others take: a replay needs no workspace.
Workspace = Annotated[
    Path | None,
    typer.Option(envvar="TALLYHOUSE_WORKSPACE", help="The workspace directory.", show_default=False),
]


def audit(
    period: Annotated[
        str | None, typer.Argument(metavar="PERIOD", help="A month like 2026-05, or a period like sub_1@2026-05.")
    ] = None,
    workspace: Workspace = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The bundle to write. Default: audit-PERIOD.tar.zst.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Run a bundle's nights again, and compare.",
        ),
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="Keep what the replay builds in this new directory.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bundle a closed month with all that went into it, or replay such a bundle and compare it byte for byte."""
    if (period is None) == (replay is None):
        raise typer.BadParameter("say a PERIOD to bundle, or --replay FILE")
    if replay is None and workspace is None:
        raise typer.BadParameter("say --workspace DIR, or set TALLYHOUSE_WORKSPACE")
    with speaking(as_json) as voice:
        if period is not None and workspace is not None:
            _bundle(voice, workspace.resolve(), period, out)
        elif replay is not None and into is not None:
            _replay(voice, replay, into.resolve())
        elif replay is not None:
            with tempfile.TemporaryDirectory(prefix="tallyhouse-replay-") as scratch:
                _replay(voice, replay, Path(scratch))


def _bundle(voice: Voice, workspace: Path, period: str, out: Path | None) -> None:
    from assets import audit as auditing

    name = re.sub(r"[^\w.@-]", "-", period)
    file = out or Path(f"audit-{name}.tar.zst")
    if not file.parent.is_dir():
        raise Refusal(f"There is no directory {file.parent} to write {file.name} into.")
    made = auditing.bundle(workspace, period, file)
    for path in made.gone:
        voice.say(
            "warning", f"{path} is gone or changed since it landed, so the bundle can't be replayed.", {"path": path}
        )
    for night in made.unknown:
        voice.say(
            "warning",
            f"The inputs of the night of {night} were not kept, so the bundle can't be replayed.",
            {"as_of": night},
        )
    holds = f"{counted(made.periods, 'closed period')} of {period}, {counted(made.nights, 'night')}"
    voice.say(
        "audit",
        f"{holds} up to {format_instant(made.as_of)}: {file}",
        {
            "period": period,
            "file": str(file),
            "as_of": format_instant(made.as_of),
            "periods": made.periods,
            "nights": made.nights,
            "rows": made.rows,
            "can_be_replayed": not (made.gone or made.unknown),
            "manifest_sha256": made.manifest_sha256,
        },
    )


def _replay(voice: Voice, bundle: Path, into: Path) -> None:
    from assets import audit as auditing
    from orchestration.dbt import compiled_checks, compiled_models

    found = auditing.replay(bundle, into, compiled_models(), compiled_checks())
    for maker in found.other_makers:
        voice.say("warning", f"Nights of the bundle were made by other versions: {maker}.", {"made_by": maker})
    if found.differences:
        raise Refusal(found.differences)
    voice.say(
        "audit",
        f"{found.nights} nights replayed; all {len(found.rows)} tables of {found.period} are the same, byte for byte",
        {"period": found.period, "nights": found.nights, "rows": found.rows, "is_same": True},
    )
