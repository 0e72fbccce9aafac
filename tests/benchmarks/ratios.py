"""What the figures come to: ratios with their goals, from the numbers of one run and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.measure import Cost, median, ratio

GB = 1024
LARGE = 10_000_000  # usages, from which on the goals of a night hold; below it is mostly starting that is compared


@dataclass(frozen=True, slots=True)
class Ratio:
    """`by_clock` and `by_processor` where both are known; `goal` is the most it should be."""

    what: str
    by_clock: float
    by_processor: float | None = None
    goal: float | None = None
    unit: str = "×"

    @property
    def is_met(self) -> bool | None:
        return None if self.goal is None else self.by_clock <= self.goal

    def written(self, value: float | None) -> str:
        return "" if value is None else f"{value:.2f} {self.unit}"

    @property
    def aim(self) -> str:
        return "" if self.goal is None else f"≤ {self.goal:g} {self.unit}"


def costs(section: dict[str, Any]) -> dict[str, list[Cost]]:
    return {name: [Cost(**it) for it in each] for name, each in section["costs"].items()}


def count(number: int) -> str:
    """Ten million as 10 M."""
    return f"{number / 1e6:g} M" if number >= 1_000_000 else f"{number:,}"


RIVALS = {
    "by hand": ("one DuckDB query by hand", 3.0),
    "clickhouse": ("one ClickHouse query (chdb)", 1.0),
    "polars": ("Polars, streaming", 1.0),
}


def all_of(results: dict[str, Any]) -> list[Ratio]:
    found: list[Ratio] = []
    for month in months(results):
        found += _of_month(month)
    found += _of_history(results.get("history"))
    found += _of_closing(results.get("closing"))
    if pushed := results.get("pushing"):
        lines = f"pushing {pushed['lines']:,} lines / {pushed['rate']} calls a second, as allowed"
        found.append(Ratio(lines, pushed["ratio"]))
    return found


def months(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [section for name, section in results.items() if name.startswith("month ")]


def _of_month(month: dict[str, Any]) -> Iterator[Ratio]:
    usages, spent, size = count(month["usages"]), costs(month), month["bytes"]
    is_large = month["usages"] >= LARGE
    yield _pair(
        f"{usages}: landing / decompress and count", spent["landing"], spent["floor"], 2.0 if is_large else None
    )
    for name, (label, most) in RIVALS.items():
        if name in spent:
            yield _pair(f"{usages}: whole night / {label}", spent["night"], spent[name], most if is_large else None)
    if "postgres insert" in spent:
        inserted = median(spent["postgres insert"])
        for name, label in {"by subscription": "a query per subscription", "by one query": "one query"}.items():
            billed = median(spent[f"postgres {name}"])
            both = Cost(inserted.wall + billed.wall, inserted.busy + billed.busy, 0)
            goal = 1.0 if name == "by subscription" else None
            yield _pair(
                f"{usages}: whole night / PostgreSQL, inserts and {label}", [median(spent["night"])], [both], goal
            )
    night = median(spent["night"])
    yield Ratio(f"{usages}: most memory of the whole night", night.peak_mb / GB, None, 4.0, "GB")
    yield Ratio(f"{usages}: warehouse / Parquet of the raw columns", size["warehouse"] / size["parquet"], None, 1.0)
    yield Ratio(f"{usages}: publishing / whole night", night.steps["published"] / night.wall)


def _of_history(history: dict[str, Any] | None) -> Iterator[Ratio]:
    if history:
        spent = {int(length): each for length, each in costs(history).items()}
        shortest, new = min(spent), count(history["new"])
        for length in sorted(spent)[1:]:
            what = f"a night of {new} on {count(length)} / on {count(shortest)}"
            yield _pair(what, spent[length], spent[shortest], 1.3)


def _of_closing(closing: dict[str, Any] | None) -> Iterator[Ratio]:
    if closing:
        spent = costs(closing)
        what = f"closing {count(closing['rows'])}, every rule / one query by hand"
        yield _pair(what, spent["models"], spent["by hand"], 2.0)
        yield _pair(f"{what}, with no sums kept", spent["models from rows"], spent["by hand"], None)


def _pair(what: str, ours: Sequence[Cost], theirs: Sequence[Cost], goal: float | None) -> Ratio:
    by_clock, by_processor = (ratio(ours, theirs, of) for of in (lambda it: it.wall, lambda it: it.busy))
    return Ratio(what, by_clock, by_processor, goal)


def spread(rounds: Sequence[Cost]) -> str:
    """The median of the seconds, and how far the rounds were apart."""
    seconds = [it.wall for it in rounds]
    middle = f"{statistics.median(seconds):,.1f}"
    return f"{middle} ({min(seconds):,.1f}–{max(seconds):,.1f})" if len(seconds) > 1 else middle
