"""How a meter event in doubt is looked for: Stripe lists none, but adds up what a customer used of a meter in an hour.

It knows an event again by its identifier for a day. Beyond that the sum of the hour is compared with the events that
surely are in it: it says which of the others are, or it says nothing, and then they are parked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from assets.core.agreement import MOST_UNSURE, sums_of
from assets.push import rules
from assets.push.client import Answer, Client
from assets.push.outbox import Entry, Event, Outbox
from assets.push.rules import Outcome

SECONDS = 3600


Place: TypeAlias = tuple[str, str, int]  # customer, event name, timestamp of the hour

# What was never called, or surely is not there, is no part of a sum.
_EVENTS = """
    WITH events AS (
        SELECT customer, payload->>'$.event_name' AS meter, (payload->>'$.timestamp')::BIGINT AS hour_at, name,
               (payload->>'$.payload.value')::BIGINT AS value,
               if(state = 'sent', 'sent', if(key_sent_at IS NULL, 'absent', 'open')) AS standing
        FROM books.outbox WHERE key_mode = ? AND entry = 'event' AND first_sent_at IS NOT NULL)
    SELECT * FROM events SEMI JOIN (FROM events WHERE standing <> 'sent') AS o USING (customer, meter, hour_at)"""


@dataclass
class Hours:
    """The events of every hour in which one is open, with how they stand; a customer's are only used by its worker."""

    meters: dict[str, str] = field(default_factory=dict)  # ids of Stripe's meters, by event name
    events: dict[Place, dict[str, tuple[int, str]]] = field(default_factory=dict)

    def open(self, client: Client, outbox: Outbox) -> Answer:
        """Read what is known here and there; in the thread that holds the warehouse."""
        answer = client.listed("billing.meters.list")
        if answer.is_done:
            self.meters = meter_ids(answer)
        self.events = {}
        for customer, meter, at, name, value, standing in outbox.con.execute(_EVENTS, [outbox.key_mode]).fetchall():
            self.events.setdefault((customer, meter, at), {})[name] = (value, standing)
        return answer

    def note(self, it: Entry) -> None:
        """How an event stands after a call or a look."""
        standing = "sent" if it.state == "sent" else "open" if it.key_sent_at else "absent"
        self.events.setdefault(place(it), {})[it.name] = (_value(it), standing)

    def look(self, client: Client, it: Entry) -> Answer:
        """The windows of the event's customer, meter and hour, as a list; empty where there is no such meter."""
        customer, event_name, start = place(it)
        if event_name not in self.meters:
            return Answer("done", body={"data": []})
        asked = {
            "customer": customer,
            "start_time": start,
            "end_time": start + SECONDS,
            "value_grouping_window": "hour",
        }
        answer = client.listed("billing.meters.event_summaries.list", asked, of=self.meters[event_name])
        is_gone = answer.code == "resource_missing"  # the customer: of one that is not there, nothing is held
        return replace(answer, outcome="unknown") if answer.outcome == "rejected" and not is_gone else answer

    def judged(self, it: Entry, answer: Answer | None, seen: Answer, now: datetime) -> Outcome:
        """The event after a look at its hour. `answer` is what its call came to, if it was called just now."""
        held = sum((Decimal(str(row["aggregated_value"])) for row in seen.body.get("data", [])), Decimal(0))
        is_there = self._has(it, held)
        if is_there:
            told = {"identifier": it.name, "held": str(held)}
            return rules.sent(it, told), [Event(it, "found", f"{held} in its hour")]
        if is_there is None:
            reason = (
                f"it is not known whether Stripe took it, and the {held} that it holds of {it.customer} in that hour "
                "does not tell; look at the meter's usage there"
            )
            return replace(it, state="parked", state_reason=reason), [Event(it, "undecided", reason)]
        return rules.absent(it, answer, now)

    def _has(self, it: Entry, held: Decimal) -> bool | None:
        """Whether the event is in what Stripe holds of its hour; None where the sum does not tell."""
        events = {name: known for name, known in self.events.get(place(it), {}).items() if name != it.name}
        others = [value for value, standing in events.values() if standing == "open"]
        if len(others) > MOST_UNSURE:
            return None
        sums = sums_of(others)
        missing = held - sum(value for value, standing in events.values() if standing == "sent")
        with_it, without = missing - _value(it) in sums, missing in sums
        return with_it if with_it != without else None


def meter_ids(listed: Answer) -> dict[str, str]:
    """By event name; an active meter before one that was given up."""
    rows = sorted(listed.body["data"], key=lambda row: row["status"] == "active")
    return {row["event_name"]: row["id"] for row in rows}


def place(it: Entry) -> Place:
    return it.customer or "", it.payload["event_name"], it.payload["timestamp"]


def _value(it: Entry) -> int:
    return int(it.payload["payload"]["value"])
