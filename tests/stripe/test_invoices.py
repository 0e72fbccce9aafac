"""Items, drafts and finalised invoices."""

from __future__ import annotations

from decimal import Decimal

import pytest
import stripe

from tests.stripe.client import failing, item

PERIOD = {"start": 1_777_593_600, "end": 1_780_271_999}


@pytest.fixture
def draft(client, acme):
    return client.v1.invoices.create({"customer": acme, "currency": "usd", "metadata": {"batch_key": "b"}})


def refused(make, status=400):
    error = failing(make, stripe.InvalidRequestError)
    assert error.http_status == status
    return error


def test_an_item_waits_until_an_invoice_includes_it(practice, client, acme):
    made = item(client, acme, period=PERIOD, description="Overage", metadata={"line_key": "l1"})
    assert (made.invoice, made.period.start, made.period.end) == (None, PERIOD["start"], PERIOD["end"])
    assert client.v1.invoices.create({"customer": acme}).total == 0  # the default is to exclude
    invoice = client.v1.invoices.create({"customer": acme, "pending_invoice_items_behavior": "include"})
    (line,) = invoice.lines.data
    assert (invoice.status, invoice.total, invoice.auto_advance) == ("draft", 1234, False)
    assert (line.amount, line.description, line.metadata["line_key"]) == (1234, "Overage", "l1")
    assert line.parent.invoice_item_details.invoice_item == made.id
    assert client.v1.invoice_items.retrieve(made.id).invoice == invoice.id
    again = client.v1.invoices.create({"customer": acme, "pending_invoice_items_behavior": "include"})
    assert again.total == 0


def test_an_invoice_takes_at_most_250_pending_items_of_its_currency(practice, client, acme):
    for n in range(252):
        item(client, acme, amount=n)
    item(client, acme, amount=1, currency="eur")
    invoice = client.v1.invoices.create(
        {"customer": acme, "currency": "usd", "pending_invoice_items_behavior": "include"}
    )
    assert invoice.total == sum(range(250))
    assert (len(invoice.lines.data), invoice.lines.has_more) == (10, True)
    assert len(list(invoice.lines.auto_paging_iter())) == 250
    assert [row["amount"] for row in practice.items(acme) if row["invoice"] is None] == [250, 251, 1]
    error = refused(lambda: item(client, acme, invoice=invoice.id))
    assert "250" in error.user_message
    rest = client.v1.invoices.create({"customer": acme, "currency": "eur", "pending_invoice_items_behavior": "include"})
    assert (rest.total, rest.currency) == (1, "eur")


def test_a_draft_takes_items_of_its_customer_and_currency_alone(practice, client, acme, draft):
    assert item(client, acme, invoice=draft.id).invoice == draft.id
    assert item(client, acme, invoice=draft.id, currency=None).currency == "usd"
    assert refused(lambda: item(client, acme, invoice=draft.id, currency="eur")).param == "currency"
    practice.add_customer("cus_other")
    assert refused(lambda: item(client, "cus_other", invoice=draft.id)).param == "invoice"
    assert client.v1.invoices.retrieve(draft.id).total == 2468


def test_finalised_means_fixed(practice, client, acme, draft):
    made = item(client, acme, invoice=draft.id)
    final = client.v1.invoices.finalize_invoice(draft.id, {"auto_advance": False}, {"idempotency_key": "f"})
    assert (final.status, final.number, final.amount_due) == ("open", "ACME-0001", 1234)
    assert final.status_transitions.finalized_at == practice.clock.now()
    for change in (
        lambda: item(client, acme, invoice=draft.id),
        lambda: client.v1.invoice_items.delete(made.id),
        lambda: client.v1.invoice_items.update(made.id, {"amount": 1}),
        lambda: client.v1.invoices.delete(draft.id),
        lambda: client.v1.invoices.finalize_invoice(draft.id),
        lambda: client.v1.invoices.update(draft.id, {"description": "x"}),
    ):
        assert refused(change).code == "invoice_not_editable"
    assert client.v1.invoices.update(draft.id, {"metadata": {"seen": "1"}}).metadata["batch_key"] == "b"
    assert (
        client.v1.invoices.finalize_invoice(draft.id, {"auto_advance": False}, {"idempotency_key": "f"}).id == draft.id
    )
    void = client.v1.invoices.void_invoice(draft.id)
    assert (void.status, void.status_transitions.voided_at) == ("void", practice.clock.now())
    refused(lambda: client.v1.invoices.void_invoice(draft.id))


@pytest.mark.parametrize(
    ("amount", "status", "due"), [(0, "paid", 0), (-500, "paid", 0), (49, "paid", 0), (50, "open", 50)]
)
def test_what_is_too_little_to_charge_is_paid_by_the_balance(client, acme, draft, amount, status, due):
    item(client, acme, invoice=draft.id, amount=amount)
    final = client.v1.invoices.finalize_invoice(draft.id)
    assert (final.status, final.amount_due, final.total) == (status, due, amount)
    assert client.v1.customers.retrieve(acme).balance == (amount if status == "paid" else 0)


