"""A customer's two sides of a reconciliation: what the books have called for, and what Stripe lists of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from assets.core.agreement import Booked, Difference, Kind, Used, compare_hours, compare_items, name_of
from assets.push.client import Answer, Client
from assets.push.hours import SECONDS
from assets.push.outbox import Entry, Outbox
from assets.push.rules import LOOK_BACK

LAG = timedelta(hours=1)  # how long Stripe may take to add an event up
_FAR = timedelta(hours=100)  # without events of ours, after which another window begins; a page is as long


# --- the books' side -----------------------------------------------------------------------------------------------


@dataclass
class Side:
    """What the books know of a customer, as far as it is to be compared."""

    customer: str
    since: datetime
    now: datetime
    pending: list[Entry] = field(default_factory=list)  # items that wait for an invoice of Stripe's own
    drafts: dict[str, Draft] = field(default_factory=dict)  # by batch
    events: dict[str, list[Entry]] = field(default_factory=dict)  # by event name
    accounts: dict[str, str] = field(default_factory=dict)  # of events, by identifier

    def is_new(self, it: Entry) -> bool:
        return it.first_sent_at is not None and it.first_sent_at >= self.since


@dataclass
class Draft:
    """An invoice of ours with its items."""

    invoice: str | None = None
    items: list[Entry] = field(default_factory=list)
    is_finalised: bool = False
    is_new: bool = False


def sides(outbox: Outbox, todo: dict[str, datetime]) -> Iterator[Side]:
    """The books' side of each customer, from its instant on."""
    now = outbox.clock()
    condition = "first_sent_at IS NOT NULL AND customer IN (SELECT unnest(?))"
    accounts = dict(
        outbox.con.execute(
            """SELECT identifier, account_id FROM books.meter_events WHERE identifier IN (
                SELECT name FROM books.outbox
                WHERE key_mode = ? AND entry = 'event' AND customer IN (SELECT unnest(?)))""",
            [outbox.key_mode, list(todo)],
        ).fetchall()
    )
    for customer, entries in groupby(outbox.read(condition, [list(todo)]), key=lambda it: it.customer or ""):
        side = Side(customer, todo[customer], now, accounts=accounts)
        for it in entries:
            _take(side, it)
        yield side


def _take(side: Side, it: Entry) -> None:
    if it.entry == "event":
        side.events.setdefault(it.payload["event_name"], []).append(it)
    elif it.batch is None and it.entry == "item":
        side.pending.append(it)
    elif it.state != "void":
        draft = side.drafts.setdefault(it.batch or it.name, Draft())
        draft.is_new |= side.is_new(it) or it.state != "sent"
        if it.entry == "item":
            draft.items.append(it)
        elif it.entry == "invoice":
            draft.invoice = it.stripe_id
        else:
            draft.is_finalised = it.state == "sent"


# --- Stripe's side -------------------------------------------------------------------------------------------------


@dataclass
class Compared:
    """What came of comparing a customer."""

    customer: str
    reads: int = 0
    differences: list[Difference] = field(default_factory=list)
    why_not: str | None = None

    def rows(self, answer: Answer) -> list[dict[str, Any]]:
        """What was listed; nothing where what it is of is gone."""
        rows: list[dict[str, Any]] = answer.body.get("data", []) if answer.is_done else []
        self.reads += 1 + max(0, len(rows) - 1) // 100
        if not answer.is_done and answer.code != "resource_missing":
            self.why_not = answer.why
        return rows


def compared(client: Client, meters: dict[str, str], side: Side) -> Compared:
    result = Compared(side.customer)
    for compare in (_pending, _drafts, _usage):
        if result.why_not is None:
            compare(client, meters, side, result)
    return result


def _pending(client: Client, _: dict[str, str], side: Side, result: Compared) -> None:
    booked = [it for it in side.pending if side.is_new(it)]
    if not booked:
        return
    since = min(it.first_sent_at for it in booked if it.first_sent_at) - LOOK_BACK
    rows = result.rows(
        client.listed("invoice_items.list", {"customer": side.customer, "created": {"gte": int(since.timestamp())}})
    )
    # What was sent earlier, or on an invoice of ours, is compared elsewhere.
    elsewhere = {it.name for it in side.pending if not side.is_new(it)}
    elsewhere |= {it.name for draft in side.drafts.values() for it in draft.items}
    rows = [row for row in rows if name_of(row) not in elsewhere]
    result.differences += compare_items(side.customer, [_booked(it) for it in booked], rows)


