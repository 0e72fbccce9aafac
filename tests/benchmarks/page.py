"""The figures of a run for people: a table on the terminal, one in Markdown, and a page of its own with plots."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from assets.core.refusal import Refusal
from assets.report import page
from assets.report.grid import Cell, Column, Grid, Row, bars, simple
from assets.report.page import Note, Report, Section, Tile
from tests.benchmarks import ratios
from tests.benchmarks.measure import Cost, median
from tests.benchmarks.plots import Curve, chart
from tests.benchmarks.ratios import Ratio, costs, count

_BEGIN, _END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
_NAMES = {
    "floor": "decompress and count lines (gzip, wc)",
    "landing": "landing alone",
    "night": "the whole night",
    "empty night": "a night without anything new, after it",
    "by hand": "one DuckDB query by hand",
    "models": "the models, on what nights have added up",
    "models from rows": "the models, with no sums kept",
    "whole night": "the whole night of the close",
    "clickhouse": "one ClickHouse query (chdb)",
    "polars": "Polars, streaming",
    "postgres insert": "PostgreSQL: insert on conflict, 1,000 a statement",
    "postgres by subscription": "PostgreSQL: then a query per subscription",
    "postgres by one query": "PostgreSQL: or then one query",
}
_STEPS = {
    "night": "starting Python, looking for what would be refused",
    "catalogue": "starting Dagster; catalogue and accounts",
    "landed": "landing the files",
    "reckoned": "starting dbt; models and their tests",
    "gate": "the gate",
    "posted": "posting into the books",
    "published": "publishing",
    "reported": "announcing and reporting",
    "done": "metrics, and the end",
}
_DISK = {
    "warehouse": "the warehouse: ledger, duplicates, proofs, the night's tables",
    "published file": "the published file",
    "exports": "exports, as CSV and as Parquet",
    "raw": "the raw files, gzipped",
    "parquet": "the raw columns as Parquet",
}
_AXES = {
    "usages": ("Usages in one night", "new usages", "{few:,} accounts, 12 meters."),
    "accounts": ("Accounts", "accounts", "{usual:,} usages, 12 meters."),
    "meters": ("Meters", "meters", "{usual:,} usages, {few:,} accounts."),
    "held": ("Rows held", "share of rows held, percent", "{usual:,} usages, {few:,} accounts, 12 meters."),
    "memory": ("Memory limit", "memory limit of the engine, MB", "{most:,} usages, {few:,} accounts, 12 meters."),
}


def terminal(results: dict[str, Any]) -> str:
    found = ratios.all_of(results)
    wide = max((len(it.what) for it in found), default=0)
    lines = [f"{'':{wide}}  {'by clock':>9}  {'processor':>9}  {'goal':>8}"]
    for it in found:
        shown = (it.written(it.by_clock), it.written(it.by_processor), it.aim)
        lines.append(f"{it.what:{wide}}  {shown[0]:>9}  {shown[1]:>9}  {shown[2]:>8}  {_verdict(it)}")
    return "\n".join(lines)


def markdown(results: dict[str, Any], on: str) -> str:
    lines = ["| | by clock | by processor | goal |", "| --- | ---: | ---: | ---: |"]
    for it in ratios.all_of(results):
        aim = f"{it.aim}{'' if it.is_met else ' (missed)'}" if it.goal is not None else ""
        lines.append(f"| {it.what} | {it.written(it.by_clock)} | {it.written(it.by_processor)} | {aim} |")
    return "\n".join([*lines, "", f"{on}, {_machine(results['machine'])}; {_rounds(results)}.", ""])


def _rounds(results: dict[str, Any]) -> str:
    """Of how many rounds the ratios are medians, which may have been asked for section by section."""
    sections = [*ratios.months(results), *filter(None, map(results.get, ("history", "closing")))]
    counts = [max(map(len, section["costs"].values())) for section in sections]
    least, most = min(counts, default=1), max(counts, default=1)
    if most == 1:
        return "one round"
    return f"medians of {most if least == most else f'{least} to {most}'} paired rounds"


def into_readme(readme: Path, table: str) -> None:
    """Put the table between its marks, and touch nothing else."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise Refusal(f"{readme} has no place for the table: put the lines {_BEGIN} and {_END} where it belongs.")
    readme.write_text(f"{before}{_BEGIN}\n{table}{_END}{after}", encoding="utf-8")


def write(file: Path, results: dict[str, Any], on: str) -> Path:
    return page.write(file, report(results, on))


