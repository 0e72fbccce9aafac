"""Invoices of our own: a draft for each customer, currency, period and night, compared with the outbox, then finalised.

A draft is harmless. So everything may go wrong until it is finalised, and it is finalised only after what Stripe lists
on it is what the outbox has sent there: the same items, as many, and of the same sum. A second copy of an item of ours
is taken off; anything that is not ours stops the batch, for a person to look at. The draft of a customer that is gone
makes way for one of the customer that its account has now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from assets.push.client import Client
from assets.push.outbox import Entry, Event, Outbox, State, again
from assets.push.send import Sender, Told

_TRIES = 3  # of comparing anew after copies were taken off

# Drafts to be finalised: all that was called for them has come to something, and some of it is there.
_FULL = """entry = 'invoice' AND state = 'sent'
    AND NOT EXISTS (
        FROM books.outbox f WHERE f.key_mode = outbox.key_mode AND f.entry = 'finalise' AND f.name = outbox.name
        AND f.state = 'sent')
    AND EXISTS (
        FROM books.outbox i WHERE i.key_mode = outbox.key_mode AND i.entry = 'item' AND i.batch = outbox.name
        AND i.state = 'sent')
    AND NOT EXISTS (
        FROM books.outbox i WHERE i.key_mode = outbox.key_mode AND i.entry = 'item' AND i.batch = outbox.name
        AND (i.state IN ('pending', 'sending') OR i.doubted_at IS NOT NULL))"""


@dataclass
class Compared:
    """What stands on a draft against what was sent there."""

    batch: str
    why_not: str | None = None  # half a sentence where it can't be finalised
    is_certain: bool = True  # False: Stripe did not say
    events: list[Event] = field(default_factory=list)


def make_drafts(sender: Sender, told: Told | None = None) -> None:
    sender.run(sender.outbox.read("entry = 'invoice' AND state NOT IN ('sent', 'void')"), told)


def addressed(outbox: Outbox) -> list[Entry]:
    """Items still to be settled: those without an invoice, and those whose draft is there."""
    drafts = {it.name: it.stripe_id for it in outbox.read("entry = 'invoice' AND state = 'sent'")}
    items = []
    for it in outbox.read("entry = 'item' AND state NOT IN ('sent', 'void')"):
        if it.batch is None or it.key_sent_at is not None:
            items.append(it)
        elif it.batch in drafts:
            items.append(replace(it, payload={**it.payload, "invoice": drafts[it.batch]}))
    return items


def make_way(sender: Sender, customers: Mapping[str, str]) -> None:
    """Take down drafts whose customer is gone from Stripe, once the account has another: their items go out anew.

    Nothing of them was finalised, so nothing was charged; and what has been, Stripe takes down no more.
    """
    outbox = sender.outbox
    drafts = {it.name: it for it in outbox.read(_FULL)}
    owners = outbox.con.execute(
        """SELECT DISTINCT i.batch, n.account_id FROM books.outbox i
           JOIN books.outbox_lines l USING (key_mode, name) JOIN books.lines n USING (line_id)
           WHERE i.key_mode = ? AND i.entry = 'item' AND i.state = 'sent' AND list_contains(?, i.batch)
           ORDER BY ALL""",
        [outbox.key_mode, list(drafts)],
    ).fetchall()
    moved = [batch for batch, account in owners if customers.get(account, "") not in ("", drafts[batch].customer)]
    for name in dict.fromkeys(moved):
        draft = drafts[name]
        if sender.is_stopped or not _is_taken_down(sender.client, draft):
            continue
        why = f"customer {draft.customer} is gone from Stripe"
        items = outbox.read("entry = 'item' AND state = 'sent' AND batch = ?", [name])
        finals = outbox.read("entry = 'finalise' AND name = ?", [name])
        ends = [replace(it, state="void", state_reason=why) for it in (draft, *finals)]
        anew = [replace(again(it), stripe_id=None) for it in items]
        outbox.record([*ends, *anew], [Event(it, "made way", why) for it in items])
        sender.has_more = True


def _is_taken_down(client: Client, draft: Entry) -> bool:
    customer = client.insist("customers.retrieve", of=draft.customer or "")
    if not (customer.body.get("deleted") is True or customer.code == "resource_missing"):
        return False
    taken = client.insist("invoices.delete", of=draft.stripe_id or "")
    return taken.is_done or taken.code == "resource_missing"


def finalise(sender: Sender, told: Told | None = None) -> None:
    """Compare every draft whose items have all come to something, and finalise those that are right."""
    outbox = sender.outbox
    drafts = outbox.read(_FULL)
    if not drafts or sender.is_stopped:
        return
    items: dict[str, list[Entry]] = {}
    for it in outbox.read("entry = 'item' AND state = 'sent' AND batch IS NOT NULL"):
        items.setdefault(it.batch or "", []).append(it)
    with ThreadPoolExecutor(sender.workers, thread_name_prefix="stripe") as pool:
        compared = list(pool.map(lambda draft: compare(sender.client, draft, items[draft.name]), drafts))
    before = {it.name: it for it in outbox.read("entry = 'finalise'")}
    entries = [_verdict(draft, result, before.get(draft.name)) for draft, result in zip(drafts, compared, strict=True)]
    outbox.record(entries, [event for result in compared for event in result.events])
    sender.run([it for it, result in zip(entries, compared, strict=True) if result.why_not is None], told)


def compare(client: Client, draft: Entry, items: Sequence[Entry]) -> Compared:
    """What Stripe lists on the draft against the outbox, with second copies of ours taken off."""
    result = Compared(draft.name)
    for _ in range(_TRIES):
        answer = client.listed("invoice_items.list", {"invoice": draft.stripe_id})
        if not answer.is_done:
            result.is_certain = answer.outcome == "rejected"
            result.why_not = f"its items can't be listed: {answer.why}"
            return result
        listed = answer.body["data"]
        result.why_not = _difference(items, listed)
        copies = [] if result.why_not else _copies(items, listed)
        if not copies:
            return result
        for it, row in copies:
            taken = client.insist("invoice_items.delete", of=row["id"])
            if not taken.is_done and taken.code != "resource_missing":
                result.is_certain = taken.outcome == "rejected"
                result.why_not = f"a second copy, {row['id']}, can't be taken off: {taken.why}"
                return result
            result.events.append(Event(it, "copy taken off", f"{row['id']}, {row['amount']} {row['currency']}"))
    result.why_not = "second copies come back"
    return result


def _difference(items: Sequence[Entry], listed: Sequence[dict[str, Any]]) -> str | None:
    """Why the items listed, copies aside, are not those that were sent; None where they are, one by one and in all."""
    sent = {it.stripe_id: it for it in items}
    names = {it.name for it in items}
    ours = [row for row in listed if row["id"] in sent]
    if foreign := [row["id"] for row in listed if row["id"] not in sent and _name(row) not in names]:
        return f"it holds {', '.join(foreign)}, which was not sent from here"
    if missing := sorted(set(sent) - {row["id"] for row in ours}, key=str):
        return f"it does not hold {', '.join(map(str, missing))}, which was sent to it"
    for row in ours:
        it = sent[row["id"]]
        if (_name(row), row["amount"], row["currency"]) != (it.name, it.amount_minor, (it.currency or "").lower()):
            return f"{row['id']} is not as it was sent: {row['amount']} {row['currency']}"
    counted = (len(ours), sum(row["amount"] for row in ours))
    if counted != (len(items), sum(it.amount_minor or 0 for it in items)):
        return f"it holds {counted[0]} items of {counted[1]}, and {len(items)} were sent"
    return None


def _copies(items: Sequence[Entry], listed: Sequence[dict[str, Any]]) -> list[tuple[Entry, dict[str, Any]]]:
    by_name = {it.name: it for it in items}
    return [(by_name[_name(row)], row) for row in listed if row["id"] != by_name[_name(row)].stripe_id]


def _name(row: dict[str, Any]) -> str:
    return str((row.get("metadata") or {}).get("line_key", ""))


def _verdict(draft: Entry, compared: Compared, before: Entry | None) -> Entry:
    """The finalising of a compared draft: to be called, or parked with what is wrong."""
    entry = before or Entry(
        "finalise", draft.name, draft.customer, {"auto_advance": True}, batch=draft.name, stripe_id=draft.stripe_id
    )
    if compared.why_not is None:
        return replace(entry, state=entry.state if entry.key_sent_at else "pending", state_reason=None)
    open_state: State = entry.state if entry.key_sent_at else "pending"
    return replace(entry, state="parked" if compared.is_certain else open_state, state_reason=compared.why_not)
