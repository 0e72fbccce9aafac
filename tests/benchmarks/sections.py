"""What is measured, section by section; each gives back plain numbers, from which the page can be drawn again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from tests.benchmarks import closing, companies, ours, peers, workload
from tests.benchmarks.measure import Cost, Failed, measured, module
from tests.benchmarks.peers import postgres

Result = dict[str, Any]
Say = Callable[[str], None]
POSTGRES_MOST = 1_000_000  # usages; inserting more only takes longer
IN_ROUNDS = ("by hand", "clickhouse", "polars")
ON_POSTGRES = ("postgres insert", "postgres by subscription", "postgres by one query")


@contextmanager
def scratch(directory: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=directory, prefix="tallyhouse-bench-") as made:
        yield Path(made)


def month(usages: int, accounts: int, rounds: int, directory: Path | None, say: Say) -> Result:
    """Everybody bills the same month's files, in turn; refuses where a line differs by a cent."""
    with scratch(directory) as root:
        say(f"{usages:,} usages: writing their files")
        workload.write(root, workload.Month(companies.metered(accounts), usages))
        left_out = [why for name in (*IN_ROUNDS, ON_POSTGRES[0]) if (why := peers.why_not(name))]
        costs: dict[str, list[Cost]] = {}
        for number in range(rounds):
            _round(root, costs, left_out, is_first=number == 0, say=say)
        found: Result = {"usages": usages, "accounts": accounts, "bytes": ours.bytes_of(root), "lines": _lines(root)}
        _note(costs, "empty night", ours.night(root, datetime(2026, 6, 2, 2, tzinfo=UTC)), say)
        if usages <= POSTGRES_MOST and not peers.why_not(ON_POSTGRES[0]):
            _on_postgres(root, costs, say)
    return {**found, "left_out": left_out, "costs": {name: [asdict(it) for it in each] for name, each in costs.items()}}


def _round(root: Path, costs: dict[str, list[Cost]], left_out: list[str], is_first: bool, say: Say) -> None:
    for name, act in {"floor": ours.floor, "landing": ours.landing, "night": ours.first_night}.items():
        _note(costs, name, act(root), say)
    for name in IN_ROUNDS:
        if peers.why_not(name) or any(it.startswith(f"{name}:") for it in left_out):
            continue
        result = root / f"{name}.csv"
        try:
            _note(costs, name, measured(module("peers", name, root, result)), say)
        except Failed as failure:
            costs.pop(name, None)
            left_out.append(f"{name}: {failure}")
            say(left_out[-1])
            continue
        if is_first:
            refuse_different(name, root, result)


def _on_postgres(root: Path, costs: dict[str, list[Cost]], say: Say) -> None:
    with postgres.server() as (reach, pid):
        for name in ON_POSTGRES:
            result = root / "postgres.csv"
            command = module("peers", name, root, result)
            _note(costs, name, measured(command, {"TALLYHOUSE_BENCH_POSTGRES": reach}, beside=pid), say)
            if result.exists():
                refuse_different(name, root, result)


def refuse_different(name: str, root: Path, result: Path) -> None:
    found = peers.differences(result, companies.workspace(root) / "published" / "tallyhouse.duckdb")
    if found:
        raise SystemExit(f"{len(found)} lines differ between {name} and ours, the first of them {found[0]}")


def _note(costs: dict[str, list[Cost]], name: str, cost: Cost, say: Say) -> None:
    costs.setdefault(name, []).append(cost)
    say(f"  {name:24} {cost.wall:8.1f} s {cost.busy:8.1f} s of processor {cost.peak_mb:7,} MB")


def _lines(root: Path) -> int:
    with duckdb.connect(str(companies.workspace(root) / "published" / "tallyhouse.duckdb"), read_only=True) as con:
        row = con.execute("SELECT count(*) FROM billing.invoice_items").fetchone()
    return int(row[0]) if row else 0


# What is older lies in 27 days of May. A small night makes all as nights leave it; one like the measured night follows.
_BEFORE = 27
_IN_BOOKS, _SETTLED, _EVE, _NIGHT = (datetime(2026, 5, day, 2, tzinfo=UTC) for day in (28, 29, 30, 31))


