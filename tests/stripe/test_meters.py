"""Meters, the events they take and what they add up to; products, prices and their lookup keys."""

from __future__ import annotations

from decimal import Decimal

import pytest
import stripe

HOUR, DAY = 3600, 86_400
MIDNIGHT = 1_790_000_000 - 1_790_000_000 % DAY


def meter_of(client, name="gb", **told):
    params = {"default_aggregation": {"formula": "sum"}, "display_name": name, "event_name": name, **told}
    return client.v1.billing.meters.create(params)


def event(client, value="1", identifier=None, customer="cus_acme", name="gb", **told):
    payload = {"stripe_customer_id": customer, "value": value}
    params = {"event_name": name, "payload": payload, "identifier": identifier, **told}
    return client.v1.billing.meter_events.create(params)


def summed(client, meter, start, end, **told):
    params = {"customer": "cus_acme", "start_time": start, "end_time": end, "limit": 100, **told}
    pages = client.v1.billing.meters.event_summaries.list(meter.id, params)
    return [(row.start_time, row.end_time, row.aggregated_value) for row in pages.auto_paging_iter()]


def refused(make):
    with pytest.raises(stripe.InvalidRequestError) as error:
        make()
    assert error.value.http_status == 400
    return error.value


@pytest.fixture
def meter(client, acme):
    return meter_of(client)


def test_meters_are_made_listed_and_put_away(practice, client, meter):
    assert (meter.status, meter.event_time_window) == ("active", None)
    assert meter.customer_mapping.event_payload_key == "stripe_customer_id"
    assert refused(lambda: meter_of(client)).param == "event_name"
    assert client.v1.billing.meters.update(meter.id, {"display_name": "Gigabytes"}).display_name == "Gigabytes"
    gone = client.v1.billing.meters.deactivate(meter.id)
    assert (gone.status, gone.status_transitions.deactivated_at) == ("inactive", practice.clock.now())
    assert refused(lambda: event(client)).code == "archived_meter"
    again = meter_of(client)
    assert [row.id for row in client.v1.billing.meters.list({"status": "active"}).data] == [again.id]
    assert [row.id for row in client.v1.billing.meters.list().data] == [again.id, meter.id]


def test_an_identifier_counts_once_a_day_and_twice_after_it(practice, client, meter):
    event(client, "5", "acct:1:gb")
    error = refused(lambda: event(client, "5", "acct:1:gb"))
    assert error.user_message == "An event already exists with identifier acct:1:gb."
    assert error.headers["Stripe-Should-Retry"] == "false"
    practice.clock.advance(DAY)
    event(client, "5", "acct:1:gb")
    assert summed(client, meter, MIDNIGHT, MIDNIGHT + 10 * DAY) == [(MIDNIGHT, MIDNIGHT + 10 * DAY, 10)]


def test_the_same_idempotency_key_replays_an_event_and_counts_it_once(client, meter):
    told = {"event_name": "gb", "identifier": "i", "payload": {"stripe_customer_id": "cus_acme", "value": "5"}}
    made = [client.v1.billing.meter_events.create(told, {"idempotency_key": "k"}) for _ in range(2)]
    assert made[0].to_dict() == made[1].to_dict()
    assert summed(client, meter, MIDNIGHT, MIDNIGHT + DAY)[0][2] == 5


@pytest.mark.parametrize(
    ("told", "param", "code"),
    [
        ({"value": "1.5"}, "payload[value]", "meter_event_invalid_value"),
        ({"value": "1e3"}, "payload[value]", "meter_event_invalid_value"),
        ({"value": "1234567890123456"}, "payload[value]", "meter_event_value_too_many_digits"),
        ({"name": "other"}, "event_name", "no_meter"),
        ({"identifier": "i" * 101}, "identifier", None),
        ({"timestamp": 1_790_000_000 - 35 * DAY - 1}, "timestamp", "timestamp_too_far_in_past"),
        ({"timestamp": 1_790_000_000 + 301}, "timestamp", "timestamp_in_future"),
        ({"payload": {"value": "1"}}, "payload[stripe_customer_id]", "parameter_missing"),
        ({"payload": {"stripe_customer_id": "cus_acme"}}, "payload[value]", "parameter_missing"),
        ({"payload": None}, "payload", "parameter_missing"),
    ],
)
def test_wrong_events_are_refused(practice, client, meter, told, param, code):
    error = refused(lambda: event(client, **told))
    assert (error.param, error.code) == (param, code)
    assert "billing.meter_event" not in practice.state()["test"]


