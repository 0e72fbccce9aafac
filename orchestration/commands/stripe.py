"""The commands of whoever answers for what is at Stripe: push and reconcile."""

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


def reconcile(
    workspace: Workspace,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Compare every customer. Default: where something was sent, is open, or differs."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the books with what Stripe lists, line by line and in all; exits 1 where they differ."""
    from assets import warehouse
    from assets.books import closed_periods, last_night
    from assets.core.catalogue.loading import load
    from assets.core.refusal import Refusal
    from assets.push import reconcile as reconciling
    from orchestration.settings import wall_clock

    root = workspace.resolve()
    has_differences = False
    with speaking(as_json):
        if not warehouse.path(root).exists():
            raise Refusal(f"{root} has no books yet; run its first night with `tallyhouse nightly`.")
        with warehouse.only_run(root, wall_clock(), "reconciliation"), warehouse.connect(root) as con:
            as_of = last_night(con)
            if as_of is None:
                raise Refusal(f"{root} has no night in its books yet; run one with `tallyhouse nightly`.")
            result = reconciling.run(con, root, load(root, closed_periods(con), as_of), wall_clock, everything)
            if result:
                found = con.execute("SELECT count(*) > 0 FROM billing.reconciliation").fetchone() == (True,)
                has_differences = found or bool(result.why_not)
    if has_differences:
        raise typer.Exit(1)
