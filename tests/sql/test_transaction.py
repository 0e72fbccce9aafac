"""Of a transaction that fails, what made it fail is told, and nothing stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from assets.warehouse import transaction

Con = duckdb.DuckDBPyConnection
ADD = "INSERT INTO kept VALUES (1)"


def fail_by_itself(_: Con) -> None:
    raise ValueError("by itself")


def fail_in_a_statement(con: Con) -> None:
    con.execute(ADD)


def fail_at_the_commit(con: Con) -> None:
    """Another has committed the same in the meantime; then there is no transaction to roll back, which is no news."""
    with con.cursor() as other:
        other.execute(ADD)


@pytest.mark.parametrize(
    ("fail", "why", "kept"),
    [
        (fail_by_itself, "by itself", []),
        (fail_in_a_statement, "uplicate key", []),
        (fail_at_the_commit, "uplicate key", [(1,)]),
    ],
)
def test_a_failure_is_told_and_leaves_nothing(
    fail: Callable[[Con], None], why: str, kept: list[tuple[int]], tmp_path: Path
) -> None:
    def whole() -> None:
        with transaction(con):
            con.execute(ADD)
            fail(con)

    with duckdb.connect(str(tmp_path / "file.duckdb")) as con:
        con.execute("CREATE TABLE kept (number BIGINT PRIMARY KEY)")
        with pytest.raises((ValueError, duckdb.Error), match=why):
            whole()
        assert con.sql("SELECT * FROM kept").fetchall() == kept
        with transaction(con):
            con.execute("INSERT INTO kept VALUES (2)")
        assert con.sql("SELECT * FROM kept").fetchall() == [*kept, (2,)]
