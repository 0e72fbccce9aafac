"""Invoices: drafts that take items, then, finalised, a debt that no longer changes."""

from __future__ import annotations

from typing import Any

from assets.practice.ask import Ask
from assets.practice.errors import ApiError, invalid, missing
from assets.practice.items import MOST_ITEMS, check_customer_currency
from assets.practice.lists import is_within, page
from assets.practice.money import LEAST_CHARGE, check_currency
from assets.practice.shapes import metadata
from assets.practice.store import Json

# An automatic draft is finalised an hour after Stripe has told the world of it.
AUTO_ADVANCE_AFTER = 3600
CREATES = {
    *("customer", "currency", "auto_advance", "collection_method", "description", "footer", "metadata"),
    *("days_until_due", "pending_invoice_items_behavior", "automatically_finalizes_at"),
}
UPDATES = {"auto_advance", "description", "footer", "metadata"}
FINALIZES = {"auto_advance"}
LISTS = {"collection_method", "created", "customer", "ending_before", "limit", "starting_after", "status"}
# Fields there are, of which a practice invoice has nothing to say.
_UNTOLD = """
    account_tax_ids amount_paid_off_stripe application custom_fields customer_account customer_tax_ids
    default_payment_method default_source effective_at ending_balance from_invoice hosted_invoice_url invoice_pdf
    last_finalization_error latest_revision next_payment_attempt number on_behalf_of parent receipt_number rendering
    shipping_cost shipping_details statement_descriptor status_details test_clock threshold_reason webhooks_delivered_at
"""
LINE_LISTS = {"ending_before", "limit", "starting_after"}


def check(told: dict[str, Any]) -> None:
    """What is wrong whatever the store holds."""
    if "currency" in told:
        check_currency(told["currency"])
    if "days_until_due" in told and told.get("collection_method") != "send_invoice":
        raise invalid("days_until_due goes with collection_method send_invoice.", "days_until_due")
    metadata(told.get("metadata", {}))


def create(ask: Ask) -> Json:
    told = ask.params
    if "customer" not in told:
        raise missing("customer")
    customer = ask.customer(told["customer"])
    currency = told.get("currency") or customer["currency"] or "usd"
    check_customer_currency(ask, customer, currency)
    by_mail = told.get("collection_method") == "send_invoice"
    if by_mail and "days_until_due" not in told:
        raise missing("days_until_due")
    is_automatic = told.get("auto_advance", False)
    finalizes_at = told.get("automatically_finalizes_at") or (ask.now + AUTO_ADVANCE_AFTER if is_automatic else None)
    invoice = _new(ask, customer, currency) | {
        "auto_advance": is_automatic,
        "automatically_finalizes_at": finalizes_at,
        "collection_method": "send_invoice" if by_mail else "charge_automatically",
        "description": told.get("description"),
        "due_date": ask.now + told["days_until_due"] * 86_400 if by_mail else None,
        "footer": told.get("footer"),
        "metadata": metadata(told.get("metadata", {})),
    }
    ask.put(invoice)
    if customer["currency"] is None:
        ask.put({**customer, "currency": currency})
    taken: list[Json] = []
    if told.get("pending_invoice_items_behavior", "exclude") == "include":
        waiting = ask.store.all(ask.is_live, "invoiceitem", customer=customer["id"])
        taken = [row for row in waiting if row["invoice"] is None and row["currency"] == currency][:MOST_ITEMS]
        # A draft that is deleted gives back what waited before it.
        taken = [ask.put({**row, "invoice": invoice["id"], "_was_pending": True}) for row in taken]
    return shown(ask, invoice, taken)


def _new(ask: Ask, customer: Json, currency: str) -> Json:
    nothing = dict.fromkeys(_UNTOLD.split())
    return {
        "id": ask.store.new_id("in"),
        "object": "invoice",
        **nothing,
        "account_country": "US",
        "account_name": ask.settings.account_name,
        "amount_overpaid": 0,
        "amount_shipping": 0,
        "attempt_count": 0,
        "attempted": False,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "billing_reason": "manual",
        "created": ask.now,
        "currency": currency,
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "livemode": ask.is_live,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": ask.now,
        "period_start": ask.now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }


def shown(ask: Ask, invoice: Json, items: list[Json] | None = None) -> Json:
    """As the API answers: the first ten lines and the totals of all."""
    if items is None:
        items = ask.store.all(ask.is_live, "invoiceitem", invoice=invoice["id"])
    total = sum(item["amount"] for item in items)
    due = _due(total, invoice["currency"])
    paid = due if invoice["status"] == "paid" else 0
    url = f"/v1/invoices/{invoice['id']}/lines"
    return {
        **invoice,
        "amount_due": due,
        "amount_paid": paid,
        "amount_remaining": due - paid,
        "lines": page([line(item) for item in items], {}, url, "line_item") | {"total_count": len(items)},
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
    }


def _due(total: int, currency: str) -> int:
    """What is too little to be charged waits in the customer's balance."""
    return total if total >= LEAST_CHARGE.get(currency, 1) else 0


