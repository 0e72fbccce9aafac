"""Reconciliation: what the books have sent against what Stripe lists, both ways, item by item, hour by hour, in all.

A customer is compared again once something was sent to it, while something of it is open, and while it differs; or
always, where everything is asked for. Stripe counts reads, so items are listed from the first that is to be compared,
those of an invoice by their invoice, and usage of a meter in one window of hours. Stripe adds usage up a while after it
took it, so events of the last hour are left to the next time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from assets import publish
from assets.core.agreement import Booked, Difference, Kind, Used, compare_hours, compare_items, name_of
from assets.core.catalogue.models import Catalogue
from assets.core.page import counted
from assets.progress import tell
from assets.push import reconcile_words as words
from assets.push import refuse_unlike_the_night
from assets.push.client import Answer, Client, has_key
from assets.push.hours import SECONDS, meter_ids
from assets.push.outbox import Clock, Entry, Outbox
from assets.push.pace import Pace, Patience
from assets.push.rules import LOOK_BACK
from assets.push.send import workers_for

LAG = timedelta(hours=1)  # how long Stripe may take to add an event up
_BATCH = 200  # customers whose comparing is committed at once
_NAMED = 8  # of those that could not be compared
_FAR = timedelta(hours=100)  # without events of ours, after which another window begins; a page is as long


@dataclass
class Result:
    """What was compared, and what could not be."""

    customers: int = 0
    reads: int = 0
    differences: list[Difference] = field(default_factory=list)
    why_not: dict[str, str] = field(default_factory=dict)  # by customer


def run(
    con: duckdb.DuckDBPyConnection,
    workspace: Path,
    catalogue: Catalogue,
    clock: Clock,
    is_all: bool = False,
    is_asked: bool = True,
    patience: Patience | None = None,
) -> Result | None:
    """Compare what is due, say what differs and publish it; None where nothing is ever sent.

    Without a key whoever asks for it is refused, and a night goes on with a warning.
    """
    settings = catalogue.settings
    if settings.stripe_mode == "shadow":
        tell("reconciled", "nothing; in shadow mode nothing is sent, so there is nothing to compare")
        return None
    refuse_unlike_the_night(con, settings)
    outbox = Outbox(con, settings.stripe_key, clock)
    result = Result()
    due = scope(outbox, is_all)
    if due and not (is_asked or has_key()):
        tell("warning", f"STRIPE_API_KEY is not set, so {counted(len(due), 'customer')} could not be compared.")
    elif due:
        client = Client(settings.stripe_key, Pace(settings.stripe_rate), patience)
        result = reconcile(outbox, client, is_all)
    publish.renew(con, workspace, ("reconciliation",))
    for sentence, facts in words.differences(con):
        tell("differs", sentence, **facts)
    for customer, why in list(result.why_not.items())[:_NAMED]:
        tell("warning", f"{customer} could not be compared: {why}. The next reconciliation tries again.")
    found = words.agreement(con, result.customers, result.reads, len(result.why_not))
    tell("reconciled", found.sentence, **found.facts)
    return result


def has_differences(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute("SELECT count(*) > 0 FROM billing.reconciliation").fetchone() == (True,)


# Whoever was called for something since the last time, or has something open, or differs; and from when on it counts.
_SCOPE = """
    SELECT o.customer, min(o.first_sent_at) FILTER (
        $all OR r.customer IS NULL OR o.state NOT IN ('sent', 'void')
        OR o.key_sent_at >= r.reconciled_at - if(o.entry = 'event', $lag, INTERVAL 0 SECOND)
        OR o.customer IN (SELECT customer FROM books.reconciliation WHERE key_mode = $mode)) AS since
    FROM books.outbox o LEFT JOIN books.reconciled r ON r.key_mode = o.key_mode AND r.customer = o.customer
    WHERE o.key_mode = $mode AND o.first_sent_at IS NOT NULL AND o.customer IS NOT NULL
    GROUP BY o.customer HAVING since IS NOT NULL ORDER BY o.customer"""


def scope(outbox: Outbox, is_all: bool = False) -> dict[str, datetime]:
    """The customers to compare, and from when on."""
    asked = {"mode": outbox.key_mode, "all": is_all, "lag": LAG}
    return {customer: since.replace(tzinfo=UTC) for customer, since in outbox.con.execute(_SCOPE, asked).fetchall()}


def reconcile(outbox: Outbox, client: Client, is_all: bool = False) -> Result:
    """Compare, customer by customer, and keep what differs; of what could not be listed the former rows stand."""
    result = Result()
    todo = sorted(scope(outbox, is_all).items())
    meters: dict[str, str] = {}
    has_events = "SELECT count(*) > 0 FROM books.outbox WHERE key_mode = ? AND entry = 'event' AND customer IS NOT NULL"
    if todo and outbox.con.execute(has_events, [outbox.key_mode]).fetchone() == (True,):
        listed = client.listed("billing.meters.list")
        if not listed.is_done:
            return Result(why_not={customer: listed.why for customer, _ in todo})
        meters = meter_ids(listed)
    for start in range(0, len(todo), _BATCH):
        sides = list(_sides(outbox, dict(todo[start : start + _BATCH])))
        with ThreadPoolExecutor(workers_for(client), thread_name_prefix="stripe") as pool:
            compared = list(pool.map(lambda side: _compared(client, meters, side), sides))
        _keep(outbox, compared)
        for it in compared:
            result.reads += it.reads
            if it.why_not is None:
                result.customers += 1
                result.differences += it.differences
            else:
                result.why_not[it.customer] = it.why_not
    return result


# --- the books' side -----------------------------------------------------------------------------------------------


@dataclass
class _Side:
    """What the books know of a customer, as far as it is to be compared."""

    customer: str
    since: datetime
    now: datetime
    pending: list[Entry] = field(default_factory=list)  # items that wait for an invoice of Stripe's own
    drafts: dict[str, _Draft] = field(default_factory=dict)  # by batch
    events: dict[str, list[Entry]] = field(default_factory=dict)  # by event name
    accounts: dict[str, str] = field(default_factory=dict)  # of events, by identifier

    def is_new(self, it: Entry) -> bool:
        return it.first_sent_at is not None and it.first_sent_at >= self.since


@dataclass
class _Draft:
    """An invoice of ours with its items."""

    invoice: str | None = None
    items: list[Entry] = field(default_factory=list)
    is_finalised: bool = False
    is_new: bool = False


def _sides(outbox: Outbox, todo: dict[str, datetime]) -> Iterator[_Side]:
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
        side = _Side(customer, todo[customer], now, accounts=accounts)
        for it in entries:
            _take(side, it)
        yield side


def _take(side: _Side, it: Entry) -> None:
    if it.entry == "event":
        side.events.setdefault(it.payload["event_name"], []).append(it)
    elif it.batch is None and it.entry == "item":
        side.pending.append(it)
    elif it.state != "void":
        draft = side.drafts.setdefault(it.batch or it.name, _Draft())
        draft.is_new |= side.is_new(it) or it.state != "sent"
        if it.entry == "item":
            draft.items.append(it)
        elif it.entry == "invoice":
            draft.invoice = it.stripe_id
        else:
            draft.is_finalised = it.state == "sent"


# --- Stripe's side -------------------------------------------------------------------------------------------------


@dataclass
class _Compared:
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


def _compared(client: Client, meters: dict[str, str], side: _Side) -> _Compared:
    result = _Compared(side.customer)
    for compare in (_pending, _drafts, _usage):
        if result.why_not is None:
            compare(client, meters, side, result)
    return result


def _pending(client: Client, _: dict[str, str], side: _Side, result: _Compared) -> None:
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


def _drafts(client: Client, _: dict[str, str], side: _Side, result: _Compared) -> None:
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


def _of_invoice(customer: str, draft: _Draft, there: Answer) -> Iterator[Difference]:
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


def _usage(client: Client, meters: dict[str, str], side: _Side, result: _Compared) -> None:
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
    client: Client, meter: str | None, customer: str, start: datetime, end: datetime, result: _Compared
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


# --- what is kept --------------------------------------------------------------------------------------------------


def _keep(outbox: Outbox, compared: Iterable[_Compared]) -> None:
    """The differences of these customers instead of their former ones."""
    rows = [
        {
            "key_mode": outbox.key_mode,
            **{name: getattr(it, name) for name in ("customer", "kind", "account_id", "name", "stripe_id", "invoice")},
            **{
                name: getattr(it, name) for name in ("meter", "currency", "amount_minor", "books_minor", "stripe_minor")
            },
            "bucket_start": it.bucket_start and it.bucket_start.replace(tzinfo=None),
            "books_quantity": it.books_quantity,
            "stripe_quantity": it.stripe_quantity,
            "detail": it.detail,
            "reconciled_at": outbox.clock().astimezone(UTC).replace(tzinfo=None),
        }
        for each in compared
        if each.why_not is None
        for it in each.differences
    ]
    done = [each.customer for each in compared if each.why_not is None]
    now = outbox.clock().astimezone(UTC).replace(tzinfo=None)
    con = outbox.con
    con.execute("BEGIN")
    try:
        con.execute(
            "DELETE FROM books.reconciliation WHERE key_mode = ? AND customer IN (SELECT unnest(?))",
            [outbox.key_mode, done],
        )
        if rows:
            names = ", ".join(rows[0])
            marks = ", ".join(f"${name}" for name in rows[0])
            con.executemany(f"INSERT INTO books.reconciliation ({names}) VALUES ({marks})", rows)
        con.execute("INSERT OR REPLACE INTO books.reconciled SELECT ?, unnest(?), ?", [outbox.key_mode, done, now])
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
