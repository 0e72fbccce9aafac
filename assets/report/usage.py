"""The usage of a report: by meter, by plan, by day, what came late, and what owes nothing. It works on `used`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby

import duckdb
from markupsafe import Markup

from assets.core.numbers import added
from assets.report import forms, svg
from assets.report.grid import Cell, Column, Grid, Group, Row, Value, bars, simple
from assets.report.lines import by_currency, named
from assets.report.published import MOST
from assets.rerate import Row as Fields
from assets.rerate import rows

# A chart of more days says nothing of any.
MOST_DAYS = 62
STATES = {"expired": "came after its period's late window", "pre_cutover": "before bill_from"}
# What is priced is pooled and draws on refresh and included; a baseline may have counted it already.
PRICED = "amount IS NOT NULL AND (state = 'billable' OR counted_in_baseline)"


def quantity(it: Fields) -> Fraction | None:
    """How much was used, in the unit that is sold; of what only a whole period can count, nothing."""
    if it["aggregate"] not in ("sum", "count", "time_weighted"):
        return None
    counted = it["usages"] if it["aggregate"] == "count" else it["quantity"] or 0
    return Fraction(counted) / Fraction(it["divide_by"] or 1)


def by_meter(con: duckdb.DuckDBPyConnection) -> Grid:
    """Usage and its money by meter. Only pooled usage has a price of its own, row by row."""
    found = rows(
        con,
        f"""
        SELECT if({PRICED}, currency, NULL) AS currency, meter, aggregate, unit, divide_by, count(*) AS usages,
               count(DISTINCT account_id) AS accounts, sum(quantity) AS quantity,
               sum(amount) FILTER ({PRICED}) AS amount
        FROM used LEFT JOIN meters USING (meter)
        WHERE state = 'billable' OR counted_in_baseline
        GROUP BY ALL ORDER BY currency NULLS LAST, amount DESC NULLS LAST, usages DESC, meter""",
    )
    groups = []
    for currency, group in groupby(found, key=lambda it: it["currency"]):
        meters = list(group)
        amounts = [it["amount"] or Decimal() for it in meters]
        drawn: Sequence[Value] = bars(amounts) if currency else [""] * len(meters)
        body = []
        for it, bar in zip(meters, drawn, strict=True):
            unit = f"{it['unit'] or ''}{' net' if it['aggregate'] == 'time_weighted' else ''}"
            amount = forms.money(it["amount"]) if currency else Cell("–", tone="dim")
            used = forms.quantity(quantity(it))
            counts = [forms.count(it["accounts"]), forms.count(it["usages"])]
            body.append(Row(f"{currency or ''}|{it['meter']}", [it["meter"], *counts, used, unit, bar, amount]))
        if currency:
            usages = sum(it["usages"] for it in meters)
            total = [f"Total {currency}", "", forms.count(usages), "", "", "", forms.money(added(amounts))]
            body.append(Row(f"{currency}|", total, is_total=True))
        groups.append(Group(currency or "Priced over the whole period, or not at all", body))
    columns = [Column("meter", "Meter"), Column("accounts", "Accounts", "number"), Column("usages", "Usages", "number")]
    columns += [Column("quantity", "Quantity", "number"), Column("unit", "Unit"), Column("bar", "", "bar")]
    return Grid("meters", [*columns, Column("amount", "Pooled", "number")], groups)


def by_plan(con: duckdb.DuckDBPyConnection) -> Grid:
    """Who uses, by the plan in force when it happened."""
    found = rows(
        con,
        f"""
        SELECT coalesce(currency, '?') AS currency, coalesce(plan, 'no plan') AS plan, count(*) AS usages,
               count(DISTINCT account_id) AS accounts, coalesce(sum(amount) FILTER ({PRICED}), 0) AS amount
        FROM used GROUP BY ALL ORDER BY currency, amount DESC, plan""",
    )
    groups = []
    for currency, plans in by_currency(found):
        amounts = [it["amount"] for it in plans]
        body = [
            Row(
                f"{currency}|{it['plan']}",
                [
                    it["plan"],
                    forms.count(it["accounts"]),
                    forms.count(it["usages"]),
                    bar,
                    forms.money(it["amount"]),
                ],
            )
            for it, bar in zip(plans, bars(amounts), strict=True)
        ]
        groups.append(Group(currency, body))
    columns = [Column("plan", "Plan"), Column("accounts", "Accounts", "number"), Column("usages", "Usages", "number")]
    return Grid("used-plans", [*columns, Column("bar", "", "bar"), Column("amount", "Pooled", "number")], groups)


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, and the same figures as a table for whoever can't see it or wants to copy them."""

    title: str
    drawing: Markup
    figures: Grid
    has_lower: bool  # something stands apart at the bottom of the bars
    note: str = ""
    lower_label: str = "counted in a baseline already"


