"""The two ledgers of control, written out by hand: where everything received has ended, and what rounding left over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.golden.case import GOLDEN, Case, read_cases
from tests.nights import Tables, published, run_night

pytestmark = pytest.mark.xdist_group("ledgers")  # its workspaces are made once

FATES = ("billed", "free", "held", "duplicate", "ignored", "pre_cutover", "expired")

Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def case() -> Case:
    (found,) = read_cases(GOLDEN / "ledgers" / "seven-fates.yaml")
    return found


@pytest.fixture(scope="module")
def nights(case: Case, tmp_path_factory: pytest.TempPathFactory) -> list[Tables]:
    """What a reader sees after each night."""
    workspace = tmp_path_factory.mktemp("ledgers")
    found = []
    for number in range(1, len(case.script.nights) + 1):
        run_night(workspace, case.script.before(number, workspace))
        found.append(published(workspace))
    return found


def words(case: Case, table: str) -> set[tuple[str, ...]]:
    return {tuple(line.split()) for line in case.expect[table].splitlines()}


def shown(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return "-" if value is None else str(value)


def leaks(rows: Iterable[Row]) -> set[tuple[str, ...]]:
    """The rows of the ledger of leaks in the words of the case."""
    return {
        (*(shown(row[column]) for column in ("day", "meter", "measure", "received")), *ends)
        for row in rows
        if (ends := sorted(f"{fate}={shown(row[fate])}" for fate in FATES if row[fate])) or row["received"]
    }


def test_every_usage_has_the_fate_it_has_by_hand(case: Case, nights: list[Tables]) -> None:
    expected = {(*line[:4], *sorted(line[4:])) for line in words(case, "leak_ledger")}
    assert {end.split("=")[0] for line in expected for end in line[4:]} == set(FATES)
    assert leaks(nights[2]["leak_ledger"]) == expected


def test_nothing_is_over_in_any_night(nights: list[Tables]) -> None:
    for number, tables in enumerate(nights, 1):
        over = [row for row in tables["leak_ledger"] if row["difference"]]
        assert over == [], f"night {number}"
        received = sum(row["received"] for row in tables["leak_ledger"] if row["measure"] == "usages")
        # log/1 says 18; as much again and two more in log/2; either row 8, read again, one more than before.
        assert received == [18, 38, 40, 40][number - 1]


def test_no_book_changes_what_was_received_and_where_it_ended(nights: list[Tables]) -> None:
    assert nights[3]["leak_ledger"] == nights[2]["leak_ledger"]
    assert {row["reason"] for row in nights[3]["rounding_ledger"]} == {"close"}
    assert nights[3]["rounding_ledger"] != nights[2]["rounding_ledger"]  # the live book has bills of its own


def test_rounding_leaves_what_it_leaves_by_hand(case: Case, nights: list[Tables]) -> None:
    found = {
        (
            row["subscription_id"],
            f"{row['period_start']:%Y-%m-%d}",
            *(row[column] for column in ("charge", "reason")),
            *(shown(row[column]) for column in ("exact", "rounded", "residue")),
        )
        for row in nights[2]["rounding_ledger"]
    }
    assert found == words(case, "rounding_ledger")


def test_two_lines_of_one_charge_and_instant_keep_their_order(tmp_path: Path) -> None:
    """A night done again with a further file bills a second time at the same as_of; which came first is still known."""
    (threshold,) = read_cases(GOLDEN / "threshold-again-and-again.yaml")
    as_of = threshold.script.before(1, tmp_path)
    run_night(tmp_path, as_of)
    for number, amount in ((1, "900.0049"), (2, "400.001")):
        usage = f'{{"id": "again{number}", "t": "2026-05-01T00:00:00Z", "m": "money", "v": {amount}, "acct": "a1"}}\n'
        (tmp_path / "raw" / "ev" / f"again{number}.ndjson").write_text(usage)
        run_night(tmp_path, as_of)
    lines = [row for row in published(tmp_path)["rounding_ledger"] if row["charge"] == "overage"]
    assert len(lines) >= 2
    assert len({row["created_as_of"] for row in lines}) == 1
    assert [row["line_no"] for row in lines] == list(range(1, len(lines) + 1))
    billed, residue, owed = Decimal(0), Decimal(0), Decimal(0)
    for row in lines:
        assert row["billed_before"] == billed
        assert row["exact"] == row["owed"] - owed + residue == row["rounded"] + row["residue"]
        billed, residue, owed = billed + row["rounded"], row["residue"], row["owed"]
    assert residue
