"""The way to Stripe: one call, one classified answer, and a key that nobody ever gets to see.

Nothing here raises for what Stripe or the network does, and nothing decides what to do about it: an Answer says which
of five things a call came to. The key is read from STRIPE_API_KEY and nowhere else, its mode is compared before any
request, and it is taken out of every text that leaves this module.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from assets.core.catalogue.models import KeyMode, Settings
from assets.core.refusal import Refusal
from assets.push.pace import Pace, Patience

# What the payloads are written for, and what the pinned SDK speaks by itself.
VERSION = "2026-10-28.endive"

KEY, BASE = "STRIPE_API_KEY", "TALLYHOUSE_STRIPE_API_BASE"
API = "https://api.stripe.com"

Outcome: TypeAlias = Literal[
    "done",  # Stripe did it
    "rejected",  # Stripe did not do it, and will not until someone mends something
    "unknown",  # it may have been done or not
    "busy",  # it was not done this time
    "stop",  # nothing will be done for anybody: the key is wrong, or may not do this
]

Params: TypeAlias = Mapping[str, Any]
Ids: TypeAlias = str | tuple[str, ...]

_KEY = re.compile(r"(sk|rk)_(live|test)_[A-Za-z0-9_]+", re.ASCII)
_READS = ("list", "retrieve", "retrieve_current", "search")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to."""

    outcome: Outcome
    body: dict[str, Any] = field(default_factory=dict)  # what Stripe gave back when it is done
    status: int | None = None  # of HTTP; None where there was no answer at all
    code: str | None = None  # Stripe's word for an error
    param: str | None = None  # the parameter it is about
    message: str = ""
    request_id: str | None = None
    is_replayed: bool = False  # Stripe repeats what it said the first time the key was used
    is_limited: bool = False  # its rate limiter spoke
    is_first: bool = True  # no call without an answer came before it

    @property
    def is_done(self) -> bool:
        return self.outcome == "done"

    @property
    def is_success(self) -> bool:
        """Whether Stripe says that it did it; in the other mode that is no reason to go on."""
        return self.status is not None and self.status < 300

    @property
    def may_pass(self) -> bool:
        """Whether the same call may come to something in a while, though nobody mends anything."""
        return self.outcome in ("unknown", "busy")

    @property
    def why(self) -> str:
        """The answer in half a sentence, for a person."""
        return f"{self.message.rstrip('.')} ({self.status})" if self.status else self.message


def refuse_wrong_key(settings: Settings) -> None:
    """Before anything else of a live run: refuse a key of the other mode. A missing one is left to whoever needs it."""
    if settings.stripe_mode == "live" and has_key():
        _key(settings.stripe_key)


def has_key() -> bool:
    return bool(os.environ.get(KEY))


def _key(mode: KeyMode) -> str:
    key = os.environ.get(KEY, "")
    wanted = f"sk_{mode}_ or rk_{mode}_"
    if not key:
        raise Refusal(f"{KEY} is not set; put a key that begins with {wanted} into the environment, nowhere else.")
    found = _KEY.fullmatch(key)
    if found is None:
        raise Refusal(f"{KEY} does not hold a secret key of Stripe; give one that begins with {wanted}.")
    if found[2] != mode:
        raise Refusal(
            f"{KEY} holds a {found[2]} key, and catalog/workspace.yaml asks for a {mode} key (stripe.key); nothing was "
            f"sent. Give a key that begins with {wanted}."
        )
    return key


def _base() -> str:
    base = os.environ.get(BASE) or API
    url = urlsplit(base)
    is_here = url.hostname in ("127.0.0.1", "localhost", "::1")
    if not url.hostname or url.scheme not in ("https", "http") or (url.scheme == "http" and not is_here):
        raise Refusal(f"{BASE} is no address that a key may be sent to; give https://…, or http:// on this machine.")
    return base.rstrip("/")


