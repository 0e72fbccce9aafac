"""Each way to fail, as the SDK sees it and as the books of the other side look afterwards."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from assets.practice import Fault
from tests.stripe.client import client_of, failing, is_replayed, item


@pytest.mark.parametrize(
    ("fault", "kind", "status", "code", "made", "again"),
    [
        # made: items after the failure; again: what the same key does next (new: executes; same: replays the item;
        # poisoned: replays the failure)
        (Fault("reset"), stripe.APIConnectionError, None, None, 0, "new"),
        (Fault("hang", seconds=0.1), stripe.APIConnectionError, None, None, 0, "new"),
        (Fault("unauthorized"), stripe.AuthenticationError, 401, None, 0, "new"),
        (Fault("forbidden"), stripe.PermissionError, 403, "more_permissions_required", 0, "new"),
        (Fault("limited"), stripe.RateLimitError, 429, "rate_limit", 0, "new"),
        (Fault("in_use"), stripe.APIError, 409, "idempotency_key_in_use", 0, "new"),
        (Fault("unavailable"), stripe.APIError, 503, None, 0, "new"),
        (Fault("unavailable", status=502), stripe.APIError, 502, None, 0, "new"),
        (Fault("lock_timeout"), stripe.RateLimitError, 429, "lock_timeout", 0, "poisoned"),
        (Fault("lock_timeout", saved=False), stripe.RateLimitError, 429, "lock_timeout", 0, "new"),
        (Fault("error"), stripe.APIError, 500, None, 0, "poisoned"),
        (Fault("error", saved=False), stripe.APIError, 500, None, 0, "new"),
        (Fault("error_made"), stripe.APIError, 500, None, 1, "poisoned"),
        (Fault("error_later", seconds=3600), stripe.APIError, 500, None, 0, "poisoned"),
        (Fault("refuse", code="c", message="No."), stripe.InvalidRequestError, 400, "c", 0, "poisoned"),
        (Fault("refuse", status=402, code="c"), stripe.CardError, 402, "c", 0, "poisoned"),
        (Fault("drop"), stripe.APIConnectionError, None, None, 1, "same"),
        (Fault("hang_made", seconds=0.1), stripe.APIConnectionError, None, None, 1, "same"),
        (Fault("unavailable_made"), stripe.APIError, 504, None, 1, "same"),
    ],
    ids=lambda it: f"{it.kind}-{it.status}-{it.saved}" if isinstance(it, Fault) else None,
)
def test_a_fault_as_the_sdk_sees_it(practice, client, acme, fault, kind, status, code, made, again):
    practice.faults.add(fault)
    error = failing(lambda: item(client, acme, "k"))
    assert (type(error), error.http_status) == (kind, status)
    assert (error.error and getattr(error.error, "code", None)) == code
    assert len(practice.items(acme)) == made
    assert practice.calls[-1].faults == [fault.kind]
    assert practice.faults.pending() == []
    if again == "poisoned":
        for age in (0, 24 * 3600 - 1):
            replay = failing(lambda: item(client, acme, "k"))
            assert (type(replay), replay.http_status, replay.headers["Idempotent-Replayed"]) == (kind, status, "true")
            practice.clock.advance(age)
    else:
        assert is_replayed(item(client, acme, "k")) is (again == "same")
        assert len(practice.items(acme)) == 1


def test_a_limiter_says_which_and_the_sdk_does_not_try_again(practice, acme):
    practice.faults.add(Fault("limited", reason="global-rate"))
    error = failing(lambda: item(client_of(practice, retries=2), acme, "k"))
    assert error.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert len(practice.calls) == 1


def test_the_sdk_tries_a_lock_timeout_again_only_where_told_to(practice, acme, monkeypatch):
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    practice.faults.add(Fault("lock_timeout", saved=False))
    assert item(client_of(practice, retries=1), acme, "k").id
    practice.faults.add(Fault("lock_timeout"))
    assert failing(lambda: item(client_of(practice, retries=1), acme, "k2")).http_status == 429
    assert len(practice.calls) == 3


def test_the_sdk_gets_the_first_answer_when_it_tries_a_dropped_call_again(practice, acme, monkeypatch):
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    practice.faults.add(Fault("drop"))
    assert is_replayed(item(client_of(practice, retries=1), acme, "k"))
    assert len(practice.items(acme)) == 1


def test_an_error_rolled_forward_shows_later_with_the_time_of_the_call(practice, client, acme):
    start = practice.clock.now()
    practice.faults.add(Fault("error_later", seconds=3600))
    failing(lambda: item(client, acme, "k", metadata={"line_key": "l"}))
    practice.clock.advance(3599)
    assert client.v1.invoice_items.list({"customer": acme}).data == []
    practice.clock.advance(1)
    (late,) = client.v1.invoice_items.list({"customer": acme}).data
    assert (late.metadata["line_key"], late.date) == ("l", start)
    practice.clock.advance(10**6)
    assert len(practice.items(acme)) == 1


def test_what_can_no_longer_be_done_when_its_time_has_come_is_not_done(practice, client, acme):
    practice.faults.add(Fault("error_later", seconds=60))
    failing(lambda: item(client, acme, "k"))
    client.v1.invoices.create({"customer": acme, "auto_advance": True})
    client.v1.customers.delete(acme)
    practice.clock.advance(7200)
    assert practice.items(acme) == []
    (draft,) = practice.invoices(acme)
    assert (draft["status"], draft["automatically_finalizes_at"]) == ("draft", None)


def test_a_client_that_gives_up_waiting_has_still_asked(practice, acme):
    practice.faults.add(Fault("slow", seconds=0.5))
    error = failing(lambda: item(client_of(practice, timeout=0.1), acme, "k"))
    assert (type(error), error.http_status) == (stripe.APIConnectionError, None)
    assert is_replayed(_until_not_in_use(client_of(practice), acme))
    assert len(practice.items(acme)) == 1


def _until_not_in_use(client, customer):
    while True:
        try:
            return item(client, customer, "k")
        except stripe.APIError as error:
            if error.http_status != 409:
                raise
            threading.Event().wait(0.05)


def test_faults_meet_the_calls_they_are_meant_for(practice, client, acme):
    practice.add_customer("cus_other")
    practice.faults.add(
        Fault("reset", customer="cus_other"),
        Fault("unavailable", method="POST", path="/v1/invoices/[^/]+/finalize"),
        Fault("limited", key="k.*"),
        Fault("error", path="/v1/invoiceitems", after=2, saved=False),
    )
    outcomes: list[str | int | None] = []
    for customer, key in [(acme, "a"), ("cus_other", "b"), ("cus_other", "c"), (acme, "k1"), (acme, "k1"), (acme, "d")]:
        try:
            item(client, customer, key)
            outcomes.append("made")
        except stripe.StripeError as error:
            outcomes.append(error.http_status)
    assert outcomes == ["made", None, "made", 429, 500, "made"]
    draft = client.v1.invoices.create({"customer": acme})
    assert failing(lambda: client.v1.invoices.finalize_invoice(draft.id)).http_status == 503
    assert client.v1.invoices.finalize_invoice(draft.id).status == "paid"


def test_a_fault_by_chance_falls_the_same_way_each_time(practice, client, acme):
    runs = []
    for _ in range(2):
        practice.faults.clear()
        practice.faults.add(Fault("limited", times=None, probability=0.3, seed=7))
        run = ""
        for _ in range(30):
            try:
                client.v1.customers.retrieve(acme)
                run += "."
            except stripe.RateLimitError:
                run += "x"
        runs.append(run)
    assert runs[0] == runs[1]
    assert 3 <= runs[0].count("x") <= 15


def test_latency_does_not_make_calls_wait_for_each_other(practice, acme, monkeypatch):
    """Each of ten calls is held up until all ten are."""
    together = threading.Barrier(10, timeout=60)
    monkeypatch.setattr(practice.api, "wait", lambda _: together.wait())
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda n: item(client_of(practice), acme, f"k{n}").id, range(10)))
    assert len(set(made)) == 10


def test_a_limiter_lets_so_many_pass_in_a_second(practice, client, acme):
    practice.settings.endpoint_rate = 5
    for _ in range(5):
        item(client, acme)
    for _ in range(2):
        error = failing(lambda: item(client, acme), stripe.RateLimitError)
        assert error.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert len(practice.items(acme)) == 5
    assert client.v1.customers.retrieve(acme).id == acme  # another endpoint
    practice.settings.endpoint_rate, practice.settings.account_rate = None, 1
    assert failing(lambda: client.v1.customers.retrieve(acme)).headers["Stripe-Rate-Limited-Reason"] == "global-rate"


def test_two_writers_for_one_customer_get_in_each_others_way_if_wished(practice, acme):
    practice.settings.customer_lock, practice.settings.latency_ms = True, 400
    practice.add_customer("cus_other")
    with ThreadPoolExecutor(3) as pool:
        futures = [
            pool.submit(item, client_of(practice), to, to + str(n)) for n, to in enumerate([acme, acme, "cus_other"])
        ]
        errors: list[Any] = [error for future in futures if (error := future.exception())]
    assert [(type(error), error.error.code) for error in errors] == [(stripe.RateLimitError, "lock_timeout")]
    assert len(practice.items("cus_other")) == 1


def test_ten_threads_with_the_same_keys_make_each_item_once(practice, client, acme):
    keys = [f"k{n % 40}" for n in range(200)]  # each five times, much of it at once

    def send(key: str) -> Any:
        try:
            return item(client, acme, key, metadata={"line_key": key}).id
        except stripe.APIError as error:
            if error.http_status != 409:
                raise
            return None

    with ThreadPoolExecutor(10) as pool:
        made = set(pool.map(send, keys)) - {None}
    rows = practice.items(acme)
    assert len(rows) == 40 == len({row["metadata"]["line_key"] for row in rows})
    assert made == {row["id"] for row in rows}


def test_a_fault_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="there are reset"):
        Fault("gremlin")
