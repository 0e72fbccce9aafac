"""The report of one night: what came in, what was held, what was used, what it means in money, and what proves it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import duckdb

from assets.report import bridge, controls, forms, lines, periods, thresholds, usage
from assets.report.page import Link, Note, Report, Section, Stack, Tile
from assets.report.published import USED, closed_months, has, nights, one
from assets.rerate import Row as Fields


def scope(con: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """What a night's page is about: the periods it closed, the lines it made, the usage it entered."""
    con.execute("CREATE OR REPLACE TEMP TABLE closed AS FROM dated WHERE closed_at = ?", [as_of])
    con.execute("CREATE OR REPLACE TEMP TABLE made AS FROM invoice_items WHERE created_as_of = ?", [as_of])
    con.execute(f"CREATE OR REPLACE TEMP VIEW used AS {USED} WHERE entered_at = TIMESTAMPTZ '{as_of.isoformat()}'")


def report(con: duckdb.DuckDBPyConnection, as_of: datetime) -> Report:
    scope(con, as_of)
    last = nights(con)[-1]
    it = _counts(con, as_of)
    totals = lines.totals(con)
    return Report(
        kind="night",
        title=f"The night of {forms.long_day(as_of)}",
        eyebrow=f"{forms.instant(as_of)}{lines.mode(con)}",
        headline=_headline(it, totals),
        warning=_looking_back(it, as_of, last),
        tiles=list(_tiles(it, totals)),
        sections=[section for section in _sections(con, as_of, it, totals) if section.shown or section.lede],
        links=[Link("index.html", "All reports"), *_neighbours(con, as_of)],
        closing=(
            "What was billed is shown as billed. Any other amount is exact and rounded for show, to two decimals, half away "
            "from zero; totals are of the exact amounts. Every number comes from published/tallyhouse.duckdb, schema billing."
        ),
    )


def _counts(con: duckdb.DuckDBPyConnection, as_of: datetime) -> Fields:
    return one(
        con,
        """
        SELECT
            (SELECT count(DISTINCT raw_file) FROM files WHERE landed_at = $1 AND source IS NOT NULL) AS files,
            (SELECT count(*) FROM files WHERE landed_at = $1 AND source IS NULL) AS unknown_files,
            (SELECT coalesce(sum(rows), 0)::BIGINT FROM files WHERE landed_at = $1) AS rows,
            (SELECT count(*) FROM used) AS usages,
            (SELECT count(*) FROM used WHERE landed_at < entered_at) AS released,
            (SELECT count(*) FROM quarantine WHERE first_seen = $1) AS held,
            (SELECT count(*) FROM quarantine) AS all_held,
            (SELECT count(*) FROM closed) AS closed,
            (SELECT count(*) FROM made WHERE NOT starts_with(charge, 'credit:')) AS lines,
            (SELECT count(*) FROM made WHERE reason = 'adjustment' AND NOT starts_with(charge, 'credit:')) AS adjustments,
            (SELECT count(*) FROM dated WHERE state = 'open') AS open,
            (SELECT count(*) FROM parity) AS parity,
            (SELECT count(*) FROM leak_ledger WHERE difference <> 0) AS leaks,
            (SELECT any_value((counts ->> 'lines')::BIGINT) FROM runs WHERE as_of = $1) > (SELECT count(*) FROM made)
                AS is_of_another_book""",
        [as_of],
    )


def _headline(it: Fields, totals: list[tuple[str, int]]) -> str:
    """What happened, in one breath: the money first, then what came in and what waits."""
    closed = forms.counted(it["closed"], "period") + " closed"
    if it["lines"]:
        amounts = forms.listed([f"{forms.minor(total, currency)} {currency}" for currency, total in totals])
        said = f"{closed if it['closed'] else 'No period closed'} and {forms.counted(it['lines'], 'line')} came to {amounts}"
    else:
        said = f"{closed}, and nothing was billed" if it["closed"] else "Nothing closed, and nothing was billed"
    rows, usages = (f"{forms.count(it[name])} {name if it[name] != 1 else name[:-1]}" for name in ("rows", "usages"))
    came = (
        f"{rows} of {forms.counted(it['files'], 'new file')} came in, {usages} entered the ledger"
        if it["files"]
        else (f"No new file came in, {usages} entered the ledger" if it["usages"] else "no new file came in")
    )
    held = (
        f"{forms.counted(it['held'], 'new row')} {'is' if it['held'] == 1 else 'are'} held"
        if it["held"]
        else "no new row is held"
    )
    return f"{said}. {came[0].upper()}{came[1:]}, and {held}."


def _tiles(it: Fields, totals: list[tuple[str, int]]) -> Iterator[Tile]:
    for currency, total in totals[:4]:
        yield Tile(f"billed-{currency}", f"Billed, {currency}", forms.minor(total, currency), "credit taken off")
    if len(totals) > 4:
        yield Tile("more", "Billed in", f"{len(totals) - 4} more", "currencies; see the lines")
    if not totals:
        yield Tile("billed", "Billed", "nothing")
    yield Tile("closed", "Periods closed", forms.count(it["closed"]), f"{forms.count(it['open'])} stand open")
    yield Tile("usages", "Usages entered", forms.count(it["usages"]), f"of {forms.count(it['rows'])} new rows")
    yield Tile(
        "held", "Rows held", forms.count(it["all_held"]), f"{forms.count(it['held'])} new", "warn" if it["held"] else ""
    )
    leaks = ("bad", "rows of the leak ledger differ") if it["leaks"] else ("good", "received less all ends")
    yield Tile("leaks", "Leaks", forms.count(it["leaks"]), leaks[1], "bad" if it["leaks"] else "good")


