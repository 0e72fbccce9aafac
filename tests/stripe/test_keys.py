"""Idempotency keys as Stripe keeps them: the first answer, for a day, once the work began."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from assets.practice import Fault
from tests.stripe.client import client_of, failing, is_replayed, item

DAY = 24 * 3600


def test_the_same_call_is_done_once_and_its_answer_replayed(practice, client, acme):
    first, second = item(client, acme, "k"), item(client, acme, "k")
    assert first.to_dict() == second.to_dict()
    assert (is_replayed(first), is_replayed(second)) == (False, True)
    assert second.last_response.headers["Original-Request"] == first.last_response.request_id
    assert [row["id"] for row in practice.items(acme)] == [first.id]
    assert [call.is_replayed for call in practice.calls] == [False, True]


def test_other_parameters_under_the_same_key_are_refused(practice, client, acme):
    item(client, acme, "k")
    error = failing(lambda: item(client, acme, "k", amount=1235), stripe.IdempotencyError, "with other parameters")
    assert (error.http_status, error.error.type) == (400, "idempotency_error")
    with pytest.raises(stripe.IdempotencyError, match="for another endpoint"):
        client.v1.customers.create({"name": "x"}, {"idempotency_key": "k"})
    assert len(practice.items(acme)) == 1


def test_the_order_of_parameters_does_not_matter(client, acme):
    one = client.v1.invoice_items.create({"customer": acme, "amount": 1, "currency": "usd"}, {"idempotency_key": "k"})
    two = client.v1.invoice_items.create({"currency": "usd", "amount": 1, "customer": acme}, {"idempotency_key": "k"})
    assert one.id == two.id


@pytest.mark.parametrize(("age", "is_kept"), [(DAY - 1, True), (DAY, False), (40 * DAY, False)])
def test_a_key_is_pruned_after_a_day_and_then_executes_anew(practice, client, acme, age, is_kept):
    first = item(client, acme, "k")
    practice.clock.advance(age)
    second = item(client, acme, "k")
    assert (second.id == first.id, is_replayed(second), len(practice.items(acme))) == (is_kept, is_kept, 2 - is_kept)


def test_the_age_at_which_keys_are_pruned_can_be_set(practice, client, acme):
    practice.settings.key_ttl = 3 * DAY
    first = item(client, acme, "k")
    practice.clock.advance(2 * DAY)
    assert item(client, acme, "k").id == first.id


def test_what_is_wrong_at_a_glance_is_not_saved(practice, client, acme):
    with pytest.raises(stripe.InvalidRequestError):
        item(client, acme, "k", amount="1.5")
    practice.faults.add(Fault("limited"))
    with pytest.raises(stripe.RateLimitError):
        item(client, acme, "k")
    with pytest.raises(stripe.AuthenticationError):
        item(client_of(practice, "pk_test_x"), acme, "k")
    assert not is_replayed(item(client, acme, "k"))


def test_what_is_refused_in_the_work_is_saved(practice, client):
    for expected in (False, True):
        error = failing(lambda: item(client, "cus_none", "k"), stripe.InvalidRequestError, "No such customer")
        assert ("Idempotent-Replayed" in error.headers) is expected
    practice.add_customer("cus_none")
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        item(client, "cus_none", "k")
    assert item(client, "cus_none", "k2").customer == "cus_none"


@pytest.mark.parametrize(("length", "is_taken"), [(255, True), (256, False)])
def test_a_key_has_at_most_255_characters(client, acme, length, is_taken):
    if is_taken:
        assert item(client, acme, "k" * length).id
    else:
        with pytest.raises(stripe.InvalidRequestError, match="255"):
            item(client, acme, "k" * length)


def test_a_key_counts_for_its_mode_alone(practice, client, acme):
    practice.add_customer(acme, live=True)
    live = item(client_of(practice, "rk_live_x"), acme, "k")
    assert not is_replayed(item(client, acme, "k"))
    assert live.livemode
    assert is_replayed(item(client_of(practice, "sk_live_y"), acme, "k"))


def test_a_second_call_while_the_first_is_at_work_gets_409_and_later_the_answer(practice, client, acme):
    practice.faults.add(Fault("slow", seconds=0.5))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(item, client, acme, "k")
        while practice.faults.pending():  # met once the key is taken
            threading.Event().wait(0.005)
        error = failing(lambda: item(client, acme, "k"))
    assert (type(error), error.http_status) == (stripe.APIError, 409)
    assert (error.code, error.error.code) == (None, "idempotency_key_in_use")
    again = item(client, acme, "k")
    assert (again.id, is_replayed(again)) == (first.result().id, True)
    assert len(practice.items(acme)) == 1


def test_a_key_inside_the_parameters_is_a_mistake_that_is_refused(client, acme):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        item(client, acme, idempotency_key="k")
    assert refused.value.code == "parameter_unknown"


def test_the_key_of_the_account_is_not_in_the_log(practice, acme):
    with pytest.raises(stripe.InvalidRequestError):
        item(client_of(practice, "rk_live_51Secret"), acme)
    assert "51Secret" not in repr(practice.calls)
    assert practice.calls[-1].headers["authorization"] == "Bearer rk_live_***"
