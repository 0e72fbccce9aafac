"""An account's usage day by day, on its own calendar: what each window used and got back, and each meter's course."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby

import duckdb

from assets.report import forms, svg
from assets.report.grid import Cell, Column, Grid, Group, Row, simple
from assets.report.lines import by_currency
from assets.report.page import Folded
from assets.report.usage import PRICED, Chart, each_day, quantity
from assets.rerate import Row as Fields
from assets.rerate import rows

# A page for a customer is read, not searched: who wants every day of a year asks the published file.
MOST_ROWS = 2_000


def windows(con: duckdb.DuckDBPyConnection, zone: str) -> list[Chart]:
    """What each 24 hours used, and what of it the daily refresh gave back."""
    found = rows(
        con,
        """
        SELECT currency, timezone(?, window_start)::DATE AS day, sum(usage) AS usage, sum(allowance) AS allowance,
               sum(refresh) AS refresh
        FROM daily_refresh JOIN (SELECT subscription_id, period_start, currency FROM closed
                                 UNION ALL SELECT subscription_id, period_start, currency FROM open)
            USING (subscription_id, period_start)
        GROUP BY currency, day ORDER BY currency, day""",
        [zone],
    )
    return [_windows(currency, days) for currency, days in by_currency(found) if any(it["usage"] for it in days)]


def _windows(currency: str, found: Sequence[Fields]) -> Chart:
    has_refresh = any(it["allowance"] for it in found)
    points = [svg.Day(it["day"], it["usage"], it["refresh"]) for it in found]
    texts = [forms.money(it["usage"]) for it in found]
    names = ("usage", "allowance", "refresh") if has_refresh else ("usage",)
    body = [
        Row(it["day"].isoformat(), [forms.day(it["day"]), *(forms.money(it[name]) for name in names)])
        for it in found
        if it["usage"]
    ]
    title = "Pooled usage of every 24 hours"
    span = forms.days(found[0]["day"], found[-1]["day"])
    columns = [Column("day", "From", "date"), *(Column(name, name.capitalize(), "number") for name in names)]
    return Chart(
        f"{title}, in {currency}",
        svg.daily(f"{title}, {span}, in {currency}", points, currency, texts),
        simple(f"windows-{currency}", columns, body),
        has_refresh,
        lower_label="given back by the daily refresh",
    )


def _by_day(con: duckdb.DuckDBPyConnection, zone: str) -> list[Fields]:
    return rows(
        con,
        f"""
        SELECT meter, any_value(aggregate) AS aggregate, any_value(unit) AS unit, any_value(divide_by) AS divide_by,
               any_value(currency) AS currency, timezone(?, occurred_at)::DATE AS day, count(*) AS usages,
               sum(quantity) AS quantity, sum(amount) FILTER ({PRICED}) AS amount
        FROM used LEFT JOIN meters USING (meter)
        WHERE state = 'billable' OR counted_in_baseline
        GROUP BY meter, day ORDER BY meter, day""",
        [zone],
    )


def by_meter(con: duckdb.DuckDBPyConnection, zone: str) -> Grid:
    """Each meter's usage over the days, drawn and added up."""
    found = _by_day(con, zone)
    if not found:
        return simple("meters", [], [])
    first, last = min(it["day"] for it in found), max(it["day"] for it in found)
    body = []
    for meter, group in groupby(found, key=lambda it: it["meter"]):
        days = list(group)
        whole = {**days[0], "usages": sum(it["usages"] for it in days)}
        whole["quantity"] = sum((it["quantity"] or Decimal() for it in days), Decimal())
        amounts = [it["amount"] for it in days if it["amount"] is not None]
        unit = f"{whole['unit'] or ''}{' net' if whole['aggregate'] == 'time_weighted' else ''}"
        cells = [
            meter,
            svg.Spark([_height(it) for it in _filled(days, first, last)]),
            forms.count(whole["usages"]),
            forms.quantity(quantity(whole)),
            unit,
            forms.money(sum(amounts, Decimal())) if amounts else Cell("–", tone="dim"),
        ]
        body.append(Row(meter, cells))
    columns = [
        Column("meter", "Meter"),
        Column("bar", forms.days(first, last), "bar"),
        Column("usages", "Usages", "number"),
    ]
    columns += [Column("quantity", "Quantity", "number"), Column("unit", "Unit"), Column("amount", "Pooled", "number")]
    return Grid("meters", columns, [Group("", body)])


def _filled(found: Sequence[Fields], first: date, last: date) -> list[Fields | None]:
    known = {it["day"]: it for it in found}
    return [known.get(day) for day in each_day(first, last)]


def _height(it: Fields | None) -> Decimal:
    """Money where there is any, else the quantity; else how often."""
    if it is None:
        return Decimal()
    if it["amount"] is not None:
        return Decimal(it["amount"])
    if it["aggregate"] in ("sum", "time_weighted"):
        return Decimal(it["quantity"] or 0)
    return Decimal(it["usages"])


def every_day(con: duckdb.DuckDBPyConnection, zone: str) -> Folded:
    """The same as a table: a row for every day and meter."""
    found = _by_day(con, zone)
    found.sort(key=lambda it: (it["day"], it["meter"]))
    groups = []
    for day, group in groupby(found[:MOST_ROWS], key=lambda it: it["day"]):
        body = [
            Row(
                f"{it['day'].isoformat()}|{it['meter']}",
                [
                    it["meter"],
                    forms.count(it["usages"]),
                    forms.quantity(quantity(it)),
                    it["unit"] or "",
                    forms.money(it["amount"]) if it["amount"] is not None else Cell("–", tone="dim"),
                ],
            )
            for it in group
        ]
        groups.append(Group(forms.day(day), body))
    rest = len(found) - MOST_ROWS
    if rest > 0:
        groups.append(Group("", [], f"and {forms.count(rest)} more"))
    columns = [Column("meter", "Meter"), Column("usages", "Usages", "number"), Column("quantity", "Quantity", "number")]
    columns += [Column("unit", "Unit"), Column("amount", "Pooled", "number")]
    return Folded("Every day and meter", Grid("every-day", columns, groups))
