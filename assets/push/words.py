"""What a push says: what it is about to send, where the lines stand, and what waits for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from assets.core.catalogue.models import Settings
from assets.core.instants import format_instant
from assets.core.page import billed, counted
from assets.push.outbox import Outbox
from assets.push.rules import DOUBT

_KINDS = 8  # of reasons told one by one

_COLLECT = {
    "pending": "as items that wait for each customer's next subscription invoice",
    "invoice": "on invoices of their own, which Stripe then collects",
}


@dataclass(frozen=True, slots=True)
class First:
    """What the first push would send."""

    question: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the lines of the live book stand."""

    sentence: str
    counts: dict[str, int]
    warnings: list[str]
    in_doubt: int  # lines of which it is not known whether Stripe took them
    not_before: datetime | None  # when a doubt is next resolved


def lines(count: int) -> str:
    return counted(count, "line")


def first_push(con: duckdb.DuckDBPyConnection, settings: Settings) -> First:
    money = con.execute("""
        SELECT currency, sum(amount_minor)::BIGINT FROM billing.invoice_items WHERE state = 'pending'
        GROUP BY currency ORDER BY currency""").fetchall()
    row = con.execute("""
        SELECT count(*), count(DISTINCT account_id) FROM billing.invoice_items WHERE state = 'pending'""").fetchone()
    assert row is not None
    count, accounts = row
    facts = {"lines": count, "accounts": accounts, "money": {code: billed(minor, code) for code, minor in money}}
    question = (
        f"The first push to Stripe with a {settings.stripe_key} key: {lines(count)} of {counted(accounts, 'account')}, "
        f"{_money(money)}, {_COLLECT[settings.stripe_collect]}."
    )
    return First(question, facts)


def standing(outbox: Outbox) -> Standing:
    con = outbox.con
    counts = dict(
        con.execute("""
            SELECT state, count(*) FROM billing.invoice_items WHERE state <> 'shadow' GROUP BY state""").fetchall()
    )
    money = con.execute("""
        SELECT currency, sum(amount_minor)::BIGINT FROM billing.invoice_items WHERE state = 'sent'
        GROUP BY currency ORDER BY currency""").fetchall()
    sent, pending, parked = (counts.get(state, 0) for state in ("sent", "pending", "parked"))
    if sent:
        sentence = f"{lines(sent)}, {_money(money)}, {'is' if sent == 1 else 'are'} at Stripe, each once"
    else:
        sentence = "no line is at Stripe"
    sentence += "".join(f"; {count} {state}" for count, state in ((pending, "pending"), (parked, "parked")) if count)
    in_doubt, since = _doubts(outbox)
    return Standing(
        sentence,
        {"sent": sent, "pending": pending, "parked": parked},
        list(_parked(outbox)),
        in_doubt,
        since.replace(tzinfo=UTC) + DOUBT if since else None,
    )


def problems(found: Standing, why_stopped: str | None) -> list[str]:
    """What makes a push end with a failure, a sentence each: the night itself is in the books."""
    waiting = found.counts["pending"]
    said = []
    if why_stopped:
        said.append(f"{why_stopped}; {lines(waiting)} wait. Once that is mended, run `tallyhouse push`.")
    elif waiting:
        said.append(f"{lines(waiting)} did not get through to Stripe; run `tallyhouse push` again in a while.")
    if found.in_doubt:
        when = f", from {format_instant(found.not_before)} on" if found.not_before else ""
        said.append(
            f"Of {lines(found.in_doubt)} it is not known whether Stripe took them. Run `tallyhouse push` again{when}: "
            "it looks for them first, and sends nothing twice."
        )
    return said


def _doubts(outbox: Outbox) -> tuple[int, datetime | None]:
    row = outbox.con.execute(
        """SELECT count(DISTINCT l.line_id), min(o.doubted_at)
        FROM books.outbox_lines l
        JOIN books.outbox i ON i.key_mode = l.key_mode AND i.entry = 'item' AND i.name = l.name
        JOIN books.outbox o ON o.key_mode = i.key_mode AND (o.name = i.batch OR (o.entry = 'item' AND o.name = i.name))
        WHERE l.key_mode = ? AND o.doubted_at IS NOT NULL""",
        [outbox.key_mode],
    ).fetchone()
    assert row is not None
    return row


def _parked(outbox: Outbox) -> Iterable[str]:
    """A warning for each reason why lines are parked."""
    found = outbox.con.execute("""
        SELECT state_reason, count(*) AS lines, min(account_id), min_by(line_id, account_id) FROM billing.invoice_items
        WHERE state = 'parked' GROUP BY state_reason ORDER BY lines DESC, state_reason""").fetchall()
    for reason, count, account, line in found[:_KINDS]:
        which = f"{line} of {account}" if count == 1 else f"{count} lines, such as {line} of {account}"
        yield f"parked: {which}: {reason}. The next push tries again."
    rest = sum(count for _, count, _, _ in found[_KINDS:])
    if rest:
        yield f"parked: {rest} more lines for other reasons; see state_reason in billing.invoice_items."


def _money(amounts: Iterable[tuple[str, int]]) -> str:
    told = [f"{billed(minor, currency)} {currency}" for currency, minor in amounts]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told or ["no money"])