def history(
    new: int, histories: tuple[int, ...], accounts: int, rounds: int, directory: Path | None, say: Say
) -> Result:
    """The same night of new usages on ledgers of different lengths, all of them in the month that is open."""
    company = companies.metered(accounts)
    alike = workload.Month(company, new * workload.DAYS, 3)
    costs: dict[int, list[Cost]] = {}
    with scratch(directory) as root:
        for length in histories:
            say(f"{length:,} usages into the books, the last {new:,} by a night")
            place = root / str(length)
            workload.enter(place, workload.Month(company, length - new, days=_BEFORE), _IN_BOOKS)
            with duckdb.connect() as con:
                workload.write_day(con, place, workload.Month(company, 1_000 * workload.DAYS, 2), _BEFORE, True)
                ours.night(place, _SETTLED)
                workload.write_day(con, place, alike, _BEFORE + 1, True)
                ours.night(place, _EVE)
                workload.write_day(con, place, alike, _BEFORE + 2, True)
        for _ in range(rounds):
            for length in histories:
                copy = root / "copy"
                shutil.copytree(root / str(length), copy)
                cost = ours.night(copy, _NIGHT)
                shutil.rmtree(copy)
                costs.setdefault(length, []).append(cost)
                say(f"  on {length:>11,} {cost.wall:8.1f} s {cost.busy:8.1f} s of processor {cost.peak_mb:7,} MB")
    return {"new": new, "costs": {str(length): [asdict(it) for it in each] for length, each in costs.items()}}


def close(rows: int, accounts: int, rounds: int, directory: Path | None, say: Say) -> Result:
    """Closing a month that uses every rule, against one query of the same lines."""
    say(f"closing a month of {rows:,} ledger rows")
    with scratch(directory) as root:
        found = closing.contest(rows, accounts, rounds, root)
    costs = {
        "by hand": found.by_hand,
        "models": found.models,
        "models from rows": found.models_from_rows,
        "whole night": [found.whole_night],
    }
    return {
        "rows": rows,
        "lines": found.lines,
        "costs": {name: [asdict(it) for it in each] for name, each in costs.items()},
    }


_METER_EVENTS = "bill_from: 2026-05-01T00:00:00Z\nstripe: {mode: live, push: meter_events, key: test}\n"


def meter_events(rows: int, accounts: int, directory: Path | None, say: Say) -> Result:
    """Making a month's meter events, hour by hour."""
    say(f"making meter events of {rows:,} usages")
    with scratch(directory) as root:
        workload.enter(
            root, workload.Month(companies.metered(accounts, settings=_METER_EVENTS), rows), workload.CLOSING
        )
        cost = ours.events(root)
    return {"usages": rows, "events": cost.said["events"], "cost": asdict(cost)}


def pushing(lines: int, rate: int) -> Result:
    """Bringing lines to Stripe, against what the allowed rate of calls takes."""
    cost = measured(module("pushing", "--lines", lines, "--rate", rate, "--json"))
    return {**cost.said, "peak_mb": cost.peak_mb}


def starting() -> Result:
    """What the command line takes before it does anything."""
    return {"help": asdict(ours.help_page())}


def curves(most: int, accounts: int, directory: Path | None, say: Say) -> Result:
    """A night's cost as one thing grows and the others stay."""
    usual, few = min(100_000, most), min(accounts, 2_000)
    sizes = [it for it in (10_000, 100_000, 1_000_000, 10_000_000) if it <= most]
    nights: dict[str, list[tuple[float, Callable[[], Cost]]]] = {
        "usages": [(it, partial(_night_of, it, few, directory)) for it in sizes],
        "accounts": [(it, partial(_night_of, usual, it, directory)) for it in (100, 1_000, 10_000, 100_000)],
        "meters": [(it, partial(_night_of, usual, few, directory, meters=it)) for it in (3, 12, 48)],
        "held": [(it, partial(_night_of, usual, few, directory, bad=it)) for it in (0.001, 0.01, 0.1, 0.5)],
        "memory": [
            (it, partial(_night_of, most, few, directory, memory=f"{it}MB")) for it in (500, 1_000, 2_000, 4_000)
        ],
    }
    found: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for name, points in nights.items():
        say(f"curve: {name}")
        for at, night in points:
            cost = night()
            found.setdefault(name, []).append((at, asdict(cost)))
            say(f"  {at:>24,} {cost.wall:8.1f} s {cost.busy:8.1f} s of processor {cost.peak_mb:7,} MB")
    return {"usual": usual, "most": most, "accounts": few, "curves": found}


def _night_of(
    usages: int,
    accounts: int,
    directory: Path | None,
    meters: int = 12,
    bad: float = 0.0,
    memory: str | None = None,
) -> Cost:
    with scratch(directory) as root:
        workload.write(root, workload.Month(companies.metered(accounts, meters), usages, bad=bad))
        return ours.first_night(root, {"TALLYHOUSE_MEMORY": memory} if memory else None)
