"""Money cannot overflow: the largest amounts are billed to the last digit, and what is beyond is refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assets import limits, warehouse
from assets.core.catalogue import loading
from assets.core.refusal import Refusal
from tests import nights
from tests.golden.case import catalogue_files, raw_files
from tests.pipeline.places import copied, own_process, without_history
from tests.pipeline.test_job import nightly

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

NIGHT = datetime(2026, 6, 1, 1, tzinfo=UTC)
NINES = "9" * 18
MOST = Decimal(limits.MOST_MINOR) / 100  # of USD
PER_UNIT: dict[str, Any] = {"meter": "units", "model": "per_unit"}
DISK: dict[str, Any] = {"meter": "disk", "model": "per_unit", "price": "1"}
LONG = "2026-06-15T00:00:00.000001Z"  # not a whole second: what is included is divided by microseconds


def write(root: Path, usage: str, **more: Any) -> Path:
    entry = {"plan": {"charges": [{"meter": "money"}]}, "usage": usage, **more}
    files = catalogue_files(entry) | {f"raw/{name}": content for name, content in raw_files(entry).items()}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def rows(meter: str, *values: object) -> str:
    return "\n".join(f"e{number} 2026-05-02T00:00:00Z {meter} {value} a1" for number, value in enumerate(values))


def run(root: Path) -> nights.Tables:
    nights.run_night(root, NIGHT, is_published=False, is_checked=True)
    return nights.to_publish(root)


def test_the_largest_line_is_billed_to_the_last_cent(tmp_path: Path) -> None:
    tables = run(write(tmp_path, rows("money", f"{MOST - 1}", "0.99", "0.01")))
    (line,) = tables["invoice_items"]
    assert line["amount_minor"] == limits.MOST_MINOR
    (period,) = (row for row in tables["periods"] if row["state"] == "closed")
    assert period["owed"] == MOST


def test_the_largest_minimum_and_baseline_leave_room_beside_each_other(tmp_path: Path) -> None:
    """In a currency of three decimals, where an amount has the most minor units."""
    most = loading.MOST_AT_ONCE
    plan = {"minimum": f"{most}", "charges": [{"meter": "money", "pooled": "true"}, {**PER_UNIT, "price": "1"}]}
    tables = run(
        write(
            tmp_path,
            rows("units", 1),
            plan=plan,
            accounts="a1,organization,A,KWD,cus_1",
            baselines=f"a1,2026-05-01T00:00:00Z,{most}",
        )
    )
    assert {line["charge"]: line["amount_minor"] for line in tables["invoice_items"]} == {
        "overage": 1000 * most,
        "metered:pro:units": 1000,
    }


def test_usage_that_is_not_charged_may_reach_twenty_digits(tmp_path: Path) -> None:
    plan = {"overage": "false", "charges": [{"meter": "money", "pooled": "true"}]}
    tables = run(write(tmp_path, rows("money", *[NINES] * 100, "99.999999999999999"), plan=plan))
    (period,) = (row for row in tables["periods"] if row["state"] == "closed")
    assert period["usage"] == Decimal(10**20)  # a hair less, as it is shown
    assert tables["invoice_items"] == []


BEYOND: dict[str, tuple[dict[str, Any], str]] = {
    "a cent more than can be billed": (
        {"usage": rows("money", f"{MOST}", "0.01")},
        "account 'a1', subscription 's1', the period from 2026-05-01T00:00:00Z: its charges come to more than "
        "4,000,000,000,000,000,000 minor units of USD, the most that can be billed for one, and 'metered:pro:money' "
        "alone to 4,000,000,000,000,000,001; ",
    ),
    "more minor units than there are numbers for": (
        {"usage": rows("money", "1", NINES)},
        "raw/ev/a.ndjson line 2: account 'a1', subscription 's1', the period from 2026-05-01T00:00:00Z: "
        "'money' comes to some 1.0e+18 USD, more than can be reckoned with; ",
    ),
    "pooled usage of twenty digits": (
        {
            "plan": {"overage": "false", "charges": [{"meter": "money", "pooled": "true"}]},
            "usage": rows("money", *[NINES] * 100, "100"),
        },
        "'money' comes to some 1.0e+20 USD, more than can be reckoned with; ",
    ),
    "one price of one quantity": (
        {"plan": {"charges": [{**PER_UNIT, "price": "1000"}]}, "usage": rows("units", NINES)},
        "raw/ev/a.ndjson line 1: account 'a1', subscription 's1', the period from 2026-05-01T00:00:00Z: "
        "'units' comes to some 1.0e+21 USD, more than can be reckoned with; ",
    ),
    "the sum of quantities": (
        {"plan": {"charges": [{**PER_UNIT, "price": "0.000000000000001"}]}, "usage": rows("units", *[NINES] * 101)},
        "'units' comes to some 1.0e+20 before divide_by, more than can be reckoned with; ",
    ),
    "a usage that another takes back": (
        {
            "plan": {"charges": [{**PER_UNIT, "price": "1000", "pooled": "true"}]},
            "usage": rows("units", NINES, f"-{NINES}"),
        },
        "'units' comes to some 1.0e+21 USD, more than can be reckoned with; ",
    ),
    "a level over time": (
        {"plan": {"charges": [DISK]}, "usage": rows("disk", NINES)},
        "the level of 'disk' comes to some 1.0e+18, more than can be reckoned with; ",
    ),
    "a price of a level": (
        {"plan": {"charges": [{**DISK, "price": "123456789012345678"}]}, "usage": rows("disk", "31")},
        "raw/ev/a.ndjson line 1: account 'a1', subscription 's1', the period from 2026-05-01T00:00:00Z: "
        "a level of 31 of 'disk' comes to some 3.8e+18 USD, more than can be reckoned with; ",
    ),
    "what is included for all seats": (
        {
            "subscriptions": f"s1,a1,pro,1000000000,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,{LONG}",
            "plan": {"included": "1000", "charges": [{"meter": "money", "pooled": "true"}]},
            "usage": rows("money", 1),
        },
        "accounts/subscriptions.csv: subscription 's1' of account 'a1' has 1,000,000,000 seats of plan 'pro' in the "
        "period from 2026-06-01T00:00:00Z, for which what is included is more than can be reckoned with; ",
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_is_beyond_is_refused_by_name_and_nothing_is_posted(name: str, tmp_path: Path) -> None:
    changes, sentence = BEYOND[name]
    with pytest.raises(Refusal) as refusal:
        run(write(tmp_path, **changes))
    assert sentence in refusal.value.problems[0]
    assert_nothing_was_posted(tmp_path)


def assert_nothing_was_posted(root: Path) -> None:
    with warehouse.connect(root) as con:
        for table in ("ledger", "closes", "lines", "runs"):
            assert con.execute(f"SELECT count(*) FROM books.{table}").fetchone() == (0,), table


def test_the_job_names_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where dbt runs the model that fails; once the price is mended the night goes through."""
    own_process(monkeypatch)
    without_history(monkeypatch)
    changes, sentence = BEYOND["one price of one quantity"]
    refused = nightly(write(tmp_path / "workspace", **changes), NIGHT)
    assert refused.exit_code == 1
    assert f"refused: {sentence}" in refused.stderr
    assert_nothing_was_posted(tmp_path / "workspace")
    cheaper = {**changes, "plan": {"charges": [{**PER_UNIT, "price": "0.001"}]}}
    (line,) = run(write(copied(tmp_path / "workspace", tmp_path / "mended"), **cheaper))["invoice_items"]
    assert line["amount_minor"] == 10**17
