"""What is sold, said as Stripe says it: a meter, a product and a price for each charge that Stripe can reckon.

Stripe counts whole units: what an hour of usage is sent as (a quantity after divide_by, a cost in minor units). A price
is said exactly or not at all; a charge that Stripe would reckon otherwise than this side is listed with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from assets.core.catalogue.models import SUMMABLE, Catalogue, Charge, Meter, Plan, PlanVersion
from assets.core.instants import format_instant
from assets.core.numbers import minor_step
from assets.core.page import plain
from assets.core.payload import digest

PLACES = 12  # decimals of a minor unit that Stripe takes
_LONGEST_KEY, _LONGEST_UNIT, _LONGEST_NAME = 200, 12, 250
_UNFIT = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Price:
    """A charge of a plan's version in one currency, for subscriptions of one interval."""

    plan: str
    version_from: str
    meter: str
    currency: str
    interval: str
    terms: dict[str, Any]  # how Stripe reckons: what a price in use must agree with

    @property
    def lookup_key(self) -> str:
        return f"tallyhouse:{self.plan}:{self.version_from}:{self.meter}:{self.currency}:{self.interval}"

    @property
    def product_id(self) -> str:
        """Stripe lets us choose it; a digest keeps apart what the readable part does not."""
        readable = _UNFIT.sub("-", f"{self.plan}-{self.meter}").strip("-")[:60]
        return f"tallyhouse_{readable}_{digest(self.plan, self.meter)[:12]}"


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A charge that has no price at Stripe, and why."""

    plan: str
    version_from: str
    meter: str
    currencies: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Offer:
    meters: list[Meter]
    prices: list[Price]
    unsaid: list[Unsaid]


class Inexpressible(Exception):
    """Why a charge can't be said to Stripe, in half a sentence."""


def offer(catalogue: Catalogue) -> Offer:
    """Everything in plans.yaml, every version of it."""
    meters: dict[str, Meter] = {}
    prices: list[Price] = []
    unsaid: list[Unsaid] = []
    for plan, version, charge in _charges(catalogue):
        meter, version_from = catalogue.meters[charge.meter], format_instant(version.version_from)
        if meter.aggregate in SUMMABLE:
            meters[meter.name] = meter
        reasons: dict[str, list[str]] = {}
        for currency in sorted(_currencies(catalogue, plan)):
            try:
                terms = _terms(charge, meter, currency)
                prices += [
                    _named(Price(plan.name, version_from, meter.name, currency.lower(), interval, terms))
                    for interval in sorted(_intervals(catalogue, plan))
                ]
            except Inexpressible as reason:
                reasons.setdefault(str(reason), []).append(currency)
        unsaid += [
            Unsaid(plan.name, version_from, meter.name, tuple(currencies), because)
            for because, currencies in reasons.items()
        ]
    return Offer(sorted(meters.values(), key=lambda it: it.name), prices, unsaid)


def _named(price: Price) -> Price:
    if len(price.lookup_key) > _LONGEST_KEY:
        raise Inexpressible(f"its lookup key would be longer than {_LONGEST_KEY} characters; shorten the names")
    return price


def _charges(catalogue: Catalogue) -> Iterator[tuple[Plan, PlanVersion, Charge]]:
    for plan in catalogue.plans.values():
        for version in plan.versions:
            for charge in version.charges:
                yield plan, version, charge


def _currencies(catalogue: Catalogue, plan: Plan) -> set[str]:
    """The plan's own, or those of the accounts that may hold it, and the workspace's."""
    if plan.currency is not None:
        return {plan.currency}
    if plan.name == catalogue.settings.default_plan:
        holders = {it.account_id for it in catalogue.accounts}
    else:
        holders = {it.account_id for it in catalogue.terms if it.plan == plan.name}
    return {catalogue.settings.currency, *(it.currency for it in catalogue.accounts if it.account_id in holders)}


def _intervals(catalogue: Catalogue, plan: Plan) -> set[str]:
    """Those of its subscriptions; of a plan without any, and on the default plan, months."""
    intervals: set[str] = {it.interval for it in catalogue.terms if it.plan == plan.name}
    return intervals | {"month"} if plan.name == catalogue.settings.default_plan or not intervals else intervals


def _terms(charge: Charge, meter: Meter, currency: str) -> dict[str, Any]:
    """The price as parameters of Stripe's, or why not."""
    if charge.is_pooled:
        raise Inexpressible(
            "it is pooled: it draws on the daily refresh and on what is included, which Stripe does not know; "
            "what is left of it is the overage, a line of the books"
        )
    if meter.aggregate not in SUMMABLE:
        raise Inexpressible(
            f"{meter.aggregate} of an hour does not add up to a period, so Stripe is sent no events of it"
        )
    scale = _Scale(currency, meter)
    match charge.model:
        case None:
            return _per_unit(scale, Decimal(1), charge.free_units)
        case "per_unit":
            return _per_unit(scale, _given(charge.price), charge.free_units)
        case "percentage":
            if charge.fixed or charge.min_amount is not None or charge.max_amount is not None:
                raise Inexpressible("a fee, a least or a most for each event is lost in the total of an hour")
            return _per_unit(scale, _given(charge.rate), charge.free_units)
        case "package":
            return _package(scale, charge)
        case "graduated" | "volume" as mode:
            return _tiered(scale, charge, mode)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From what plans.yaml counts in to what Stripe does: prices in minor units, quantities in what is sent."""

    currency: str
    meter: Meter

    def price(self, amount: Decimal) -> str:
        """Of one unit that is sent; a cost is sent in minor units already."""
        exponent = 0 if self.meter.aggregate == "cost" else minor_step(self.currency)[0]
        return _minor(amount, exponent, PLACES, "its price")

    def flat(self, amount: Decimal) -> str:
        return _minor(amount, minor_step(self.currency)[0], 0, "a flat amount")

    def package(self, amount: Decimal) -> str:
        return _minor(amount, minor_step(self.currency)[0], PLACES, "its price")

    def units(self, quantity: Decimal, what: str) -> int:
        exponent = minor_step(self.currency)[0] if self.meter.aggregate == "cost" else 0
        whole, parts = _shifted(quantity, exponent).as_integer_ratio()
        if parts != 1:
            raise Inexpressible(f"{what} {plain(quantity)} is no whole number of what Stripe counts")
        return whole


def _minor(amount: Decimal, exponent: int, places: int, what: str) -> str:
    """Money in minor units, to the last digit."""
    text = plain(_shifted(amount, exponent))
    if len(text.partition(".")[2]) > places:
        most = f"more than {places} decimals of a minor unit" if places else "a part of a minor unit"
        raise Inexpressible(f"{what} has {most} ({text}), which Stripe does not take")
    return text


def _shifted(number: Decimal, places: int) -> Decimal:
    """Times 10 ** places; arithmetic would round to the digits of Decimal's context."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "the catalogue's numbers are finite"
    return Decimal((sign, digits, exponent + places))


