"""parity.yaml is optional, read exactly, and refused with every mistake; editors are told the same."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from assets.catalogue import write_catalogue
from assets.core.catalogue import load, read_parity
from assets.core.catalogue.models import Comparison, Side
from assets.core.instants import parse_instant
from tests.unit.test_catalogue import loaded, problems_of, workspace_with
from tests.unit.test_catalogue_schemas import is_valid, part_of

FILE = read_parity.FILE
METERS = "catalog/meters.yaml"
SOURCES = "catalog/sources.yaml"

RIGHT = """\
comparisons:
  memory:
    reference: {meter: old_seconds, source: biller}
    candidate: {meter: gb_seconds}
    real_volume: 0.5
    settle: 90m
  spend:
    reference: {meter: old_cost}
    candidate: {meter: model_cost, source: ticks}
    measure: cost
    flag_above: 0.005
    alert_above: "0.05"
    accounts: 5
    clean_for: 2d
"""
BILLER = """\
  biller:
    files: old/*.csv
    format: csv
    identity: [id]
    occurred_at: at
    account: who
    emits:
      - {meter: old_seconds, quantity: n, when: {k: s}}
      - {meter: old_cost, cost: n, when: {k: c}}
"""
EDITS = (
    (METERS, "meters:\n", "meters:\n  old_seconds: {aggregate: sum, unit: GB-s}\n  old_cost: {aggregate: cost}\n"),
    (SOURCES, "sources:\n", f"sources:\n{BILLER}"),
    (FILE, "", RIGHT),
)


def test_comparisons_are_read_exactly(tmp_path: Path) -> None:
    found = loaded(tmp_path, *EDITS).comparisons
    assert found == {
        "memory": Comparison(
            name="memory",
            reference=Side("old_seconds", "biller"),
            candidate=Side("gb_seconds", None),
            measure="quantity",
            flag_above=Decimal("0.02"),
            alert_above=Decimal("0.10"),
            accounts=3,
            real_volume=Decimal("0.5"),
            clean_for=timedelta(hours=24),
            settle=timedelta(minutes=90),
        ),
        "spend": Comparison(
            name="spend",
            reference=Side("old_cost", None),
            candidate=Side("model_cost", "ticks"),
            measure="cost",
            flag_above=Decimal("0.005"),
            alert_above=Decimal("0.05"),
            accounts=5,
            real_volume=Decimal(0),
            clean_for=timedelta(days=2),
            settle=timedelta(0),
        ),
    }


def test_without_the_file_nothing_is_compared(tmp_path: Path) -> None:
    assert loaded(tmp_path).comparisons == {}


def test_the_warehouse_compares_in_whole_units(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        write_catalogue(con, loaded(tmp_path, *EDITS), parse_instant("2026-06-01T00:00:00Z"))
        rows = con.execute(
            """SELECT comparison, unit, digits, reference_factor, candidate_factor, per, flag_num, flag_den, alert_num,
            alert_den, real_volume_units, clean_for_us, settle_us FROM catalog.parity ORDER BY comparison"""
        ).fetchall()
    hour = 3_600_000_000
    assert rows == [
        ("memory", "GB-s", 9, 1024, 1, 1024, 1, 50, 1, 10, 512 * 10**9, 24 * hour, 3 * hour // 2),
        ("spend", "units", 15, 1, 1, 1, 1, 200, 1, 20, 0, 48 * hour, 0),
    ]


MISTAKES = [
    (
        "comparisons:\n",
        "comparison:\n",
        "comparison is not a key that is known here; did you mean 'comparisons'?",
        False,
    ),
    ("    settle: 90m", "    setle: 90m", "comparisons.memory.setle is not a key that is known here", False),
    ("    reference: {meter: old_cost}\n", "", "comparisons.spend has no `reference`", False),
    ("{meter: old_cost}", "{source: biller}", "comparisons.spend.reference has no `meter`", False),
    ("{meter: old_cost}", "{meter: old_cots}", "which meters.yaml does not list; did you mean 'old_cost'?", True),
    ("source: ticks", "source: tick", "which sources.yaml does not list; did you mean 'ticks'?", True),
    ("source: ticks", "source: biller", "is 'biller', which does not emit model_cost; name one that does", True),
    ("{meter: gb_seconds}", "{meter: active_users}", "whose aggregate is unique_count: its hours do not add up", True),
    ("    measure: cost\n", "", "measures quantity, and old_cost is a cost meter; write measure: cost", True),
    ("    measure: cost\n", "    measure: money\n", "measure is 'money'", False),
    ("{meter: old_seconds, source: biller}", "{meter: gb_seconds}", "compares gb_seconds with itself", True),
    ("flag_above: 0.005", "flag_above: 0", "flag_above is 0; write more than zero", False),
    ("flag_above: 0.005", "flag_above: 0.00005", "finer than 4 digits", True),
    ("flag_above: 0.005", "flag_above: 50", "is 50, more than 10", False),
    ("flag_above: 0.005", "flag_above: 0.06", "write an alert_above that is not below flag_above", True),
    ("accounts: 5", "accounts: 0", "accounts is 0; write how many accounts", False),
    ("clean_for: 2d", "clean_for: 90m", "clean_for is not a number of whole hours", True),
    ("clean_for: 2d", "clean_for: 0h", "clean_for is not a number of whole hours", True),
    ("clean_for: 2d", "clean_for: 2 days", "clean_for is '2 days'", False),
    ("real_volume: 0.5", "real_volume: -1", "real_volume is -1; write a number of zero or more", False),
]


@pytest.mark.parametrize(("old", "new", "sentence", "is_beyond_a_schema"), MISTAKES)
def test_mistakes_are_told(tmp_path: Path, old: str, new: str, sentence: str, is_beyond_a_schema: bool) -> None:
    root = workspace_with(tmp_path, *EDITS[:2], (FILE, "", RIGHT.replace(old, new, 1)))
    found = problems_of(root)
    assert [it for it in found if sentence in it] != [], found
    assert all(it.startswith(f"{FILE}") for it in found)
    assert is_beyond_a_schema or not is_valid(root, FILE)


def test_units_too_fine_to_compare_are_refused(tmp_path: Path) -> None:
    fine = EDITS[0][2].replace("unit: GB-s", "divide_by: 0.123456789012345")
    (problem,) = problems_of(workspace_with(tmp_path, (METERS, "meters:\n", fine), *EDITS[1:]))
    assert "can't compare old_seconds and gb_seconds exactly; give their divide_by fewer digits." in problem


def test_a_reference_that_is_charged_is_warned_of(tmp_path: Path) -> None:
    text = "comparisons: {c: {reference: {meter: calls}, candidate: {meter: gb_seconds}}}\n"
    catalogue = load(workspace_with(tmp_path, (FILE, "", text)))
    assert [it for it in catalogue.warnings if "has calls for its reference, which the plan pro charges" in it] != []


def test_editors_are_told_the_same(tmp_path: Path) -> None:
    assert is_valid(workspace_with(tmp_path, *EDITS), FILE)
    comparison = part_of(FILE, ("$defs", "comparison"))
    assert tuple(comparison["properties"]) == read_parity.COMPARISON_KEYS
    assert tuple(part_of(FILE, ("$defs", "side", "properties"))) == read_parity.SIDE_KEYS
    assert tuple(part_of(FILE, ("properties",))) == read_parity.KEYS
    assert tuple(it for it in comparison["properties"]["measure"]["enum"] if it) == read_parity.MEASURES
