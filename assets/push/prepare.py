"""Lines of the live book as entries of the outbox: which item a line goes out in, to whom, on which invoice.

Entries that were never called are made anew each time, so a customer's id that was missing, or another way to
collect, counts from the next push on. Entries that were called stay as they are; one of which nothing came keeps its
name and its amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from assets.core.catalogue.models import Settings
from assets.core.payload import MOST_ITEMS, Item, Line, digest, invoice_payload, item_payload, items_of, wrong
from assets.post import run_id
from assets.push.outbox import Entry, Outbox
from assets.push.rules import CLOSED
from assets.warehouse import transaction

NO_CUSTOMER = "its account has no stripe_customer_id; write it into accounts/accounts.csv"
SEVERAL = "its item holds lines of several accounts, which are of several customers now; give them one in accounts.csv"

# The entries that were never called, and the lines they stood for. A draft's items go with it.
_UNTOUCHED = """
    CREATE OR REPLACE TEMP TABLE untouched AS
    SELECT i.key_mode, i.entry, i.name FROM books.outbox i
    LEFT JOIN books.outbox b ON b.key_mode = i.key_mode AND b.entry = 'invoice' AND b.name = i.batch
    WHERE i.key_mode = ? AND i.first_sent_at IS NULL
      AND (i.entry = 'invoice'
           OR (i.entry = 'item' AND (b.name IS NULL OR b.first_sent_at IS NULL OR b.state = 'void')))"""
_FORGET = """
    DELETE FROM books.outbox_lines l WHERE EXISTS (
        FROM untouched u WHERE u.entry = 'item' AND (u.key_mode, u.name) = (l.key_mode, l.name));
    DELETE FROM books.outbox o WHERE EXISTS (
        FROM untouched u WHERE (u.key_mode, u.entry, u.name) = (o.key_mode, o.entry, o.name));
    DROP TABLE untouched"""

_LINES = """
    SELECT n.line_id, n.account_id, n.subscription_id, n.period_start, n.period_end, n.charge, n.amount_minor,
           n.currency, n.description, n.created_as_of, l.name
    FROM books.lines n LEFT JOIN books.outbox_lines l ON l.key_mode = $mode AND l.line_id = n.line_id
    LEFT JOIN books.outbox o ON o.key_mode = $mode AND o.entry = 'item' AND o.name = l.name
    WHERE n.book = 'live' AND n.state = 'pending'
      AND (l.name IS NULL OR (o.state IN ('pending', 'parked') AND o.attempt > 1 AND o.key_sent_at IS NULL))
    ORDER BY n.created_as_of, n.period_start, n.account_id, n.subscription_id, n.charge, n.line_id"""

# Items of which nothing came of an earlier attempt.
_AGAIN = "entry = 'item' AND state IN ('pending', 'parked') AND attempt > 1 AND key_sent_at IS NULL"


@dataclass(frozen=True, slots=True)
class _Group:
    """The lines that share an invoice: of what Stripe collects by itself, all that go to a customer at once."""

    customer: str | None
    of: str | None  # where there is no customer: the account, or the item
    why_not: str | None  # it can't be sent
    currency: str
    period: tuple[Any, ...]  # start, end and night, where each period has an invoice


@dataclass
class _Batch:
    """A draft invoice as far as it has come."""

    name: str
    follows: str | None
    room: int
    is_new: bool


@dataclass
class Prepared:
    entries: list[Entry] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)  # line, item


class _AsItWas(Exception):
    """Nothing is to be written."""


def prepare(outbox: Outbox, settings: Settings, customers: Mapping[str, str]) -> None:
    """Bring the outbox up to the books, in one transaction; where all is as it was, nothing is written."""
    con = outbox.con
    with suppress(_AsItWas), transaction(con):
        con.execute(_UNTOUCHED, [outbox.key_mode])
        before = outbox.read("(entry, name) IN (SELECT (entry, name) FROM untouched)")
        con.execute(_FORGET)
        made = _prepared(outbox, settings, customers)
        if {(it.entry, it.name): it for it in before} == {(it.entry, it.name): it for it in made.entries}:
            raise _AsItWas
        outbox.add(made.entries, made.lines)


def _prepared(outbox: Outbox, settings: Settings, customers: Mapping[str, str]) -> Prepared:
    again = {it.name: it for it in outbox.read(_AGAIN)}
    groups: dict[_Group, list[tuple[Line, str | None]]] = {}
    found = outbox.con.execute(_LINES, {"mode": outbox.key_mode}).fetchall()
    lines = [(_line(parts, created_as_of), name) for *parts, created_as_of, name in found]
    payers: dict[str, set[str | None]] = {}  # of items that were tried
    for line, name in lines:
        if name is not None:
            payers.setdefault(name, set()).add(customers.get(line.account_id))
    for line, name in lines:
        batch = (line.period_start, line.period_end, line.run_id) if settings.stripe_collect == "invoice" else ()
        customer = customers.get(line.account_id)
        group = _Group(customer, None, None, line.currency, batch)
        if len(payers.get(name, ())) > 1:
            group = replace(group, customer=None, of=name, why_not=SEVERAL)
        elif customer is None:
            group = replace(group, of=line.account_id, why_not=NO_CUSTOMER)
        groups.setdefault(group, []).append((line, name))
    made = Prepared()
    for group, its in groups.items():
        fresh = [line for line, name in its if name is None]
        tried = sorted(((name, line) for line, name in its if name is not None), key=lambda it: it[0])
        former = [Item(name, tuple(line for _, line in of)) for name, of in groupby(tried, key=lambda it: it[0])]
        _enter(outbox, settings, group, fresh, former, again, made)
    return made


def _line(parts: list[Any], created_as_of: datetime) -> Line:
    line_id, account_id, subscription_id, start, end, charge, amount_minor, currency, description = parts
    return Line(
        line_id,
        account_id,
        subscription_id,
        start.replace(tzinfo=UTC),
        end.replace(tzinfo=UTC),
        charge,
        amount_minor,
        currency,
        description,
        run_id(created_as_of.replace(tzinfo=UTC)),
    )


def _enter(
    outbox: Outbox,
    settings: Settings,
    group: _Group,
    fresh: list[Line],
    former: list[Item],
    again: Mapping[str, Entry],
    made: Prepared,
) -> None:
    """The entries of one group: its items, and its draft where it has one."""
    batch = _batch(outbox, group) if group.customer and group.period else None
    room = batch.room if batch else MOST_ITEMS
    items = [*former, *items_of(fresh, max(1, room - len(former)))] if fresh else former
    sendable: list[Line] = []
    for item in items:
        reason = group.why_not or wrong(item, settings.stripe_amount_cap)
        entry = _entry(item, group.customer, batch.name if batch and not reason else None, again.get(item.line_key))
        entry.state, entry.state_reason = ("parked", reason) if reason else ("pending", None)
        made.entries.append(entry)
        made.lines += [(line.line_id, item.line_key) for line in item.lines if item.line_key not in again]
        if not reason:
            sendable += item.lines
    if batch and batch.is_new and sendable and group.customer:
        payload = invoice_payload(sendable, group.customer, batch.name, batch.follows)
        made.entries.append(Entry("invoice", batch.name, group.customer, payload, currency=group.currency))


def _entry(item: Item, customer: str | None, batch: str | None, before: Entry | None) -> Entry:
    entry = Entry(
        "item",
        item.line_key,
        customer,
        item_payload(item, customer, batch_key=batch) if customer else {},
        batch=batch,
        amount_minor=item.amount_minor,
        currency=item.currency,
    )
    if before:
        if (before.amount_minor, before.currency) != (entry.amount_minor, entry.currency):
            raise AssertionError(f"{entry.name} has another amount than was once sent")
        entry.attempt, entry.first_sent_at = before.attempt, before.first_sent_at
    return entry


def _batch(outbox: Outbox, group: _Group) -> _Batch:
    """The group's draft that still takes items, or the next one."""
    start, end, run = group.period
    base = f"batch_{digest(group.customer or '', group.currency, start.isoformat(), end.isoformat(), run)[:24]}"
    found = outbox.con.execute(
        """SELECT o.name, o.state = 'void' OR f.name IS NOT NULL OR EXISTS (
                   FROM books.outbox i WHERE i.key_mode = $mode AND i.batch = o.name AND i.state_reason = $closed),
               (SELECT count(*) FROM books.outbox i
                WHERE i.key_mode = $mode AND i.entry = 'item' AND i.batch = o.name
                  AND (i.state <> 'pending' OR i.attempt = 1))
        FROM books.outbox o
        LEFT JOIN books.outbox f ON f.key_mode = o.key_mode AND f.entry = 'finalise' AND f.name = o.name
        WHERE o.key_mode = $mode AND o.entry = 'invoice' AND starts_with(o.name, $base)
        ORDER BY length(o.name), o.name""",
        {"mode": outbox.key_mode, "base": base + "_", "closed": CLOSED},
    ).fetchall()
    if not found:
        return _Batch(f"{base}_1", None, MOST_ITEMS, True)
    name, is_closed, items = found[-1]
    if is_closed or items >= MOST_ITEMS:
        return _Batch(f"{base}_{len(found) + 1}", name, MOST_ITEMS, True)
    return _Batch(name, None, MOST_ITEMS - items, False)
