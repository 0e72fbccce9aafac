"""When an entry may be called again, and what is known of it afterwards: how at least once becomes exactly once.

A key protects for a day; what a listing shows protects beyond it. So an entry is called again under its key while the
key is surely remembered, and otherwise only after nothing of it was found at Stripe. Where Stripe itself does not know
(500), nothing found is believed a day later, since it may still roll the work forward. An amount never changes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from assets.core.payload import canonical
from assets.push.client import Answer
from assets.push.outbox import Entry, Event, again

# Stripe keeps keys for at least 24 hours. An hour less, because a call takes its time and clocks differ.
SAME_KEY = timedelta(hours=23)
# How long an outcome that Stripe does not know itself is left alone before nothing found counts as nothing done.
DOUBT = timedelta(hours=24)
# How far before the first call a listing begins: clocks that are a day apart still find what they made.
LOOK_BACK = timedelta(days=1)

# Of an item whose invoice was closed under it: it goes onto the next one.
CLOSED = "its invoice takes no more items"

Plan: TypeAlias = Literal["send", "look", "rest"]
Outcome: TypeAlias = tuple[Entry, list[Event]]


def plan(it: Entry, now: datetime) -> Plan:
    """What to do about an entry: call it, look for it first, or leave it."""
    if it.state == "pending":
        return "send"
    if it.key_sent_at is None or it.state in ("sent", "void"):
        return "rest"
    if it.state == "sending" and timedelta(0) <= now - it.key_sent_at < SAME_KEY:
        return "send"
    return "look"


def looks_first(before: Entry, it: Entry, answer: Answer) -> bool:
    """Whether an answer says too little, so that Stripe must be looked through before anything is believed.

    `before` is the entry as it was before this push; a refusal says what it says only of a first call.
    """
    if answer.is_done or answer.outcome == "stop" or is_known(it, answer):
        return False
    return (
        answer.is_replayed
        or (answer.outcome == "rejected" and not is_first(before, answer))
        or answer.status == 500
        or answer.code == "idempotency_error"
        or is_closed(answer)
        or it.entry == "finalise"
    )


def is_first(before: Entry, answer: Answer) -> bool:
    """Whether it is certain that no call under this key has done anything: none before this one, and not this one."""
    return before.key_sent_at is None and answer.is_first and not answer.is_success


def is_closed(answer: Answer) -> bool:
    """The invoice of the item takes no more: somebody finalised, voided or deleted it."""
    gone = answer.code == "resource_missing" and answer.param == "invoice"
    return answer.outcome == "rejected" and (answer.code == "invoice_not_editable" or gone)


def is_known(it: Entry, answer: Answer) -> bool:
    """Stripe has an event of this identifier already, and says so by its name; there is no code for it."""
    return it.entry == "event" and answer.outcome == "rejected" and it.name in answer.message


def answered(it: Entry, answer: Answer) -> Outcome:
    """The entry after a call that needs no looking."""
    known = replace(it, request_id=answer.request_id or it.request_id)
    if answer.is_done:
        return sent(known, answer.body), []
    if is_known(it, answer):
        return sent(known, {"identifier": it.name}), [Event(it, "found", answer.message)]
    known.response = canonical({"status": answer.status, "code": answer.code, "message": answer.message})
    if answer.outcome == "rejected":
        return replace(known, state="parked", state_reason=f"Stripe refused it: {answer.why}"), []
    if answer.outcome == "busy":
        return replace(known, state_reason=f"Stripe was busy: {answer.why}"), []
    return replace(known, state_reason=f"it is not known whether Stripe took it: {answer.why}"), []


def sent(it: Entry, body: dict[str, Any]) -> Entry:
    return replace(
        it, state="sent", state_reason=None, doubted_at=None, stripe_id=body.get("id"), response=canonical(body)
    )


def found(it: Entry, matches: list[dict[str, Any]]) -> Outcome:
    """The entry stands at Stripe: take it as it is, if it is what was meant."""
    meant = [match for match in matches if is_meant(it, match)]
    if not meant:
        shown = ", ".join(f"{match['id']}: {match['amount']} {match['currency']}" for match in matches)
        reason = f"Stripe holds it with another amount ({shown}) than {it.payload['amount']} {it.payload['currency']}"
        return replace(it, state="parked", state_reason=reason), [Event(it, "differs", reason)]
    first = meant[-1]  # lists begin with the newest
    events = [Event(it, "found", first["id"])]
    if len(matches) > 1:
        events.append(Event(it, "doubled", ", ".join(match["id"] for match in matches)))
    return sent(it, first), events


def is_meant(it: Entry, match: dict[str, Any]) -> bool:
    return it.entry != "item" or (match["amount"], match["currency"]) == (it.payload["amount"], it.payload["currency"])


def absent(it: Entry, answer: Answer | None, now: datetime) -> Outcome:
    """Nothing of the entry stands at Stripe, now. `answer` is what its call came to, if it was called just now."""
    if answer is None and it.state == "sending" and it.last_sent_at and not it.doubted_at:
        # Nobody lived to hear the answer, so it may have been a 500. By a clock gone back its age is not known.
        it = replace(it, doubted_at=it.last_sent_at if it.last_sent_at <= now else now)
    elif answer and answer.status == 500:
        it = replace(it, doubted_at=it.doubted_at or now)
    if it.doubted_at and not now - it.doubted_at >= DOUBT:
        reason = "it is not known whether Stripe took it, and nothing of it is to be seen yet"
        return replace(it, state="parked", state_reason=reason), [Event(it, "doubted", reason)]
    if answer and answer.code == "idempotency_error":
        reason = "its key was used for something else; has the workspace been copied or made anew?"
        return replace(it, state="parked", state_reason=reason), [Event(it, "key taken", answer.message)]
    if it.entry == "finalise" and answer and answer.outcome == "rejected" and not answer.is_replayed:
        return replace(it, state="parked", state_reason=f"Stripe refused to finalise it: {answer.why}"), []
    why = answer.why if answer else "looked for"
    if it.entry == "invoice":  # the next attempt is a draft of its own, with the items as they then are
        return replace(it, state="void", state_reason=why), [Event(it, "absent", why)]
    if answer and is_closed(answer):
        return replace(again(it), state_reason=CLOSED), [Event(it, "moved", why)]
    return again(it), [Event(it, "absent", why)]
