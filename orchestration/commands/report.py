"""The commands of whoever reads, prints or sends a report: each writes a page and says where it is."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.voice import Json, Voice, Workspace, instant, speaking

app = typer.Typer(no_args_is_help=True, help="Write a report as a page of HTML: of a night, a month or an account.")


def month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 - a month is no instant
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a month; write it like 2026-05") from None


@app.command()
def night(
    workspace: Workspace,
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", parser=instant, metavar="NIGHT", help="Which night. Default: the last."),
    ] = None,
    as_json: Json = False,
) -> None:
    """The page of a night; every night writes its own."""
    from assets import report

    with speaking(as_json) as voice:
        _say(voice, report.write_night(workspace.resolve(), as_of))


@app.command(name="month")
def of_month(
    wanted: Annotated[date, typer.Argument(parser=month, metavar="MONTH", help="Such as 2026-05.", show_default=False)],
    workspace: Workspace,
    as_json: Json = False,
) -> None:
    """The page of a closed month; every night writes those that it touches."""
    from assets import report

    with speaking(as_json) as voice:
        _say(voice, report.write_month(workspace.resolve(), wanted))


@app.command()
def account(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="As in accounts.csv.", show_default=False)],
    workspace: Workspace,
    period: Annotated[
        str | None,
        typer.Argument(
            metavar="[PERIOD]", help="A month such as 2026-05, or a day within. Default: the last that is closed."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Where to write the page.")] = None,
    as_json: Json = False,
) -> None:
    """The page of an account's period, with its arithmetic: to be sent to the customer who asks why."""
    from assets import report
    from orchestration.dbt import compiled_models

    with speaking(as_json) as voice:
        _say(voice, report.write_account(workspace.resolve(), account_id, period, compiled_models(), out))


def _say(voice: Voice, file: Path) -> None:
    voice.say("report", str(file), {"file": str(file)})