def _looking_back(it: Fields, as_of: datetime, last: datetime) -> str:
    if as_of == last:
        return ""
    later = f"Written after the night of {forms.instant(last)}."
    if it["is_of_another_book"]:
        return (
            f"{later} The workspace has changed between shadow and live since: what this night closed and billed stands in the "
            "other book, and not here."
        )
    return (
        f"{later} What this night entered, closed and billed is as it was; rows held, open periods and the leak ledger are as "
        "they stand since then."
    )


def _neighbours(con: duckdb.DuckDBPyConnection, as_of: datetime) -> list[Link]:
    earlier = [each for each in nights(con) if each < as_of]
    found = [Link(forms.night_file(earlier[-1]), f"The night before, {forms.day(earlier[-1])}")] if earlier else []
    return found + [Link(forms.month_file(month), f"{month:%B %Y}") for month in closed_months(con, as_of)]


def _sections(
    con: duckdb.DuckDBPyConnection, as_of: datetime, it: Fields, totals: list[tuple[str, int]]
) -> Iterator[Section]:
    drawing, legend = controls.ends(con, "landed_at = ?", [as_of])
    ends = [Stack(drawing, legend)] if it["rows"] else []
    unknown = f"No source matches {forms.counted(it['unknown_files'], 'file')}." if it["unknown_files"] else ""
    yield Section(
        "came-in",
        "What came in",
        "Every row of a new file ends in exactly one place." if it["files"] else "No new file.",
        [*ends, controls.files(con, "landed_at = ?", [as_of]), *([Note(unknown)] if unknown else [])],
    )
    held = (
        "Nothing is held."
        if not it["all_held"]
        else "Rows that cannot be billed wait with their reason and are never dropped."
    )
    if it["released"]:
        held += f" {forms.counted(it['released'], 'usage')} that earlier nights held came into the ledger tonight."
    costs = [Note("Cost at stake is what the rows say, in the currency of their account.")] if it["all_held"] else []
    yield Section(
        "held", "What is held, and why", held, [controls.held(con, as_of), *costs, controls.held_rows(con, as_of)]
    )
    yield Section(
        "usage",
        "Usage entered",
        "Pooled usage has a price row by row and draws on refresh and included; the rest is priced over its whole period."
        if it["usages"]
        else "No usage entered the ledger.",
        [*usage.by_day(con), usage.by_meter(con), usage.by_plan(con)],
    )
    if it["lines"] or it["closed"]:
        yield Section(
            "bridge",
            "From usage to lines",
            "What the periods closed tonight used, what refresh and included gave back, and what that came to.",
            bridge.bridges(con, "Billed tonight"),
        )
    if it["lines"]:
        yield Section(
            "lines",
            "Lines",
            "",
            [lines.lines_by_charge(con), lines.by_plan(con), lines.line_list(con, "largest", "true")],
        )
    if it["closed"]:
        yield Section(
            "closed",
            "Periods closed",
            "As they stand at their close; they never change again.",
            [periods.closed_periods(con)],
        )
    moved = [periods.movers(con), periods.movers_so_far(con, as_of)]
    yield (
        Section("movers", "Who moved most", "Against the period before, of accounts that had one.", moved)
        if any(not grid.is_empty for grid in moved)
        else Section("movers", "Who moved most")
    )
    grids = [thresholds.reached(con), thresholds.near(con)]
    if any(not grid.is_empty for grid in grids):
        lede = "Overage of an open period is billed at once where its plan's threshold is reached."
        yield Section("thresholds", "Thresholds", lede, grids)
    yield from _late(con, it)
    if it["open"]:
        yield Section("open", "Open periods so far", "", bridge.open_bridges(con))
    yield from _proofs(con, as_of, it)


def _late(con: duckdb.DuckDBPyConnection, it: Fields) -> Iterator[Section]:
    late, kept = usage.late(con), usage.not_billed(con)
    if it["adjustments"] or not late.is_empty or not kept.is_empty:
        lede = "What arrived for closed periods, what it changed, and what came too late to be billed."
        changed = lines.line_list(con, "adjustments", "reason = 'adjustment'")
        yield Section("late", "Late corrections", lede, [late, changed, kept])


def _proofs(con: duckdb.DuckDBPyConnection, as_of: datetime, it: Fields) -> Iterator[Section]:
    if has(con, "checks"):
        lede = "What was looked at before anything was published."
        yield Section("checks", "Checks", lede, [controls.checks(con, as_of), controls.check_findings(con, as_of)])
    verdict = (
        "For every day and meter, all that ever came in has one end: the difference is zero, nothing was lost and nothing "
        "stands twice. Quantities and costs are added up over all meters and currencies, as control totals."
        if not it["leaks"]
        else f"{forms.counted(it['leaks'], 'row')} of the leak ledger differ."
    )
    yield Section("leaks", "Leak ledger", verdict, [controls.leaks(con)])
    yield Section("rounding", "Rounding residue", "", [lines.rounding(con)])
    if it["parity"]:
        yield Section(
            "parity",
            "Parity",
            "Two counts of the same usage, hour by hour, over the last week.",
            [controls.parity(con)],
        )
    if it["lines"]:
        yield Section("pushed", "On their way to Stripe", "", [controls.pushed(con), controls.parked(con)])
