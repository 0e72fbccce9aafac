"""Usage of an hour as an event of a Stripe meter: entries of the outbox, made anew until they are first called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from assets.core.instants import format_instant
from assets.push import rules
from assets.push.outbox import Entry, Outbox
from assets.push.prepare import NO_CUSTOMER
from assets.push.send import Sender, Told
from assets.warehouse import transaction

# What Stripe takes: an event from this long ago to that far ahead, and whole numbers of so many digits.
PAST, AHEAD = timedelta(days=35), timedelta(minutes=5)
DIGITS = 15

_MADE = """
    SELECT account_id, identifier, meter, bucket_start, value, currency FROM books.meter_events e
    WHERE value <> 0 AND NOT EXISTS (
        FROM books.outbox o WHERE o.key_mode = ? AND o.entry = 'event' AND o.name = e.identifier)
    ORDER BY bucket_start, identifier"""


def prepare(outbox: Outbox, customers: Mapping[str, str]) -> None:
    """Bring the outbox up to the events of the books, in one transaction; what was never called is made anew."""
    con = outbox.con
    with transaction(con):
        con.execute(
            "DELETE FROM books.outbox WHERE key_mode = ? AND entry = 'event' AND first_sent_at IS NULL",
            [outbox.key_mode],
        )
        now = outbox.clock()
        made = [
            _entry(identifier, meter, bucket_start.replace(tzinfo=UTC), value, currency, customers.get(account_id), now)
            for account_id, identifier, meter, bucket_start, value, currency in con.execute(
                _MADE, [outbox.key_mode]
            ).fetchall()
        ]
        again = outbox.read("entry = 'event' AND state = 'pending' AND attempt > 1")
        outbox.add([*made, *_outdated(again, now)], ())


def _entry(
    identifier: str,
    meter: str,
    start: datetime,
    value: int,
    currency: str | None,
    customer: str | None,
    now: datetime,
) -> Entry:
    """`currency` is that of a cost meter, whose value is money."""
    payload: dict[str, Any] = {
        "event_name": meter,
        "identifier": identifier,
        "timestamp": int(start.timestamp()),
        "payload": {"stripe_customer_id": customer, "value": str(value)},
    }
    why = NO_CUSTOMER if customer is None else _too_much(value) or _untimely(start, now)
    entry = Entry("event", identifier, customer, payload, currency=currency)
    return replace(entry, state="parked", state_reason=why) if why else entry


def _outdated(entries: Collection[Entry], now: datetime) -> Iterator[Entry]:
    """What is surely not at Stripe, and can't be brought there any more."""
    for it in entries:
        if why := _untimely(_start(it), now):
            yield replace(it, state="parked", state_reason=why)


def _too_much(value: int) -> str | None:
    return (
        f"its value {value} has more than {DIGITS} digits, which Stripe does not take"
        if abs(value) >= 10**DIGITS
        else None
    )


def _untimely(start: datetime, now: datetime) -> str | None:
    if start < now - PAST:
        return "its hour is more than 35 days ago, which Stripe does not take; bill it by hand"
    if start > now + AHEAD:
        return f"its hour lies ahead of the clock ({format_instant(now)}); it is sent once it has begun"
    return None


def _start(it: Entry) -> datetime:
    return datetime.fromtimestamp(it.payload["timestamp"], UTC)


def bring(sender: Sender, told: Told | None = None) -> None:
    """Call what is to be called, and look for what is in doubt."""
    entries = sender.outbox.read("entry = 'event' AND state NOT IN ('sent', 'void')")
    now = sender.outbox.clock()
    if sender.is_stopped or all(rules.plan(it, now) == "rest" for it in entries):
        return
    answer = sender.hours.open(sender.client, sender.outbox)
    if answer.is_done:
        sender.run(entries, told)
    else:
        sender.stop(f"Stripe's meters can't be listed: {answer.why}", answer.may_pass)