def line(item: Json) -> Json:
    return {
        "id": "il_" + item["id"].removeprefix("ii_"),
        "object": "line_item",
        "amount": item["amount"],
        "currency": item["currency"],
        "description": item["description"],
        "discount_amounts": [],
        "discountable": item["discountable"],
        "discounts": [],
        "invoice": item["invoice"],
        "livemode": item["livemode"],
        "metadata": item["metadata"],
        "parent": {
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": item["period"],
        "pretax_credit_amounts": [],
        "pricing": item["pricing"],
        "quantity": item["quantity"],
        "quantity_decimal": item["quantity_decimal"],
        "subscription": None,
        "subtotal": item["amount"],
        "taxes": [],
    }


def retrieve(ask: Ask) -> Json:
    return shown(ask, ask.find("invoice", ask.ids[0]))


def update(ask: Ask) -> Json:
    """Of a finalised invoice only the metadata can change."""
    invoice = ask.find("invoice", ask.ids[0])
    told = dict(ask.params)
    if "metadata" in told:
        told["metadata"] = metadata(told["metadata"], invoice["metadata"])
    if invoice["status"] != "draft" and (fixed := told.keys() - {"metadata"}):
        raise invalid(
            f"{', '.join(sorted(fixed))} of a finalized invoice can't change.",
            min(fixed),
            "invoice_not_editable",
        )
    if "auto_advance" in told:
        told["automatically_finalizes_at"] = ask.now + AUTO_ADVANCE_AFTER if told["auto_advance"] else None
    return shown(ask, ask.put({**invoice, **told}))


def finalize(ask: Ask) -> Json:
    invoice = ask.find("invoice", ask.ids[0])
    if invoice["status"] != "draft":
        raise invalid(
            f"The invoice {invoice['id']} is finalized already.",
            code="invoice_not_editable",
        )
    customer = ask.customer(invoice["customer"])
    items = ask.store.all(ask.is_live, "invoiceitem", invoice=invoice["id"])
    total = sum(item["amount"] for item in items)
    is_paid = _due(total, invoice["currency"]) == 0
    number = customer["next_invoice_sequence"]
    finalized = {
        **invoice,
        "auto_advance": False if is_paid else ask.params.get("auto_advance", invoice["auto_advance"]),
        "automatically_finalizes_at": None,
        "effective_at": ask.now,
        "ending_balance": total if is_paid else 0,
        "number": f"{customer['invoice_prefix']}-{number:04}",
        "status": "paid" if is_paid else "open",
        "attempted": is_paid,
        "status_transitions": {
            **invoice["status_transitions"],
            "finalized_at": ask.now,
            "paid_at": ask.now if is_paid else None,
        },
    }
    balance = customer["balance"] + (total if is_paid else 0)
    ask.put({**customer, "next_invoice_sequence": number + 1, "balance": balance})
    return shown(ask, ask.put(finalized), items)


def void(ask: Ask) -> Json:
    invoice = ask.find("invoice", ask.ids[0])
    if invoice["status"] not in ("open", "uncollectible"):
        raise _wrong_status("void", "open or uncollectible", invoice)
    transitions = {**invoice["status_transitions"], "voided_at": ask.now}
    return shown(ask, ask.put({**invoice, "auto_advance": False, "status": "void", "status_transitions": transitions}))


def delete(ask: Ask) -> Json:
    """Items made on the draft go with it; those that had been pending wait again."""
    invoice = ask.find("invoice", ask.ids[0])
    if invoice["status"] != "draft":
        raise _wrong_status("delete", "draft", invoice)
    for item in ask.store.all(ask.is_live, "invoiceitem", invoice=invoice["id"]):
        if item.get("_was_pending"):
            ask.put({**item, "invoice": None})
        else:
            ask.change.drop(ask.is_live, "invoiceitem", item["id"])
    ask.change.drop(ask.is_live, "invoice", invoice["id"])
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


def _wrong_status(verb: str, status: str, invoice: Json) -> ApiError:
    return invalid(
        f"To {verb} an invoice it must be {status}; {invoice['id']} is {invoice['status']}.",
        code="invoice_not_editable" if verb == "delete" else None,
    )


def list_(ask: Ask) -> Json:
    told = ask.params
    if "customer" in told:
        ask.find("customer", told["customer"], "customer")
    rows = [
        row
        for row in ask.rows("invoice", customer=told.get("customer"))
        if is_within(row["created"], told.get("created"))
        and told.get("status") in (None, row["status"])
        and told.get("collection_method") in (None, row["collection_method"])
    ]
    found = page(rows, told, "/v1/invoices", "invoice")
    return found | {"data": [shown(ask, row) for row in found["data"]]}


def lines(ask: Ask) -> Json:
    invoice = ask.find("invoice", ask.ids[0])
    items = ask.store.all(ask.is_live, "invoiceitem", invoice=invoice["id"])
    return page([line(item) for item in items], ask.params, f"/v1/invoices/{invoice['id']}/lines", "line_item")
