"""A call from arrival to answer, in Stripe's order.

Faults of arrival, then key, limiter and parameters, which are never saved; then the idempotency key, whose first answer
is saved once the work begins and replayed from then on; then the work, whole or not at all; then faults of the answer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import stripe

from assets.practice import invoices
from assets.practice.answers import Answer, failed, gateway, in_use, lock_timeout, public, reused, written
from assets.practice.ask import Ask, Settings
from assets.practice.calls import Call, without_secret
from assets.practice.clock import Clock
from assets.practice.errors import ApiError, invalid
from assets.practice.faults import Fault, Faults, Stage
from assets.practice.forms import nested, pairs_of
from assets.practice.limits import Limits, limited
from assets.practice.routes import Route, route_of
from assets.practice.store import Change, Json, Saved, Store

VERSION = stripe.api_version
_KEY = re.compile(r"(?:sk|rk)_(live|test)_\w+", re.ASCII)
_KEY_LENGTH = 255
FOREVER = 86_400.0  # longer than anyone waits; stopping the server ends it


@dataclass(frozen=True, slots=True)
class Work:
    """A call that may be executed."""

    call: Call
    route: Route
    ask: Ask


class Api:
    def __init__(self, store: Store, clock: Clock, settings: Settings, faults: Faults) -> None:
        self.store, self.clock, self.settings, self.faults = store, clock, settings, faults
        self.calls: list[Call] = []
        self.limits = Limits(settings)
        self.stopping = threading.Event()  # ends every wait
        self._keys_in_use: set[tuple[bool, str]] = set()
        self._locked: set[tuple[bool, str, str]] = set()

    def answer(self, method: str, path: str, query: str, body: str, headers: Mapping[str, str]) -> Answer:
        call = self._logged(method, path, headers)
        try:
            answer = self._answer(call, query, body, headers)
        except ApiError as error:
            answer = Answer(error.status, written(error.body), dict(error.headers))
        answer = self._spoilt(call, answer)
        answer.headers |= {"Request-Id": call.request_id, "Stripe-Version": VERSION}
        if call.key:
            answer.headers["Idempotency-Key"] = call.key
        call.ended = time.monotonic()
        call.status = answer.status if answer.how == "sent" else None
        return answer

    def _logged(self, method: str, path: str, headers: Mapping[str, str]) -> Call:
        with self.store.lock:
            call = Call(
                number=len(self.calls) + 1,
                at=self.clock.now(),
                started=time.monotonic(),
                method=method,
                path=path,
                headers=without_secret(headers),
                key=(headers.get("Idempotency-Key") or None) if method == "POST" else None,
            )
            call.request_id = f"req_practice{call.number:08}"
            self.calls.append(call)
        return call

    def _answer(self, call: Call, query: str, body: str, headers: Mapping[str, str]) -> Answer:
        pairs = pairs_of(body) if call.method == "POST" else pairs_of(query)
        call.params = nested(pairs)
        call.customer = self._customer_of(call)
        if (fault := self._take("arrival", call)) and (answer := self._turned_away(fault, call)):
            return answer
        call.is_live = _mode(headers)
        route, ids = route_of(call.method, call.path)
        self.limits.admit(route.name)
        if headers.get("Stripe-Version", VERSION) != VERSION:
            raise invalid(f"Invalid Stripe API version: the practice Stripe answers as {VERSION} only.")
        if call.key and len(call.key) > _KEY_LENGTH:
            raise invalid(f"Idempotency keys can be up to {_KEY_LENGTH} characters long; this has {len(call.key)}.")
        ask = Ask(self.store, self.settings, call.at, call.is_live, route.read(call.params), call.path, ids)
        work = Work(call, route, ask)
        return self._once(work, _fingerprint(pairs)) if call.key else self._executed(work, None)

    def _customer_of(self, call: Call) -> str | None:
        """Whom the call is about, for faults and locks that are meant for one customer."""
        told = call.params.get("customer") or (call.params.get("payload") or {}).get("stripe_customer_id")
        if isinstance(told, str):
            return told
        _, _, noun, *rest = [*call.path.split("/"), "", ""]
        if noun == "customers" and rest[0]:
            return rest[0]
        kind = {"invoices": "invoice", "invoiceitems": "invoiceitem"}.get(noun)
        with self.store.lock:
            rows = [self.store.get(is_live, kind, rest[0]) for is_live in (False, True)] if kind and rest[0] else []
        return next((row["customer"] for row in rows if row), None)

    # The idempotency key.

    def _once(self, work: Work, fingerprint: str) -> Answer:
        call, name = work.call, (work.ask.is_live, work.call.key or "")
        endpoint = f"{call.method} {call.path}"
        with self.store.lock:
            saved = self.store.saved.get(name)
            if saved and self.clock.now() - saved.at >= self.settings.key_ttl:
                saved = None  # pruned: the call executes as a new one
            if saved and saved.endpoint != endpoint:
                raise reused(call.key, f"for another endpoint, {saved.endpoint}")
            if saved and saved.fingerprint != fingerprint:
                raise reused(call.key, "with other parameters")
            if saved:
                call.is_replayed, call.made = True, _id_in(saved.body)
                headers = {"Idempotent-Replayed": "true", "Original-Request": saved.request_id}
                if saved.status >= 500:
                    headers["Stripe-Should-Retry"] = "false"
                return Answer(saved.status, saved.body, headers)
            if name in self._keys_in_use:
                raise in_use()
            self._keys_in_use.add(name)
        try:
            return self._executed(work, Saved(endpoint, fingerprint, self.clock.now(), 0, "", call.request_id))
        finally:
            with self.store.lock:
                self._keys_in_use.discard(name)

    # The work.

    def _executed(self, work: Work, key: Saved | None) -> Answer:
        call, lock = work.call, self._lock_of(work)
        if lock:
            with self.store.lock:
                if lock in self._locked:
                    raise lock_timeout(is_saved=False)
                self._locked.add(lock)
        try:
            fault = self._take("execution", call)
            slow = fault.seconds if fault and fault.kind == "slow" else 0
            self.wait(self.settings.latency_ms / 1000 + slow)
            with self.store.lock:
                return self._done(work, key, fault)
        finally:
            if lock:
                with self.store.lock:
                    self._locked.discard(lock)

    def _lock_of(self, work: Work) -> tuple[bool, str, str] | None:
        """What may not be written at twice: a customer; for meter events, a customer's meter."""
        call = work.call
        if not self.settings.customer_lock or call.method == "GET" or call.customer is None:
            return None
        is_event = work.route.path == "/v1/billing/meter_events"
        return work.ask.is_live, call.customer, call.params["event_name"] if is_event else ""

    def _done(self, work: Work, key: Saved | None, fault: Fault | None) -> Answer:
        """Do the work and keep its answer in one step, which a kill leaves whole or undone."""
        self.catch_up()
        kind = fault.kind if fault and fault.kind != "slow" else None
        change, later, answer = Change([], []), None, None
        if kind in (None, "error_made"):
            change, answer = self._worked(work)
        elif kind == "error_later":
            assert fault
            later = self._later(work, fault.seconds)
        if fault and kind:
            answer = failed(fault)
        assert answer
        work.call.made = change.puts[-1][1]["id"] if change.puts and kind else _id_in(answer.body)
        name = None
        if key and (fault is None or fault.saved):
            saved = Saved(key.endpoint, key.fingerprint, key.at, answer.status, answer.body, key.request_id)
            name = (work.ask.is_live, work.call.key or "", saved)
        if change.puts or change.drops or name or later:
            self.store.commit(change, key=name, later=later)
        return answer

    def _worked(self, work: Work) -> tuple[Change, Answer]:
        ask = work.ask
        ask.now, ask.change = self.clock.now(), Change([], [])
        try:
            return ask.change, Answer(200, written(public(work.route.handle(ask))))
        except ApiError as error:
            return Change([], []), Answer(error.status, written(error.body), dict(error.headers))

    def _later(self, work: Work, seconds: float) -> Json:
        self.store.sequence += 1
        return {
            "number": self.store.sequence,
            "due": self.clock.now() + int(seconds),
            "at": self.clock.now(),
            "is_live": work.ask.is_live,
            "method": work.call.method,
            "path": work.call.path,
            "params": work.call.params,
        }

    def catch_up(self) -> None:
        """What has come due by the virtual clock: work rolled forward, automatic drafts finalised."""
        with self.store.lock:
            now = self.clock.now()
            while self.store.next_due <= now:
                for later in [it for it in self.store.later if it["due"] <= now]:
                    route, ids = route_of(later["method"], later["path"])
                    params = route.read(later["params"])
                    ask = Ask(self.store, self.settings, later["at"], later["is_live"], params, later["path"], ids)
                    self._quietly(ask, route.handle)
                    self.store.done_later(later, ask.change)
                for is_live, id in self.store.due_drafts(now):
                    draft = self.store.rows[is_live, "invoice"][id]
                    at = draft["automatically_finalizes_at"]
                    ask = Ask(self.store, self.settings, at, is_live, {"auto_advance": True}, "", (id,))
                    if not self._quietly(ask, invoices.finalize):
                        ask.put({**draft, "automatically_finalizes_at": None})
                    self.store.commit(ask.change)
                self.store.reckon_due()

    @staticmethod
    def _quietly(ask: Ask, handle: object) -> bool:
        try:
            handle(ask)  # type: ignore[operator]
        except ApiError:
            ask.change = Change([], [])
            return False
        return True

    # Faults.

    def _take(self, stage: Stage, call: Call) -> Fault | None:
        fault = self.faults.take(stage, call.method, call.path, call.customer, call.key)
        if fault:
            call.faults.append(fault.kind)
        return fault

    def _turned_away(self, fault: Fault, call: Call) -> Answer | None:
        match fault.kind:
            case "reset":
                return Answer(how="reset")
            case "hang":
                self.wait(fault.seconds or FOREVER)
                return Answer(how="closed")
            case "unavailable":
                return gateway(fault.status or 503)
            case "limited":
                raise limited(fault.reason)
            case "in_use":
                raise in_use()
            case "unauthorized":
                raise ApiError(401, "Invalid API Key provided.")
            case _:
                raise ApiError(
                    403,
                    "This key may not do that on this account.",
                    code="more_permissions_required",
                )

    def _spoilt(self, call: Call, answer: Answer) -> Answer:
        if answer.how != "sent" or answer.status != 200:
            return answer
        fault = self._take("answer", call)
        if fault is None:
            return answer
        if fault.kind == "unavailable_made":
            return gateway(fault.status or 504)
        if fault.kind == "hang_made":
            self.wait(fault.seconds or FOREVER)
        return Answer(how="closed")

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            self.stopping.wait(seconds)


def _mode(headers: Mapping[str, str]) -> bool:
    """Live or not, by the key's prefix; 401 for what is no secret key."""
    scheme, _, told = (headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "basic":
        try:
            told = base64.b64decode(told).decode().removesuffix(":")
        except ValueError:
            told = ""
    if not told:
        raise ApiError(401, "You did not provide an API key. Provide it as Authorization: Bearer YOUR_SECRET_KEY.")
    match = _KEY.fullmatch(told.strip())
    if match is None:
        raise ApiError(401, "Invalid API Key provided: it begins with none of sk_test_, rk_test_, sk_live_, rk_live_.")
    if headers.get("Stripe-Account"):
        raise ApiError(403, "This key opens no other account.", code="account_invalid")
    return match[1] == "live"


def _fingerprint(pairs: list[tuple[str, str]]) -> str:
    return hashlib.sha256(json.dumps(sorted(pairs)).encode()).hexdigest()


def _id_in(body: str) -> str | None:
    found = re.match(r'\{\s*"id": "([^"]+)"', body)
    return found[1] if found else None
