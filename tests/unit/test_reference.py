"""The reference keeps every golden case and the laws of billing, and the comparison notices what is wrong."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.golden.case import Case, load_cases
from tests.property.generate import FEATURES, Size, generate
from tests.reference import Books, Reference, Refusal, bill
from tests.reference.agreement import disagreements
from tests.reference.exact import BadNumber, BadTimestamp, TooPrecise, instant, number, rounded_minor, within
from tests.reference.periods import boundary, derived, without
from tests.reference.reading import matches

CASES = load_cases()
SMALL = Size(accounts=4, events=60, nights=5)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_reference_keeps_golden_case(case: Case, tmp_path: Path) -> None:
    reference = Reference(tmp_path)
    case.script.play(tmp_path, reference.run)
    assert case.differences(reference.tables.tables) == []


def test_every_golden_case_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(case.name for case in CASES).items() if times > 1] == []


def test_comparison_notices_a_missing_a_further_and_a_wrong_row(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "plan-downgrade-mid-period")
    reference = Reference(tmp_path)
    case.script.play(tmp_path, reference.run)
    tables = reference.tables.tables
    (line,) = tables["invoice_items"]
    assert len(case.differences({**tables, "invoice_items": []})) == 1
    assert len(case.differences({**tables, "invoice_items": [line, line]})) == 1
    assert len(case.differences({**tables, "invoice_items": [{**line, "amount_minor": 416}]})) == 2
    wrong = [{**row, "overage": Fraction(4)} for row in tables["periods"]]
    assert len(case.differences({**tables, "periods": wrong})) == 1


def test_agreement_names_the_rows_that_differ(tmp_path: Path) -> None:
    tables = _billed(5, tmp_path, FEATURES).tables
    assert disagreements(tables, tables) == []
    line = tables["invoice_items"][0]
    other = {
        **tables,
        "invoice_items": [{**line, "amount_minor": line["amount_minor"] + 1}, *tables["invoice_items"][1:]],
    }
    assert len(disagreements(tables, other)) == 2


# --- laws ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_lines_of_a_closed_charge_add_up_to_its_rounded_total(seed: int, tmp_path: Path) -> None:
    books = _billed(seed, tmp_path, FEATURES)
    currency_of = {(row["subscription_id"], row["period_start"]): row["currency"] for row in books.periods}
    closed = {(row["subscription_id"], row["period_start"]) for row in books.periods if row["state"] == "closed"}
    billed = _billed_by_charge(books)
    for row in books.charges:
        period = (row["subscription_id"], row["period_start"])
        if period in closed:
            assert billed[(*period, row["charge"])] == rounded_minor(row["owed"], currency_of[period])


@pytest.mark.parametrize("seed", range(12))
def test_one_night_owes_what_many_nights_owe(seed: int, tmp_path: Path) -> None:
    # Whatever comes late, in pieces or in another order; rows in conflict and rows that come too late excepted.
    features = FEATURES - {"conflicts", "expired", "changes"}
    workspace = generate(seed, tmp_path / "many", features, SMALL)
    many = bill(workspace.path, workspace.nights, workspace.lands)
    once = bill(workspace.path, workspace.nights[-1:])
    assert _owed_by_charge(many) == _owed_by_charge(once)
    states = {(row["subscription_id"], row["period_start"]): row["state"] for row in once.periods}
    assert {
        key: amount for key, amount in _billed_by_charge(many).items() if states[key[:2]] == "closed" and amount
    } == {key: amount for key, amount in _billed_by_charge(once).items() if states[key[:2]] == "closed" and amount}


@pytest.mark.parametrize("seed", range(6))
def test_a_second_run_changes_nothing(seed: int, tmp_path: Path) -> None:
    workspace = generate(seed, tmp_path / "laid-out", FEATURES, SMALL)
    reference = Reference(tmp_path / "workspace")
    workspace.script.play(tmp_path / "workspace", reference.run)
    first = reference.tables
    assert reference.run(workspace.nights[-1]) == first


@pytest.mark.parametrize("seed", range(6))
def test_every_row_ends_as_exactly_one_thing(seed: int, tmp_path: Path) -> None:
    books = _billed(seed, tmp_path, FEATURES)
    for row in books.files:
        assert row["rows"] == row["accepted"] + row["duplicate"] + row["ignored"] + row["quarantined"]
    assert sum(row["quarantined"] for row in books.files) == len(books.quarantine)
    assert len({row["event_key"] for row in books.ledger}) == len(books.ledger)


def test_generation_is_a_function_of_its_seed(tmp_path: Path) -> None:
    assert generate(7, tmp_path / "a").script == generate(7, tmp_path / "b").script


def test_generation_without_features_is_one_pool(tmp_path: Path) -> None:
    books = bill(*_static(3, tmp_path, frozenset()))
    assert {row["charge"] for row in books.charges} == {"overage"}


def _static(seed: int, folder: Path, features: frozenset[str]) -> tuple[Path, tuple[datetime, ...]]:
    workspace = generate(seed, folder, features, SMALL)
    return workspace.path, workspace.nights


def _billed(seed: int, folder: Path, features: frozenset[str]) -> Books:
    workspace = generate(seed, folder / "laid-out", features, SMALL)
    reference = Reference(folder / "workspace")
    workspace.script.play(folder / "workspace", reference.run)
    return reference.tables


def _billed_by_charge(books: Books) -> Counter[tuple[str, datetime, str]]:
    billed: Counter[tuple[str, datetime, str]] = Counter()
    for line in books.invoice_items:
        if not line["charge"].startswith("credit:"):
            billed[line["subscription_id"], line["period_start"], line["charge"]] += line["amount_minor"]
    return billed


def _owed_by_charge(books: Books) -> dict[tuple[str, datetime, str], Fraction]:
    return {(row["subscription_id"], row["period_start"], row["charge"]): row["owed"] for row in books.charges}


# --- small parts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-0", 0),
        ("1e3", 1000),
        ("0.5E-1", Fraction(1, 20)),
        ("0e999999999", 0),
        (" 7 ", 7),
        (".5", Fraction(1, 2)),
    ],
)
def test_numbers_by_value(text: str, value: Fraction) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "1,5", "0x10", "NaN", "Infinity", "1_000", "1.2.3", "٣", "true"])
def test_no_numbers(text: str) -> None:
    with pytest.raises(BadNumber):
        number(text)


@pytest.mark.parametrize("text", ["1000000000000000000", "1e18", "1e999999999999", "-1e18"])
def test_too_many_integer_digits(text: str) -> None:
    with pytest.raises(TooPrecise):
        number(text)


def test_fractional_digits_are_counted_in_the_result() -> None:
    assert within(number("0.0000000001") * 10, 9) == Fraction(1, 10**9)
    with pytest.raises(TooPrecise):
        within(number("0.0000000001"), 9)


@pytest.mark.parametrize(
    "text",
    ["2026-05-02T00:00:00", "2026-05-02", "2026-02-30T00:00:00Z", "2026-05-02T24:00:00Z", "2026-05-02T00:00:00+0200"],
)
def test_no_instants(text: str) -> None:
    with pytest.raises(BadTimestamp):
        instant(text)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.005", "USD", 1),
        ("-0.005", "USD", -1),
        ("2.5", "JPY", 3),
        ("12.5", "ISK", 1300),
        ("-0.5", "UGX", -100),
        ("1.235", "KWD", 1240),
        ("0.0049999", "USD", 0),
    ],
)
def test_rounding_is_half_away_to_the_step(amount: str, currency: str, minor: int) -> None:
    assert rounded_minor(Fraction(amount), currency) == minor


def test_boundaries_are_always_reckoned_from_the_anchor() -> None:
    anchor, utc = datetime(2026, 1, 31, tzinfo=UTC), ZoneInfo("UTC")
    assert [(at := boundary(anchor, utc, k)).month * 100 + at.day for k in range(4)] == [131, 228, 331, 430]


def test_spans_cover_a_life_without_gap_or_overlap() -> None:
    anchor, zone = datetime(2025, 10, 31, 1, 30, tzinfo=UTC), ZoneInfo("America/New_York")
    life = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    spans = derived(anchor, "month", zone, life, life[1])
    assert (spans[0][0], spans[-1][1]) == life
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(spans))
    assert without(spans, spans) == []


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("ev/**/*.ndjson*", "ev/1.ndjson", True),
        ("ev/**/*.ndjson*", "ev/a/b/1.ndjson.gz", True),
        ("ev/*.ndjson", "ev/a/1.ndjson", False),
        ("ev/*", "evil/1", False),
        ("ev/?.csv", "ev/1.csv", True),
    ],
)
def test_file_patterns(pattern: str, name: str, is_match: bool) -> None:
    assert matches(pattern, name) is is_match


def test_an_earlier_night_is_refused(tmp_path: Path) -> None:
    workspace = generate(1, tmp_path, frozenset(), SMALL)
    reference = Reference(tmp_path)
    reference.run(workspace.nights[-1])
    with pytest.raises(Refusal, match="before the last run's"):
        reference.run(workspace.nights[0])


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    workspace = generate(1, tmp_path, frozenset(), SMALL)
    reference = Reference(tmp_path)
    reference.run(workspace.nights[0])
    landed = tmp_path / "raw" / reference.tables.files[0]["raw_file"]
    landed.write_bytes(landed.read_bytes() + b"\n")
    with pytest.raises(Refusal, match="changed"):
        reference.run(workspace.nights[-1])