def test_an_automatic_draft_is_finalised_after_an_hour_and_no_other(practice, client, acme, draft):
    automatic = client.v1.invoices.create({"customer": acme, "auto_advance": True})
    assert automatic.automatically_finalizes_at == practice.clock.now() + 3600
    practice.clock.advance(3599)
    assert client.v1.invoices.retrieve(automatic.id).status == "draft"
    practice.clock.advance(3600)
    found = client.v1.invoices.retrieve(automatic.id)
    assert (found.status, found.status_transitions.finalized_at) == ("paid", automatic.automatically_finalizes_at)
    practice.clock.advance(10**7)
    assert client.v1.invoices.retrieve(draft.id).status == "draft"


def test_a_draft_that_is_deleted_gives_back_what_was_pending(practice, client, acme):
    waiting = item(client, acme)
    draft = client.v1.invoices.create({"customer": acme, "pending_invoice_items_behavior": "include"})
    item(client, acme, invoice=draft.id)
    assert client.v1.invoices.delete(draft.id).deleted
    assert [(row["id"], row["invoice"]) for row in practice.items(acme)] == [(waiting.id, None)]
    refused(lambda: client.v1.invoices.retrieve(draft.id), 404)


def test_pending_items_and_those_on_a_draft_can_be_deleted(practice, client, acme, draft):
    for made in (item(client, acme), item(client, acme, invoice=draft.id)):
        assert client.v1.invoice_items.delete(made.id).deleted
        assert refused(lambda made=made: client.v1.invoice_items.retrieve(made.id), 404).code == "resource_missing"
    assert practice.items(acme) == []


@pytest.mark.parametrize(
    ("unit", "quantity", "amount"),
    [("0.5", "5", 3), ("-0.5", "5", -3), ("0.000016", "1000000", 16), ("1.49", "1", 1), ("0.000000000001", "1", 0)],
)
def test_units_and_quantities_are_multiplied_and_rounded(client, acme, unit, quantity, amount):
    made = item(client, acme, amount=None, unit_amount_decimal=unit, quantity_decimal=quantity)
    assert (made.amount, made.quantity_decimal) == (amount, Decimal(quantity))
    assert made.pricing.unit_amount_decimal == Decimal(unit)


def test_an_item_can_be_priced_by_a_price(client, acme):
    price = client.v1.prices.create({"currency": "usd", "unit_amount": 250, "product_data": {"name": "Seat"}})
    made = item(client, acme, amount=None, currency=None, pricing={"price": price.id}, quantity=4)
    assert (made.amount, made.currency, made.pricing.price_details.price) == (1000, "usd", price.id)
    client.v1.prices.update(price.id, {"active": False})
    assert refused(lambda: item(client, acme, amount=None, pricing={"price": price.id})).param == "pricing[price]"


def test_an_item_can_bring_its_price(client, acme):
    product = client.v1.products.create({"name": "Seat"}).id
    data = {"currency": "usd", "product": product, "unit_amount_decimal": Decimal("12.5")}
    made = item(client, acme, amount=None, currency=None, price_data=data, quantity=3)
    assert (made.amount, made.currency, made.pricing.price_details.product) == (38, "usd", product)
    for wrong in ({**data, "unit_amount": 1}, {**data, "unit_amount_decimal": None}, {**data, "product": "prod_none"}):
        refused(lambda it=wrong: item(client, acme, amount=None, price_data=it))
    assert refused(lambda: item(client, acme, amount=None, pricing={})).param == "amount"
    yearly = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 1, "product": product, "recurring": {"interval": "year"}}
    )
    assert refused(lambda: item(client, acme, amount=None, pricing={"price": yearly.id})).param == "pricing[price]"


def test_an_item_changes_until_it_is_finalised(client, acme):
    made = item(client, acme, amount=None, unit_amount_decimal=Decimal("2.5"), quantity=2)
    more = client.v1.invoice_items.update(made.id, {"quantity": 4, "description": "Four"})
    assert (made.amount, more.amount, more.quantity, more.description) == (5, 10, 4, "Four")
    whole = client.v1.invoice_items.update(made.id, {"amount": 7, "period": PERIOD})
    assert (whole.amount, whole.quantity, whole.period.end) == (7, 1, PERIOD["end"])
    assert client.v1.invoice_items.retrieve(made.id).to_dict() == whole.to_dict()