@pytest.mark.parametrize(
    "told", [{"timestamp": 1_790_000_000 - 35 * DAY}, {"timestamp": 1_790_000_300}, {"value": "-3"}]
)
def test_events_at_the_edge_are_taken(practice, client, meter, told):
    event(client, **told)
    assert len(practice.state()["test"]["billing.meter_event"]) == 1


def test_an_unknown_customer_is_told_of_later_and_not_counted(practice, client, meter):
    practice.add_customer("cus_gone", deleted=True)
    for customer in ("cus_none", "cus_gone"):
        assert event(client, customer=customer, identifier=customer).identifier == customer
    errors = practice.state()["test"]["practice.meter_error"]
    assert [(it["code"], it["identifier"]) for it in errors] == [
        ("meter_event_customer_not_found", "cus_none"),
        ("meter_event_customer_not_found", "cus_gone"),
    ]


def test_summaries_by_hour_and_day_and_in_one(practice, client, meter):
    practice.clock.set(MIDNIGHT + 2 * DAY)
    for hours, value in ((0, "1"), (0.5, "2"), (1, "4"), (25, "8")):
        event(client, value, timestamp=MIDNIGHT + int(hours * HOUR))
    end = MIDNIGHT + 2 * DAY
    assert summed(client, meter, MIDNIGHT, end) == [(MIDNIGHT, end, 15)]
    at = [MIDNIGHT + hours * HOUR for hours in (25, 1, 0)]
    by_hour = [(at[0], at[0] + HOUR, 8), (at[1], at[1] + HOUR, 4), (at[2], at[2] + HOUR, 3)]
    assert summed(client, meter, MIDNIGHT, end, value_grouping_window="hour") == by_hour
    assert summed(client, meter, MIDNIGHT, end, value_grouping_window="hour", limit=1) == by_hour
    assert [row[2] for row in summed(client, meter, MIDNIGHT, end, value_grouping_window="day")] == [8, 7]
    assert summed(client, meter, MIDNIGHT + HOUR, MIDNIGHT + DAY)[0][2] == 4  # [start, end)
    assert summed(client, meter, MIDNIGHT, MIDNIGHT + HOUR, value_grouping_window="hour") == by_hour[2:]
    for told in ({"start": MIDNIGHT + 1}, {"start": MIDNIGHT + 60, "window": "hour"}, {"start": end}):
        window = {"value_grouping_window": told["window"]} if "window" in told else {}
        refused(lambda told=told, window=window: summed(client, meter, told["start"], end, **window))


def test_summaries_lag_if_wished(practice, client, meter):
    practice.settings.meter_lag = 60
    event(client, "5")
    assert summed(client, meter, MIDNIGHT, MIDNIGHT + DAY)[0][2] == 0
    practice.clock.advance(60)
    assert summed(client, meter, MIDNIGHT, MIDNIGHT + DAY)[0][2] == 5


def test_a_meter_of_windows_keeps_the_newest_of_each(practice, client, acme):
    meter = meter_of(client, event_time_window="hour")
    for identifier, seconds, value in (("a", 0, "5"), ("b", 60, "7"), ("c", HOUR, "1")):
        event(client, value, identifier, timestamp=MIDNIGHT + seconds)
    practice.clock.advance(30 * DAY)
    event(client, "7", "b", timestamp=MIDNIGHT + 60)
    assert summed(client, meter, MIDNIGHT, MIDNIGHT + DAY)[0][2] == 8


def test_counts_and_last_values(client, acme):
    counting = meter_of(client, "calls", default_aggregation={"formula": "count"})
    last = meter_of(client, "level", default_aggregation={"formula": "last"})
    for name in ("calls", "level"):
        event(client, "9", name=name, timestamp=MIDNIGHT + 60)
        event(client, "3", name=name, timestamp=MIDNIGHT)
    assert [summed(client, it, MIDNIGHT, MIDNIGHT + DAY)[0][2] for it in (counting, last)] == [2, 9]


def test_an_event_can_be_taken_back_within_a_day(practice, client, meter):
    event(client, "5", "i")
    told = {"event_name": "gb", "type": "cancel", "cancel": {"identifier": "i"}}
    assert client.v1.billing.meter_event_adjustments.create(told).status == "pending"
    assert summed(client, meter, MIDNIGHT, MIDNIGHT + DAY)[0][2] == 0
    event(client, "5", "late")
    practice.clock.advance(DAY + 1)
    refused(lambda: client.v1.billing.meter_event_adjustments.create({**told, "cancel": {"identifier": "late"}}))


