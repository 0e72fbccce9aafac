"""The tables of schema `catalog` hold what was read, exactly, and rewriting them changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets.catalogue import TABLES, write_catalogue
from assets.core.catalogue import ClosedPeriod, load
from assets.core.instants import parse_instant
from assets.core.numbers import UNUSUAL_CURRENCIES, minor_step
from tests.unit.test_catalogue import workspace_with

AS_OF = parse_instant("2026-06-14T23:55:00Z")  # five minutes before the third period begins


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return con.execute(sql).fetchall()


def written(con: duckdb.DuckDBPyConnection, root: Path, *edits: tuple[str, str, str]) -> None:
    write_catalogue(con, load(workspace_with(root, *edits)), AS_OF)


def test_every_table_is_there_with_its_columns(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written(con, tmp_path)
    for table, (columns, _) in TABLES.items():
        assert [name for name, *_ in rows(con, f'DESCRIBE catalog."{table}"')] == list(columns)


def test_no_column_is_binary_floating_point(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written(con, tmp_path)
    kinds = {kind for (kind,) in rows(con, "SELECT data_type FROM duckdb_columns() WHERE schema_name = 'catalog'")}
    assert "DECIMAL(38,15)" in kinds
    assert not {kind for kind in kinds if "DOUBLE" in kind or "FLOAT" in kind or "TIME ZONE" in kind}


def test_numbers_arrive_digit_by_digit(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    price = "123456789012345678.123456789012345"
    written(con, tmp_path, ("catalog/plans.yaml", "included: 30.00", f"included: {price}"))
    assert rows(con, "SELECT included FROM catalog.plan_versions WHERE plan = 'pro'") == [(Decimal(price),)]


def test_instants_are_utc_without_zone(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written(con, tmp_path, ("accounts/memberships.csv", "2026-06-01T00:00:00Z", "2026-06-01T00:00:00+02:00"))
    assert rows(con, "SELECT left_at FROM catalog.memberships ORDER BY user_id DESC") == [
        (datetime(2026, 5, 31, 22),),  # noqa: DTZ001
        (None,),
    ]


def test_settings_are_one_row(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written(con, tmp_path)
    columns = "currency, close_grace_us, late_window_us, default_plan, bill_from, book, push, collect"
    hour, days = 3_600_000_000, 35 * 86_400_000_000
    assert rows(con, f"SELECT {columns} FROM catalog.settings") == [
        ("USD", hour, days, "free", None, "shadow", "invoice_items", "pending")
    ]


def test_versions_follow_each_other(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    two = "versions: [{from: 2026-06-01T00:00:00Z}, {from: 2020-01-01T00:00:00Z,"
    written(con, tmp_path, ("catalog/plans.yaml", "versions: [{from: 2020-01-01T00:00:00Z,", two))
    june = datetime(2026, 6, 1)  # noqa: DTZ001
    sql = "SELECT version_from, version_to FROM catalog.plan_versions WHERE plan = 'free' ORDER BY version_from"
    assert rows(con, sql) == [(datetime(2020, 1, 1), june), (june, None)]  # noqa: DTZ001


def test_periods_are_the_open_ones_that_usage_may_fall_in(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    root = workspace_with(tmp_path)
    may = ClosedPeriod("s1", parse_instant("2026-05-01T00:00:00Z"), parse_instant("2026-06-01T00:00:00Z"))
    sql = "SELECT strftime(period_start, '%m-%d') FROM catalog.periods ORDER BY period_start"
    write_catalogue(con, load(root), AS_OF)
    assert rows(con, sql) == [("05-01",), ("06-01",), ("06-15",)]
    write_catalogue(con, load(root, [may]), AS_OF)
    assert rows(con, sql) == [("06-01",), ("06-15",)]


def test_currencies_are_those_in_use_and_all_that_round_otherwise(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    written(con, tmp_path)
    found = {currency: (exponent, step) for currency, exponent, step in rows(con, "FROM catalog.currencies")}
    assert {"USD", "EUR"} | UNUSUAL_CURRENCIES == set(found)
    assert found == {currency: minor_step(currency) for currency in found}


def test_writing_again_replaces(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    catalogue = load(workspace_with(tmp_path))
    write_catalogue(con, catalogue, AS_OF)
    before = {table: rows(con, f'SELECT * FROM catalog."{table}" ORDER BY ALL') for table in TABLES}
    write_catalogue(con, catalogue, AS_OF)
    assert {table: rows(con, f'SELECT * FROM catalog."{table}" ORDER BY ALL') for table in TABLES} == before
    write_catalogue(con, replace(catalogue, memberships=[]), AS_OF)
    assert rows(con, "SELECT count(*) FROM catalog.memberships") == [(0,)]


def test_a_strange_id_is_only_text(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    written(con, tmp_path, ("accounts/accounts.csv", "e1,", "'; drop table ledger; --🦊,"))
    assert rows(con, "SELECT account_id FROM catalog.accounts WHERE name = 'Europa'") == [
        ("'; drop table ledger; --🦊",)
    ]
