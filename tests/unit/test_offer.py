"""What is sold, said as Stripe says it: exactly, or listed with the reason why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assets.core.catalogue.loading import load
from assets.core.catalogue.models import Charge, Meter, Tier
from assets.core.offer import (
    Inexpressible,
    Offer,
    Price,
    _terms,
    meter_params,
    offer,
    price_params,
    product_params,
    terms_of,
)
from tests.golden.case import catalogue_files

UNITS = Meter("units", "sum", Decimal(1024), "GB")
CALLS = Meter("calls", "count")
MONEY = Meter("money", "cost")
TIERS = (Tier(Decimal(10), Decimal("0.5"), Decimal(0)), Tier(None, Decimal("0.25"), Decimal(3)))


def charge(**told: Any) -> Charge:
    numbers = ("price", "size", "free_units", "rate", "fixed", "max_amount")
    values: Any = {key: Decimal(value) if key in numbers else value for key, value in told.items()}
    return Charge("m", **values)


def tier(up_to: int | str, unit: str, flat: str | None = None) -> dict[str, Any]:
    return {"up_to": up_to, "unit_amount_decimal": unit, **({"flat_amount_decimal": flat} if flat else {})}


SAID: list[tuple[Charge, Meter, str, dict[str, Any]]] = [
    (
        charge(model="per_unit", price="0.000016"),
        UNITS,
        "USD",
        {"billing_scheme": "per_unit", "unit_amount_decimal": "0.0016"},
    ),
    (
        charge(model="per_unit", price="0.00000000000001"),
        UNITS,
        "USD",
        {"billing_scheme": "per_unit", "unit_amount_decimal": "0.000000000001"},
    ),
    (charge(model="per_unit", price="380"), CALLS, "JPY", {"billing_scheme": "per_unit", "unit_amount_decimal": "380"}),
    (charge(model="per_unit", price="3"), CALLS, "ISK", {"billing_scheme": "per_unit", "unit_amount_decimal": "300"}),
    (
        charge(model="per_unit", price="0.1", free_units="500"),
        CALLS,
        "USD",
        {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": [tier(500, "0"), tier("inf", "10")]},
    ),
    # money is sent in cents already: a cent of it is a cent, and a share is a share
    (charge(model=None), MONEY, "USD", {"billing_scheme": "per_unit", "unit_amount_decimal": "1"}),
    (
        charge(model="percentage", rate="0.019"),
        MONEY,
        "BHD",
        {"billing_scheme": "per_unit", "unit_amount_decimal": "0.019"},
    ),
    (
        charge(model="percentage", rate="0.019", free_units="10.50"),
        MONEY,
        "USD",
        {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": [tier(1050, "0"), tier("inf", "0.019")]},
    ),
    (
        charge(model="graduated", tiers=TIERS),
        CALLS,
        "USD",
        {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": [tier(10, "50"), tier("inf", "25", "300")]},
    ),
    (
        charge(model="graduated", tiers=TIERS, free_units="5"),
        CALLS,
        "USD",
        {
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [tier(5, "0"), tier(15, "50"), tier("inf", "25", "300")],
        },
    ),
    (
        charge(model="volume", tiers=TIERS),
        CALLS,
        "USD",
        {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": [tier(10, "50"), tier("inf", "25", "300")]},
    ),
    (
        charge(model="package", size="10", price="1.5"),
        UNITS,
        "USD",
        {
            "billing_scheme": "per_unit",
            "unit_amount_decimal": "150",
            "transform_quantity": {"divide_by": 10, "round": "up"},
        },
    ),
    (
        charge(model="package", size="2.5", price="1"),
        MONEY,
        "EUR",
        {
            "billing_scheme": "per_unit",
            "unit_amount_decimal": "100",
            "transform_quantity": {"divide_by": 250, "round": "up"},
        },
    ),
]


@pytest.mark.parametrize(("it", "meter", "currency", "terms"), SAID)
def test_a_charge_is_said_exactly(it: Charge, meter: Meter, currency: str, terms: dict[str, Any]) -> None:
    assert _terms(it, meter, currency) == terms


def test_a_price_at_stripe_reads_as_ours() -> None:
    """As Stripe gives them back: null for no end, whole amounts and decimals side by side, zeros at the end."""
    found: Any = {
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers": [
            {"up_to": 10, "unit_amount": 50, "unit_amount_decimal": "50", "flat_amount": None},
            {
                "up_to": None,
                "unit_amount": None,
                "unit_amount_decimal": Decimal("25.000"),
                "flat_amount": 300,
                "flat_amount_decimal": "300",
            },
        ],
        "transform_quantity": None,
    }
    assert terms_of(found) == _terms(charge(model="graduated", tiers=TIERS), CALLS, "USD")
    found = {
        "billing_scheme": "per_unit",
        "unit_amount": 150,
        "transform_quantity": {"divide_by": 10, "round": "up"},
    }
    assert terms_of(found) == _terms(charge(model="package", size="10", price="1.5"), UNITS, "USD")


FLAT = (Tier(None, Decimal(1), Decimal(5)),)
UNSAID: list[tuple[Charge, Meter, str, str]] = [
    (charge(model="per_unit", price="1", is_pooled=True), UNITS, "USD", "it is pooled"),
    (charge(model="per_unit", price="1"), Meter("m", "max"), "USD", "max of an hour"),
    (charge(model="per_unit", price="0.000000000000001"), UNITS, "USD", "more than 12 decimals of a minor unit"),
    (charge(model="per_unit", price="1", free_units="0.5"), UNITS, "USD", "free_units 0.5 is no whole number"),
    (charge(model="percentage", rate="0.1", fixed="0.05"), UNITS, "USD", "a fee, a least or a most"),
    (charge(model="percentage", rate="0.1", max_amount="5"), UNITS, "USD", "a fee, a least or a most"),
    (charge(model="package", size="10", price="1", free_units="5"), UNITS, "USD", "no packages that begin after"),
    (charge(model="package", size="0.5", price="1"), UNITS, "USD", "size 0.5 is no whole number"),
    (charge(model="volume", tiers=TIERS, free_units="5"), UNITS, "USD", "leaves free units out"),
    (charge(model="graduated", tiers=FLAT), UNITS, "USD", "without any usage"),
    (
        charge(model="graduated", tiers=(TIERS[0], replace(TIERS[1], flat=Decimal("0.005")))),
        UNITS,
        "USD",
        "a flat amount has a part of a minor unit (0.5)",
    ),
]


@pytest.mark.parametrize(("it", "meter", "currency", "because"), UNSAID)
def test_what_stripe_would_reckon_otherwise_is_not_said(it: Charge, meter: Meter, currency: str, because: str) -> None:
    with pytest.raises(Inexpressible) as reason:
        _terms(it, meter, currency)
    assert because in str(reason.value)


def offered(root: Path, **told: Any) -> Offer:
    for name, content in catalogue_files(told).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return offer(load(root))


def test_every_version_currency_and_interval_has_a_price(tmp_path: Path) -> None:
    version: Any = {"charges": [{"meter": "calls", "model": "per_unit", "price": "0.0000000000001"}]}
    found = offered(
        tmp_path,
        plans={
            "any": {
                "versions": [{"from": "2026-01-01T00:00:00Z", **version}, {"from": "2026-07-01T00:00:00Z", **version}]
            },
            "unsold": {"currency": "EUR", "versions": [{"from": "2026-01-01T00:00:00Z", **version}]},
        },
        accounts="a1,organization,A,JPY,UTC,cus_1\na2,organization,B,USD,UTC,cus_2",
        subscriptions="s1,a1,any,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,\n"
        "s2,a2,any,1,year,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,",
    )
    assert [it.name for it in found.meters] == ["calls"]
    assert [it.lookup_key for it in found.prices] == [
        f"tallyhouse:any:{start}:calls:usd:{interval}"
        for start in ("2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z")
        for interval in ("month", "year")
    ] + ["tallyhouse:unsold:2026-01-01T00:00:00Z:calls:eur:month"]
    # as whole yen the price has a digit too many
    assert [(it.plan, it.currencies) for it in found.unsaid] == [("any", ("JPY",))] * 2
    assert len({it.product_id for it in found.prices}) == 2


def test_names_that_read_alike_are_other_products(tmp_path: Path) -> None:
    version = {"from": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}
    plans = {
        plan: {"versions": [{**version, "charges": [{"meter": meter, "model": "per_unit", "price": "1"}]}]}
        for plan, meter in (("a-b", "c"), ("a", "b-c"))
    }
    found = offered(
        tmp_path, plans=plans, meters={"c": {"aggregate": "sum"}, "b-c": {"aggregate": "sum"}}, subscriptions=""
    )
    one, other = (it.product_id for it in found.prices)
    assert one != other
    assert one.startswith("tallyhouse_a-b-c_")
    assert other.startswith("tallyhouse_a-b-c_")


def test_the_calls_are_whole() -> None:
    named: Any = {
        "plan": "pro",
        "version_from": "2026-01-01T00:00:00Z",
        "meter": "units",
        "currency": "usd",
        "interval": "month",
    }
    price = Price(**named, terms=_terms(charge(model="per_unit", price="1"), UNITS, "USD"))
    # A count arrives as totals of hours, so it is a sum there too.
    assert meter_params(CALLS)["default_aggregation"] == {"formula": "sum"}
    assert "event_time_window" not in meter_params(CALLS)  # or late events would overwrite earlier ones
    assert product_params(price, UNITS)["unit_label"] == "GB"
    assert "unit_label" not in product_params(price, replace(UNITS, unit="terabyte-months"))
    assert price_params(price, "mtr_1") == {
        "lookup_key": "tallyhouse:pro:2026-01-01T00:00:00Z:units:usd:month",
        "nickname": "pro from 2026-01-01T00:00:00Z: units",
        "product": price.product_id,
        "currency": "usd",
        "recurring": {"interval": "month", "usage_type": "metered", "meter": "mtr_1"},
        "billing_scheme": "per_unit",
        "unit_amount_decimal": "100",
    }
