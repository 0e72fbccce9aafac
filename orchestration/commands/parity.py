"""The commands of whoever takes over from another biller: parity and cutover."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from assets.core.instants import format_instant
from orchestration.voice import Json, Workspace, instant, speaking

Night = Annotated[
    datetime | None,
    typer.Option("--as-of", parser=instant, metavar="NIGHT", help="As the ledger stood after it. Default: the last."),
]


def parity(
    workspace: Workspace,
    at: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="TS", help="An hour. Default: what the last week flags.")
    ] = None,
    as_of: Night = None,
    as_json: Json = False,
) -> None:
    """Compare two counts of the same usage, account by account, in any hour (catalog/parity.yaml)."""
    from assets import parity
    from orchestration.dbt import compiled_models

    with (
        speaking(as_json) as voice,
        parity.asked_again(workspace.resolve(), compiled_models(), as_of, at) as (con, _, night),
    ):
        totals, flagged = parity.hours(con)
        if at is None:
            totals = [it for it in totals if it["accounts_flagged"] or it["is_alarming"]]
        for it in map(parity.facts, totals):
            state = "alert" if it["is_alert"] else "alarming" if it["is_alarming"] else "in order"
            voice.say(
                "hour", f"{_compared(it)}; {it['accounts_flagged']} of {it['accounts']} accounts flagged; {state}", it
            )
        for it in map(parity.facts, flagged):
            voice.say(it["flag"], f"{_compared(it)}, account {it['account_id']}", it)
        voice.say("parity", f"as of {format_instant(night)}", {"hours": len(totals), "flagged": len(flagged)})


def _compared(it: dict[str, Any]) -> str:
    counts = f"{it['candidate']} against {it['reference']} {it['unit']}"
    drift = f" ({Decimal(it['drift']):+.4%})" if it["drift"] else ""
    return f"{it['comparison']} {it['hour_start']}: {counts}{drift}"


def cutover(
    workspace: Workspace,
    check: Annotated[bool, typer.Option("--check", help="Check only; there is nothing else to do.")] = False,
    bill_from: Annotated[
        datetime | None,
        typer.Option(
            parser=instant, metavar="TS", help="Where this side begins to bill. Default: the workspace's own."
        ),
    ] = None,
    as_of: Night = None,
    as_json: Json = False,
) -> None:
    """Whether this side can take over from another biller: parity is clean, and all usage is billed exactly once."""
    from assets import parity
    from orchestration.dbt import compiled_models

    if not check:
        raise typer.BadParameter("say --check; the switch itself is stripe.mode in catalog/workspace.yaml")
    with speaking(as_json) as voice:
        with parity.asked_again(
            workspace.resolve(), compiled_models(), as_of, bill_from=bill_from, is_going_live=True
        ) as (con, catalogue, _):
            found = parity.verdict(con)
            notes = parity.held(con, catalogue)
        for it in map(parity.facts, found.comparisons):
            counts = f"{it['candidate_usages']} usages against {it['reference_usages']} of {it['accounts']} accounts"
            hours = f"{it['clean_from']} to {it['clean_until']}"
            voice.say(
                "parity", f"{it['comparison']}, {hours}: {counts}, {it['account_hours_drifting']} hours drift", it
            )
        for it in map(parity.facts, found.seam):
            money = f", {it['money']} {it['currency']}" if it["money"] is not None else ""
            rows = f"{it['usages']} usages, {it['quantity']} {it['unit']}{money}"
            voice.say("seam", f"{it['comparison']} {it['side']} {it['part']}: {rows}", it)
        for note in notes:
            voice.say("note", note, {})
        for block in found.blocks:
            voice.complain("blocks", block)
        facts = {"is_clean": found.is_clean, "as_of": format_instant(found.as_of), "blocks": len(found.blocks)}
        start = format_instant(found.bill_from) if found.bill_from else "no instant"
        answer = f"this side {'can' if found.is_clean else 'can not'} take over at {start}"
        voice.say("cutover", answer, {**facts, "bill_from": start})
    if not found.is_clean:
        raise typer.Exit(1)
