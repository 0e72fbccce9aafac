"""The last room: lines of the live book, or its usage hour by hour, leave for Stripe, each exactly once.

A person says yes to the first push, and the books remember it. From then on a push needs nobody; what it could not
bring to an end it leaves in the outbox, says so, and takes up again next time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb

from assets import publish
from assets.books import Decision, record
from assets.core.catalogue.models import Catalogue, Settings
from assets.core.refusal import Refusal
from assets.progress import tell
from assets.push import invoices, meter_events, words
from assets.push.client import Client, has_key, refuse_wrong_key
from assets.push.outbox import Clock, Outbox, ensure_outbox
from assets.push.pace import Pace, Patience
from assets.push.prepare import prepare
from assets.push.send import Sender

ROUNDS = 3  # of bringing again what turned out not to be there
RENEWED = ("invoice_items", "meter_events", "decisions", "events")

Ask = Callable[[str], bool]


class Waiting(Refusal):
    """Lines that are not at Stripe, or perhaps not: the night is in the books, and someone must look."""

    kind = "waiting"
    may_pass = False  # by itself, in a while


def push(
    con: duckdb.DuckDBPyConnection,
    workspace: Path,
    catalogue: Catalogue,
    as_of: datetime,
    clock: Clock,
    is_confirmed: bool = False,
    ask: Ask | None = None,
    is_asked: bool = False,
    patience: Patience | None = None,
) -> dict[str, int]:
    """Bring what waits to Stripe and publish what became of it; counts of lines by state.

    `ask` puts the question before the first push to whoever is there. Where nobody is, a push that was asked for
    (`is_asked`) is refused, and a night leaves its lines waiting.
    """
    settings = catalogue.settings
    if settings.stripe_mode == "shadow":
        tell("pushed", "nothing; in shadow mode lines are complete and never sent")
        return {}
    refuse_wrong_key(settings)
    ensure_outbox(con)
    refuse_unlike_the_night(con, settings)
    outbox = Outbox(con, settings.stripe_key, clock)
    customers = {it.account_id: it.stripe_customer_id for it in catalogue.accounts if it.stripe_customer_id}
    _prepare(outbox, settings, customers)
    sender = None
    try:
        if _may_go(outbox, settings, as_of, is_confirmed, ask, is_asked):
            sender = _bring(outbox, settings, customers, patience)
    finally:
        publish.renew(con, workspace, RENEWED)
    return _told(outbox, sender)


def refuse_unlike_the_night(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """The books that readers see are those of the last night; a switch takes effect with the next one."""
    row = con.execute("SELECT book FROM catalog.settings").fetchone()
    if row != ("live",):
        raise Refusal(
            "catalog/workspace.yaml has turned live since the last night; run one first with `tallyhouse nightly`."
        )
    con.execute("UPDATE catalog.settings SET key_mode = $mode WHERE key_mode <> $mode", {"mode": settings.stripe_key})


def _may_go(
    outbox: Outbox, settings: Settings, as_of: datetime, is_confirmed: bool, ask: Ask | None, is_asked: bool
) -> bool:
    """Whether there is something to do and a person has once said yes to it."""
    subject = f"{settings.stripe_key} key"
    is_recorded = outbox.con.execute(
        "SELECT count(*) > 0 FROM books.decisions WHERE decision = 'push' AND subject = ?", [subject]
    ).fetchone() == (True,)
    first = words.first_push(outbox.con, settings)
    if not is_recorded:
        if is_confirmed:
            because = "said in advance, with --yes"
        elif outbox.is_settled():
            return False
        elif ask:
            if not ask(f"{first.question} Send them?"):
                raise Refusal("Nothing was sent; the lines wait for `tallyhouse push`.")
            because = "said at the prompt"
        elif is_asked:
            raise Refusal(f"{first.question} If that is right, say so with `tallyhouse push --yes`.")
        else:
            tell("warning", f"{first.question} They wait for `tallyhouse push --yes`.")
            return False
        record(outbox.con, Decision("push", subject, because, as_of, first.facts))
    if outbox.is_settled():
        return False
    if not has_key():
        key = f"sk_{settings.stripe_key}_ or rk_{settings.stripe_key}_"
        waiting = words.both(first.facts["lines"], first.facts["meter_events"]) or words.lines(0)
        raise Waiting(
            f"STRIPE_API_KEY is not set, so {words.wait(waiting)}; put a key that begins with {key} "
            "into the environment and run `tallyhouse push`."
        )
    return True


def _bring(outbox: Outbox, settings: Settings, customers: dict[str, str], patience: Patience | None) -> Sender:
    client = Client(settings.stripe_key, Pace(settings.stripe_rate), patience)
    sender = Sender(outbox, client)
    outbox.account = _account(outbox, sender)
    for _ in range(ROUNDS):
        if sender.is_stopped:
            break
        sender.has_more = False
        invoices.make_way(sender, customers)
        invoices.make_drafts(sender)
        sender.run(
            invoices.addressed(outbox), lambda done, of: tell("pushing", f"{done} of {of} items", done=done, of=of)
        )
        invoices.finalise(sender)
        meter_events.bring(sender, lambda done, of: tell("pushing", f"{done} of {of} meter events", done=done, of=of))
        if not sender.has_more:
            break
        _prepare(outbox, settings, customers)  # what was not there goes out anew
    return sender


def _prepare(outbox: Outbox, settings: Settings, customers: dict[str, str]) -> None:
    prepare(outbox, settings, customers)
    meter_events.prepare(outbox, customers)


def _account(outbox: Outbox, sender: Sender) -> str | None:
    """Whose key it is, where the key may ask; refused if lines have gone to somebody else's account."""
    answer = sender.client.insist("accounts.retrieve_current")
    if answer.status == 401:
        sender.stop(f"Stripe refuses the key: {answer.why}", may_pass=False)
    elif answer.may_pass:
        sender.stop(f"Stripe can't be reached: {answer.why}", may_pass=True)
    account = answer.body.get("id")
    others = outbox.con.execute(
        "SELECT DISTINCT stripe_account FROM books.outbox WHERE key_mode = ? AND stripe_account <> ?",
        [outbox.key_mode, account],
    ).fetchall()
    if others:
        raise Refusal(
            f"STRIPE_API_KEY is a key of {account}, and lines of this workspace have gone to {others[0][0]}; nothing "
            "was sent. Give a key of that account."
        )
    return account


def _told(outbox: Outbox, sender: Sender | None) -> dict[str, int]:
    """Say where the lines stand; raises where some are not where they should be."""
    standing = words.standing(outbox)
    tell("pushed", standing.sentence, **standing.counts)
    for warning in standing.warnings:
        tell("warning", warning)
    if sender and (problems := words.problems(standing, sender.why_stopped)):
        waiting = Waiting(problems)
        waiting.may_pass = sender.may_pass
        raise waiting
    return standing.counts
