"""The demo: a workspace with the logs of five products, and its nights, one after the other as they would have come.

It begins in shadow and goes live at the end. What it sends goes to a practice Stripe on this machine, whose state is
kept in the workspace, with a key that is none; whatever key the environment holds is left out of it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from assets import progress, warehouse
from assets.books import nights_done
from assets.core.catalogue.loading import load
from assets.core.instants import format_instant, parse_instant
from assets.core.page import billed, counted
from assets.core.refusal import Refusal
from assets.practice import PracticeStripe
from assets.push.client import BASE, KEY
from data import DEMO
from orchestration.run import night, push

_NO_KEY = {KEY: "sk_test_practice"}
_SETTINGS = "catalog/workspace.yaml"
_STRIPE = "practice-stripe.jsonl"


def confirmed_night(workspace: Path, as_of: datetime) -> None:
    """A night as the schedule runs it, with the word that lines may go to Stripe."""
    night(workspace, as_of, yes=True)


def play(workspace: Path, run: Callable[[Path, datetime], object] = confirmed_night) -> None:
    """Make the workspace where it is missing and run the nights it has not had."""
    _refuse_another(workspace)
    nights = YAML(typ="safe", pure=True).load(DEMO / "nights.yaml")["nights"]
    arrivals = {file for each in nights for file in each["arrives"]}
    for file in sorted(path.relative_to(DEMO).as_posix() for path in DEMO.rglob("*") if path.is_file()):
        if file != "nights.yaml" and file not in arrivals:
            _arrive(workspace, file)
    done = _nights_done(workspace)
    with _practice(workspace) as practice:
        for each in nights:
            as_of = parse_instant(str(each["as_of"]))
            for file in each["arrives"]:
                _arrive(workspace, file)
            if as_of not in done:
                _edit(workspace, each.get("edits", {}))
                progress.tell("night", f"as of {format_instant(as_of)}. {each['story']}", as_of=format_instant(as_of))
                _meet_customers(practice, workspace)
                run(workspace, as_of)
        if len(done) == len(nights):
            push(workspace)  # the last night may have been killed on its way to Stripe
        _tell_what_arrived(practice)


def _refuse_another(workspace: Path) -> None:
    """Only a directory that is new, or a demo's: the first thing there is the other side of its push."""
    is_new = not workspace.exists() or (workspace.is_dir() and not any(workspace.iterdir()))
    if not is_new and not (workspace / _STRIPE).is_file():
        raise Refusal(f"{workspace} holds something else than a demo; name a directory that is new, with --workspace.")
    workspace.mkdir(parents=True, exist_ok=True)
    (workspace / _STRIPE).touch()


def _arrive(workspace: Path, file: str) -> None:
    target = workspace / file
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _put(workspace, target, (DEMO / file).read_bytes())


def _edit(workspace: Path, edits: Mapping[str, str]) -> None:
    """Each line that begins so, as it is to be, unless all of it stands there already: a night may be tried again."""
    file = workspace / _SETTINGS
    text = file.read_text(encoding="utf-8")
    todo = {begins: new for begins, new in edits.items() if f"{new}\n" not in text}
    if todo:
        lines = [next((new for begins, new in todo.items() if it.startswith(begins)), it) for it in text.splitlines()]
        _put(workspace, file, ("\n".join(lines) + "\n").encode())


def _put(workspace: Path, file: Path, content: bytes) -> None:
    """All of it or nothing, wherever this is stopped."""
    part = workspace / ".part"
    part.write_bytes(content)
    os.replace(part, file)


def _nights_done(workspace: Path) -> set[datetime]:
    with warehouse.peek(workspace) as con:
        return nights_done(con) if con else set()


@contextmanager
def _practice(workspace: Path) -> Iterator[PracticeStripe]:
    """The practice Stripe, and this process pointed at it."""
    before = {name: os.environ.get(name) for name in (KEY, BASE)}
    with PracticeStripe(state=workspace / _STRIPE) as practice:
        os.environ.update({**_NO_KEY, BASE: practice.url})
        try:
            yield practice
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _meet_customers(practice: PracticeStripe, workspace: Path) -> None:
    for account in load(workspace).accounts:
        if account.stripe_customer_id:
            practice.add_customer(account.stripe_customer_id, account.name)


def _tell_what_arrived(practice: PracticeStripe) -> None:
    """From the other side: what Stripe would say it has."""
    items = practice.items()
    lines: Counter[str] = Counter(it["metadata"]["line_key"] for it in items)
    money: Counter[str] = Counter()
    for it in items:
        money[it["currency"].upper()] += it["amount"]
    amounts = ", ".join(f"{billed(minor, currency)} {currency}" for currency, minor in sorted(money.items()))
    twice = [line for line, count in lines.items() if count > 1]
    how = f"{', '.join(twice)} more than once" if twice else "each once"
    facts: dict[str, Any] = {"items": len(items), "money": dict(money), "twice": twice}
    progress.tell("arrived", f"{counted(len(lines), 'line')}, {amounts}, at the practice Stripe, {how}", **facts)
