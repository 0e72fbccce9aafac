"""Tell whoever listens what happened: the events of billing.events that nobody was told of yet, each once by its id.

An event is noted as handed over only after the other side took it. Killed in between, the next night hands it over
again under the same id, and PostHog keeps one event for an id. A listener that fails never stops a night: what it did
not take waits for the next one. Nothing is sent unless TALLYHOUSE_POSTHOG_KEY is set.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, TypeAlias

import duckdb

from assets.core.instants import format_instant
from assets.core.page import counted
from assets.core.refusal import Refusal
from assets.progress import tell, warn

# So few are sent twice when a run is killed; a night of twenty thousand closes is forty requests of the library's.
AT_ONCE = 500
HOST = "https://us.i.posthog.com"
NOBODY = "tallyhouse"  # whom an event is about that is about no account


@dataclass(frozen=True, slots=True)
class Event:
    event_id: str
    event: str
    at: datetime
    account_id: str
    properties: dict[str, Any]


Listener: TypeAlias = Callable[[Sequence[Event]], set[str]]  # takes events; the ids of those it has taken


@dataclass(frozen=True, slots=True)
class Announced:
    sent: int
    waiting: int


def pending(con: duckdb.DuckDBPyConnection) -> list[Event]:
    """Events that nobody was told of yet, the oldest first."""
    found = con.execute("""
        SELECT event_id, event, happened_at::TIMESTAMP, account_id,
               subscription_id, period_start::TIMESTAMP, line_id, amount_minor, currency, detail
        FROM billing.events e WHERE NOT EXISTS (FROM books.announced a WHERE a.event_id = e.event_id)
        ORDER BY happened_at, event, event_id""")
    return [_event(*row) for row in found.fetchall()]


def _event(
    event_id: str, event: str, at: datetime, account_id: str | None,
    subscription_id: str | None, period_start: datetime | None, line_id: str | None,
    amount_minor: int | None, currency: str | None, detail: str | None,
) -> Event:  # fmt: skip
    properties = {
        "subscription_id": subscription_id,
        "period_start": period_start and format_instant(period_start.replace(tzinfo=UTC)),
        "line_id": line_id,
        "amount_minor": amount_minor,
        "currency": currency,
        **json.loads(detail or "{}"),
    }
    known = {name: value for name, value in properties.items() if value is not None}
    return Event(event_id, event, at.replace(tzinfo=UTC), account_id or NOBODY, known)


def announce(con: duckdb.DuckDBPyConnection, as_of: datetime, listener: Listener) -> Announced:
    """Hand over what is pending, some at a time; stop where the listener stops taking."""
    waiting = pending(con)
    sent = 0
    for events in _some(waiting):
        taken = listener(events)
        note(con, as_of, [it.event_id for it in events if it.event_id in taken])
        sent += len(taken)
        if len(taken) < len(events):
            break
    return Announced(sent, len(waiting) - sent)


def _some(events: list[Event]) -> Iterator[list[Event]]:
    for start in range(0, len(events), AT_ONCE):
        yield events[start : start + AT_ONCE]


def note(con: duckdb.DuckDBPyConnection, as_of: datetime, event_ids: list[str]) -> None:
    """One statement, so one transaction."""
    con.execute(
        "INSERT OR IGNORE INTO books.announced SELECT unnest(?::VARCHAR[]), ?", [event_ids, as_of.replace(tzinfo=None)]
    )


def tell_posthog(con: duckdb.DuckDBPyConnection, as_of: datetime) -> Announced | None:
    """All that is pending to PostHog, and what came of it as a sentence; None where it is nobody's wish."""
    try:
        listener = posthog()
    except Refusal as refusal:  # the money is done: nobody who only listens stops a night
        warn("listener", str(refusal))
        return None
    if listener is None:
        return None
    done = announce(con, as_of, listener)
    counts = {"sent": done.sent, "waiting": done.waiting}
    tell("announced", f"{counted(done.sent, 'event')} sent to PostHog", **counts)
    if done.waiting:
        warn(
            "listener", f"PostHog did not take {counted(done.waiting, 'event')}; the next night tries again.", **counts
        )
    return done


def posthog() -> Listener | None:
    """PostHog, where the environment names a project; None where it names none."""
    key = os.environ.get("TALLYHOUSE_POSTHOG_KEY")
    if not key:
        return None
    if find_spec("posthog") is None:
        raise Refusal("TALLYHOUSE_POSTHOG_KEY is set and PostHog's library is not there: install tallyhouse[events].")
    host = os.environ.get("TALLYHOUSE_POSTHOG_HOST", HOST)

    def take(events: Sequence[Event]) -> set[str]:
        from posthog import Posthog

        refused: set[str] = set()
        logging.getLogger("posthog").setLevel(logging.CRITICAL)  # what fails is said once, by the night
        client = Posthog(
            key,
            host=host,
            gzip=True,
            max_queue_size=AT_ONCE,
            on_error=lambda _, batch: refused.update(str(it["uuid"]) for it in batch),
        )
        queued = {
            client.capture(
                it.event,
                distinct_id=it.account_id,
                properties={**it.properties, "$process_person_profile": False},
                timestamp=it.at,
                uuid=it.event_id,
            )
            for it in events
        }
        client.shutdown()  # waits until every event is sent or has failed
        return {it.event_id for it in events if it.event_id in queued} - refused

    return take
