"""How long the models take to close a month against one hand-written query that computes the same lines.

    python -m tests.benchmarks.closing [--rows 10000000] [--accounts 20000] [--rounds 3] [--directory DIR]

Both read the same ledger and catalogue (tests/benchmarks/month.py) in the same DuckDB with a night's own settings. The
models are those of models/ledger, rating and lines, as a night runs them; the query is closing_by_hand.sql. They run in
turn, each in a process of its own, and their lines must be equal to the last cent. What a night does besides (its other
models, the checks, posting, publishing) is measured once at the end. Read the ratios, not the seconds; and of a busy
machine those of the processor's time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from assets import publish, warehouse
from assets.post import post
from orchestration import dbt
from tests.benchmarks import month

BY_HAND = Path(__file__).with_suffix("").with_name("closing_by_hand.sql").read_text(encoding="utf-8")
_DIFFERENT = """
    SELECT count(*) FROM night.by_hand AS ours
    FULL JOIN (FROM night.int_lines__new WHERE reason = 'close') AS theirs
        USING (subscription_id, account_id, period_start, period_end, charge)
    WHERE ours.amount_minor IS DISTINCT FROM theirs.amount_minor"""


def by_hand(con: duckdb.DuckDBPyConnection, _: Path) -> None:
    con.execute(f"CREATE OR REPLACE TABLE night.by_hand AS {BY_HAND}")


def models(con: duckdb.DuckDBPyConnection, _: Path) -> None:
    for name, statement in dbt.compiled_models().items():
        if name in _closing():
            con.execute(statement)


def other_models(con: duckdb.DuckDBPyConnection, _: Path) -> None:
    for name, statement in dbt.compiled_models().items():
        if name not in _closing():
            con.execute(statement)


def _closing() -> set[str]:
    """The models from the ledger to the lines."""
    return {file.stem for room in ("ledger", "rating", "lines") for file in (dbt.MODELS / room).glob("*.sql")}


def checks(con: duckdb.DuckDBPyConnection, _: Path) -> None:
    for name, query in dbt.compiled_checks().items():
        assert not con.execute(query).fetchmany(1), f"check {name} fails on the benchmark's month"


def posting(con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    post(con, workspace, month.CLOSING)


def publishing(con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    publish.publish(con, workspace)


CONTESTANTS: dict[str, Callable[[duckdb.DuckDBPyConnection, Path], None]] = {
    "by hand": by_hand,
    "models": models,
    "other models": other_models,
    "checks": checks,
    "posting": posting,
    "publishing": publishing,
}


def measured(name: str, workspace: Path) -> tuple[float, float, int]:
    """Wall seconds, processor seconds and peak memory in MB of one contestant, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.closing", "--only", name, "--directory", str(workspace)],
        stdout=subprocess.PIPE,
        check=True,
    )
    wall, busy, memory = json.loads(done.stdout)
    return wall, busy, memory


def once(name: str, workspace: Path) -> None:
    dbt.compiled_models()  # a night finds them compiled
    with warehouse.connect(workspace) as con:
        con.execute("CREATE SCHEMA IF NOT EXISTS night; CREATE SCHEMA IF NOT EXISTS billing")
        con.execute(f"SET threads = {min(2, os.cpu_count() or 1)}")
        started, began = time.perf_counter(), time.process_time()
        CONTESTANTS[name](con, workspace)
        wall, busy = time.perf_counter() - started, time.process_time() - began
    print(json.dumps([wall, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))


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
        once(asked.only, asked.directory)
        return
    with tempfile.TemporaryDirectory(dir=asked.directory) as directory:
        workspace = Path(directory)
        print(f"generating {asked.rows:,} ledger rows of {asked.accounts:,} accounts", flush=True)
        month.make(workspace, asked.rows, asked.accounts)
        rounds = [(measured("by hand", workspace), measured("models", workspace)) for _ in range(asked.rounds)]
        lines = refuse_different(workspace)
        rest = {name: measured(name, workspace) for name in list(CONTESTANTS)[2:]}
    for name, found in zip(("by hand", "models"), zip(*rounds, strict=True), strict=True):
        wall, busy = (statistics.median(each) for each in list(zip(*found, strict=True))[:2])
        peak = max(memory for _, _, memory in found)
        print(f"{name:12} {wall:8.2f} s   {busy:8.2f} s of processor (median of {asked.rounds})   peak {peak:6,} MB")
    for name, (wall, busy, peak) in rest.items():
        print(f"{name:12} {wall:8.2f} s   {busy:8.2f} s of processor (once)   peak {peak:6,} MB")
    wall, busy = (statistics.median(own[at] / base[at] for base, own in rounds) for at in (0, 1))
    print(f"the models take {wall:.2f} times the hand-written query ({busy:.2f} of processor), {lines:,} equal lines")


if __name__ == "__main__":
    main()
