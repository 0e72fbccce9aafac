"""Products and prices: a price's amounts never change, and a lookup key leads to one active price at most."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from assets.practice.ask import Ask
from assets.practice.errors import invalid, missing, not_practised
from assets.practice.lists import is_within, page
from assets.practice.money import check_currency
from assets.practice.shapes import metadata
from assets.practice.store import Json

PRODUCT_CREATES = {"active", "description", "id", "metadata", "name", "statement_descriptor", "unit_label", "url"}
PRODUCT_UPDATES = PRODUCT_CREATES - {"id"}
PRODUCT_LISTS = {"active", "created", "ending_before", "ids", "limit", "starting_after"}
CREATES = {
    *(
        "active",
        "billing_scheme",
        "currency",
        "expand",
        "lookup_key",
        "metadata",
        "nickname",
        "product",
        "product_data",
    ),
    *("recurring", "tax_behavior", "tiers", "tiers_mode", "transfer_lookup_key", "transform_quantity"),
    *("unit_amount", "unit_amount_decimal"),
}
UPDATES = {"active", "expand", "lookup_key", "metadata", "nickname", "tax_behavior", "transfer_lookup_key"}
RETRIEVES = {"expand"}
LISTS = {
    *("active", "created", "currency", "ending_before", "expand", "limit", "lookup_keys", "product", "recurring"),
    *("starting_after", "type"),
}
_MOST_LOOKUP_KEYS = 10


def create_product(ask: Ask) -> Json:
    return ask.put(_product(ask, ask.params))


def _product(ask: Ask, told: Json) -> Json:
    id = told.get("id") or ask.store.new_id("prod", 14)
    if ask.store.get(ask.is_live, "product", id):
        raise invalid(f"There is a product {id} already.", "id", "resource_already_exists")
    return {
        "id": id,
        "object": "product",
        "active": told.get("active", True),
        "created": ask.now,
        "default_price": None,
        "description": told.get("description"),
        "images": [],
        "livemode": ask.is_live,
        "marketing_features": [],
        "metadata": metadata(told.get("metadata", {})),
        "name": told["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": told.get("statement_descriptor"),
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": told.get("unit_label"),
        "updated": ask.now,
        "url": told.get("url"),
    }


def update_product(ask: Ask) -> Json:
    product = ask.find("product", ask.ids[0])
    changed = {name: value if value != "" else None for name, value in ask.params.items()}
    if "metadata" in ask.params:
        changed["metadata"] = metadata(ask.params["metadata"], product["metadata"])
    return ask.put({**product, **changed, "updated": ask.now})


def retrieve_product(ask: Ask) -> Json:
    return ask.find("product", ask.ids[0])


def list_products(ask: Ask) -> Json:
    told = ask.params
    rows = [
        row
        for row in ask.rows("product")
        if told.get("active") in (None, row["active"])
        and is_within(row["created"], told.get("created"))
        and row["id"] in told.get("ids", [row["id"]])
    ]
    return page(rows, told, "/v1/products", "product")


def check(told: dict[str, Any]) -> None:
    """What is wrong whatever the store holds."""
    for wish in told.get("expand", ()):
        if wish not in ("tiers", "data.tiers"):
            raise not_practised(f"expand: {wish}")
    if "currency" in told:
        check_currency(told["currency"])
    if len(told.get("lookup_keys", ())) > _MOST_LOOKUP_KEYS:
        raise invalid(f"You can look up at most {_MOST_LOOKUP_KEYS} keys at a time.", "lookup_keys")
    metadata(told.get("metadata", {}))


def create(ask: Ask) -> Json:
    told = ask.params
    if ("product" in told) == ("product_data" in told):
        raise invalid("Tell one of product and product_data.", "product", "parameter_missing")
    pricing = _tiered(told) if told.get("billing_scheme") == "tiered" else _per_unit(told)
    recurring = _recurring(ask, told["recurring"]) if "recurring" in told else None
    if "product" in told:
        product = ask.find("product", told["product"], "product")
    else:
        product = ask.put(_product(ask, told["product_data"]))
    id = ask.store.new_id("price")
    _take_lookup_key(ask, id)
    price = {
        "id": id,
        "object": "price",
        "active": told.get("active", True),
        "created": ask.now,
        "currency": told["currency"],
        "custom_unit_amount": None,
        "livemode": ask.is_live,
        "lookup_key": told.get("lookup_key"),
        "metadata": metadata(told.get("metadata", {})),
        "nickname": told.get("nickname"),
        "product": product["id"],
        "recurring": recurring,
        "tax_behavior": told.get("tax_behavior", "unspecified"),
        "type": "recurring" if recurring else "one_time",
        **pricing,
    }
    return _shown(ask.put(price), told.get("expand", ()))


def _per_unit(told: Json) -> Json:
    if "tiers" in told or "tiers_mode" in told:
        raise invalid("tiers and tiers_mode go with billing_scheme tiered.", "tiers")
    if "unit_amount" not in told and "unit_amount_decimal" not in told:
        raise missing("unit_amount")
    whole, exact = _amount(told, "unit_amount", "")
    return {
        "billing_scheme": "per_unit",
        "_tiers": None,
        "tiers_mode": None,
        "transform_quantity": told.get("transform_quantity"),
        "unit_amount": whole,
        "unit_amount_decimal": exact,
    }


def _tiered(told: Json) -> Json:
    for name in ("tiers", "tiers_mode"):
        if name not in told:
            raise missing(name)
    for name in ("unit_amount", "unit_amount_decimal", "transform_quantity"):
        if name in told:
            raise invalid(f"{name} does not go with billing_scheme tiered.", name)
    ends = [tier["up_to"] for tier in told["tiers"]]
    if ends[-1:] != ["inf"] or "inf" in ends[:-1]:
        raise invalid("The last tier, and no other, has up_to inf.", "tiers")
    if ends[:-1] != sorted(set(ends[:-1])) or min(ends[:-1], default=1) < 1:
        raise invalid("The tiers' up_to must rise.", "tiers")
    tiers = []
    for n, tier in enumerate(told["tiers"]):
        unit, unit_exact = _amount(tier, "unit_amount", f"tiers[{n}]")
        flat, flat_exact = _amount(tier, "flat_amount", f"tiers[{n}]")
        if unit_exact is None and flat_exact is None:
            raise invalid(f"Tier {n} has neither a unit_amount nor a flat_amount.", f"tiers[{n}]")
        amounts = {"flat_amount": flat, "flat_amount_decimal": flat_exact}
        amounts |= {"unit_amount": unit, "unit_amount_decimal": unit_exact}
        tiers.append({**amounts, "up_to": None if tier["up_to"] == "inf" else tier["up_to"]})
    return {
        "billing_scheme": "tiered",
        "_tiers": tiers,
        "tiers_mode": told["tiers_mode"],
        "transform_quantity": None,
        "unit_amount": None,
        "unit_amount_decimal": None,
    }


def _amount(told: Json, name: str, within: str) -> tuple[int | None, str | None]:
    """An amount in whole minor units, where it is whole, and as a decimal."""
    param = f"{within}[{name}]" if within else name
    if name in told and f"{name}_decimal" in told:
        raise invalid(f"Tell one of {name} and {name}_decimal.", param)
    exact: Decimal | None = Decimal(told[name]) if name in told else told.get(f"{name}_decimal")
    if exact is None:
        return None, None
    if exact < 0:
        raise invalid(f"{name} can't be negative.", param)
    text = f"{exact:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return (int(exact) if "." not in text else None), text


def _recurring(ask: Ask, told: Json) -> Json:
    usage = told.get("usage_type", "metered" if "meter" in told else "licensed")
    if (usage == "metered") != ("meter" in told):
        raise invalid("A metered price has a meter, and only a metered one.", "recurring[meter]")
    if "meter" in told and ask.find("billing.meter", told["meter"], "recurring[meter]")["status"] != "active":
        raise invalid(f"The meter {told['meter']} is inactive.", "recurring[meter]")
    return {
        "interval": told["interval"],
        "interval_count": told.get("interval_count", 1),
        "meter": told.get("meter"),
        "trial_period_days": told.get("trial_period_days"),
        "usage_type": usage,
    }


def _take_lookup_key(ask: Ask, id: str) -> None:
    """From the price that has it, if the caller says so."""
    told = ask.params.get("lookup_key")
    for row in ask.rows("price") if told else ():
        if row["lookup_key"] != told or row["id"] == id or not row["active"]:
            continue
        if not ask.params.get("transfer_lookup_key"):
            raise invalid(f"The price {row['id']} has this lookup key already.", "lookup_key")
        ask.put({**row, "lookup_key": None})


def _shown(price: Json, expand: Any) -> Json:
    return {**price, "tiers": price["_tiers"]} if {"tiers", "data.tiers"} & set(expand) else price


def retrieve(ask: Ask) -> Json:
    return _shown(ask.find("price", ask.ids[0]), ask.params.get("expand", ()))


def update(ask: Ask) -> Json:
    price = ask.find("price", ask.ids[0])
    expand = ask.params.get("expand", ())
    changed = {name: value for name, value in ask.params.items() if name not in ("expand", "transfer_lookup_key")}
    if "metadata" in changed:
        changed["metadata"] = metadata(changed["metadata"], price["metadata"])
    if changed.get("active") and not price["active"] and "lookup_key" not in changed and price["lookup_key"]:
        ask.params["lookup_key"] = price["lookup_key"]  # active again: its key must still be free
    _take_lookup_key(ask, price["id"])
    return _shown(ask.put({**price, **changed}), expand)


def list_(ask: Ask) -> Json:
    told = ask.params
    recurring = told.get("recurring", {})
    rows = [
        row
        for row in ask.rows("price")
        if all(told.get(name) in (None, row[name]) for name in ("active", "currency", "product", "type"))
        and is_within(row["created"], told.get("created"))
        and row["lookup_key"] in told.get("lookup_keys", [row["lookup_key"]])
        and all((row["recurring"] or {}).get(name) == value for name, value in recurring.items())
    ]
    found = page(rows, told, "/v1/prices", "price")
    return found | {"data": [_shown(row, told.get("expand", ())) for row in found["data"]]}