def _drafts(client: Client, _: dict[str, str], side: Side, result: Compared) -> None:
    for draft in side.drafts.values():
        if not draft.is_new or draft.invoice is None or not draft.items:
            continue
        there = client.insist("invoices.retrieve", of=draft.invoice)
        result.reads += 1
        if not there.is_done and there.code != "resource_missing":
            result.why_not = there.why
            return
        rows: list[dict[str, Any]] = []
        if there.is_done:
            rows = result.rows(client.listed("invoice_items.list", {"invoice": draft.invoice}))
        if result.why_not is not None:
            return
        booked = [_booked(it) for it in draft.items]
        result.differences += _of_invoice(side.customer, draft, there)
        result.differences += compare_items(side.customer, booked, rows, draft.invoice)


def _of_invoice(customer: str, draft: Draft, there: Answer) -> Iterator[Difference]:
    """The invoice itself: whether what is on it is still to be paid."""
    sums: dict[str, int] = {}
    for it in draft.items:
        if it.state == "sent" and it.currency:
            sums[it.currency] = sums.get(it.currency, 0) + (it.amount_minor or 0)
    status = there.body.get("status")
    kind: Kind | None = None
    if not there.is_done or there.body.get("deleted"):
        kind = "invoice_missing"
    elif status == "void":
        kind = "invoice_void"
    elif draft.is_finalised and status == "draft":
        kind = "invoice_not_finalised"
    if kind is not None:
        for currency, amount in sorted(sums.items()):
            yield Difference(
                kind, customer, stripe_id=draft.invoice, invoice=draft.invoice, currency=currency, books_minor=amount
            )


def _booked(it: Entry) -> Booked:
    account = str((it.payload.get("metadata") or {}).get("account", ""))
    return Booked(it.name, account, it.amount_minor or 0, (it.currency or "").lower(), it.stripe_id, it.state == "sent")


def _usage(client: Client, meters: dict[str, str], side: Side, result: Compared) -> None:
    for meter, events in sorted(side.events.items()):
        fresh = {_hour(it) for it in events if it.key_sent_at and it.key_sent_at > side.now - LAG}
        hours = sorted({_hour(it) for it in events if side.is_new(it) or it.state != "sent"} - fresh)
        for window in _windows(hours):
            start, end = window[0], window[-1] + timedelta(seconds=SECONDS)
            within = [it for it in events if start <= _hour(it) < end and _hour(it) not in fresh]
            held = _held(client, meters.get(meter), side.customer, start, end, result)
            if result.why_not is not None:
                return
            booked: dict[datetime, list[Used]] = {}
            for it in within:
                used = Used(it.name, side.accounts[it.name], int(it.payload["payload"]["value"]), it.state == "sent")
                booked.setdefault(_hour(it), []).append(used)
            held = {hour: value for hour, value in held.items() if hour not in fresh}
            result.differences += compare_hours(side.customer, meter, within[0].currency, booked, held)


def _held(
    client: Client, meter: str | None, customer: str, start: datetime, end: datetime, result: Compared
) -> dict[datetime, Decimal]:
    """What Stripe adds up, by hour."""
    if meter is None:
        return {}
    asked = {
        "customer": customer,
        "start_time": int(start.timestamp()),
        "end_time": int(end.timestamp()),
        "value_grouping_window": "hour",
    }
    rows = result.rows(client.listed("billing.meters.event_summaries.list", asked, of=meter))
    return {
        datetime.fromtimestamp(row["start_time"], UTC): Decimal(str(row["aggregated_value"]))
        for row in rows
        if row["aggregated_value"]
    }


def _windows(hours: Sequence[datetime]) -> Iterator[list[datetime]]:
    """Stretches of hours that are worth one listing each."""
    window: list[datetime] = []
    for hour in hours:
        if window and hour - window[-1] > _FAR:
            yield window
            window = []
        window.append(hour)
    if window:
        yield window


def _hour(it: Entry) -> datetime:
    return datetime.fromtimestamp(it.payload["timestamp"], UTC)
