"""What a night accepts and warns of all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from assets import shown, verbs, warehouse
from tests import nights
from tests.pipeline.places import case


@pytest.fixture
def reckoned(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A night up to its models: a level of -30 from June 1 on, of 30 from June 11, of -60 from June 21 to July 1."""
    as_of = case("level-below-zero-counts-as-zero").script.before(1, tmp_path)
    with warehouse.connect(tmp_path) as con:
        verbs.take_in(con, tmp_path, as_of)
        verbs.bring_in(con, tmp_path, as_of)
        nights.make_models(con)
        yield con


def test_a_level_below_zero_is_warned_of(reckoned: duckdb.DuckDBPyConnection) -> None:
    assert shown.levels_below_zero(reckoned) == [
        "account 'a1': its level of disk is below zero from 2026-06-01T00:00:00Z on, down to -60, and counts as 0 "
        "while it is; look for a change that is missing or came under two identities."
    ]
    assert shown.levels_below_zero(reckoned, most=0) == ["1 more accounts have a level below zero."]


def test_a_level_that_nothing_arrived_for_is_not_warned_of_again(reckoned: duckdb.DuckDBPyConnection) -> None:
    reckoned.execute("DELETE FROM night.int_ledger__new")
    assert shown.levels_below_zero(reckoned) == []


def test_a_level_that_stays_at_zero_is_no_worry(reckoned: duckdb.DuckDBPyConnection) -> None:
    reckoned.execute("UPDATE night.int_ledger__new SET quantity = 0")
    assert shown.levels_below_zero(reckoned) == []
