"""Every way a call may end is one of five, by the real SDK against the practice Stripe; and the key shows nowhere."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from assets.core.catalogue.models import Settings
from assets.core.refusal import Refusal
from assets.practice import Fault, PracticeStripe
from assets.push.client import Client, refuse_wrong_key
from assets.push.outbox import Entry
from assets.push.pace import Pace, Patience
from assets.push.send import Sender
from tests.stripe.pushing import KEY, pointed_at

ITEM = {"customer": "cus_acme", "amount": 100, "currency": "usd"}


@pytest.fixture
def client(practice: PracticeStripe, acme: str) -> Iterator[Client]:
    with pointed_at(practice):
        yield Client("test", Pace(1000), Patience(unknown=2, busy=3, first=0.001))


# fault, outcome, status, code, is_replayed and is_limited of the first call, then outcome and is_replayed of the second
ENDS = [
    ({"kind": "reset"}, "unknown", None, None, False, False, "done", False),
    ({"kind": "drop"}, "unknown", None, None, False, False, "done", True),
    ({"kind": "unavailable", "status": 502}, "unknown", 502, None, False, False, "done", False),
    ({"kind": "unavailable_made", "status": 504}, "unknown", 504, None, False, False, "done", True),
    ({"kind": "error"}, "unknown", 500, None, False, False, "unknown", True),
    ({"kind": "error_made"}, "unknown", 500, None, False, False, "unknown", True),
    ({"kind": "error", "saved": False}, "unknown", 500, None, False, False, "done", False),
    ({"kind": "limited"}, "busy", 429, None, False, True, "done", False),
    ({"kind": "lock_timeout", "saved": False}, "busy", 429, "lock_timeout", False, False, "done", False),
    ({"kind": "lock_timeout"}, "busy", 429, "lock_timeout", False, False, "busy", True),
    ({"kind": "in_use"}, "busy", 409, "idempotency_key_in_use", False, False, "done", False),
    (
        {"kind": "refuse", "code": "amount_too_large"},
        "rejected",
        400,
        "amount_too_large",
        False,
        False,
        "rejected",
        True,
    ),
    ({"kind": "refuse", "status": 402}, "rejected", 402, None, False, False, "rejected", True),
    ({"kind": "unauthorized"}, "stop", 401, None, False, False, "done", False),
    ({"kind": "forbidden"}, "stop", 403, None, False, False, "done", False),
]


@pytest.mark.parametrize(("fault", "outcome", "status", "code", "replayed", "limited", "then", "then_replayed"), ENDS)
def test_a_call_comes_to_one_of_five(
    practice: PracticeStripe,
    client: Client,
    fault: dict[str, object],
    outcome: str,
    status: int | None,
    code: str | None,
    replayed: bool,
    limited: bool,
    then: str,
    then_replayed: bool,
) -> None:
    practice.faults.add(Fault(method="POST", path="/v1/invoiceitems", **fault))  # type: ignore[arg-type]
    answer = client.call("invoice_items.create", ITEM, key="k1")
    assert (answer.outcome, answer.status, answer.is_replayed, answer.is_limited) == (
        outcome,
        status,
        replayed,
        limited,
    )
    if code:
        assert answer.code == code
    again = client.call("invoice_items.create", ITEM, key="k1")
    assert (again.outcome, again.is_replayed) == (then, then_replayed)
    assert len(practice.items()) <= 1


def test_the_answers_of_mistakes(practice: PracticeStripe, client: Client) -> None:
    client.call("invoice_items.create", ITEM, key="k1")
    other = client.call("invoice_items.create", {**ITEM, "amount": 101}, key="k1")
    assert (other.outcome, other.code) == ("rejected", "idempotency_error")
    unknown = client.call("invoice_items.create", {**ITEM, "customer": "cus_nobody"}, key="k2")
    assert (unknown.outcome, unknown.code, unknown.param) == ("rejected", "resource_missing", "customer")
    gone = client.call("invoices.retrieve", of="in_none")
    assert (gone.outcome, gone.status, gone.code) == ("rejected", 404, "resource_missing")
    with pytest.raises(ValueError, match="needs an idempotency key"):
        client.call("invoice_items.create", ITEM)


def test_insisting_ends_with_an_answer_or_with_patience(practice: PracticeStripe, client: Client) -> None:
    practice.faults.add(Fault("unavailable", method="POST"))
    assert client.insist("invoice_items.create", ITEM, key="k1").is_done
    calls = len(practice.calls)
    practice.faults.add(Fault("limited", times=None, method="POST"))
    assert client.insist("invoice_items.create", ITEM, key="k2").outcome == "busy"
    assert len(practice.calls) - calls == 3
    practice.faults.clear()
    practice.faults.add(Fault("error", method="POST"))
    calls = len(practice.calls)
    answer = client.insist("invoice_items.create", ITEM, key="k3")
    assert (answer.status, answer.is_replayed) == (500, True)
    assert len(practice.calls) - calls == 2, "what is replayed does not change"


def test_all_pages_of_a_list(practice: PracticeStripe, client: Client) -> None:
    made = [client.call("invoice_items.create", {**ITEM, "amount": n}, key=f"k{n}").body["id"] for n in range(1, 6)]
    found = client.listed("invoice_items.list", {"customer": "cus_acme", "limit": 2})
    assert [row["id"] for row in found.body["data"]] == made[::-1]
    practice.faults.add(Fault("reset", method="GET", after=1, times=None))
    assert client.listed("invoice_items.list", {"customer": "cus_acme", "limit": 2}).outcome == "unknown"


def test_what_stripe_is_told_of_us(practice: PracticeStripe, client: Client) -> None:
    client.call("invoice_items.create", ITEM, key="k1")
    (call,) = practice.calls
    assert call.headers["stripe-version"] == "2026-10-28.endive"
    assert "x-stripe-client-telemetry" not in call.headers
    client.call("invoice_items.create", ITEM, key="k2")
    assert "x-stripe-client-telemetry" not in practice.calls[1].headers


def test_answers_in_the_other_mode_stop(
    practice: PracticeStripe, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands between: a key of the one mode that is answered in the other ends everything."""
    call = client._called
    monkeypatch.setattr(client, "_called", lambda *told: _turned(call(*told)))
    answer = client.call("invoice_items.create", ITEM, key="k1")
    assert (answer.outcome, answer.message) == ("stop", "Stripe answers in live mode to a test key")
    assert client.call("invoice_items.create", ITEM, key="k2").outcome == "stop"
    assert len(practice.calls) == 1, "nobody else is to call"


