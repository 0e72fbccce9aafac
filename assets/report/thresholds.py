"""The thresholds of a night's report: what was billed because one was reached, and who is on the way to one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import duckdb

from assets.core.page import from_minor
from assets.report import forms
from assets.report.grid import Column, Grid, Group, Row
from assets.report.lines import by_currency, line_list, named
from assets.report.published import MOST
from assets.report.svg import Bar
from assets.rerate import rows


def reached(con: duckdb.DuckDBPyConnection) -> Grid:
    """Tonight's lines of open periods, without the credit that met them."""
    where = "reason = 'threshold' AND NOT starts_with(charge, 'credit:')"
    return replace(line_list(con, "thresholds", where), caption="Reached tonight")


def near(con: duckdb.DuckDBPyConnection, most: int = MOST) -> Grid:
    """Open periods with overage that is not billed yet, those nearest to their threshold first."""
    currencies = con.execute("SELECT DISTINCT currency FROM periods").fetchall()
    units = [{"currency": currency, "unit": from_minor(1, currency)} for (currency,) in currencies]
    found = rows(
        con,
        """
        WITH units AS (
            SELECT unnest(?::STRUCT(currency VARCHAR, unit DECIMAL(4, 3))[], recursive := true)
        ), standing AS (
            SELECT dated.*, charges.owed - charges.billed_minor * unit AS unbilled
            FROM dated JOIN charges USING (subscription_id, period_start)
            JOIN units ON units.currency = dated.currency
            WHERE dated.state = 'open' AND threshold IS NOT NULL AND charge = 'overage'
        )
        SELECT *, count(*) OVER (PARTITION BY currency) AS periods FROM standing WHERE unbilled > 0
        QUALIFY row_number() OVER (
            PARTITION BY currency ORDER BY unbilled / threshold DESC, subscription_id, period_start) <= ?
        ORDER BY currency, unbilled / threshold DESC, subscription_id, period_start""",
        [units, most],
    )
    groups = []
    for currency, periods in by_currency(found):
        body = [
            Row(
                f"{it['subscription_id']}|{it['period_start'].isoformat()}",
                [
                    named(it),
                    it["plan"],
                    forms.span(it["period_start"], it["period_end"], it["zone"]),
                    forms.money(it["unbilled"]),
                    forms.money(it["threshold"]),
                    Bar(Decimal(), min(it["unbilled"], it["threshold"]), it["threshold"]),
                    forms.share(it["unbilled"], it["threshold"]),
                ],
            )
            for it in periods
        ]
        rest = periods[0]["periods"] - len(periods)
        groups.append(Group(currency, body, f"and {forms.count(rest)} further away" if rest else ""))
    columns = [Column("account", "Account"), Column("plan", "Plan"), Column("period", "Period", "date")]
    columns += [Column("unbilled", "Overage not billed", "number"), Column("threshold", "Threshold", "number")]
    columns += [Column("bar", "", "bar"), Column("part", "", "number")]
    return Grid("near-threshold", columns, groups, "On the way to one")