def test_an_invoice_by_mail_says_when_it_is_due(practice, client, acme):
    told = {"customer": acme, "collection_method": "send_invoice"}
    assert refused(lambda: client.v1.invoices.create(told)).param == "days_until_due"
    assert refused(lambda: client.v1.invoices.create({"customer": acme, "days_until_due": 3})).param == "days_until_due"
    invoice = client.v1.invoices.create({**told, "days_until_due": 30})
    assert invoice.due_date == practice.clock.now() + 30 * 86_400
    drafts = client.v1.invoices.list({"collection_method": "send_invoice"})
    assert [row.id for row in drafts.data] == [invoice.id]
    changed = client.v1.invoices.update(invoice.id, {"description": "May", "auto_advance": True})
    assert (changed.description, changed.automatically_finalizes_at) == ("May", practice.clock.now() + 3600)


def test_negative_items_are_not_discountable_unless_told(client, acme):
    assert [item(client, acme, amount=n).discountable for n in (1, -1)] == [True, False]
    assert item(client, acme, amount=-1, discountable=True).discountable


def test_currencies_meet_on_one_customer_only_without_the_lock(practice, client, acme):
    item(client, acme)
    assert item(client, acme, currency="eur").currency == "eur"
    practice.settings.currency_lock = True
    for make in (
        lambda: item(client, acme, currency="eur"),
        lambda: client.v1.invoices.create({"customer": acme, "currency": "eur"}),
    ):
        assert "cannot combine currencies" in refused(make).user_message
    assert item(client, acme).currency == client.v1.customers.retrieve(acme).currency == "usd"


def test_pages_go_both_ways_newest_first(practice, client, acme):
    made = []
    for n in range(7):
        made.append(item(client, acme, amount=n).id)
        practice.clock.advance(10)
    newest_first = made[::-1]
    first = client.v1.invoice_items.list({"customer": acme, "limit": 3})
    assert ([row.id for row in first.data], first.has_more, first.url) == (newest_first[:3], True, "/v1/invoiceitems")
    last = client.v1.invoice_items.list({"limit": 3, "starting_after": newest_first[3]})
    assert ([row.id for row in last.data], last.has_more) == (newest_first[4:], False)
    middle = client.v1.invoice_items.list({"limit": 3, "ending_before": newest_first[5]})
    assert ([row.id for row in middle.data], middle.has_more) == (newest_first[2:5], True)
    for limit in (1, 2, 100):
        pages = client.v1.invoice_items.list({"customer": acme, "limit": limit})
        assert [row.id for row in pages.auto_paging_iter()] == newest_first
    up = client.v1.invoice_items.list({"limit": 2, "ending_before": made[0]})
    assert [row.id for row in up.auto_paging_iter()] == made[1:]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"created": {"gte": 20}}, [2, 3, 4]),
        ({"created": {"gt": 20}}, [3, 4]),
        ({"created": {"lt": 20}}, [0, 1]),
        ({"created": {"lte": 20}}, [0, 1, 2]),
        ({"created": {"gt": 0, "lt": 30}}, [1, 2]),
        ({"created": 10}, [1]),
        ({"pending": True}, [1, 2, 3, 4]),
        ({"pending": False}, [0]),
        ({"customer": "cus_other"}, []),
    ],
)
def test_lists_are_filtered(practice, client, acme, told, expected):
    practice.add_customer("cus_other")
    start = practice.clock.now()
    for n in range(5):
        item(client, acme, amount=n)
        if n == 0:
            client.v1.invoices.create({"customer": acme, "pending_invoice_items_behavior": "include"})
        practice.clock.advance(10)
    if isinstance(instants := told.get("created"), dict):
        told = {"created": {name: start + after for name, after in instants.items()}}
    elif instants:
        told = {"created": start + instants}
    assert [row.amount for row in client.v1.invoice_items.list(told).data] == expected[::-1]


@pytest.mark.parametrize(
    ("told", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"starting_after": "ii_none"}, "starting_after"),
        ({"starting_after": "a", "ending_before": "b"}, "starting_after"),
        ({"customer": "cus_none"}, "customer"),
        ({"invoice": "in_none"}, "invoice"),
        ({"created": {"since": 1}}, "created[since]"),
        ({"metadata": {"line_key": "l"}}, "metadata"),
    ],
)
def test_lists_refuse_what_they_do_not_know(client, told, param):
    assert refused(lambda: client.v1.invoice_items.list(told)).param == param


def test_invoices_are_listed_by_customer_and_status(practice, client, acme, draft):
    other = client.v1.invoices.create({"customer": acme})
    client.v1.invoices.finalize_invoice(other.id)
    assert [row.id for row in client.v1.invoices.list({"customer": acme}).data] == [other.id, draft.id]
    assert [row.id for row in client.v1.invoices.list({"status": "draft"}).data] == [draft.id]
    assert [row["id"] for row in practice.invoices(acme)] == [draft.id, other.id]
    made = item(client, acme, invoice=draft.id)
    assert [row.id for row in client.v1.invoice_items.list({"invoice": draft.id}).data] == [made.id]
    (line,) = client.v1.invoices.line_items.list(draft.id).data
    assert line.parent.invoice_item_details.invoice_item == made.id
