"""The catalogue at Stripe: meters, products and prices that are missing there are made; none that is there is edited.

Everything is looked up first, so a second run finds nothing to do, and whatever contradicts plans.yaml is refused
before anything is made. All three kinds have names of ours that Stripe lets nobody use twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from assets.core.catalogue.models import Catalogue, Meter
from assets.core.offer import Offer, Price, Unsaid, meter_params, offer, price_params, product_params, terms_of
from assets.core.payload import canonical, digest, idempotency_key
from assets.core.refusal import Refusal
from assets.push.client import Answer, Client

Kind: TypeAlias = Literal["meter", "product", "price"]
Object: TypeAlias = dict[str, Any]

_MOST_LOOKUP_KEYS, _MOST_IDS = 10, 100
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """Something to make. The parameters of a price name the id that its meter has by then."""

    kind: Kind
    name: str
    shown: str
    what: str
    params: Object | Price

    def whole(self, meter_ids: Mapping[str, str]) -> Object:
        if isinstance(self.params, Price):
            return price_params(self.params, meter_ids[self.params.meter])
        return self.params


@dataclass
class Sync:
    """What is to be done, and what need not or can't be."""

    steps: list[Step]
    in_place: int
    unsaid: list[Unsaid]
    meter_ids: dict[str, str] = field(default_factory=dict)  # by event name


def look(client: Client, catalogue: Catalogue) -> Sync:
    """Compare the catalogue with what is at Stripe; Refusal where they contradict each other."""
    wanted = offer(catalogue)
    if not wanted.meters:
        raise Refusal(
            "catalog/plans.yaml charges no meter that Stripe could count, so there is nothing to publish; "
            "add a plan with a charge on a sum, count or cost meter."
        )
    meters, products, prices = _found(client, wanted)
    problems = [
        *_wrong_meters(wanted.meters, meters),
        *_wrong_products(wanted.prices, products),
        *_wrong_prices(wanted.prices, prices, {it["id"]: name for name, it in meters.items()}),
    ]
    if problems:
        raise Refusal(problems)
    steps = [
        *_missing_meters(wanted.meters, meters),
        *_missing_products(wanted.prices, catalogue, products),
        *(_price_step(it) for it in wanted.prices if it.lookup_key not in prices),
    ]
    everything = len(wanted.meters) + len({it.product_id for it in wanted.prices}) + len(wanted.prices)
    ids = {name: it["id"] for name, it in meters.items()}
    return Sync(steps, everything - len(steps), wanted.unsaid, ids)


def apply(client: Client, sync: Sync, told: Callable[[Step, str], None]) -> None:
    """Make what is missing, one after the other; a run that is broken off is finished by the next."""
    ids = dict(sync.meter_ids)
    for step in sync.steps:
        answer = _make(client, step, step.whole(ids))
        if not answer.is_done:
            raise Refusal(
                f"Stripe did not make {step.kind} {step.name}: {answer.why}; mend that and run "
                "`tallyhouse catalog sync --apply` again, which makes what is still missing."
            )
        if step.kind == "meter":
            ids[step.name] = answer.body["id"]
        told(step, answer.body["id"])


def _make(client: Client, step: Step, params: Object) -> Answer:
    """Under a key of its own for every content. An error that a key only replays is asked again under the next: it was
    looked for before, and the names can't be used twice."""
    name = f"catalogue|{step.kind}|{step.name}|{digest(canonical(params))}"
    attempt = 1
    while True:
        answer = client.insist(step.what, params, key=idempotency_key(name, attempt))
        if answer.is_done or not answer.is_replayed or attempt == _ATTEMPTS:
            return answer
        attempt += 1


# --- what is there -------------------------------------------------------------------------------------------------


def _found(client: Client, wanted: Offer) -> tuple[dict[str, Object], dict[str, Object], dict[str, Object]]:
    """Meters by event name, products by id, prices by lookup key."""
    meters: dict[str, Object] = {}
    for row in _listed(client, "billing.meters.list", {}):
        known = meters.get(row["event_name"])
        if known is None or known["status"] != "active":  # an active one counts, whatever came before it
            meters[row["event_name"]] = row
    products: dict[str, Object] = {}
    for ids in _chunks(sorted({it.product_id for it in wanted.prices}), _MOST_IDS):
        products |= {row["id"]: row for row in _listed(client, "products.list", {"ids": ids})}
    prices: dict[str, Object] = {}
    for keys in _chunks([it.lookup_key for it in wanted.prices], _MOST_LOOKUP_KEYS):
        for row in _listed(client, "prices.list", {"lookup_keys": keys, "expand": ["data.tiers"]}):
            if row["lookup_key"] not in prices or row["active"]:
                prices[row["lookup_key"]] = row
    return meters, products, prices


