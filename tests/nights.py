"""Nights for tests: the real rooms in the real order on a workspace on disk, with dbt's part done once.

dbt compiles the project a single time for a test session; a night then runs the compiled models as dbt would, one
statement each, so that hundreds of nights fit into a minute. What dbt and Dagster add to a night is under test in
tests/pipeline, on whole jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from assets import limits, metrics, parity, publish, verbs, warehouse
from assets.gate.judge import Judged, judge
from assets.gate.tables import TONIGHT
from assets.gate.watch import watch
from assets.post import post
from orchestration import dbt
from tests.golden.case import Script

# What the gate's expectations look at, and nobody else.
ONLY_JUDGED = {f"gate_{name}" for name in (*TONIGHT, "compared")} - {"gate_usage"}

Tables = dict[str, list[dict[str, Any]]]


def run_night(
    workspace: Path,
    as_of: datetime,
    is_published: bool = True,
    is_checked: bool = False,
    force: bool = False,
    look: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
) -> None:
    """Land, compute, post and publish, as the job does; a night nobody looks at need not be published.

    `look` is let in where the gate stands.
    """
    with warehouse.connect(workspace) as con:
        con.execute("SET threads = 1")  # so little is done sooner by one
        verbs.take_in(con, workspace, as_of)
        verbs.bring_in(con, workspace, as_of)
        make_models(con, but=() if look else ONLY_JUDGED)
        if is_checked:
            _gate(con)
        if look:
            look(con)
        post(con, workspace, as_of, parity.refuse_unclean(con, as_of, force))
        if is_published:
            publish.publish(con, workspace)
            metrics.write(con, workspace)


def make_models(con: duckdb.DuckDBPyConnection, but: Container[str] = ()) -> None:
    """Every model, as dbt would make it; a view that stands since the night before is the same query."""
    con.execute("CREATE SCHEMA IF NOT EXISTS night; CREATE SCHEMA IF NOT EXISTS billing")
    standing = {name for (name,) in con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()}
    for name, model in dbt.compiled_models().items():
        if name in but or name in standing:
            continue
        try:
            con.execute(_parsed(model))
        except duckdb.Error as failure:
            limits.refuse_overflow(con, str(failure))
            raise


@cache
def _parsed(sql: str) -> duckdb.Statement:
    """Parsing is a third of what a model costs in a small night, and the text is the same in all of them."""
    (statement,) = duckdb.extract_statements(sql)
    return statement


def judge_night(workspace: Path, as_of: datetime) -> Judged:
    """Land, compute and ask the gate, and post nothing: all that a night that is stopped does."""
    with warehouse.connect(workspace) as con:
        con.execute("SET threads = 1")
        verbs.take_in(con, workspace, as_of)
        verbs.bring_in(con, workspace, as_of)
        make_models(con)
        judge(con, as_of, (), is_first=True)
    return watch(workspace, as_of)


def _gate(con: duckdb.DuckDBPyConnection) -> None:
    """A check that finds something in a good night would block it for nothing."""
    for name, check in dbt.compiled_checks().items():
        rows = con.execute(_parsed(check))
        found = rows.fetchmany(3)
        columns = [column[0] for column in rows.description or ()]
        assert not found, f"check {name} failed: {[dict(zip(columns, row, strict=True)) for row in found]}"


def play(script: Script, workspace: Path, is_checked: bool = False, is_published: bool = True) -> Tables:
    """All nights of a script, each with what arrives before it; what a reader sees after the last.

    Not published, the tables are read where publishing would copy them from. The warehouse stays open from night to
    night: to close it costs a small night a tenth, and the jobs in tests/pipeline do it.
    """
    with warehouse.connect(workspace):
        for night in range(1, len(script.nights) + 1):
            is_last = night == len(script.nights)
            run_night(workspace, script.before(night, workspace), is_published and is_last, is_checked)
        return published(workspace) if is_published else to_publish(workspace)


def published(workspace: Path) -> Tables:
    """What a reader sees."""
    with duckdb.connect(str(workspace / "published" / "tallyhouse.duckdb"), read_only=True) as con:
        return _tables(con)


def to_publish(workspace: Path) -> Tables:
    """What a reader would see, were the night published."""
    with warehouse.connect(workspace) as con:
        con.execute("SET threads = 1")
        return _tables(con)


def _tables(con: duckdb.DuckDBPyConnection) -> Tables:
    con.execute("SET TimeZone = 'UTC'")
    tables: Tables = {}
    for name in publish.TABLES:
        rows = con.execute(f"FROM billing.{name} ORDER BY {publish.TABLES[name]}")
        columns = [column[0] for column in rows.description or ()]
        tables[name] = [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]
    return tables