def report(results: dict[str, Any], on: str) -> Report:
    found = ratios.all_of(results)
    aimed = [it for it in found if it.goal is not None]
    missed = [it for it in aimed if not it.is_met]
    headline = (
        f"{len(aimed) - len(missed)} of {len(aimed)} goals are met. What is compared ran side by side in one run, "
        "on the same files, and every line of a bill is equal to the cent, whoever reckoned it."
    )
    sections = [
        Section("ratios", "Ratios", _RATIOS, [_ratio_grid(found)]),
        *(_month_section(it) for it in ratios.months(results)),
        *_history_sections(results),
        *_curve_sections(results),
        *_closing_sections(results),
        *_stripe_sections(results),
        Section("workload", "What is billed", items=[Note(it) for it in _WORKLOAD]),
    ]
    facts = [("Date", on), *results["machine"].items()]
    tiles = [
        Tile(f"ratio-{number}", it.what, it.written(it.by_clock), f"goal {it.aim}", "good" if it.is_met else "bad")
        for number, it in enumerate(_first(aimed))
    ]
    return Report("bench", "What a night costs", "Tallyhouse, make bench", headline, tiles, sections, facts=facts)


_RATIOS = (
    "Ours divided by the other's; below 1 we are quicker. By the clock, and by what the processors worked, which says "
    "more where a machine has other things to do. Medians of paired rounds."
)
_WORKLOAD = (
    "Daily gzipped NDJSON files of a 31-day month; accounts skewed by Zipf's law; 1 % of the rows are there twice; "
    "0.5 % are up to three days late. Each account has one of three plans and one to five seats.",
    "Twelve meters: money and priced quantities in a pool with a daily refresh, an included amount and overage, and "
    "beside it prices per unit and by steps. These are rules that every peer can express; closing is measured with all "
    "that there are.",
    "The peers work on whole millionths. They read the files, drop repeated keys and write down the lines. The night "
    "also keeps every row, says why any was held, proves what it did and publishes it: that is what the difference is "
    "for.",
)


def _first(aimed: list[Ratio]) -> list[Ratio]:
    """Of each kind the one of the largest size, as a tile."""
    kinds = {it.what.rpartition(": ")[2].partition(" on ")[0]: it for it in aimed}
    return list(kinds.values())[:6]


def _verdict(it: Ratio) -> str:
    return "" if it.is_met is None else "met" if it.is_met else "missed"


def _ratio_grid(found: list[Ratio]) -> Grid:
    columns = [Column("what", ""), Column("clock", "By clock", "number"), Column("busy", "By processor", "number")]
    columns += [Column("goal", "Goal", "number"), Column("verdict", "")]
    rows = []
    for it in found:
        verdict = Cell(_verdict(it), tone="good" if it.is_met else "bad") if it.goal is not None else Cell("")
        rows.append(Row(it.what, [it.what, it.written(it.by_clock), it.written(it.by_processor), it.aim, verdict]))
    return simple("ratios", columns, rows)


def _costs_grid(name: str, spent: dict[str, list[Cost]]) -> Grid:
    columns = [Column("who", ""), Column("bar", "", "bar"), Column("wall", "Seconds (least to most)", "number")]
    columns += [Column("busy", "Of processor", "number"), Column("memory", "Most memory, MB", "number")]
    medians = {who: median(each) for who, each in spent.items()}
    drawn = bars([Decimal(round(it.wall * 1000)) for it in medians.values()])
    rows = [
        Row(who, [_NAMES.get(who, who), bar, ratios.spread(spent[who]), f"{cost.busy:,.1f}", f"{cost.peak_mb:,}"])
        for (who, cost), bar in zip(medians.items(), drawn, strict=True)
    ]
    return simple(name, columns, rows)


def _steps_grid(night: Cost) -> Grid:
    """Where the night's time goes, from one thing it says to the next."""
    columns = [Column("step", ""), Column("bar", "", "bar"), Column("wall", "Seconds", "number")]
    drawn = bars([Decimal(round(seconds * 1000)) for seconds in night.steps.values()], "give")
    rows = [
        Row(step, [_STEPS.get(step, step), bar, f"{seconds:,.1f}"])
        for (step, seconds), bar in zip(night.steps.items(), drawn, strict=True)
    ]
    return simple("steps", columns, rows, "Where the night's time goes")