def by_day(con: duckdb.DuckDBPyConnection) -> list[Chart]:
    """Pooled usage by the UTC day it happened on, a chart for each currency."""
    found = rows(
        con,
        f"""
        SELECT currency, occurred_at::DATE AS day, count(*) AS usages, sum(amount) AS amount,
               coalesce(sum(amount) FILTER (counted_in_baseline), 0) AS counted
        FROM used WHERE {PRICED} GROUP BY currency, day ORDER BY currency, day""",
    )
    currencies = list(by_currency(found))
    width = svg.WIDE if len(currencies) == 1 else svg.NARROW
    return [
        chart_of_days(f"days-{currency}", currency, days, "Pooled usage by day", width) for currency, days in currencies
    ]


def chart_of_days(name: str, currency: str, found: Sequence[Fields], title: str, width: int = svg.WIDE) -> Chart:
    """A chart of the days from the first to the last, those without usage too; of the latest, where they are many."""
    shown = {it["day"]: it for it in found[-MOST_DAYS:]}
    days = list(each_day(min(shown), max(shown)))[-MOST_DAYS:]
    points, texts = [], []
    for day in days:
        amount, counted = (shown[day]["amount"], shown[day]["counted"]) if day in shown else (Decimal(), Decimal())
        points.append(svg.Day(day, amount, counted))
        texts.append(forms.money(amount))
    before = [it for it in found if it["day"] < days[0]]
    note = ""
    if before:
        rest = forms.money(added(it["amount"] for it in before))
        note = f"Not drawn: {rest} {currency} on {forms.count(len(before))} earlier days."
    whole = forms.money(added(it["amount"] for it in found))
    label = f"{title}, {forms.days(days[0], days[-1])}: {whole} {currency}"
    body = [
        Row(
            f"{currency}|{it['day'].isoformat()}",
            [forms.day(it["day"]), forms.count(it["usages"]), forms.money(it["amount"])],
        )
        for it in found
        if it["day"] >= days[0]
    ]
    columns = [Column("day", "Day", "date"), Column("usages", "Usages", "number"), Column("amount", currency, "number")]
    return Chart(
        f"{title}, in {currency}",
        svg.daily(label, points, currency, texts, width),
        simple(name, columns, body),
        any(it["counted"] for it in found),
        note,
    )


def each_day(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def late(con: duckdb.DuckDBPyConnection, is_named: bool = True, most: int = MOST) -> Grid:
    """Usage that came in once its period was closed: each difference becomes an adjustment line."""
    found = rows(
        con,
        f"""
        WITH came AS (
            SELECT account_id, name, used.currency, meter, period_start, used.period_end, zone,
                   min(occurred_at::DATE) AS first_day, max(occurred_at::DATE) AS last_day, count(*) AS usages,
                   sum(amount) FILTER ({PRICED}) AS amount
            FROM used
            JOIN (SELECT subscription_id, period_start, name, zone, closed_at FROM dated)
                USING (subscription_id, period_start)
            WHERE closed_at < entered_at AND state = 'billable'
            GROUP BY ALL
        )
        SELECT *, count(*) OVER () AS groups FROM came
        QUALIFY row_number() OVER (ORDER BY abs(amount) DESC NULLS LAST, account_id, meter, period_start) <= ?
        ORDER BY currency, abs(amount) DESC NULLS LAST, account_id, meter, period_start""",
        [most],
    )
    body = [
        Row(
            f"{it['account_id']}|{it['meter']}|{it['period_start'].isoformat()}",
            [
                *([named(it)] if is_named else []),
                forms.span(it["period_start"], it["period_end"], it["zone"]),
                it["meter"],
                forms.days(it["first_day"], it["last_day"]),
                forms.count(it["usages"]),
                f"{forms.money(it['amount'])} {it['currency']}" if it["amount"] is not None else "–",
            ],
        )
        for it in found
    ]
    rest = found[0]["groups"] - len(found) if found else 0
    columns = [Column("account", "Account")] if is_named else []
    columns += [Column("period", "Closed period", "date"), Column("meter", "Meter")]
    columns += [
        Column("days", "Happened on", "date"),
        Column("usages", "Usages", "number"),
        Column("amount", "Pooled", "number"),
    ]
    return simple("late", columns, body, more=f"and {forms.count(rest)} more" if rest else "")


def not_billed(con: duckdb.DuckDBPyConnection) -> Grid:
    """Usage that is kept and owes nothing, with the amounts it would have had."""
    found = rows(
        con,
        """
        SELECT state, currency, count(*) AS usages, count(DISTINCT account_id) AS accounts, sum(amount) AS amount
        FROM used WHERE state <> 'billable' AND NOT counted_in_baseline GROUP BY ALL ORDER BY state, currency""",
    )
    body = [
        Row(
            f"{it['state']}|{it['currency']}",
            [
                Cell(it["state"], note=STATES.get(it["state"], "")),
                forms.count(it["accounts"]),
                forms.count(it["usages"]),
                f"{forms.money(it['amount'])} {it['currency']}" if it["amount"] is not None else "–",
            ],
        )
        for it in found
    ]
    columns = [Column("state", "Why"), Column("accounts", "Accounts", "number"), Column("usages", "Usages", "number")]
    return simple("not-billed", [*columns, Column("amount", "Pooled", "number")], body)
