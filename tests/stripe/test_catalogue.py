"""The catalogue at Stripe: made once, compared ever after, never edited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assets import progress
from assets.practice import Fault, PracticeStripe
from orchestration.cli import app
from tests.golden.case import catalogue_files

TIERS = [{"up_to": "10", "unit": "0.5"}, {"unit": "0.25", "flat": "3"}]
CHARGES: list[dict[str, Any]] = [
    {"meter": "money", "pooled": "true"},
    {"meter": "units", "model": "per_unit", "price": "0.000016"},
    {"meter": "calls", "model": "graduated", "tiers": TIERS, "free_units": "5"},
    {"meter": "people", "model": "per_unit", "price": "4"},
    {"meter": "sold", "model": "package", "size": "10", "price": "1"},
]
WORKSPACE: dict[str, Any] = {
    "workspace": {"stripe": {"key": "test", "rate": 1000}},
    "plan": {"charges": CHARGES},
    "meters": {"sold": {"aggregate": "sum", "divide_by": "1000", "unit": "k"}},
}


@pytest.fixture(autouse=True)
def _a_key(practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_x")
    monkeypatch.setenv("TALLYHOUSE_STRIPE_API_BASE", practice.url)
    monkeypatch.setattr(progress, "_listeners", [])


def write(root: Path, **changes: Any) -> Path:
    told = {key: value for key, value in {**WORKSPACE, **changes}.items() if key != "plan" or "plans" not in changes}
    for name, content in catalogue_files(told).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def sync(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["catalog", "sync", "--workspace", str(root), *words])


def said(result: Result, event: str) -> list[dict[str, Any]]:
    return [it for it in map(json.loads, result.stdout.splitlines()) if it["event"] == event]


def posts(practice: PracticeStripe) -> list[str]:
    return [call.path for call in practice.calls if call.method == "POST"]


def kept(practice: PracticeStripe, kind: str) -> list[dict[str, Any]]:
    return practice.state()["test"].get(kind, [])


def test_dry_first_then_made_once(practice: PracticeStripe, tmp_path: Path) -> None:
    root = write(tmp_path)
    dry = sync(root)
    assert dry.exit_code == 0
    assert posts(practice) == []
    assert "would make: price tallyhouse:pro:2020-01-01T00:00:00Z:units:usd:month: " in dry.stdout
    assert "10 to make, 0 in place already; --apply makes them" in dry.stdout
    applied = sync(root, "--apply", "--json")
    assert applied.exit_code == 0, applied.output
    assert [it["kind"] for it in said(applied, "made")] == ["meter"] * 4 + ["product"] * 3 + ["price"] * 3
    reasons = {it["meter"]: it["message"] for it in said(applied, "not expressible")}
    assert "it is pooled" in reasons["money"]
    assert "unique_count of an hour" in reasons["people"]
    prices = {it["lookup_key"].split(":")[-3]: it for it in kept(practice, "price")}
    meters = {it["event_name"]: it for it in kept(practice, "billing.meter")}
    assert {it["default_aggregation"]["formula"] for it in meters.values()} == {"sum"}
    assert prices["units"]["unit_amount_decimal"] == "0.0016"
    assert prices["units"]["recurring"]["meter"] == meters["units"]["id"]
    assert prices["sold"]["transform_quantity"] == {"divide_by": 10, "round": "up"}
    before = len(posts(practice))
    again = sync(root, "--apply")
    assert again.exit_code == 0
    assert "0 made, 10 in place already" in again.stdout
    assert len(posts(practice)) == before


def test_a_price_in_use_is_never_edited(practice: PracticeStripe, tmp_path: Path) -> None:
    root = write(tmp_path)
    assert sync(root, "--apply").exit_code == 0
    before = len(posts(practice))
    changed = [{**it, **({"price": "0.000017"} if it["meter"] == "units" else {})} for it in CHARGES]
    changed[2] = {**changed[2], "free_units": "6"}
    refused = sync(write(tmp_path, plan={"charges": changed}), "--apply")
    assert refused.exit_code == 1
    assert refused.stderr.count("a price is never edited: put the version back, and add another") == 2
    assert "it has unit_amount_decimal 0.0016, and plans.yaml says unit_amount_decimal 0.0017" in refused.stderr
    assert len(posts(practice)) == before
    # as a further version it is a further price
    versions = [
        {"from": "2020-01-01T00:00:00Z", "charges": CHARGES},
        {"from": "2026-07-01T00:00:00Z", "charges": changed},
    ]
    added = sync(write(tmp_path, plans={"pro": {"versions": versions}}), "--apply", "--json")
    assert [it["name"].split(":")[2:6] for it in said(added, "made")] == [
        ["2026-07-01T00", "00", "00Z", name] for name in ("units", "calls", "sold")
    ]


def test_what_stands_there_otherwise_is_named(practice: PracticeStripe, tmp_path: Path) -> None:
    root = write(tmp_path)
    assert sync(root, "--apply").exit_code == 0
    from tests.stripe.client import client_of

    client = client_of(practice)
    price = kept(practice, "price")[0]
    client.v1.prices.update(price["id"], {"active": False})
    meter = next(it for it in kept(practice, "billing.meter") if it["event_name"] == "sold")
    client.v1.billing.meters.deactivate(meter["id"])
    client.v1.billing.meters.create(
        {
            "event_name": "sold",
            "display_name": "sold",
            "default_aggregation": {"formula": "count"},
            "event_time_window": "hour",
        }
    )
    refused = sync(root)
    assert refused.exit_code == 1
    assert f"({price['id']}) it is archived" in refused.stderr
    assert "events overwrite those before them of the same hour" in refused.stderr


def test_broken_off_it_is_finished_by_the_next(practice: PracticeStripe, tmp_path: Path) -> None:
    root = write(tmp_path)
    practice.faults.add(Fault("drop", path="/v1/prices", after=1, times=4))
    practice.faults.add(Fault("refuse", path="/v1/prices", code="odd", after=1, times=1, message="No."))
    broken = sync(root, "--apply")
    assert broken.exit_code == 1
    assert "Stripe did not make price" in broken.stderr
    practice.faults.clear()
    assert sync(root, "--apply").exit_code == 0
    assert [len(kept(practice, kind)) for kind in ("billing.meter", "product", "price")] == [4, 3, 3]


def test_an_empty_catalogue_is_refused(practice: PracticeStripe, tmp_path: Path) -> None:
    refused = sync(write(tmp_path, plan={"charges": [{"meter": "peak", "model": "per_unit", "price": "1"}]}))
    assert refused.exit_code == 1
    assert refused.stderr.startswith("refused: catalog/plans.yaml charges no meter that Stripe could count")
    assert practice.calls == []


def test_a_key_of_the_other_mode_asks_nothing(
    practice: PracticeStripe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_x")
    refused = sync(write(tmp_path), "--apply")
    assert refused.exit_code == 1
    assert "STRIPE_API_KEY holds a live key, and catalog/workspace.yaml asks for a test key" in refused.stderr
    assert practice.calls == []
