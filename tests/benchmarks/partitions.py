"""The law that lets a night be spread over machines: rated by parts of the accounts, the lines are those of the whole.

    python -m tests.benchmarks.partitions [--rows 10000000] [--accounts 20000] [--parts 8] [--directory DIR]

A month stands in the books; the models rate it once whole. Then its accounts are dealt to parts by the SHA-256 of
their names, each part is rated by the same models in a warehouse of its own that holds nothing of the others, and the
union of their lines, credits and charges must be the whole's, row for row. Parts run one after the other here, so the
seconds of each are what a machine of its own would take, and the longest is when the last one would be done.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assets import warehouse
from orchestration import dbt
from tests.benchmarks import companies, workload

#: What a night bills, and what it is made of.
OUTCOME = ("int_lines__new", "int_credits__new", "int_charges__owed", "int_periods__reckoned", "int_refresh__windows")
# Dealt with all accounts before it: whose a row is, is what placing finds out.
_PLACED = ("int_payers__spans", "int_batch__placed", "int_batch__exceptions", "int_ledger__new")


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    usages: int
    lines: int
    seconds: float


def part_of(account: str, parts: int) -> str:
    """SQL: which part an account is in. Every engine has SHA-256, and reads its first digits as the same number."""
    return f"(CAST('0x' || substr(sha256({account}), 1, 7) AS BIGINT) % {parts})"


def rated(workspace: Path, parts: int) -> Iterator[Part]:
    """Rate each part of a workspace whose night stands before its books; the outcome of all is kept beside it."""
    for number in range(parts):
        with warehouse.beside(workspace) as con:
            _deal(con, f"{part_of('account_id', parts)} = {number}")
            began = time.perf_counter()
            for name in _make(con):
                con.execute(dbt.compiled_models()[name])
            seconds = time.perf_counter() - began
            for name in OUTCOME:
                con.execute(f"COPY night.{name} TO {warehouse.text(_kept(workspace, name, number))} (FORMAT parquet)")
            yield Part(number, _count(con, "night.int_ledger__entries"), _count(con, "night.int_lines__new"), seconds)


def differences(workspace: Path) -> dict[str, int]:
    """Rows that the union of the parts has more or less than the whole, by model."""
    with warehouse.beside(workspace) as con:
        found = {}
        for name in OUTCOME:
            union = f"(FROM read_parquet({warehouse.text(_kept(workspace, name, '*'))}))"
            whole = f"(FROM warehouse.night.{name})"
            more, less = (f"({one} EXCEPT ALL {other})" for one, other in ((union, whole), (whole, union)))
            found[name] = _count(con, more) + _count(con, less)
        return found


def _deal(con: duckdb.DuckDBPyConnection, is_ours: str) -> None:
    """A warehouse with the part's accounts and all that is theirs; of the rest, what is nobody's."""
    con.execute("CREATE SCHEMA night; CREATE SCHEMA billing")
    tables = con.execute("""
        SELECT schema_name, table_name, bool_or(column_name = 'account_id')
        FROM duckdb_columns() JOIN duckdb_tables() USING (database_name, schema_name, table_name)
        WHERE database_name = 'warehouse' AND schema_name IN ('catalog', 'books', 'landing', 'gate', 'night')
        GROUP BY ALL ORDER BY ALL""").fetchall()
    for schema, table, is_someones in tables:
        if schema == "night" and table not in _PLACED:
            continue
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        name = f"{schema}.{table}"
        if is_someones:
            con.execute(f"CREATE TABLE {name} AS FROM warehouse.{name} WHERE {is_ours}")
        else:
            con.execute(f"CREATE VIEW {name} AS FROM warehouse.{name}")


def _make(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The models from the ledger to the lines, less what was made before accounts were dealt."""
    rooms = {file.stem for room in ("ledger", "rating", "lines") for file in (dbt.MODELS / room).glob("*.sql")}
    return [name for name in dbt.compiled_models() if name in rooms - set(_PLACED)]


def _kept(workspace: Path, name: str, number: object) -> Path:
    folder = workspace / "parts"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}-{number}.parquet"


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {relation}").fetchone()
    assert row is not None
    return int(row[0])


def _whole(workspace: Path) -> tuple[float, dict[str, Any]]:
    with warehouse.connect(workspace) as con:
        con.execute("CREATE SCHEMA IF NOT EXISTS night; CREATE SCHEMA IF NOT EXISTS billing")
        for name, model in dbt.compiled_models().items():
            if name in _PLACED:
                con.execute(model)
        began = time.perf_counter()
        for name in _make(con):
            con.execute(dbt.compiled_models()[name])
        seconds = time.perf_counter() - began
        return seconds, {name: _count(con, f"night.{name}") for name in ("int_ledger__entries", "int_lines__new")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--directory", type=Path, help="where the warehouse is made (default: a temporary directory)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.directory) as directory:
        print(f"entering {asked.rows:,} usages of {asked.accounts:,} accounts", flush=True)
        month = workload.Month(companies.every_rule(asked.accounts), asked.rows)
        workload.enter(Path(directory), month, workload.CLOSING)
        workspace = companies.workspace(Path(directory))
        whole, counts = _whole(workspace)
        usages, lines = counts.values()
        print(f"{'part':>6} {'usages':>12} {'share':>7} {'lines':>9} {'seconds':>9}")
        print(f"{'whole':>6} {usages:12,} {1:7.1%} {lines:9,} {whole:9.2f}", flush=True)
        parts = []
        for it in rated(workspace, asked.parts):
            parts.append(it)
            share = it.usages / usages
            print(f"{it.number:6} {it.usages:12,} {share:7.1%} {it.lines:9,} {it.seconds:9.2f}", flush=True)
        wrong = differences(workspace)
    longest, together = max(it.seconds for it in parts), sum(it.seconds for it in parts)
    print(f"longest part {longest:.2f} s = {longest / whole:.2f} of the whole; all parts {together:.2f} s of work")
    if any(wrong.values()):
        raise SystemExit(f"the union of the parts is not the whole: {wrong}")
    print(f"the union of {asked.parts} parts is the whole, row for row: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
