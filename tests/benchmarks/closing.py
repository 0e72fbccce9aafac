"""How long the models take to close a month against one hand-written query that computes the same lines.

    python -m tests.benchmarks.closing [--rows 10000000] [--accounts 20000] [--rounds 3] [--directory DIR]

Both read the same ledger and catalogue (every rule there is) in the same DuckDB with a night's own settings. The
models are those that lines and credits are made of; the query is closing_by_hand.sql. They run in turn, each in a
process of its own, and their lines must be equal to the last cent. The models run twice: as the night before has left
the books, all usage in them and added up; and with nothing added up, from the rows alone as the query does.
The whole night of the close, with its checks, posting and publishing, is measured once at the end. Read the ratios, not
the seconds; and of a busy machine those of the processor's time.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from assets import rerate, warehouse
from assets.verbs import bring_in, take_in
from orchestration import dbt
from tests.benchmarks import companies, ours, workload
from tests.benchmarks.measure import Cost, measured, median, module, ratio

EVE = datetime(2026, 6, 2, 3, tzinfo=UTC)  # all of May is in the books, and its close is a day away
BY_HAND = Path(__file__).with_suffix("").with_name("closing_by_hand.sql").read_text(encoding="utf-8")
_SUMS = ("stretches", "added", "picks", "fates")
_DIFFERENT = """
    SELECT count(*) FROM night.by_hand AS ours
    FULL JOIN (FROM night.int_lines__new WHERE reason = 'close') AS theirs
        USING (subscription_id, account_id, period_start, period_end, charge)
    WHERE ours.amount_minor IS DISTINCT FROM theirs.amount_minor"""


def by_hand(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(f"CREATE OR REPLACE TABLE night.by_hand AS {BY_HAND}")


def models(con: duckdb.DuckDBPyConnection) -> None:
    """Lines and credits, and whatever they are made of."""
    for statement in rerate.read_by(dbt.compiled_models(), "int_lines__new", "int_credits__new"):
        con.execute(statement)


CONTESTANTS: dict[str, Callable[[duckdb.DuckDBPyConnection], None]] = {"by hand": by_hand, "models": models}


@dataclass(frozen=True, slots=True)
class Contest:
    by_hand: list[Cost]
    models: list[Cost]
    models_from_rows: list[Cost]
    lines: int
    whole_night: Cost


def contest(rows: int, accounts: int, rounds: int, directory: Path) -> Contest:
    """Both in turn on one month; refuses where a line differs."""
    workspace = companies.workspace(directory)
    workload.enter(directory, workload.Month(companies.every_rule(accounts), rows), EVE)
    ours.night(directory, EVE)
    with warehouse.connect(workspace) as con:
        take_in(con, workspace, workload.CLOSING)
        bring_in(con, workspace, workload.CLOSING)
    query, on_sums, on_rows = [], [], []
    for _ in range(rounds):
        query.append(_run("by hand", directory))
        with _without_sums(workspace):
            on_rows.append(_run("models", directory))
            refuse_different(workspace)
        on_sums.append(_run("models", directory))
    lines = refuse_different(workspace)
    return Contest(query, on_sums, on_rows, lines, ours.night(directory, workload.CLOSING))


@contextmanager
def _without_sums(workspace: Path) -> Iterator[None]:
    """The books as if no night had added anything up."""
    with warehouse.connect(workspace) as con:
        con.execute("CREATE SCHEMA aside")
        for name in _SUMS:
            con.execute(f"CREATE TABLE aside.{name} AS FROM books.{name}; DELETE FROM books.{name}")
    yield
    with warehouse.connect(workspace) as con:
        for name in _SUMS:
            con.execute(f"INSERT INTO books.{name} FROM aside.{name}")
        con.execute("DROP SCHEMA aside CASCADE")


def _run(name: str, directory: Path) -> Cost:
    """A contestant in a process of its own; of its seconds, those of its work alone."""
    cost = measured(module("closing", "--only", name, "--directory", directory))
    return replace(cost, wall=cost.said["wall"], busy=cost.said["busy"])


def once(name: str, workspace: Path) -> None:
    dbt.compiled_models()  # a night finds them compiled
    with warehouse.connect(workspace) as con:
        con.execute("CREATE SCHEMA IF NOT EXISTS night; CREATE SCHEMA IF NOT EXISTS billing")
        con.execute(f"SET threads = {min(2, os.cpu_count() or 1)}")
        started, began = time.perf_counter(), time.process_time()
        CONTESTANTS[name](con)
        wall, busy = time.perf_counter() - started, time.process_time() - began
    print(json.dumps({"event": "worked", "wall": wall, "busy": busy}), flush=True)


def refuse_different(workspace: Path) -> int:
    """The number of lines, if both have made the same."""
    with warehouse.connect(workspace) as con:
        different = _one(con, _DIFFERENT)
        if different:
            raise SystemExit(f"{different} lines differ between the models and the hand-written query")
        return int(_one(con, "SELECT count(*) FROM night.by_hand"))


def _one(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = con.execute(query).fetchone()
    assert row is not None
    return row[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where the warehouse is made (default: a temporary directory)")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        once(asked.only, companies.workspace(asked.directory))
        return
    with tempfile.TemporaryDirectory(dir=asked.directory) as directory:
        print(f"closing a month of {asked.rows:,} ledger rows of {asked.accounts:,} accounts", flush=True)
        found = contest(asked.rows, asked.accounts, asked.rounds, Path(directory))
    medians = {
        "by hand": median(found.by_hand),
        "models": median(found.models),
        "models from rows": median(found.models_from_rows),
        "whole night": found.whole_night,
    }
    for name, cost in medians.items():
        print(f"{name:16} {cost.wall:8.2f} s   {cost.busy:8.2f} s of processor   peak {cost.peak_mb:6,} MB")
    for what, spent in {"the models": found.models, "from rows alone": found.models_from_rows}.items():
        wall, busy = (ratio(spent, found.by_hand, of) for of in (lambda it: it.wall, lambda it: it.busy))
        print(f"{what} take {wall:.2f} times the query ({busy:.2f} of processor)")
    print(f"{found.lines:,} equal lines")


if __name__ == "__main__":
    main()
