"""Invoice items: pending until an invoice takes them, or made on a draft; at most 250 on one, and only on drafts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from assets.practice.ask import Ask
from assets.practice.errors import ApiError, invalid, missing
from assets.practice.lists import is_within, page
from assets.practice.money import check_amount, check_currency, times
from assets.practice.shapes import metadata
from assets.practice.store import Json

MOST_ITEMS = 250
AMOUNTS = ("amount", "unit_amount_decimal", "price_data", "pricing")
CREATES = {
    *("customer", "invoice", "currency", "description", "discountable", "period", "metadata", "quantity"),
    *("quantity_decimal", "tax_behavior", "tax_code", *AMOUNTS),
}
UPDATES = {"amount", "description", "metadata", "period", "quantity", "quantity_decimal", "unit_amount_decimal"}
LISTS = {"created", "customer", "ending_before", "invoice", "limit", "pending", "starting_after"}


def create(ask: Ask) -> Json:
    told = ask.params
    if "customer" not in told:
        raise missing("customer")
    customer = ask.customer(told["customer"])
    invoice = _draft(ask, told["invoice"], customer) if "invoice" in told else None
    currency, amount, quantity, pricing = _priced(ask, invoice)
    check_customer_currency(ask, customer, currency)
    if invoice and invoice["currency"] != currency:
        raise invalid(
            f"The invoice item's currency ({currency}) does not match the invoice's currency ({invoice['currency']}).",
            "currency",
        )
    if customer["currency"] is None:
        ask.put({**customer, "currency": currency})
    period = told.get("period", {"start": ask.now, "end": ask.now})
    is_discountable = told.get("discountable", amount >= 0)
    return ask.put(
        {
            "id": ask.store.new_id("ii"),
            "object": "invoiceitem",
            "amount": amount,
            "currency": currency,
            "customer": customer["id"],
            "customer_account": None,
            "date": ask.now,
            "description": told.get("description"),
            "discountable": is_discountable,
            "discounts": [],
            "frozen_fields": None,
            "invoice": invoice["id"] if invoice else None,
            "invoicing_rules": None,
            "livemode": ask.is_live,
            "metadata": metadata(told.get("metadata", {})),
            "net_amount": None if is_discountable else amount,
            "parent": None,
            "period": {"end": period["end"], "start": period["start"]},
            "pricing": pricing,
            "proration": False,
            "proration_details": None,
            "quantity": int(quantity),
            "quantity_decimal": f"{quantity:f}",
            "tax_rates": [],
            "test_clock": None,
        }
    )


def check(told: dict[str, Any]) -> None:
    """What is wrong whatever the store holds."""
    given = [name for name in AMOUNTS if name in told]
    if len(given) > 1:
        raise invalid(f"Tell one of {', '.join(given)}.", given[0])
    if "amount" in told and ("quantity" in told or "quantity_decimal" in told):
        raise invalid("A quantity goes with unit_amount_decimal or a price; amount is the whole amount.", "quantity")
    if "quantity" in told and "quantity_decimal" in told:
        raise invalid("Tell one of quantity and quantity_decimal.", "quantity")
    for name in ("quantity", "quantity_decimal"):
        if told.get(name, 0) < 0:
            raise invalid(f"{name} can't be negative.", name)
    period = told.get("period")
    if period and period["end"] < period["start"]:
        raise invalid("The period ends before it starts.", "period[end]")
    if "currency" in told:
        check_currency(told["currency"])
    metadata(told.get("metadata", {}))


def check_customer_currency(ask: Ask, customer: Json, currency: str) -> None:
    if ask.settings.currency_lock and customer["currency"] not in (None, currency):
        raise invalid(
            f"You cannot combine currencies on a single customer; this one is billed in {customer['currency']}.",
            "currency",
        )


def _draft(ask: Ask, id: str, customer: Json) -> Json:
    invoice = ask.find("invoice", id, "invoice")
    if invoice["customer"] != customer["id"]:
        raise invalid(f"The invoice {id} belongs to another customer than {customer['id']}.", "invoice")
    if invoice["status"] != "draft":
        raise not_editable(id)
    if ask.store.count(ask.is_live, "invoiceitem", "invoice", id) >= MOST_ITEMS:
        raise invalid(f"Invoices can have at most {MOST_ITEMS} items; {id} is full.", "invoice")
    return invoice


def not_editable(id: str) -> ApiError:
    return invalid(
        f"The invoice {id} is no longer editable. Only draft invoices can be changed.",
        "invoice",
        "invoice_not_editable",
    )


def _priced(ask: Ask, invoice: Json | None) -> tuple[str, int, Decimal, Json]:
    """(currency, amount, quantity, pricing) by whichever of the ways to tell them."""
    told = ask.params
    quantity = told.get("quantity_decimal", Decimal(told.get("quantity", 1)))
    if "pricing" in told:
        return _by_price(ask, told["pricing"], quantity)
    if "price_data" in told:
        data = told["price_data"]
        currency: str = check_currency(data["currency"], "price_data[currency]")
        ask.find("product", data["product"], "price_data[product]")
        if ("unit_amount" in data) == ("unit_amount_decimal" in data):
            raise invalid("Tell one of price_data[unit_amount] and price_data[unit_amount_decimal].", "price_data")
        unit = Decimal(data.get("unit_amount", data.get("unit_amount_decimal")))
        details = {"price": ask.store.new_id("price"), "product": data["product"]}
        return currency, _amount(ask, times(unit, quantity), currency), quantity, pricing_of(unit, details)
    if "currency" not in told and invoice is None:
        raise missing("currency")
    currency = told.get("currency") or (invoice or {})["currency"]
    if "amount" in told:
        return currency, _amount(ask, told["amount"], currency), quantity, pricing_of(Decimal(told["amount"]))
    if "unit_amount_decimal" in told:
        unit = told["unit_amount_decimal"]
        return currency, _amount(ask, times(unit, quantity), currency), quantity, pricing_of(unit)
    raise missing("amount")


def _by_price(ask: Ask, told: Json, quantity: Decimal) -> tuple[str, int, Decimal, Json]:
    if "price" not in told:
        raise missing("pricing[price]")
    price = ask.find("price", told["price"], "pricing[price]")
    if not price["active"]:
        raise invalid(f"The price {price['id']} is inactive.", "pricing[price]")
    if price["type"] != "one_time" or price["billing_scheme"] != "per_unit":
        raise invalid("The price of an invoice item is one_time and per_unit.", "pricing[price]")
    currency, unit = price["currency"], Decimal(price["unit_amount_decimal"])
    if ask.params.get("currency", currency) != currency:
        raise invalid(f"The price is in {currency}.", "currency")
    details = {"price": price["id"], "product": price["product"]}
    return currency, _amount(ask, times(unit, quantity), currency), quantity, pricing_of(unit, details)


def pricing_of(unit: Decimal, details: Json | None = None) -> Json:
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": f"{unit:f}"}


def _amount(ask: Ask, amount: int, currency: str) -> int:
    return check_amount(amount, currency, ask.settings.most_amount)


def retrieve(ask: Ask) -> Json:
    return ask.find("invoiceitem", ask.ids[0])


def update(ask: Ask) -> Json:
    """An item may change as long as no finalised invoice holds it."""
    item = _editable(ask)
    told = ask.params
    changed: Json = {field: told[field] for field in ("description", "period") if field in told}
    if "metadata" in told:
        changed["metadata"] = metadata(told["metadata"], item["metadata"])
    if told.keys() & {"amount", "unit_amount_decimal", "quantity", "quantity_decimal"}:
        before: dict[str, Any] = {"currency": item["currency"]}
        if "amount" not in told:
            before["unit_amount_decimal"] = Decimal(item["pricing"]["unit_amount_decimal"])
            if "quantity" not in told:
                before["quantity_decimal"] = Decimal(item["quantity_decimal"])
        ask.params = {**before, **told}
        _, amount, quantity, pricing = _priced(ask, None)
        changed |= {"amount": amount, "pricing": pricing, "net_amount": None if item["discountable"] else amount}
        changed |= {"quantity": int(quantity), "quantity_decimal": f"{quantity:f}"}
    return ask.put({**item, **changed})


def delete(ask: Ask) -> Json:
    item = _editable(ask)
    ask.change.drop(ask.is_live, "invoiceitem", item["id"])
    return {"id": item["id"], "object": "invoiceitem", "deleted": True}


def _editable(ask: Ask) -> Json:
    item = ask.find("invoiceitem", ask.ids[0])
    if item["invoice"] and ask.find("invoice", item["invoice"])["status"] != "draft":
        raise not_editable(item["invoice"])
    return item


def list_(ask: Ask) -> Json:
    told = ask.params
    if "customer" in told:
        ask.find("customer", told["customer"], "customer")
    if "invoice" in told:
        ask.find("invoice", told["invoice"], "invoice")
    rows = [
        row
        for row in ask.rows("invoiceitem", invoice=told.get("invoice"), customer=told.get("customer"))
        if is_within(row["date"], told.get("created")) and told.get("pending") in (None, row["invoice"] is None)
    ]
    return page(rows, told, "/v1/invoiceitems", "invoiceitem")