def _chunks(names: list[str], most: int) -> Iterator[list[str]]:
    return (names[start : start + most] for start in range(0, len(names), most))


def _listed(client: Client, what: str, params: Object) -> list[Object]:
    answer = client.listed(what, params)
    if not answer.is_done:
        raise Refusal(f"Stripe could not be looked through ({what}): {answer.why}; nothing was changed, run it again.")
    rows: list[Object] = answer.body["data"]
    return rows


# --- what contradicts ----------------------------------------------------------------------------------------------


def _wrong_meters(wanted: Sequence[Meter], found: dict[str, Object]) -> Iterator[str]:
    for meter in wanted:
        there = found.get(meter.name)
        if there is None:
            continue
        params = meter_params(meter)
        place, advice = f"meter {meter.name}: at Stripe ({there['id']})", "give the meter of meters.yaml another name"
        if there["status"] != "active":
            yield f"{place} it is inactive; reactivate it there, or {advice}."
        elif there.get("event_time_window"):
            window = there["event_time_window"]
            yield f"{place} events overwrite those before them of the same {window}, and late usage is lost; {advice}."
        else:
            for name in ("default_aggregation", "customer_mapping", "value_settings"):
                if any(there[name].get(key) != value for key, value in params[name].items()):
                    yield f"{place} its {name} is {_plain(there[name])}, and must be {_plain(params[name])}; {advice}."


def _wrong_products(wanted: Sequence[Price], found: dict[str, Object]) -> Iterator[str]:
    for id, name in sorted({it.product_id: f"{it.plan}: {it.meter}" for it in wanted}.items()):
        if id in found and not found[id].get("active", True):
            yield f"product {name}: at Stripe ({id}) it is archived; unarchive it there."


def _wrong_prices(wanted: Sequence[Price], found: dict[str, Object], meters: dict[str, str]) -> Iterator[str]:
    for price in wanted:
        there = found.get(price.lookup_key)
        if there is None:
            continue
        if not there["active"]:
            yield (
                f"price {price.lookup_key}: at Stripe ({there['id']}) it is archived; unarchive it there, or add a "
                "version of the plan with a later `from`."
            )
            continue
        ours, theirs = _compared(price), _compared_there(there, meters)
        if odd := [key for key in ours if ours[key] != theirs.get(key)]:
            was = ", ".join(f"{key} {_plain(theirs.get(key))}" for key in odd)
            now = ", ".join(f"{key} {_plain(ours[key])}" for key in odd)
            yield (
                f"price {price.lookup_key}: at Stripe ({there['id']}) it has {was}, and plans.yaml says {now}; a price "
                "is never edited: put the version back, and add another with a later `from`."
            )


def _compared(price: Price) -> Object:
    recurring = {"interval": price.interval, "interval_count": 1, "usage_type": "metered", "meter": price.meter}
    return {"currency": price.currency, "product": price.product_id, "recurring": recurring, **_whole(price.terms)}


def _compared_there(there: Object, meters: dict[str, str]) -> Object:
    told = there.get("recurring") or {}
    recurring = {key: told.get(key) for key in ("interval", "interval_count", "usage_type")}
    recurring["meter"] = meters.get(told.get("meter") or "", told.get("meter"))
    return {
        "currency": there["currency"],
        "product": there["product"],
        "recurring": recurring,
        **_whole(terms_of(there)),
    }


def _whole(terms: Object) -> Object:
    """With what is not said, so that more at Stripe is a difference too."""
    return {"unit_amount_decimal": None, "tiers_mode": None, "tiers": None, "transform_quantity": None, **terms}


def _plain(value: object) -> str:
    """As JSON writes it, but text by itself without quotes."""
    return str(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)


# --- what is missing -----------------------------------------------------------------------------------------------


def _missing_meters(wanted: Iterable[Meter], found: dict[str, Object]) -> Iterator[Step]:
    for meter in wanted:
        if meter.name not in found:
            yield Step("meter", meter.name, "adds its events up", "billing.meters.create", meter_params(meter))


def _missing_products(wanted: Iterable[Price], catalogue: Catalogue, found: dict[str, Object]) -> Iterator[Step]:
    made = set(found)
    for price in wanted:
        if price.product_id not in made:
            made.add(price.product_id)
            params = product_params(price, catalogue.meters[price.meter])
            yield Step("product", price.product_id, params["name"], "products.create", params)


def _price_step(price: Price) -> Step:
    shown = _plain({key: value for key, value in price.terms.items() if key != "billing_scheme"})
    return Step("price", price.lookup_key, shown, "prices.create", price)
