"""Customers, and the account they are customers of."""

from __future__ import annotations

import re
from typing import Any

from assets.practice.ask import Ask
from assets.practice.lists import is_within, page
from assets.practice.shapes import metadata
from assets.practice.store import Json

TOLD = ("description", "email", "name", "phone", "address", "shipping", "preferred_locales", "business_name")
CREATES = {*TOLD, "metadata"}
LISTS = {"created", "email", "ending_before", "limit", "starting_after"}


def new_customer(id: str, now: int, is_live: bool, told: dict[str, Any]) -> Json:
    return {
        "id": id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "business_name": None,
        "created": now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "individual_name": None,
        "invoice_prefix": re.sub(r"\W|_", "", id.removeprefix("cus_"))[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": is_live,
        "metadata": metadata(told.get("metadata", {})),
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    } | {field: told[field] or None for field in TOLD if field in told}


def create(ask: Ask) -> Json:
    return ask.put(new_customer(ask.store.new_id("cus", 14), ask.now, ask.is_live, ask.params))


def update(ask: Ask) -> Json:
    customer = ask.customer(ask.ids[0], param="id")
    told = {field: ask.params[field] or None for field in TOLD if field in ask.params}
    tags = metadata(ask.params.get("metadata", {}), customer["metadata"])
    return ask.put({**customer, **told, "metadata": tags})


def retrieve(ask: Ask) -> Json:
    return ask.find("customer", ask.ids[0])


def delete(ask: Ask) -> Json:
    """What was never invoiced goes with the customer; invoices stay."""
    customer = ask.find("customer", ask.ids[0])
    for item in ask.rows("invoiceitem", customer=customer["id"]):
        if item["invoice"] is None:
            ask.change.drop(ask.is_live, "invoiceitem", item["id"])
    return ask.put({"id": customer["id"], "object": "customer", "deleted": True})


def list_(ask: Ask) -> Json:
    rows = [
        row
        for row in ask.rows("customer")
        if not row.get("deleted")
        and is_within(row["created"], ask.params.get("created"))
        and ask.params.get("email") in (None, row["email"])
    ]
    return page(rows, ask.params, "/v1/customers", "customer")


def account(ask: Ask) -> Json:
    """`GET /v1/account`: whose key this is. The same account in both modes, as with a key pair of Stripe's."""
    return {
        "id": ask.settings.account,
        "object": "account",
        "business_profile": {"name": ask.settings.account_name},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "US",
        "created": 1_700_000_000,
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": ask.settings.account_name, "timezone": "Etc/UTC"}},
        "type": "standard",
    }
