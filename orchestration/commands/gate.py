"""The command of whoever is woken by a stop: what the gate found, again; and letting one night pass."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assets.core.catalogue.problems import suggestion
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from orchestration.voice import AsOf, Json, Voice, Workspace, speaking

if TYPE_CHECKING:
    import duckdb

    from assets.gate.judge import Judged


def gate(
    workspace: Workspace,
    as_of: AsOf = None,
    rows: Annotated[str | None, typer.Option(metavar="CHECK", help="Show all rows that this check found.")] = None,
    accept: Annotated[
        str | None, typer.Option(metavar="CHECK", help="Let the night that was stopped pass this check.")
    ] = None,
    because: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; recorded with the acceptance.")] = None,
    as_json: Json = False,
) -> None:
    """Show what the gate found in the last night, or accept what it stopped."""
    if (accept is None) != (because is None):
        raise typer.BadParameter("say --accept and --because together")
    if because is not None and not because.strip():
        raise typer.BadParameter("say why, in a few words", param_hint="--because")
    with speaking(as_json) as voice:
        if accept is not None and because is not None:
            _accept(voice, workspace, accept, because.strip())
        else:
            _show(voice, workspace, as_of, rows)


def _accept(voice: Voice, workspace: Path, check: str, because: str) -> None:
    from assets.gate.accept import accept

    judged, is_new = accept(workspace.resolve(), check, because)
    night = format_instant(judged.as_of)
    said = "is accepted" if is_new else "was accepted before"
    again = f"tallyhouse nightly --workspace {shlex.quote(str(workspace))} --as-of {night}"
    voice.say(
        "accepted",
        f"{check} {said} for the night of {night}, and no other; now run it again: {again}",
        {"as_of": night},
    )


def _show(voice: Voice, workspace: Path, as_of: datetime | None, rows: str | None) -> None:
    from assets import warehouse
    from assets.gate import words
    from assets.gate.judge import look_again
    from assets.gate.stop import account

    root = workspace.resolve()
    with warehouse.peek(root) as con:
        found = look_again(con, as_of) if con else None
        if con is None or found is None:
            raise Refusal(f"The gate has judged no such night of {root}, or a run is at work there.")
        if rows is not None:
            _show_rows(voice, con, found, rows)
        elif voice.is_json:
            for check in found.checks:
                voice.say("check", words.sentence(check) if check["verdict"] != "passes" else check["about"], check)
            voice.say("gate", words.opening(found), words.facts(found))
        else:
            voice.show([words.overview(found), *account(con, found, workspace)])


def _show_rows(voice: Voice, con: duckdb.DuckDBPyConnection, found: Judged, name: str) -> None:
    from assets.gate import words
    from assets.gate.judge import rows_of

    check = next((one for one in found.checks if one["check_name"] == name), None)
    if check is None:
        known = [one["check_name"] for one in found.checks]
        advice = suggestion(name, known, "`tallyhouse gate` lists them.")
        raise Refusal(f"There is no check {name} in the night of {format_instant(found.as_of)}; {advice}")
    listed = rows_of(con, found.as_of, name)
    if not voice.is_json:
        voice.show(words.rows_page(check, listed))
    for row in listed if voice.is_json else ():
        voice.say("row", name, row)
