"""The outbox: what goes to Stripe, written down before it goes, and what came of it.

An entry is an item, the draft invoice of a batch of items, the finalising of that draft, or a meter event. Its payload,
its key and the moment are committed before the first call that could have an effect; from then on they stand. An entry
that was never called is made anew by every push, from the books and the account files of the day.

`key_mode` keeps Stripe's two worlds apart: what a rehearsal has sent to the sandbox is still to be sent in earnest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import duckdb

from assets.core.payload import canonical, digest, idempotency_key
from assets.warehouse import ensure, transaction

Kind: TypeAlias = Literal["item", "invoice", "finalise", "event"]
State: TypeAlias = Literal["pending", "sending", "sent", "parked", "void"]
Clock: TypeAlias = Callable[[], datetime]

_COLUMNS = {
    **dict.fromkeys(("key_mode", "entry", "name"), "VARCHAR NOT NULL"),
    **dict.fromkeys(("batch", "customer"), "VARCHAR"),
    "amount_minor": "BIGINT",
    "currency": "VARCHAR",
    **dict.fromkeys(("payload", "payload_hash"), "VARCHAR NOT NULL"),
    "attempt": "INTEGER NOT NULL",
    "idempotency_key": "VARCHAR NOT NULL",
    **dict.fromkeys(("first_sent_at", "key_sent_at", "last_sent_at", "doubted_at"), "TIMESTAMP"),
    "state": "VARCHAR NOT NULL",
    **dict.fromkeys(("state_reason", "stripe_id", "request_id", "response", "stripe_account"), "VARCHAR"),
}

TABLES = {
    "books.outbox": f"""
        {", ".join(f"{column} {kind}" for column, kind in _COLUMNS.items())},
        PRIMARY KEY (key_mode, entry, name)""",
    # Which item a line went out in.
    "books.outbox_lines": """
        key_mode VARCHAR NOT NULL, line_id VARCHAR NOT NULL, name VARCHAR NOT NULL, PRIMARY KEY (key_mode, line_id)""",
    # What happened beyond the plain course: an outcome in doubt, an item found or doubled, a further attempt.
    "books.outbox_log": """
        logged_at TIMESTAMP NOT NULL, key_mode VARCHAR NOT NULL, entry VARCHAR NOT NULL, name VARCHAR NOT NULL,
        attempt INTEGER NOT NULL, event VARCHAR NOT NULL, detail VARCHAR""",
    # When a customer was last compared with what Stripe lists, and what differed then.
    "books.reconciled": """
        key_mode VARCHAR NOT NULL, customer VARCHAR NOT NULL, reconciled_at TIMESTAMP NOT NULL,
        PRIMARY KEY (key_mode, customer)""",
    "books.reconciliation": """
        key_mode VARCHAR NOT NULL, customer VARCHAR NOT NULL, kind VARCHAR NOT NULL, account_id VARCHAR, name VARCHAR,
        stripe_id VARCHAR, invoice VARCHAR, meter VARCHAR, bucket_start TIMESTAMP, currency VARCHAR,
        amount_minor BIGINT, books_minor BIGINT, stripe_minor BIGINT, books_quantity BIGINT,
        stripe_quantity DECIMAL(38, 12), detail VARCHAR, reconciled_at TIMESTAMP NOT NULL""",
}


_TYPES = {column: kind.split()[0] for column, kind in _COLUMNS.items()}
_AT_ONCE = 1000


@dataclass(slots=True)
class Entry:
    """A row of the outbox. Instants are UTC; `key_sent_at` is when the key of this attempt may first have been used."""

    entry: Kind
    name: str
    customer: str | None
    payload: dict[str, Any]
    batch: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    attempt: int = 1
    first_sent_at: datetime | None = None  # under any key
    key_sent_at: datetime | None = None
    last_sent_at: datetime | None = None  # under this one
    doubted_at: datetime | None = None  # when Stripe said that it does not know whether it did it
    state: State = "pending"
    state_reason: str | None = None
    stripe_id: str | None = None
    request_id: str | None = None
    response: str | None = None

    @property
    def key(self) -> str:
        return idempotency_key(f"finalise {self.name}" if self.entry == "finalise" else self.name, self.attempt)


@dataclass(frozen=True, slots=True)
class Event:
    """For the log: what happened to an entry."""

    entry: Entry
    event: str
    detail: str


@dataclass
class Outbox:
    """The outbox of one key mode, in the warehouse. Only the thread that opened the warehouse may use it."""

    con: duckdb.DuckDBPyConnection
    key_mode: str
    clock: Clock
    account: str | None = None  # of Stripe, once it is known
    events: list[Event] = field(default_factory=list)

    def read(self, condition: str = "true", values: Sequence[Any] = ()) -> list[Entry]:
        found = self.con.execute(
            f"""SELECT entry, name, customer, payload, batch, amount_minor, currency, attempt, first_sent_at,
                key_sent_at, last_sent_at, doubted_at, state, state_reason, stripe_id, request_id, response
            FROM books.outbox AS outbox WHERE key_mode = ? AND ({condition}) ORDER BY customer, batch, name""",
            [self.key_mode, *values],
        ).fetchall()
        return [
            Entry(kind, name, customer, json.loads(payload), *rest[:4], *map(_aware, rest[4:8]), *rest[8:])
            for kind, name, customer, payload, *rest in found
        ]

    def is_settled(self) -> bool:
        """Whether nothing is left to be called or looked for; what was never called because of us is not."""
        row = self.con.execute(
            """SELECT count(*) = 0 FROM books.outbox o WHERE key_mode = $mode AND (
                state IN ('pending', 'sending') OR (state = 'parked' AND first_sent_at IS NOT NULL)
                OR (entry = 'finalise' AND state = 'parked')
                OR (entry = 'invoice' AND state = 'sent' AND NOT EXISTS (
                    FROM books.outbox f WHERE f.key_mode = $mode AND f.entry = 'finalise' AND f.name = o.name)))""",
            {"mode": self.key_mode},
        ).fetchone()
        return row == (True,)

    def add(self, entries: Collection[Entry], lines: Collection[tuple[str, str]]) -> None:
        """Enter what is new, with the item each line goes out in; in the caller's transaction."""
        self._write(entries)
        columns = ("key_mode", "line_id", "name")
        rows = [dict(zip(columns, (self.key_mode, *pair), strict=True)) for pair in lines]
        self._insert("INSERT INTO books.outbox_lines", rows, dict.fromkeys(columns, "VARCHAR"))

    def claim(self, entries: Collection[Entry]) -> None:
        """Commit that these are about to be called: from here on their outcome is open until it is known."""
        now = self.clock()
        for it in entries:
            if it.key_sent_at is None:
                it.state, it.key_sent_at = "sending", now
                it.first_sent_at = it.first_sent_at or now
            it.last_sent_at = now
        self.record(entries)

    def record(self, entries: Collection[Entry], events: Iterable[Event] = ()) -> None:
        """Commit what has become of these, with what is to be remembered of it."""
        with transaction(self.con):
            self._write(entries)
            self.log(events)

    def log(self, events: Iterable[Event]) -> None:
        now = _naive(self.clock())
        rows = [
            (now, self.key_mode, it.entry.entry, it.entry.name, it.entry.attempt, it.event, it.detail) for it in events
        ]
        if rows:
            self.con.executemany("INSERT INTO books.outbox_log VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _write(self, entries: Collection[Entry]) -> None:
        self._insert("INSERT OR REPLACE INTO books.outbox", [self._row(it) for it in entries], _TYPES)

    def _insert(self, insert: str, rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> None:
        """Rows as one JSON text: a statement for many, and nothing to import for it."""
        for start in range(0, len(rows), _AT_ONCE):
            self.con.execute(
                f"{insert} BY NAME SELECT unnest(from_json(?, ?), recursive := true)",
                [json.dumps(rows[start : start + _AT_ONCE]), json.dumps([types])],
            )

    def _row(self, it: Entry) -> dict[str, Any]:
        payload = canonical(it.payload)
        return {
            "key_mode": self.key_mode,
            "entry": it.entry,
            "name": it.name,
            "batch": it.batch,
            "customer": it.customer,
            "amount_minor": it.amount_minor,
            "currency": it.currency,
            "payload": payload,
            "payload_hash": digest(payload),
            "attempt": it.attempt,
            "idempotency_key": it.key,
            "first_sent_at": _text(it.first_sent_at),
            "key_sent_at": _text(it.key_sent_at),
            "last_sent_at": _text(it.last_sent_at),
            "doubted_at": _text(it.doubted_at),
            "state": it.state,
            "state_reason": it.state_reason,
            "stripe_id": it.stripe_id,
            "request_id": it.request_id,
            "response": it.response,
            "stripe_account": self.account if it.first_sent_at else None,
        }


def ensure_outbox(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that are not there yet."""
    ensure(con, TABLES)


def again(it: Entry) -> Entry:
    """The entry once it is certain that nothing came of it: another attempt, under a key of its own."""
    return replace(it, attempt=it.attempt + 1, key_sent_at=None, doubted_at=None, state="pending", state_reason=None)


def _text(at: datetime | None) -> str | None:
    naive = _naive(at)
    return naive.isoformat() if naive else None


def _naive(at: datetime | None) -> datetime | None:
    return at.astimezone(UTC).replace(tzinfo=None) if at else None


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at else None