def price_of(client, product, **told):
    params = {"currency": "usd", "product": product, "unit_amount_decimal": Decimal("0.0016"), **told}
    return client.v1.prices.create(params)


@pytest.fixture
def product(client):
    return client.v1.products.create({"id": "prod_compute", "name": "Compute", "metadata": {"by": "us"}}).id


def test_products_are_made_once_and_kept(client, product):
    assert refused(lambda: client.v1.products.create({"id": product, "name": "x"})).code == "resource_already_exists"
    changed = client.v1.products.update(product, {"active": False, "description": "x", "metadata": {"by": ""}})
    assert (changed.active, changed.name, changed.metadata.to_dict()) == (False, "Compute", {})
    assert client.v1.products.list({"active": True}).data == []
    assert [row.id for row in client.v1.products.list({"ids": [product]}).data] == [product]


def test_prices_of_a_meter(client, acme, product):
    meter = meter_of(client)
    price = price_of(client, product, recurring={"interval": "month", "meter": meter.id, "usage_type": "metered"})
    assert (price.unit_amount, price.unit_amount_decimal, price.type) == (None, Decimal("0.0016"), "recurring")
    assert (price.recurring.meter, price.recurring.interval_count) == (meter.id, 1)
    assert [row.id for row in client.v1.prices.list({"recurring": {"meter": meter.id}}).data] == [price.id]
    for recurring in ({"interval": "month", "usage_type": "metered"}, {"interval": "month", "meter": "mtr_none"}):
        assert refused(lambda it=recurring: price_of(client, product, recurring=it)).param == "recurring[meter]"
    assert price_of(client, product, unit_amount_decimal=None, unit_amount=250).unit_amount_decimal == 250


def test_tiers_are_told_where_asked_for(client, product):
    tiers = [
        {"up_to": 10, "unit_amount": 0},
        {"up_to": "inf", "unit_amount_decimal": Decimal("2.5"), "flat_amount": 500},
    ]
    told = {"billing_scheme": "tiered", "tiers_mode": "graduated", "unit_amount_decimal": None}
    price = price_of(client, product, tiers=tiers, **told)
    assert "tiers" not in price
    (seen,) = client.v1.prices.list({"product": product, "expand": ["data.tiers"]}).data
    first, last = (tier.to_dict() for tier in seen.tiers)
    nothing = {"flat_amount": None, "flat_amount_decimal": None}
    assert first == {**nothing, "unit_amount": 0, "unit_amount_decimal": Decimal(0), "up_to": 10}
    assert last == {
        "flat_amount": 500,
        "flat_amount_decimal": Decimal(500),
        "unit_amount": None,
        "unit_amount_decimal": Decimal("2.5"),
        "up_to": None,
    }
    for wrong in (tiers[:1], tiers[::-1], [tiers[0], tiers[0], tiers[1]], [{"up_to": "inf"}]):
        assert refused(lambda it=wrong: price_of(client, product, tiers=it, **told)).param.startswith("tiers")


def test_a_lookup_key_leads_to_one_active_price(client, product):
    def found(*keys):
        return [row.id for row in client.v1.prices.list({"lookup_keys": list(keys)}).data]

    first = price_of(client, product, lookup_key="pro:gb@1")
    assert refused(lambda: price_of(client, product, lookup_key="pro:gb@1")).param == "lookup_key"
    second = price_of(client, product, lookup_key="pro:gb@1", transfer_lookup_key=True)
    assert (found("pro:gb@1", "other"), client.v1.prices.retrieve(first.id).lookup_key) == ([second.id], None)
    client.v1.prices.update(second.id, {"active": False})
    third = price_of(client, product, lookup_key="pro:gb@1")
    assert refused(lambda: client.v1.prices.update(second.id, {"active": True})).param == "lookup_key"
    client.v1.prices.update(second.id, {"active": True, "lookup_key": "pro:gb@1", "transfer_lookup_key": True})
    assert client.v1.prices.retrieve(third.id).lookup_key is None
    assert refused(lambda: found(*map(str, range(11)))).param == "lookup_keys"


@pytest.mark.parametrize(
    "told", [{"unit_amount": 1}, {"currency": "eur"}, {"product": "prod_x"}, {"recurring": {"interval": "year"}}]
)
def test_a_price_never_changes_what_it_asks(client, product, told):
    price = price_of(client, product)
    assert refused(lambda: client.v1.prices.update(price.id, told)).code == "parameter_unknown"
    assert client.v1.prices.update(price.id, {"nickname": "n", "active": False}).active is False
