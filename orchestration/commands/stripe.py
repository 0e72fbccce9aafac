"""The commands of whoever answers for what is at Stripe: push."""

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
