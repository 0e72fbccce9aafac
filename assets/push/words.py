"""What a push says: what it is about to send, where the lines and meter events stand, and what waits for whom."""

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
    """Where the lines of the live book, and its meter events, stand."""

    sentence: str
    counts: dict[str, int]
    warnings: list[str]
    waiting: str  # what is pending, in words; empty where nothing is
    in_doubt: str  # of what it is not known whether Stripe took it, likewise
    not_before: datetime | None  # when a doubt is next resolved


def lines(count: int) -> str:
    return counted(count, "line")


def both(line_count: int, event_count: int) -> str:
    """Lines and meter events, of those there are."""
    told = [lines(line_count)] if line_count else []
    return " and ".join([*told, counted(event_count, "meter event")] if event_count else told)


def first_push(con: duckdb.DuckDBPyConnection, settings: Settings) -> First:
    money = con.execute("""
        SELECT currency, sum(amount_minor)::BIGINT FROM billing.invoice_items WHERE state = 'pending'
        GROUP BY currency ORDER BY currency""").fetchall()
    row = con.execute("""
        SELECT count(*), count(DISTINCT account_id) FROM billing.invoice_items WHERE state = 'pending'""").fetchone()
    assert row is not None
    count, accounts = row
    found = con.execute("""
        SELECT count(*), count(DISTINCT account_id), count(DISTINCT meter) FROM billing.meter_events
        WHERE state = 'pending'""").fetchone()
    assert found is not None
    events, event_accounts, meters = found
    facts = {
        "lines": count,
        "accounts": accounts,
        "money": {code: billed(minor, code) for code, minor in money},
        "meter_events": events,
    }
    parts = []
    if count or not events:
        whose = f"{lines(count)} of {counted(accounts, 'account')}"
        parts.append(f"{whose}, {sums(money)}, {_COLLECT[settings.stripe_collect]}")
    if events:
        whose = f"{counted(events, 'meter event')} of {counted(event_accounts, 'account')}"
        parts.append(f"{whose} and {counted(meters, 'meter')}, which Stripe rates")
    question = f"The first push to Stripe with a {settings.stripe_key} key: {'; '.join(parts)}."
    early = _before_bill_from(con, settings)
    return First(f"{question} {early}" if early else question, facts)


def _before_bill_from(con: duckdb.DuckDBPyConnection, settings: Settings) -> str:
    """Usage before bill_from owes nothing, a minimum or a baseline does: a surprise to whoever billed it elsewhere."""
    early = con.execute(
        """SELECT currency, sum(amount_minor)::BIGINT, count(*) FROM billing.invoice_items
        WHERE state = 'pending' AND period_end <= ? GROUP BY currency ORDER BY currency""",
        [settings.bill_from],
    ).fetchall()
    if not early:
        return ""
    money = sums((currency, minor) for currency, minor, _ in early)
    return f"Of these, {lines(sum(count for *_, count in early))}, {money}, are of periods that ended before bill_from."


def standing(outbox: Outbox) -> Standing:
    con = outbox.con
    counts = dict(
        con.execute("""
            SELECT state, count(*) FROM billing.invoice_items WHERE state <> 'shadow' GROUP BY state""").fetchall()
    )
    money = con.execute("""
        SELECT currency, sum(amount_minor)::BIGINT FROM billing.invoice_items WHERE state = 'sent'
        GROUP BY currency ORDER BY currency""").fetchall()
    events = dict(con.execute("SELECT state, count(*) FROM billing.meter_events GROUP BY state").fetchall())
    parts = [_there("line", counts, f", {sums(money)},")] if counts or not events else []
    sentence = "; ".join([*parts, _there("meter event", events)] if events else parts)
    in_doubt, since = _doubts(outbox)
    told = {state: counts.get(state, 0) for state in ("sent", "pending", "parked")}
    if events:
        told |= {f"meter_events_{state}": events.get(state, 0) for state in ("sent", "pending", "parked", "nothing")}
    return Standing(
        sentence,
        told,
        list(_parked(outbox)),
        both(counts.get("pending", 0), events.get("pending", 0)),
        in_doubt,
        since.replace(tzinfo=UTC) + DOUBT if since else None,
    )


def _there(noun: str, counts: dict[str, int], money: str = "") -> str:
    sent = counts.get("sent", 0)
    if sent:
        sentence = f"{counted(sent, noun)}{money} {'is' if sent == 1 else 'are'} at Stripe, each once"
    else:
        sentence = f"no {noun} is at Stripe"
    return sentence + "".join(f"; {counts[state]} {state}" for state in ("pending", "parked") if counts.get(state))


def wait(what: str) -> str:
    return f"{what} {'waits' if what in ('1 line', '1 meter event') else 'wait'}"


def problems(found: Standing, why_stopped: str | None) -> list[str]:
    """What makes a push end with a failure, a sentence each: the night itself is in the books."""
    said = []
    if why_stopped:
        said.append(f"{why_stopped}; {wait(found.waiting or lines(0))}. Once that is mended, run `tallyhouse push`.")
    elif found.waiting:
        said.append(f"{found.waiting} did not get through to Stripe; run `tallyhouse push` again in a while.")
    if found.in_doubt:
        when = f", from {format_instant(found.not_before)} on" if found.not_before else ""
        said.append(
            f"Of {found.in_doubt} it is not known whether Stripe took them. Run `tallyhouse push` again{when}: "
            "it looks for them first, and sends nothing twice."
        )
    return said


def _doubts(outbox: Outbox) -> tuple[str, datetime | None]:
    """Of what it is not known whether Stripe took it, and since when."""
    lines_in_doubt, since = _doubted_lines(outbox)
    row = outbox.con.execute(
        """SELECT count(*), min(doubted_at) FROM books.outbox
        WHERE key_mode = ? AND entry = 'event' AND doubted_at IS NOT NULL""",
        [outbox.key_mode],
    ).fetchone()
    assert row is not None
    return both(lines_in_doubt, row[0]), min((at for at in (since, row[1]) if at), default=None)


def _doubted_lines(outbox: Outbox) -> tuple[int, datetime | None]:
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
    """A warning for each reason why lines, or meter events, are parked."""
    for noun, name, table in (("line", "line_id", "invoice_items"), ("meter event", "identifier", "meter_events")):
        found = outbox.con.execute(f"""
            SELECT state_reason, count(*) AS many, min(account_id), min_by({name}, account_id) FROM billing.{table}
            WHERE state = 'parked' GROUP BY state_reason ORDER BY many DESC, state_reason""").fetchall()
        for reason, count, account, one in found[:_KINDS]:
            which = f"{one} of {account}" if count == 1 else f"{count} {noun}s, such as {one} of {account}"
            yield f"parked: {which}: {reason}. The next push tries again."
        rest = sum(count for _, count, _, _ in found[_KINDS:])
        if rest:
            yield f"parked: {rest} more {noun}s for other reasons; see state_reason in billing.{table}."


def sums(amounts: Iterable[tuple[str, int]]) -> str:
    told = [f"{billed(minor, currency)} {currency}" for currency, minor in amounts]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told or ["no money"])
