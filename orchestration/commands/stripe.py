"""The commands of whoever answers for what is at Stripe: push and reconcile."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestration.voice import Json, Workspace, speaking

Yes = Annotated[bool, typer.Option("--yes", help="Let the first lines go to Stripe; recorded.")]


def push(workspace: Workspace, yes: Yes = False, as_json: Json = False) -> None:
    """Bring to Stripe what waits: lines still pending, parked, or without a certain outcome."""
    from orchestration import run

    is_there = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    with speaking(as_json) as voice:
        run.push(workspace.resolve(), yes, voice.ask if is_there else None)


def reconcile(
    workspace: Workspace,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Compare every customer. Default: where something was sent, is open, or differs."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the books with what Stripe lists, line by line and in all; exits 1 where they differ."""
    from orchestration import run

    with speaking(as_json):
        do_agree = run.reconcile(workspace.resolve(), everything)
    if not do_agree:
        raise typer.Exit(1)
