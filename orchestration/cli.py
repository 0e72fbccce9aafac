"""The command line. Heavy libraries are imported by the command that needs them: help and refusals come at once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from assets import progress
from assets.core.instants import format_instant, parse_instant
from assets.core.page import Page, lines_of
from assets.core.refusal import Refusal

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The billing night of a usage-priced company, as a data warehouse.",
)


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write it like 2026-06-01T01:00:00Z") from None


Workspace = Annotated[
    Path,
    typer.Option(
        envvar="TALLYHOUSE_WORKSPACE", help="The workspace directory: catalog/, accounts/, raw/.", show_default=False
    ),
]
AsOf = Annotated[
    datetime | None,
    typer.Option(parser=_instant, metavar="TS", help="The business clock of the run (RFC 3339). Default: now."),
]
Json = Annotated[bool, typer.Option("--json", help="Say everything as JSON, one object a line.")]


# What a night is busy with once it has said a step.
NEXT = {
    "night": "checking the catalogue and the account files",
    "catalogue": "landing raw files",
    "landed": "reckoning who owes what",
    "reckoned": "entering the night into the books",
    "posted": "publishing",
}


class Voice:
    """Says what happens: sentences to a person on stdout, or one JSON object a line to a program.

    On a terminal the last line tells what is being worked on; elsewhere there are plain lines only.
    """

    def __init__(self, is_json: bool) -> None:
        self.is_json = is_json
        self.console = Console(highlight=False, soft_wrap=True)
        self.status = self.console.status("") if self.console.is_terminal and not is_json else None
        progress.listen(self.say)

    def say(self, step: str, sentence: str, facts: dict[str, Any]) -> None:
        if self.is_json:
            print(json.dumps({"event": step, "message": sentence, **facts}, default=str), flush=True)
        elif self.status:
            self.console.print(Text.assemble((f"{step:>10}  ", "yellow" if step == "warning" else "dim"), sentence))
            if step in NEXT:
                self.status.update(f"{NEXT[step]} …")
                self.status.start()
            elif step != "warning":
                self.status.stop()
        else:
            print(f"{step}: {sentence}", flush=True, file=sys.stderr if step == "warning" else sys.stdout)

    def show(self, page: Page) -> None:
        """A whole answer: tables on a terminal, the same columns as plain text elsewhere."""
        if self.console.is_terminal:
            from orchestration.terminal import print_page

            print_page(page, self.console)
        else:
            print("\n".join(lines_of(page)), flush=True)

    def complain(self, kind: str, sentence: str) -> None:
        if self.status:
            self.status.stop()
        if self.is_json:
            print(json.dumps({"event": kind, "message": sentence}), flush=True)
        else:
            print(f"{kind}: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def _speaking(is_json: bool) -> Iterator[Voice]:
    """Turn refusals and failures into sentences and exit 1."""
    voice = Voice(is_json)
    try:
        yield voice
    except Refusal as refusal:
        for problem in refusal.problems:
            voice.complain(refusal.kind, problem)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        voice.complain("stopped", "Stopped; run the same command again to finish the night.")
        raise typer.Exit(1) from None
    except Exception as failure:
        if os.environ.get("TALLYHOUSE_DEBUG"):
            raise
        sentence = getattr(failure, "description", None) or f"{type(failure).__name__}: {failure}"
        voice.complain("failed", f"{sentence} (set TALLYHOUSE_DEBUG=1 to see where)")
        raise typer.Exit(1) from None


@app.command()
def nightly(
    workspace: Workspace,
    as_of: AsOf = None,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Go live although parity is not clean; recorded.")] = False,
) -> None:
    """Run one night: land, compute, check, post, publish."""
    from orchestration.run import night
    from orchestration.settings import wall_clock

    with _speaking(as_json) as voice:
        clock = as_of or wall_clock()
        voice.say("night", f"as of {format_instant(clock)}", {"as_of": format_instant(clock)})
        night(workspace.resolve(), clock, force)
        voice.say("done", "the night is in the books", {})


@app.command()
def check(workspace: Workspace, as_json: Json = False) -> None:
    """Check the catalogue and the account files, and nothing else."""
    from assets.core.catalogue.loading import load

    with _speaking(as_json) as voice:
        loaded = load(workspace.resolve())
        for warning in loaded.warnings:
            voice.say("warning", warning, {})
        voice.say(
            "checked",
            f"{len(loaded.plans)} plans, {len(loaded.sources)} sources, {len(loaded.accounts)} accounts are in order",
            {"warnings": len(loaded.warnings)},
        )


@app.command()
def explain(
    line_id: Annotated[str, typer.Argument(metavar="LINE_ID", help="As in billing.invoice_items.", show_default=False)],
    workspace: Workspace,
    as_json: Json = False,
) -> None:
    """Show the arithmetic of a line, reckoned anew from the ledger of its night, and the raw rows behind it."""
    from assets import explain as explaining
    from assets.explain import words
    from orchestration.dbt import compiled_models

    with _speaking(as_json) as voice:
        explained = explaining.explain(workspace.resolve(), line_id, compiled_models())
        if as_json:
            voice.say("explained", words.sentence(explained), words.facts(explained))
        else:
            voice.show(words.page(explained))
        explained.check()


@app.command()
def preview(
    workspace: Workspace,
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="Only this account's periods.")] = None,
    as_json: Json = False,
) -> None:
    """Show what the open periods owe so far, as of the last night."""
    from assets import preview as open_periods
    from assets import preview_words as words

    with _speaking(as_json) as voice:
        found = open_periods.preview(workspace.resolve(), account)
        if not as_json:
            voice.show(words.page(found))
            return
        for period in found.periods:
            voice.say("period", words.told(period), words.facts(period))
        voice.say("preview", words.opening(found), {"totals": words.totals(found)})


@app.command(name="what-if")
def what_if(
    plans: Annotated[
        Path,
        typer.Option("--plans", exists=True, dir_okay=False, help="Another plans.yaml, anywhere.", show_default=False),
    ],
    workspace: Workspace,
    by: Annotated[Literal["account", "period"], typer.Option(help="What a row stands for.")] = "account",
    as_json: Json = False,
) -> None:
    """Rate the whole history anew under other plans, without touching the books, and show the difference."""
    from assets import whatif
    from assets import whatif_words as words
    from orchestration.dbt import compiled_models

    with _speaking(as_json) as voice:
        found = whatif.what_if(workspace.resolve(), plans, compiled_models(), by)
        for warning in found.warnings:
            voice.say("warning", warning, {})
        if not as_json:
            voice.show(words.page(found))
            return
        for each in found.differences:
            voice.say(found.by, words.told(each), words.facts(each))
        voice.say("compared", words.opening(found), {"totals": [words.facts(total) for total in found.totals]})


@app.command()
def demo(
    workspace: Annotated[
        Path, typer.Option(envvar="TALLYHOUSE_WORKSPACE", help="Where to make the demo workspace.")
    ] = Path("demo-workspace"),
    as_json: Json = False,
) -> None:
    """Make a workspace with logs of five products and run its nights."""
    from orchestration.demo import play

    with _speaking(as_json) as voice:
        play(workspace.resolve())
        voice.say("done", f"the demo's nights are in the books of {workspace}", {"workspace": str(workspace)})
        voice.say("look", f"{workspace}/published/tallyhouse.duckdb with any DuckDB, or the Dagster UI: make ui", {})


@app.command()
def ui(
    workspace: Workspace,
    port: Annotated[int, typer.Option(help="Where the Dagster UI listens on this machine.")] = 3000,
) -> None:
    """Open the Dagster UI on the workspace."""
    from orchestration.settings import dagster_home

    home = dagster_home(workspace.resolve())
    os.environ["TALLYHOUSE_WORKSPACE"] = str(workspace.resolve())
    dagster = shutil.which("dagster", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if dagster is None:
        print("failed: Dagster is not installed beside this Python; run make run first.", file=sys.stderr)
        raise typer.Exit(1)
    print(f"Dagster UI on http://127.0.0.1:{port} (history in {home}); stop it with Ctrl-C", flush=True)
    os.execv(dagster, [dagster, "dev", "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)])


# --- parity --------------------------------------------------------------------------------------------------------

Night = Annotated[
    datetime | None,
    typer.Option("--as-of", parser=_instant, metavar="NIGHT", help="As the ledger stood after it. Default: the last."),
]


@app.command()
def parity(
    workspace: Workspace,
    at: Annotated[
        datetime | None, typer.Option(parser=_instant, metavar="TS", help="An hour. Default: what the last week flags.")
    ] = None,
    as_of: Night = None,
    as_json: Json = False,
) -> None:
    """Compare two counts of the same usage, account by account, in any hour (catalog/parity.yaml)."""
    from assets import parity
    from orchestration.dbt import compiled_models

    with (
        _speaking(as_json) as voice,
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


@app.command()
def cutover(
    workspace: Workspace,
    check: Annotated[bool, typer.Option("--check", help="Check only; there is nothing else to do.")] = False,
    bill_from: Annotated[
        datetime | None,
        typer.Option(
            parser=_instant, metavar="TS", help="Where this side begins to bill. Default: the workspace's own."
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
    with _speaking(as_json) as voice:
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


def main() -> None:
    app()


if __name__ == "__main__":
    main()
