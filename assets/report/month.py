"""The report of a closed month: the periods that ended with it on their accounts' calendars, and what was billed for them.

A later correction belongs to the month that it corrects, so the page is written again when one comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb

from assets.report import bridge, controls, forms, lines, periods, usage
from assets.report.page import Link, Report, Section, Tile
from assets.report.published import USED, closed_months, one
from assets.rerate import Row as Fields


def scope(con: duckdb.DuckDBPyConnection, month: date) -> None:
    """What a month's page is about: its periods, the lines made for them so far, the usage that fell in them."""
    con.execute("CREATE OR REPLACE TEMP TABLE closed AS FROM dated WHERE month = ? AND state = 'closed'", [month])
    of_these = "SEMI JOIN closed USING (subscription_id, period_start)"
    con.execute(f"CREATE OR REPLACE TEMP TABLE made AS FROM invoice_items {of_these}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW used AS {USED} {of_these}")


def report(con: duckdb.DuckDBPyConnection, month: date) -> Report:
    scope(con, month)
    totals = lines.totals(con)
    it = _counts(con)
    others = [each for each in closed_months(con) if each != month]
    return Report(
        kind="month",
        title=f"{month:%B %Y}",
        eyebrow=f"Closed month, as of the night of {forms.instant(it['as_of'])}{lines.mode(con)}",
        headline=_headline(it, totals),
        tiles=list(_tiles(it, totals)),
        sections=[section for section in _sections(con, month, it) if section.shown],
        links=[
            Link("index.html", "All reports"),
            *(Link(forms.month_file(each), f"{each:%B %Y}") for each in others if abs(_apart(each, month)) == 1),
        ],
        closing=(
            "A period belongs to the month in which its last day falls on its account's own calendar, and every line to the "
            "month of its period, whenever it was made. What was billed is shown as billed; any other amount is exact and "
            "rounded for show, to two decimals, half away from zero. Amounts of different currencies are never added."
        ),
    )


def _apart(month: date, other: date) -> int:
    return (month.year - other.year) * 12 + month.month - other.month


def _counts(con: duckdb.DuckDBPyConnection) -> Fields:
    """The night is the last that changed anything here, so that the page says the same until one does again."""
    return one(
        con,
        """
        SELECT (SELECT count(*) FROM closed) AS periods,
               (SELECT count(DISTINCT account_id) FROM closed) AS accounts,
               (SELECT count(*) FROM used) AS usages,
               (SELECT count(*) FROM made WHERE NOT starts_with(charge, 'credit:')) AS lines,
               (SELECT count(*) FROM made WHERE reason = 'adjustment') AS adjustments,
               greatest((SELECT max(closed_at) FROM closed), (SELECT max(created_as_of) FROM made),
                        (SELECT max(entered_at) FROM used)) AS as_of""",
    )


def _headline(it: Fields, totals: list[tuple[str, int]]) -> str:
    amounts = forms.listed([f"{forms.minor(total, currency)} {currency}" for currency, total in totals])
    closed = f"{forms.counted(it['periods'], 'period')} of {forms.counted(it['accounts'], 'account')}"
    verb = "ended" if it["periods"] != 1 else "has ended"
    if not totals:
        return f"{closed} {verb} in this month, and nothing was billed for them."
    late = f" {forms.counted(it['adjustments'], 'line')} of it came after the close." if it["adjustments"] else ""
    return f"{closed} {verb} in this month, and {forms.counted(it['lines'], 'line')} came to {amounts}.{late}"


def _tiles(it: Fields, totals: list[tuple[str, int]]) -> Iterator[Tile]:
    for currency, total in totals[:5]:
        yield Tile(f"billed-{currency}", f"Billed, {currency}", forms.minor(total, currency), "credit taken off")
    yield Tile("periods", "Periods", forms.count(it["periods"]), f"of {forms.counted(it['accounts'], 'account')}")
    yield Tile("usages", "Usages", forms.count(it["usages"]))
    yield Tile("adjustments", "Adjustments", forms.count(it["adjustments"]), "lines after the close")


def _sections(con: duckdb.DuckDBPyConnection, month: date, it: Fields) -> Iterator[Section]:
    yield Section(
        "bridge",
        "From usage to lines",
        "What the periods used, what refresh and included gave back, and what that came to.",
        bridge.bridges(con, "Billed"),
    )
    yield Section("revenue", "Billed, by what it is for", "", [lines.lines_by_charge(con)])
    yield Section("plans", "Billed, by plan", "", [lines.by_plan(con)])
    yield Section("accounts", "Billed, by account", "", [lines.by_account(con)])
    yield Section("usage", "Usage", "", [*usage.by_day(con), usage.by_meter(con), usage.by_plan(con)])
    yield Section("closed", "Periods", "As they stood at their close.", [periods.closed_periods(con)])
    yield Section(
        "movers", "Who moved most", "Against the period before, of accounts that had one.", [periods.movers(con)]
    )
    thresholds = "reason = 'threshold' AND NOT starts_with(charge, 'credit:')"
    lede = "So much overage was unbilled in an open period that its plan billed it at once."
    yield Section("thresholds", "Thresholds reached", lede, [lines.line_list(con, "thresholds", thresholds)])
    lede = "What arrived once the periods were closed, what it changed, and what came too late to be billed."
    late = [usage.late(con), lines.line_list(con, "adjustments", "reason = 'adjustment'"), usage.not_billed(con)]
    yield Section("late", "Late corrections", lede, late)
    days = "day >= ? AND day < ?::DATE + INTERVAL 1 month"
    lede = (
        "All that came in for the UTC days of the month, and where it has ended; quantities and costs are added up over all "
        "meters and currencies, as control totals."
    )
    yield Section("leaks", "Leak ledger", lede, [controls.leaks(con, days, [month, month])])
    yield Section("rounding", "Rounding residue", "", [lines.rounding(con)])
    yield Section("pushed", "On their way to Stripe", "", [controls.pushed(con)])