class Client:
    """Calls to one account of Stripe, from as many threads as one likes, all at one pace.

    `what` names a call as the SDK does: invoice_items.create, billing.meters.event_summaries.list, … `of` is the id in
    its path, or are the ids. Whatever changes something needs an idempotency key of the caller's.
    """

    def __init__(self, mode: KeyMode, pace: Pace | None = None, patience: Patience | None = None) -> None:
        key, base = _key(mode), _base()

        import stripe  # a quarter of a second that only those who call it pay

        stripe.enable_telemetry = False
        self.mode = mode
        self.pace = pace or Pace()
        self.patience = patience or Patience()
        self._key = key
        self._stripe = stripe
        self._v1 = stripe.StripeClient(
            key,
            stripe_version=VERSION,
            base_addresses={"api": base},
            # The SDK's own retries would know neither the pace nor what an outcome means for the books.
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(5, 30)),
        ).v1
        self._proving = threading.Lock()
        self._is_proven = False
        self._in_other_mode: Answer | None = None

    def __repr__(self) -> str:
        return f"Client({self.mode})"

    def call(
        self,
        what: str,
        params: Params | None = None,
        *,
        of: Ids = (),
        key: str | None = None,
    ) -> Answer:
        """Call once."""
        if key is None and what.rpartition(".")[2] not in (*_READS, "delete"):
            raise ValueError(f"{what} needs an idempotency key")
        call = attrgetter(what)(self._v1)
        options = {"idempotency_key": key} if key else {}
        self.pace.wait()
        # One call at a time until Stripe has said in which mode it answers.
        with nullcontext() if self._is_proven else self._proving:
            if self._in_other_mode:
                return self._in_other_mode
            answer = self._proven(self._called(call, (of,) if isinstance(of, str) else of, dict(params or {}), options))
        if answer.is_limited:
            self.pace.slow(self.patience.pause(1, key or what))
        elif answer.is_done:
            self.pace.recover()
        return answer

    def insist(
        self,
        what: str,
        params: Params | None = None,
        *,
        of: Ids = (),
        key: str | None = None,
    ) -> Answer:
        """Call until there is an answer, the same call under the same key, as long as patience goes.

        What Stripe replays under the key will not change, so a replayed answer is the last.
        """
        number = 0
        while True:
            number += 1
            answer = self.call(what, params, of=of, key=key)
            tries = {"unknown": self.patience.unknown, "busy": self.patience.busy}.get(answer.outcome, 0)
            if answer.is_replayed or number >= tries:
                return replace(answer, is_first=number == 1)
            self.pace.sleep(self.patience.pause(number, f"{what}|{of}|{key}"))

    def listed(self, what: str, params: Params | None = None, *, of: Ids = ()) -> Answer:
        """All pages of a list: done, with everything as body["data"], or the answer of the page that failed."""
        found: list[Any] = []
        asked = {"limit": 100, **(params or {})}
        while True:
            answer = self.insist(what, asked, of=of)
            if not answer.is_done:
                return answer
            page = answer.body.get("data", [])
            found += page
            if not (answer.body.get("has_more") and page):
                return replace(answer, body={**answer.body, "data": found, "has_more": False})
            asked["starting_after"] = page[-1]["id"]

    def scrubbed(self, text: str) -> str:
        """A text without the key, whoever put it there."""
        return _KEY.sub("(a key)", text.replace(self._key, "(the key)"))

    def _called(self, call: Any, of: tuple[str, ...], params: dict[str, Any], options: dict[str, Any]) -> Answer:
        error = self._stripe.StripeError
        try:
            found = call(*of, params, options)
        except error as failure:
            return self._failed(failure)
        response = found.last_response
        return Answer(
            "done",
            body=response.data,
            status=response.code,
            request_id=response.request_id,
            is_replayed=response.headers.get("Idempotent-Replayed") == "true",
        )

    def _failed(self, failure: Any) -> Answer:
        """An error of the SDK as what it means; the table is the one of docs/design.md."""
        status = failure.http_status
        detail = failure.error
        code = getattr(detail, "code", None) or getattr(detail, "type", None)
        is_rate = isinstance(failure, self._stripe.RateLimitError)
        outcome: Outcome
        if is_rate or status == 409:
            outcome = "busy"
        elif status in (401, 403):
            outcome = "stop"
        elif status is not None and 400 <= status < 500 and status != 408:
            outcome = "rejected"
        else:  # no answer, one that can't be read, or one of a server that does not know itself
            outcome = "unknown"
        if status is None:
            said = f"no answer ({type(failure.__cause__ or failure).__name__})"
        else:
            said = next(iter(self.scrubbed(failure.user_message or "").splitlines()), "")
        return Answer(
            outcome,
            status=status,
            code=code,
            param=getattr(detail, "param", None),
            message=said,
            request_id=failure.request_id,
            is_replayed=failure.headers.get("Idempotent-Replayed") == "true",
            is_limited=is_rate and code != "lock_timeout",
        )

    def _proven(self, answer: Answer) -> Answer:
        """The answer, unless Stripe answers in the other mode than the key says."""
        body = answer.body
        told = body.get("livemode", next((it.get("livemode") for it in body.get("data", [])), None))
        if told is None:
            return answer
        if told != (self.mode == "live"):
            other = "live" if told else "test"
            said = f"Stripe answers in {other} mode to a {self.mode} key"
            self._in_other_mode = Answer("stop", message=said)  # whoever calls after this one is not called for
            return replace(answer, outcome="stop", message=said)
        self._is_proven = True
        return answer
