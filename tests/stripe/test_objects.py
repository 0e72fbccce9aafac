"""What comes back has the fields that the SDK's own classes say it has, and what goes in is checked as strictly."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest
import stripe
import stripe.billing

from assets.core import numbers
from assets.practice import money
from tests.stripe.client import client_of, item

# Fields that Stripe sends only when asked to expand them, or that belong to other states of an object.
ELSEWHERE = {
    "Customer": {"cash_balance", "deleted", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"},
    "InvoiceItem": {"deleted"},
    "Invoice": {"confirmation_secret", "deleted", "payments"},
    "InvoiceLineItem": set(),
    "Product": {"deleted"},
    "Price": {"currency_options", "deleted", "tiers"},
    "Meter": set(),
    "MeterEvent": set(),
    "MeterEventSummary": set(),
    "Account": {
        *("company", "controller", "deleted", "external_accounts", "future_requirements", "groups", "individual"),
        *("requirements", "tos_acceptance"),
    },
}


@pytest.fixture
def objects(client, acme):
    made = item(client, acme, quantity=3, unit_amount_decimal=Decimal("1.5"), amount=None)
    invoice = client.v1.invoices.create({"customer": acme, "pending_invoice_items_behavior": "include"})
    product = client.v1.products.create({"name": "Compute"})
    meter = client.v1.billing.meters.create(
        {"default_aggregation": {"formula": "sum"}, "display_name": "GB", "event_name": "gb"}
    )
    event = client.v1.billing.meter_events.create(
        {"event_name": "gb", "payload": {"stripe_customer_id": acme, "value": "1"}}
    )
    at = event.timestamp - event.timestamp % 60
    summary = client.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": acme, "start_time": at, "end_time": at + 60}
    )
    price = client.v1.prices.create({"currency": "usd", "product": product.id, "unit_amount_decimal": Decimal("0.5")})
    return [
        *(client.v1.customers.retrieve(acme), made, invoice, invoice.lines.data[0], product, price, meter, event),
        *(summary.data[0], client.v1.accounts.retrieve_current()),
    ]


def test_every_object_has_the_fields_of_its_class_and_no_other(objects):
    assert {type(made).__name__ for made in objects} == set(ELSEWHERE)
    for made in objects:
        name, hints = type(made).__name__, type(made).__annotations__
        told = set(hints) - {"OBJECT_NAME"}
        fields = set(made.to_dict())
        assert fields - told == set(), f"{name} has what the SDK does not know"
        assert told - fields == ELSEWHERE[name], f"{name} lacks what the SDK knows"
        for field in fields:
            is_required = type(None) not in get_args(hints[field])
            assert not (is_required and made[field] is None), f"{name}.{field} is never null"


@pytest.mark.parametrize(
    ("told", "param", "code"),
    [
        ({"amount": "1.5"}, "amount", "parameter_invalid_integer"),
        ({"amount": 1.0}, "amount", "parameter_invalid_integer"),
        ({"amount": float("nan")}, "amount", "parameter_invalid_integer"),
        ({"amount": None}, "amount", "parameter_missing"),
        ({"amount": 10**12}, "amount", "amount_too_large"),
        ({"currency": None}, "currency", "parameter_missing"),
        ({"currency": "USD"}, "currency", None),
        ({"currency": "zzz"}, "currency", None),
        ({"customer": None}, "customer", "parameter_missing"),
        ({"customer": ""}, "customer", "parameter_invalid_empty"),
        ({"customer": "cus_none"}, "customer", "resource_missing"),
        ({"colour": "red"}, "colour", "parameter_unknown"),
        ({"price": "price_1"}, "price", "parameter_unknown"),
        ({"unit_amount": 1}, "unit_amount", "parameter_unknown"),
        ({"period": {"start": 1}}, "period[end]", "parameter_missing"),
        ({"period": {"start": 2, "end": 1}}, "period[end]", None),
        ({"period": {"start": 1, "end": 2, "middle": 1}}, "period[middle]", "parameter_unknown"),
        ({"period": 5}, "period", None),
        ({"discountable": "yes"}, "discountable", None),
        ({"tax_behavior": "none"}, "tax_behavior", None),
        ({"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]", None),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", None),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, "metadata", None),
        ({"metadata": {"a[b]": "v"}}, "metadata[a[b]]", None),
        ({"description": "x" * 5001}, "description", None),
        ({"quantity": 2}, "quantity", None),
        ({"amount": None, "unit_amount_decimal": Decimal("1E-7")}, "unit_amount_decimal", None),
        ({"amount": None, "unit_amount_decimal": Decimal("0.0000000000001")}, "unit_amount_decimal", None),
        ({"amount": None, "unit_amount_decimal": "0.0000000000001"}, "unit_amount_decimal", None),
        ({"amount": None, "unit_amount_decimal": "1", "quantity": 1, "quantity_decimal": "1"}, "quantity", None),
        ({"metadata": [["a"]]}, "metadata[0]", None),
        ({"unit_amount_decimal": Decimal(1)}, "amount", None),
        ({"amount": None, "unit_amount_decimal": Decimal(1), "quantity": -1}, "quantity", None),
        ({"invoice": "in_none"}, "invoice", "resource_missing"),
        ({"discounts": [{"coupon": "x"}]}, "discounts", "practice_unsupported"),
        ({"expand": ["customer"]}, "expand", "practice_unsupported"),
    ],
)
def test_wrong_parameters_are_named(practice, client, acme, told, param, code):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        item(client, acme, **told)
    assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, param, code)
    assert practice.items() == []


@pytest.mark.parametrize(
    ("currency", "taken", "refused"),
    [("usd", 1, None), ("jpy", 1, None), ("isk", 500, 550), ("ugx", -300, 301), ("kwd", 1230, 1234), ("tnd", 10, 1)],
)
def test_amounts_come_in_the_steps_of_their_currency(client, acme, currency, taken, refused):
    assert item(client, acme, currency=currency, amount=taken).amount == taken
    if refused:
        with pytest.raises(stripe.InvalidRequestError):
            item(client, acme, currency=currency, amount=refused)


def test_our_rounding_goes_by_the_same_steps_as_the_other_side():
    for currency in money.CURRENCIES:
        exponent, step = numbers.minor_step(currency.upper())
        theirs = 0 if currency in money.NO_MINOR_UNIT else 3 if currency in money.THREE_DECIMALS else 2
        assert exponent == theirs
        assert step == (100 if currency in money.WHOLE_HUNDREDS else 10 if currency in money.THREE_DECIMALS else 1)
    assert {currency.lower() for currency in numbers.UNUSUAL_CURRENCIES} <= money.CURRENCIES


def test_metadata_at_its_limits_is_taken_and_emptied_keys_go(client, acme):
    tags = {f"{n:040}": "v" * 500 for n in range(50)}
    made = item(client, acme, metadata=tags)
    assert made.metadata.to_dict() == tags
    changed = client.v1.invoice_items.update(made.id, {"metadata": {f"{0:040}": "", f"{1:040}": "w"}})
    assert (len(changed.metadata.to_dict()), changed.metadata[f"{1:040}"]) == (49, "w")
    assert client.v1.invoice_items.update(made.id, {"metadata": ""}).metadata.to_dict() == {}


def test_a_deleted_customer_is_said_to_be_and_takes_nothing(practice, client, acme):
    item(client, acme)
    assert client.v1.customers.delete(acme).deleted
    gone = client.v1.customers.retrieve(acme)
    assert (gone.deleted, "name" in gone) == (True, False)
    assert client.v1.customers.list().data == []
    for make in (lambda: item(client, acme), lambda: client.v1.invoices.create({"customer": acme})):
        with pytest.raises(stripe.InvalidRequestError, match="No such customer") as refused:
            make()
        assert (refused.value.http_status, refused.value.code) == (400, "resource_missing")
    assert practice.items() == []


def test_customers_are_made_changed_and_found(practice, client):
    first = client.v1.customers.create({"name": "Acme", "email": "a@acme.example", "metadata": {"account_id": "acme"}})
    practice.clock.advance(10)
    second = client.v1.customers.create({"name": "Fuji", "address": {"country": "JP"}})
    changed = client.v1.customers.update(first.id, {"description": "x", "metadata": {"more": "1"}})
    assert (changed.name, changed.description, changed.metadata.to_dict()) == (
        "Acme",
        "x",
        {"account_id": "acme", "more": "1"},
    )
    assert [row.id for row in client.v1.customers.list().data] == [second.id, first.id]
    assert [row.id for row in client.v1.customers.list({"email": "a@acme.example"}).data] == [first.id]
    assert [row.id for row in client.v1.customers.list({"created": {"gt": first.created}}).data] == [second.id]
    assert second.address.country == "JP"


def test_live_and_test_mode_are_two_worlds(practice, client):
    live = client_of(practice, "rk_live_x")
    made = live.v1.customers.create({"name": "Acme"})
    assert made.livemode
    hint = "a similar object exists in live mode, but a test mode key was used"
    with pytest.raises(stripe.InvalidRequestError, match=hint) as refused:
        client.v1.customers.retrieve(made.id)
    assert refused.value.http_status == 404
    with pytest.raises(stripe.InvalidRequestError, match=hint) as refused:
        item(client, made.id)
    assert refused.value.http_status == 400
    assert client.v1.customers.list().data == []
    assert client.v1.accounts.retrieve_current().id == live.v1.accounts.retrieve_current().id == "acct_1Practice0000000"


@pytest.mark.parametrize("key", ["pk_test_x", "sk_x", "sk_test_", "nonsense"])
def test_what_is_no_secret_key_is_refused(practice, key):
    with pytest.raises(stripe.AuthenticationError) as refused:
        client_of(practice, key).v1.customers.list()
    assert refused.value.http_status == 401


def test_another_version_and_another_account_are_refused(practice, client):
    with pytest.raises(stripe.InvalidRequestError, match="version"):
        client.v1.customers.list({}, {"stripe_version": "2020-08-27"})
    with pytest.raises(stripe.PermissionError):
        client.v1.customers.list({}, {"stripe_account": "acct_other"})
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        client.v1.coupons.list()
