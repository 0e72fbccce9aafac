"""`make bench`: everything there is to measure, side by side in one run.

    make bench                                         # 1 and 10 million usages; an hour or less
    make bench BENCH="--size 50"                       # in millions; may be given again
    make bench BENCH="--size 0.1 --rounds 1 --only month,history"
    make bench BENCH="--page"                          # draw the last run again
    make bench BENCH="--page --readme"                 # and put its table into README, its page into docs

Figures are kept after every section in data/local/bench/results.json, with bench.html and table.md beside them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from assets.core.refusal import Refusal
from tests.benchmarks import machine, page, sections
from tests.benchmarks.measure import ROOT, Failed

SECTIONS = ("month", "history", "closing", "events", "pushing", "starting", "curves")


def main() -> None:
    asked = _asked()
    kept = asked.results
    if not asked.page:
        _run(asked, kept)
    if not kept.exists():
        raise SystemExit(f"There is no run to draw at {kept}: run `make bench` first.")
    results = json.loads(kept.read_text(encoding="utf-8"))
    on = asked.date or f"{datetime.fromtimestamp(kept.stat().st_mtime, UTC):%Y-%m-%d}"
    print(page.terminal(results))
    table = page.markdown(results, on)
    kept.with_name("table.md").write_text(table, encoding="utf-8")
    print(f"\n{page.write(kept.with_name('bench.html'), results, on)}")
    if asked.readme:
        try:
            page.into_readme(ROOT / "README.md", table)
        except Refusal as refusal:
            raise SystemExit(str(refusal)) from None
        page.write(ROOT / "docs" / "bench.html", results, on)


def _run(asked: argparse.Namespace, kept: Path) -> None:
    rounds, accounts, directory = asked.rounds, asked.accounts, asked.directory
    sizes = [round(size * 1_000_000) for size in asked.size or (1, 10)]
    new = min(1_000_000, max(sizes))
    lengths = (new, 10 * new, 30 * new)
    largest = min(10_000_000, max(sizes))
    acts: dict[str, Callable[[], dict[str, Any]]] = {}
    for size in sizes:
        acts[f"month {size}"] = partial(sections.month, size, accounts, rounds, directory, _say)
    acts["history"] = lambda: sections.history(new, lengths, accounts, rounds, directory, _say)
    acts["closing"] = lambda: sections.close(largest, accounts, rounds, directory, _say)
    acts["meter events"] = lambda: sections.meter_events(largest, accounts, directory, _say)
    acts["pushing"] = lambda: sections.pushing(asked.lines, asked.rate)
    acts["starting"] = sections.starting
    acts["curves"] = lambda: sections.curves(new, accounts, directory, _say)
    wanted = tuple(asked.only.split(",")) if asked.only else SECTIONS
    results: dict[str, Any] = {"machine": machine.described()}
    if asked.only and kept.exists():  # the others stay as they were measured
        results = {**json.loads(kept.read_text(encoding="utf-8")), **results}
    kept.parent.mkdir(parents=True, exist_ok=True)
    for name, act in acts.items():
        if name.split()[0] in wanted or name.split()[-1] in wanted:
            try:
                results[name] = act()
            except Failed as failure:  # the others are still worth their time
                _say(f"{name} is left out: {failure}")
                continue
            kept.write_text(json.dumps(results, indent=1), encoding="utf-8")


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, action="append", help="million usages of a month (default: 1 and 10)")
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help=f"some of {','.join(SECTIONS)}; the others stay as they were measured last")
    parser.add_argument("--lines", type=int, default=10_000, help="to push")
    parser.add_argument("--rate", type=int, default=100, help="calls a second that Stripe allows (live: 100, test: 25)")
    parser.add_argument("--directory", type=Path, help="where the workspaces are made (default: a temporary directory)")
    parser.add_argument("--results", type=Path, default=ROOT / "data" / "local" / "bench" / "results.json")
    parser.add_argument("--date", help="to write on the page (default: when the figures were kept)")
    parser.add_argument("--page", action="store_true", help="measure nothing, draw the last run again")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md and the page into docs/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
