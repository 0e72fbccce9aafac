"""How every command takes its options and says what it does: sentences to a person, JSON to a program."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from assets import progress
from assets.core.failure import all_said, is_stopped, no_room
from assets.core.instants import parse_instant
from assets.core.page import Page, lines_of
from assets.core.refusal import Refusal


def instant(text: str) -> datetime:
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
    typer.Option(parser=instant, metavar="TS", help="The business clock of the run (RFC 3339). Default: now."),
]
Json = Annotated[bool, typer.Option("--json", help="Say everything as JSON, one object a line.")]


# What a night is busy with once it has said a step.
NEXT = {
    "night": "checking the catalogue and the account files",
    "catalogue": "landing raw files",
    "landed": "reckoning who owes what",
    "reckoned": "holding the night against the gate's checks",
    "gate": "entering the night into the books",
    "posted": "publishing",
    "published": "bringing lines to Stripe",
    "pushed": "writing the reports",
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
        elif self.status and step == "pushing":
            self.status.update(f"{sentence} …")
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

    def ask(self, question: str) -> bool:
        if self.status:
            self.status.stop()
        return typer.confirm(question)

    def complain(self, kind: str, sentence: str, facts: Mapping[str, Any] | None = None) -> None:
        if self.status:
            self.status.stop()
        if self.is_json:
            print(json.dumps({"event": kind, "message": sentence, **(facts or {})}, default=str), flush=True)
        else:
            print(f"{kind}: {sentence}", file=sys.stderr, flush=True)


STOPPED = "Stopped; run the same command again to finish what it began."


def _failed(failure: Exception) -> tuple[str, str]:
    """The kind of a failure and a sentence about it."""
    if is_stopped(failure):
        return "stopped", STOPPED
    if full := no_room(all_said(failure)):
        return "failed", full
    if isinstance(failure, OSError) and failure.filename:
        return "failed", f"{failure.filename}: {failure.strerror}; mend that and run the same command again."
    sentence = getattr(failure, "description", None) or f"{type(failure).__name__}: {failure}"
    return "failed", f"{sentence} (set TALLYHOUSE_DEBUG=1 to see where)"


@contextmanager
def speaking(is_json: bool) -> Iterator[Voice]:
    """Turn refusals and failures into sentences and exit 1."""
    voice = Voice(is_json)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends a process is heard like a person
    try:
        yield voice
    except Refusal as refusal:
        for problem in refusal.problems:
            voice.complain(refusal.kind, problem, refusal.facts)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        voice.complain("stopped", STOPPED)
        raise typer.Exit(1) from None
    except Exception as failure:
        if os.environ.get("TALLYHOUSE_DEBUG"):
            raise
        voice.complain(*_failed(failure))
        raise typer.Exit(1) from None
    finally:
        signal.signal(signal.SIGTERM, before)