def _per_unit(scale: _Scale, price: Decimal, free_units: Decimal) -> dict[str, Any]:
    unit = scale.price(price)
    if not free_units:
        return {"billing_scheme": "per_unit", "unit_amount_decimal": unit}
    free = {"up_to": scale.units(free_units, "free_units"), "unit_amount_decimal": "0"}
    return _tiers("graduated", [free, {"up_to": "inf", "unit_amount_decimal": unit}])


def _package(scale: _Scale, charge: Charge) -> dict[str, Any]:
    if charge.free_units:
        raise Inexpressible("Stripe has no packages that begin after free units")
    return {
        "billing_scheme": "per_unit",
        "unit_amount_decimal": scale.package(_given(charge.price)),
        "transform_quantity": {"divide_by": scale.units(_given(charge.size), "size"), "round": "up"},
    }


def _tiered(scale: _Scale, charge: Charge, mode: str) -> dict[str, Any]:
    if mode == "volume" and charge.free_units:
        raise Inexpressible("Stripe has no volume price that leaves free units out")
    free = scale.units(charge.free_units, "free_units")
    if charge.tiers[0].flat and not free:
        raise Inexpressible("the flat amount of its first tier would be due without any usage")
    tiers: list[dict[str, Any]] = [{"up_to": free, "unit_amount_decimal": "0"}] if free else []
    for tier in charge.tiers:
        up_to = "inf" if tier.up_to is None else scale.units(tier.up_to, "up_to") + free
        flat = {"flat_amount_decimal": scale.flat(tier.flat)} if tier.flat else {}
        tiers.append({"up_to": up_to, "unit_amount_decimal": scale.price(tier.unit), **flat})
    return _tiers(mode, tiers)


def _tiers(mode: str, tiers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"billing_scheme": "tiered", "tiers_mode": mode, "tiers": tiers}


def _given(value: Decimal | None) -> Decimal:
    assert value is not None, "the catalogue's checks let no charge through without it"
    return value


# --- as calls ------------------------------------------------------------------------------------------------------


def meter_params(meter: Meter) -> dict[str, Any]:
    """Events are totals of an hour, also of a count: whatever the aggregate, Stripe adds them up."""
    return {
        "event_name": meter.name,
        "display_name": (f"{meter.name} ({meter.unit})" if meter.unit else meter.name)[:_LONGEST_NAME],
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }


def product_params(price: Price, meter: Meter) -> dict[str, Any]:
    unit = meter.unit if meter.unit and len(meter.unit) <= _LONGEST_UNIT else None
    return {
        "id": price.product_id,
        "name": f"{price.plan}: {price.meter}"[:_LONGEST_NAME],
        "metadata": {"tallyhouse_plan": price.plan[:500], "tallyhouse_meter": price.meter[:500]},
        **({"unit_label": unit} if unit else {}),
    }


def price_params(price: Price, meter_id: str) -> dict[str, Any]:
    return {
        "lookup_key": price.lookup_key,
        "nickname": f"{price.plan} from {price.version_from}: {price.meter}"[:_LONGEST_NAME],
        "product": price.product_id,
        "currency": price.currency,
        "recurring": {"interval": price.interval, "usage_type": "metered", "meter": meter_id},
        **price.terms,
    }


def terms_of(found: dict[str, Any]) -> dict[str, Any]:
    """The terms of a price at Stripe, in the same words as ours."""
    terms: dict[str, Any] = {"billing_scheme": found.get("billing_scheme")}
    if found.get("billing_scheme") == "tiered":
        terms |= {"tiers_mode": found.get("tiers_mode"), "tiers": [_tier_of(it) for it in found.get("tiers") or []]}
    else:
        terms["unit_amount_decimal"] = _amount_of(found, "unit_amount")
    if found.get("transform_quantity"):
        terms["transform_quantity"] = {key: found["transform_quantity"][key] for key in ("divide_by", "round")}
    return terms


def _tier_of(found: dict[str, Any]) -> dict[str, Any]:
    up_to, flat = found.get("up_to"), _amount_of(found, "flat_amount")
    return {
        "up_to": "inf" if up_to is None else up_to,
        "unit_amount_decimal": _amount_of(found, "unit_amount"),
        **({"flat_amount_decimal": flat} if flat != "0" else {}),
    }


def _amount_of(found: dict[str, Any], field: str) -> str:
    told = found.get(f"{field}_decimal")
    told = found.get(field) if told is None else told
    return plain(Decimal(str(told or 0)))
