"""Our side of the benchmark, as its users run it: the night by its own command line, each time in a process of its own.

python -m tests.benchmarks.ours landing|events ROOT
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from assets import verbs, warehouse
from assets.core.instants import format_instant
from assets.landing import land
from orchestration import dbt
from tests.benchmarks.companies import workspace
from tests.benchmarks.measure import Cost, measured, module

AFTER_MAY = datetime(2026, 6, 1, 2, tzinfo=UTC)


def night(root: Path, as_of: datetime = AFTER_MAY, environment: Mapping[str, str] | None = None) -> Cost:
    command = [sys.executable, "-m", "orchestration.cli", "nightly", "--workspace", str(workspace(root))]
    return measured([*command, "--as-of", format_instant(as_of), "--json"], environment)


def first_night(root: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """The night that lands and bills the whole month, with nothing before it."""
    start_over(root)
    return night(root, environment=environment)


def start_over(root: Path) -> None:
    for name in ("warehouse", "published"):
        shutil.rmtree(workspace(root) / name, ignore_errors=True)


def floor(root: Path) -> Cost:
    """Decompressing the files and counting their lines."""
    names = sorted(map(str, (workspace(root) / "raw" / "usage").iterdir()))
    return measured(["sh", "-c", 'gzip -dc -- "$@" | wc -l', "floor", *names])


def landing(root: Path) -> Cost:
    """From the files to the batch alone, in a process that has its libraries and its catalogue already."""
    start_over(root)
    return _worked(measured(module("ours", "landing", root)))


def help_page() -> Cost:
    return measured([sys.executable, "-m", "orchestration.cli", "--help"])


def events(root: Path) -> Cost:
    """Making meter events of what is in the books, without the models before them."""
    return _worked(measured(module("ours", "events", root)))


def _worked(cost: Cost) -> Cost:
    return replace(cost, wall=cost.said["wall"], busy=cost.said["busy"])


def bytes_of(root: Path) -> dict[str, int]:
    """What a month takes on disk: the warehouse, what readers get, and the raw columns as Parquet."""
    place, raw = workspace(root), root / "raw.parquet"
    names = ("id", "type", "ts", "org", "meter", "value", "payload")
    types = (*["VARCHAR"] * 2, "TIMESTAMP", *["VARCHAR"] * 2, "DECIMAL(18, 6)", 'STRUCT("user" VARCHAR, model VARCHAR)')
    columns = ", ".join(f"{name}: '{type_}'" for name, type_ in zip(names, types, strict=True))
    with duckdb.connect() as con:
        files = str(place / "raw" / "usage" / "*.ndjson.gz")
        con.execute(
            f"COPY (SELECT * EXCLUDE (payload), unnest(payload) "
            f"FROM read_json('{files}', format = 'newline_delimited', columns = {{{columns}}})) "
            f"TO '{raw}' (FORMAT parquet)"
        )
    found = {
        "warehouse": warehouse.path(place).stat().st_size,
        "published file": (place / "published" / "tallyhouse.duckdb").stat().st_size,
        "exports": sum(it.stat().st_size for it in (place / "published" / "exports").rglob("*") if it.is_file()),
        "raw": sum(it.stat().st_size for it in (place / "raw").rglob("*.gz")),
        "parquet": raw.stat().st_size,
    }
    raw.unlink()
    return found


def _landing(root: Path) -> None:
    place = workspace(root)
    with warehouse.connect(place) as con:
        loaded = verbs.take_in(con, place, AFTER_MAY)
        started, began = time.perf_counter(), time.process_time()
        land(con, place, loaded.sources, loaded.weights, AFTER_MAY)
        _say("landed", started, began)


def _events(root: Path) -> None:
    before, made = (
        {file.stem for room in rooms for file in (dbt.MODELS / room).glob("*.sql")}
        for rooms in (("ledger", "rating"), ("events",))
    )
    models = dbt.compiled_models()
    with warehouse.connect(workspace(root)) as con:
        con.execute("CREATE SCHEMA IF NOT EXISTS night; CREATE SCHEMA IF NOT EXISTS billing")
        for name in [it for it in models if it in before]:
            con.execute(models[name])
        started, began = time.perf_counter(), time.process_time()
        for name in [it for it in models if it in made]:
            con.execute(models[name])
        count = con.execute("SELECT count(*) FROM night.int_events__new").fetchone()
        _say("made", started, began, events=count and count[0])


def _say(event: str, started: float, began: float, **facts: object) -> None:
    wall, busy = time.perf_counter() - started, time.process_time() - began
    print(json.dumps({"event": event, "wall": wall, "busy": busy, **facts}), flush=True)


if __name__ == "__main__":
    {"landing": _landing, "events": _events}[sys.argv[1]](Path(sys.argv[2]))
