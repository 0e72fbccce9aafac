"""The command line. Heavy libraries are imported by the command that needs them: help and refusals come at once."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from assets.core.instants import format_instant
from orchestration.commands import audit, catalog, docs, gate, parity, practice, report, sql, stripe
from orchestration.voice import AsOf, Json, Workspace, speaking

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The billing night of a usage-priced company, as a data warehouse.",
)


@app.command()
def nightly(
    workspace: Workspace,
    as_of: AsOf = None,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Go live although parity is not clean; recorded.")] = False,
    yes: stripe.Yes = False,
) -> None:
    """Run one night: land, compute, check, post, publish, push."""
    from orchestration.run import night
    from orchestration.settings import wall_clock

    with speaking(as_json) as voice:
        now = wall_clock()  # also where nobody asks for it now: the push will
        clock = as_of or now
        voice.say("night", f"as of {format_instant(clock)}", {"as_of": format_instant(clock)})
        night(workspace.resolve(), clock, force, yes)
        voice.say("done", "the night is in the books", {"as_of": format_instant(clock)})


@app.command()
def check(workspace: Workspace, as_json: Json = False) -> None:
    """Check the catalogue and the account files, and nothing else."""
    from assets.core.catalogue.loading import load
    from assets.core.page import counted

    with speaking(as_json) as voice:
        loaded = load(workspace.resolve())
        for warning in loaded.warnings:
            voice.say("warning", warning, {})
        voice.say(
            "checked",
            f"in order: {counted(len(loaded.plans), 'plan')}, {counted(len(loaded.sources), 'source')}, "
            f"{counted(len(loaded.accounts), 'account')}",
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

    with speaking(as_json) as voice:
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

    with speaking(as_json) as voice:
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

    with speaking(as_json) as voice:
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

    with speaking(as_json) as voice:
        play(workspace.resolve())
        voice.say("done", f"the demo's nights are in the books of {workspace}", {"workspace": str(workspace)})
        reports = f"{workspace}/published/reports/index.html"
        voice.say("look", f"{reports}, the tables beside it with any DuckDB, or the Dagster UI: make ui", {})


@app.command()
def ui(
    workspace: Workspace,
    port: Annotated[int, typer.Option(help="Where the Dagster UI listens on this machine.")] = 3000,
) -> None:
    """Open the Dagster UI on the workspace."""
    from assets.warehouse import nowhere
    from orchestration.settings import dagster_home

    root = workspace.resolve()
    with speaking(False):
        if not (root / "catalog").is_dir():  # else one is begun wherever somebody happens to be
            raise nowhere(root)
    home = dagster_home(root)
    os.environ["TALLYHOUSE_WORKSPACE"] = str(root)
    dagster = shutil.which("dagster", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if dagster is None:
        print("failed: Dagster is not installed beside this Python; run make run first.", file=sys.stderr)
        raise typer.Exit(1)
    print(f"Dagster UI on http://127.0.0.1:{port} (history in {home}); stop it with Ctrl-C", flush=True)
    os.execv(dagster, [dagster, "dev", "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)])


for command in (
    parity.parity,
    parity.cutover,
    stripe.push,
    stripe.reconcile,
    practice.practice,
    sql.sql,
    audit.audit,
    docs.docs,
    gate.gate,
):
    app.command()(command)
app.add_typer(catalog.catalog, name="catalog")
app.add_typer(report.app, name="report")


def main() -> None:
    # Dagster, dbt and Great Expectations are a million objects that stay to the end. Looking through them for rubbish,
    # as often as they come, is a tenth of a small night.
    gc.set_threshold(100_000, 50, 50)
    code = 0

    def leave() -> None:
        # With Great Expectations loaded, DuckDB fills the screen with what "leaked" while Python takes itself
        # apart. This handler, registered first, runs last: all is closed and flushed, so the process can simply end.
        if "great_expectations" in sys.modules:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    atexit.register(leave)
    try:
        app()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
        raise


if __name__ == "__main__":
    main()
