"""Sending: entries claimed in batches, called by one worker for each customer, and their outcomes committed in batches.

The main thread alone touches the warehouse. Killed anywhere, whatever was claimed and not recorded is taken up by the
next push, by the rules of assets/push/rules.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any, TypeAlias

from assets.push import rules
from assets.push.client import Answer, Client
from assets.push.hours import Hours
from assets.push.outbox import Entry, Outbox
from assets.push.rules import Outcome

CLAIM = 200  # entries claimed and not yet known, at most: what a kill leaves to be looked after
PIECE = 25  # entries that a worker takes at once, all of one customer
PATIENT = 0.4  # seconds that Stripe may take to answer without the pace suffering
SILENCE = 3  # answers that never came, in a row, before Stripe counts as out of reach

_CREATE = {"item": "invoice_items.create", "invoice": "invoices.create", "event": "billing.meter_events.create"}

Told: TypeAlias = Callable[[int, int], None]  # done, of how many


@dataclass
class Sender:
    """Brings entries to Stripe until all are done, or nothing more can be done for anybody."""

    outbox: Outbox
    client: Client
    why_stopped: str | None = None
    may_pass: bool = True  # by itself, in a while: what has stopped it, or left something waiting
    has_more: bool = False  # something proved not to be there, and may go out anew
    hours: Hours = field(default_factory=Hours)  # of meter events
    _left: set[tuple[str, str]] = field(default_factory=set)  # what this push can do no more for
    _stop: threading.Event = field(default_factory=threading.Event)
    _silent: int = 0
    _heeding: threading.Lock = field(default_factory=threading.Lock)  # workers hear at the same time

    def run(self, entries: Sequence[Entry], told: Told | None = None) -> None:
        """Entries of one customer stand together. What is claimed is never far ahead of what is known."""
        now = self.outbox.clock()
        todo = [it for it in entries if rules.plan(it, now) != "rest" and (it.entry, it.name) not in self._left]
        pieces = list(_pieces(todo))
        running: dict[Future[list[Outcome]], list[Entry]] = {}
        outcomes: list[Outcome] = []
        done = 0
        with ThreadPoolExecutor(self.workers, thread_name_prefix="stripe") as pool:
            try:
                while pieces or running:
                    if sum(map(len, running.values())) <= CLAIM // 2 and not self.is_stopped:
                        self._submit(pool, pieces, running)
                    elif not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        del running[future]
                        outcomes += future.result()
                    if len(outcomes) >= CLAIM // 2:
                        before, done = done, done + self._record(outcomes)
                        if told and done * 10 // len(todo) > before * 10 // len(todo):
                            told(done, len(todo))
                self._record(outcomes)
            except BaseException:
                self._stop.set()  # the workers end after the call they are at
                raise

    @property
    def workers(self) -> int:
        return workers_for(self.client)

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self, why: str, may_pass: bool) -> None:
        """Nobody would be served any more; what was said first stands."""
        if self.why_stopped is None:
            self.why_stopped, self.may_pass = why, may_pass
        self._stop.set()

    def _submit(
        self, pool: ThreadPoolExecutor, pieces: list[list[Entry]], running: dict[Future[list[Outcome]], list[Entry]]
    ) -> None:
        """Claim the next pieces of customers that nobody is at, in one commit, and hand them out."""
        busy = {piece[0].customer for piece in running.values()}
        taken: list[list[Entry]] = []
        room = CLAIM - sum(map(len, running.values()))
        for piece in list(pieces):
            if room <= 0:
                break
            if piece[0].customer not in busy:
                pieces.remove(piece)
                busy.add(piece[0].customer)
                taken.append(piece)
                room -= len(piece)
        before = [[replace(it) for it in piece] for piece in taken]
        now = self.outbox.clock()
        self.outbox.claim([it for piece in taken for it in piece if rules.plan(it, now) == "send"])
        for old, piece in zip(before, taken, strict=True):
            running[pool.submit(self._customer, list(zip(old, piece, strict=True)))] = piece

    def _record(self, outcomes: list[Outcome]) -> int:
        self.outbox.record([it for it, _ in outcomes], [event for _, events in outcomes for event in events])
        self._left |= {(it.entry, it.name) for it, _ in outcomes if it.state in ("parked", "sending")}
        self.has_more |= any(it.state in ("pending", "void") for it, _ in outcomes)
        count = len(outcomes)
        outcomes.clear()
        return count

    # --- in a worker: one customer's entries, one after the other ----------------------------------------------------

    def _customer(self, group: list[tuple[Entry, Entry]]) -> list[Outcome]:
        now = self.outbox.clock()
        # What only needs looking comes first, so that one listing serves it all.
        ordered = sorted(group, key=lambda pair: rules.plan(pair[1], now) == "send")
        looks = [it for _, it in ordered if rules.plan(it, now) == "look"]
        pages = _Pages(min((it.first_sent_at for it in looks if it.first_sent_at), default=None))
        outcomes: list[Outcome] = []
        for before, it in ordered:
            if self.is_stopped:
                outcomes.append((before, []))  # never called, so never claimed
            elif it in looks:
                outcomes.append(self._look(it, None, pages))
            else:
                outcomes.append(self._send(before, it))
            if it.entry == "event":
                self.hours.note(outcomes[-1][0])
        return outcomes

    def _send(self, before: Entry, it: Entry) -> Outcome:
        answer = self._call(it)
        self._heard(answer)
        if answer.outcome == "stop":  # said before anything is done under a key
            return (before if rules.is_first(before, answer) else it), []
        if rules.looks_first(before, it, answer):
            return self._look(it, answer, _Pages(it.first_sent_at))
        return rules.answered(it, answer)

    def _call(self, it: Entry) -> Answer:
        if it.entry == "finalise":
            return self.client.insist("invoices.finalize_invoice", it.payload, of=it.stripe_id or "", key=it.key)
        return self.client.insist(_CREATE[it.entry], it.payload, key=it.key)

    def _look(self, it: Entry, answer: Answer | None, pages: _Pages) -> Outcome:
        """Look for the entry at Stripe: what stands there counts, whatever was answered."""
        seen = self.hours.look(self.client, it) if it.entry == "event" else self._seen(it, pages)
        self._heard(seen)
        if not seen.is_done and seen.code != "resource_missing":
            return replace(it, state_reason=f"Stripe could not be looked through: {seen.why}"), []
        if it.entry == "event":
            return self.hours.judged(it, answer, seen, self.outbox.clock())
        matches = [row for row in seen.body.get("data", []) if self._is(it, row)]  # none, where the customer is gone
        return rules.found(it, matches) if matches else rules.absent(it, answer, self.outbox.clock())

    def _seen(self, it: Entry, pages: _Pages) -> Answer:
        if it.entry == "finalise":
            answer = self.client.insist("invoices.retrieve", of=it.stripe_id or "")
            return replace(answer, body={"data": [answer.body] if answer.is_done else []})
        what = "invoice_items.list" if it.entry == "item" else "invoices.list"
        params = _where(it, pages.since, self.outbox.clock())
        place = f"{what} {params}"
        if place not in pages.seen:
            pages.seen[place] = self.client.listed(what, params)
        return pages.seen[place]

    def _is(self, it: Entry, row: dict[str, Any]) -> bool:
        if it.entry == "finalise":
            return row.get("status") not in (None, "draft")
        name = "line_key" if it.entry == "item" else "batch_key"
        return (row.get("metadata") or {}).get(name) == it.name

    def _heard(self, answer: Answer) -> None:
        """Stop for everybody where nobody would be served."""
        with self._heeding:
            if answer.outcome == "stop":
                self.stop(f"Stripe refuses the key: {answer.why}", may_pass=False)
            self._silent = self._silent + 1 if answer.outcome == "unknown" and answer.status is None else 0
            if self._silent >= SILENCE:
                self.stop(f"Stripe can't be reached: {answer.why}", may_pass=True)


def workers_for(client: Client) -> int:
    return min(64, max(4, round(client.pace.rate * PATIENT)))


def _pieces(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    for _, group in groupby(entries, key=lambda it: it.customer):
        of_one = list(group)
        for start in range(0, len(of_one), PIECE):
            yield of_one[start : start + PIECE]


@dataclass
class _Pages:
    """What was listed, from when on, for entries that were all sent before."""

    since: datetime | None
    seen: dict[str, Answer] = field(default_factory=dict)


def _where(it: Entry, since: datetime | None, now: datetime) -> dict[str, Any]:
    """Where the entry would stand: on its invoice, or among the customer's since before it was first sent."""
    if it.payload.get("invoice"):
        return {"invoice": it.payload["invoice"]}
    where: dict[str, Any] = {"customer": it.payload["customer"]}
    # By a clock that has gone back, nothing can be said of when it was sent.
    if since and it.first_sent_at and it.first_sent_at <= now:
        where["created"] = {"gte": int((since - rules.LOOK_BACK).timestamp())}
    return where