def _month_section(month: dict[str, Any]) -> Section:
    spent, size, usages = costs(month), month["bytes"], month["usages"]
    disk = [Row(name, [_DISK.get(name, name), f"{total:,}", f"{total / usages:.1f}"]) for name, total in size.items()]
    columns = [Column("what", ""), Column("bytes", "Bytes", "number"), Column("each", "A usage", "number")]
    lede = f"{usages:,} usages of {month['accounts']:,} accounts, {month['lines']:,} lines, equal for all."
    items = [_costs_grid(f"costs-{usages}", spent), _steps_grid(median(spent["night"]))]
    items.append(simple("disk", columns, disk, "On disk"))
    return Section(f"month-{usages}", f"A month of {count(usages)}", lede, [*items, *map(Note, month["left_out"])])


def _history_sections(results: dict[str, Any]) -> list[Section]:
    history = results.get("history")
    if not history:
        return []
    spent = {int(length): median(each) for length, each in costs(history).items()}
    drawn = [
        chart("Time", "usages in the ledger", "s", _two(list(spent.items()))),
        chart("Memory", "usages in the ledger", "MB", [Curve("peak", [(at, it.peak_mb) for at, it in spent.items()])]),
    ]
    steps = list(next(iter(spent.values())).steps)
    columns = [
        Column("step", "Seconds"),
        *(Column(str(at), f"on {count(at)}", "number") for at in spent),
    ]
    rows = [
        Row(step, [_STEPS.get(step, step), *(f"{it.steps.get(step, 0.0):,.1f}" for it in spent.values())])
        for step in steps
    ]
    lede = f"The same night of {count(history['new'])} new usages; the older ones are in the month that is open too."
    return [Section("history", "As history grows", lede, [*drawn, simple("history", columns, rows)])]


def _two(points: list[tuple[float, Cost]]) -> list[Curve]:
    return [
        Curve("by clock", [(at, it.wall) for at, it in points]),
        Curve("processor", [(at, it.busy) for at, it in points]),
    ]


def _curve_sections(results: dict[str, Any]) -> list[Section]:
    measured = results.get("curves")
    if not measured:
        return []
    items = []
    for name, points in measured["curves"].items():
        title, axis, told = _AXES[name]
        scale = 100 if name == "held" else 1
        spent = [(at * scale, Cost(**cost)) for at, cost in points]
        note = told.format(few=measured["accounts"], usual=measured["usual"], most=measured["most"])
        items.append(chart(title, axis, "s", _two(spent), note))
        items.append(chart(title, axis, "MB", [Curve("peak", [(at, it.peak_mb) for at, it in spent])]))
    lede = (
        "One thing grows, the others stay; whole nights, once each, on logarithmic axes. Some of each is fixed: "
        "Python, Dagster, dbt and the checks start anew every night."
    )
    return [Section("curves", "As work grows", lede, items)]


def _closing_sections(results: dict[str, Any]) -> list[Section]:
    closing = results.get("closing")
    if not closing:
        return []
    lede = (
        f"A ledger of {closing['rows']:,} usages, every way of counting and pricing; {closing['lines']:,} equal lines. "
        "The models that lines are made of stand on what the nights before have added up; once more, with no sums "
        "kept, they begin from the rows as the query does."
    )
    return [Section("closing", "Closing a month", lede, [_costs_grid("closing", costs(closing))])]


def _stripe_sections(results: dict[str, Any]) -> list[Section]:
    rows = []
    if made := results.get("meter events"):
        cost = Cost(**made["cost"])
        told = f"{made['usages']:,} usages become {made['events']:,} meter events"
        rows.append(Row("made", [told, f"{cost.wall:,.1f}", f"{cost.busy:,.1f}", f"{cost.peak_mb:,}"]))
    if pushed := results.get("pushing"):
        told = f"{pushed['lines']:,} lines pushed in {pushed['calls']:,} calls at {pushed['rate']} a second"
        rows.append(Row("pushed", [told, f"{pushed['wall']:,.1f}", f"{pushed['busy']:,.1f}", f"{pushed['peak_mb']:,}"]))
    if started := results.get("starting"):
        cost = Cost(**started["help"])
        rows.append(Row("help", ["tallyhouse --help", f"{cost.wall:,.2f}", f"{cost.busy:,.2f}", f"{cost.peak_mb:,}"]))
    columns = [Column("what", ""), Column("wall", "Seconds", "number"), Column("busy", "Of processor", "number")]
    columns.append(Column("memory", "Most memory, MB", "number"))
    return [Section("others", "Stripe, and starting", items=[simple("others", columns, rows)])] if rows else []


def _machine(machine: dict[str, str]) -> str:
    whole = ("Processor", "Memory", "System")
    return ", ".join(value if name in whole else f"{name} {value}" for name, value in machine.items())