def test_what_was_done_in_the_other_mode_is_not_forgotten(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be there: whoever calls again, under whatever key, looks for it first."""
    it = Entry("item", "line_1", "cus_acme", ITEM)
    claimed = replace(it, state="sending", key_sent_at=datetime(2026, 6, 1, tzinfo=UTC))
    nowhere: Any = None
    sender = Sender(nowhere, client)
    call = client._called
    monkeypatch.setattr(client, "_called", lambda *told: _turned(call(*told)))
    assert sender._send(it, claimed) == (claimed, [])
    assert sender.is_stopped


def _turned(answer):
    answer.body["livemode"] = True
    return answer


LIVE = Settings(stripe_mode="live")
SANDBOX = Settings(stripe_mode="live", stripe_key="test")


@pytest.mark.parametrize(
    ("key", "settings", "words"),
    [
        ("sk_test_abc", LIVE, "holds a test key, and catalog/workspace.yaml asks for a live key"),
        ("rk_test_abc", LIVE, "holds a test key"),
        ("sk_live_abc", SANDBOX, "holds a live key, and catalog/workspace.yaml asks for a test key"),
        ("pk_live_abc", LIVE, "does not hold a secret key of Stripe"),
        ("sk_live_abc\n", LIVE, "does not hold a secret key of Stripe"),
        (" sk_live_abc", LIVE, "does not hold a secret key of Stripe"),
        ("sk_live_abc", LIVE, None),
        ("rk_live_abc", LIVE, None),
        ("rk_test_abc", SANDBOX, None),
        ("", LIVE, None),
        ("sk_test_abc", Settings(), None),
    ],
)
def test_a_key_of_the_other_mode_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str, settings: Settings, words: str | None
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", key)
    if words is None:
        refuse_wrong_key(settings)
        return
    with pytest.raises(Refusal, match=words) as refused:
        refuse_wrong_key(settings)
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize(
    "base", ["http://stripe.example", "ftp://127.0.0.1", "api.stripe.com", "http://127.0.0.1.example:80"]
)
def test_a_key_is_sent_nowhere_in_the_clear(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    monkeypatch.setenv("TALLYHOUSE_STRIPE_API_BASE", base)
    with pytest.raises(Refusal, match="is no address that a key may be sent to"):
        Client("test")


def test_no_text_that_leaves_holds_the_key(practice: PracticeStripe, client: Client) -> None:
    practice.faults.add(Fault("refuse", method="POST", message=f"Invalid API Key provided: {KEY} or sk_live_other"))
    answer = client.call("invoice_items.create", ITEM, key="k1")
    assert answer.message == "Invalid API Key provided: (the key) or (a key)"
    assert KEY not in repr(client)
    try:
        client.call("no_such.thing", key="k")
    except AttributeError:
        assert KEY not in traceback.format_exc()
