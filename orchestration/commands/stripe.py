"""The commands of whoever answers for what is at Stripe: push."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestration.voice import Json, Workspace, speaking

Yes = Annotated[bool, typer.Option("--yes", help="Let the first lines go to Stripe; recorded.")]


def push(workspace: Workspace, yes: Yes = False, as_json: Json = False) -> None:
    """Bring to Stripe what waits: lines still pending, parked, or without a certain outcome."""
    from assets import push as pushing
    from assets import warehouse
    from assets.books import closed_periods, last_night
    from assets.core.catalogue.loading import load
    from assets.core.refusal import Refusal
    from orchestration.settings import wall_clock

    root = workspace.resolve()
    is_there = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    with speaking(as_json) as voice:
        if not warehouse.path(root).exists():
            raise Refusal(f"{root} has no books yet; run its first night with `tallyhouse nightly`.")
        with warehouse.only_run(root, wall_clock(), "push"), warehouse.connect(root) as con:
            as_of = last_night(con)
            if as_of is None:
                raise Refusal(f"{root} has no night in its books yet; run one with `tallyhouse nightly`.")
            catalogue = load(root, closed_periods(con), as_of)
            ask = voice.ask if is_there else None
            pushing.push(con, root, catalogue, as_of, wall_clock, is_confirmed=yes, ask=ask, is_asked=True)
