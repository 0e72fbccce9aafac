"""The periods of a report: those that closed, and the accounts that moved most against the period before."""

from __future__ import annotations

from decimal import Decimal

import duckdb

from assets.report import forms
from assets.report.grid import Cell, Column, Grid, Group, Row, Value
from assets.report.lines import by_currency, named
from assets.report.published import MOST
from assets.report.svg import Bar
from assets.rerate import Row as Fields
from assets.rerate import rows


def closed_periods(con: duckdb.DuckDBPyConnection, most: int = MOST) -> Grid:
    """Periods closed, those that owe most first, with the sums of all."""
    sums: tuple[str, ...] = ("usage", "refresh", "overage", "metered", "minimum", "owed")
    window = ", ".join(f"sum({name}) OVER by_currency AS all_{name}" for name in sums)
    found = rows(
        con,
        f"""
        SELECT *, count(*) OVER by_currency AS periods, sum(billed_minor) OVER by_currency::BIGINT AS all_billed, {window}
        FROM closed WINDOW by_currency AS (PARTITION BY currency)
        QUALIFY row_number() OVER (PARTITION BY currency ORDER BY owed DESC, subscription_id, period_start) <= ?
        ORDER BY currency, owed DESC, subscription_id, period_start""",
        [most],
    )
    sums = tuple(name for name in sums if any(it[f"all_{name}"] for it in found))
    groups = []
    for currency, periods in by_currency(found):
        body = [
            Row(
                f"{it['subscription_id']}|{it['period_start'].isoformat()}",
                [
                    named(it),
                    it["plan"],
                    forms.span(it["period_start"], it["period_end"], it["zone"]),
                    *(_amount(it[name]) for name in sums),
                    forms.minor(it["billed_minor"], currency),
                ],
            )
            for it in periods
        ]
        first = periods[0]
        total = [f"Total {currency}", "", "", *(_amount(first[f"all_{name}"]) for name in sums)]
        total.append(forms.minor(first["all_billed"], currency))
        rest = first["periods"] - len(periods)
        more = f"and {forms.count(rest)} more" if rest else ""
        groups.append(Group(currency, [*body, Row(f"{currency}|", total, is_total=True)], more))
    columns = [Column("account", "Account"), Column("plan", "Plan"), Column("period", "Period", "date")]
    numbers = [*(Column(name, name.capitalize(), "number") for name in sums), Column("billed", "Billed", "number")]
    return Grid("closed", [*columns, *numbers], groups)


def _amount(amount: Decimal) -> str | Cell:
    return forms.money(amount) if amount else Cell("–", tone="dim")


_COMPARED = """
    WITH compared AS (
        SELECT *, lag(owed) OVER earlier AS owed_before, lag(period_start) OVER earlier AS start_before,
               lag(currency) OVER earlier AS currency_before
        FROM dated WINDOW earlier AS (PARTITION BY subscription_id ORDER BY period_start)
    ), moved AS (
        SELECT account_id, name, currency, sum(owed) AS now, sum(owed_before) AS before, sum(owed - owed_before) AS change
        FROM compared SEMI JOIN closed USING (subscription_id, period_start)
        WHERE start_before IS NOT NULL AND currency = currency_before
        GROUP BY account_id, name, currency
    )"""
# Only windows that are over, and as many of the period before.
_SO_FAR = """
    WITH opened AS (
        SELECT subscription_id, account_id, name, currency, period_start,
               lag(period_start) OVER (PARTITION BY subscription_id ORDER BY period_start) AS start_before, state
        FROM dated
    ), windows AS (
        SELECT account_id, name, currency, opened.subscription_id, opened.period_start, opened.start_before,
               daily_refresh.period_start = opened.period_start AS is_now, usage
        FROM opened JOIN daily_refresh ON daily_refresh.subscription_id = opened.subscription_id
             AND daily_refresh.period_start IN (opened.period_start, opened.start_before)
        WHERE opened.state = 'open' AND start_before IS NOT NULL
          AND window_start - daily_refresh.period_start + INTERVAL 24 hours <= ?::TIMESTAMPTZ - opened.period_start
    ), moved AS (
        SELECT account_id, name, currency, coalesce(sum(usage) FILTER (is_now), 0) AS now,
               coalesce(sum(usage) FILTER (NOT is_now), 0) AS before, now - before AS change
        FROM windows GROUP BY account_id, name, currency
    )"""
_LARGEST = """
    SELECT *, count(*) OVER (PARTITION BY currency) AS moved FROM moved WHERE change <> 0
    QUALIFY row_number() OVER (PARTITION BY currency ORDER BY abs(change) DESC, account_id) <= ?
    ORDER BY currency, abs(change) DESC, account_id"""


def movers(con: duckdb.DuckDBPyConnection, most: int = MOST) -> Grid:
    """Accounts whose closed period owes most more, or less, than the one before."""
    return _moved("movers", rows(con, _COMPARED + _LARGEST, [most]), "Owed", "Before")


def movers_so_far(con: duckdb.DuckDBPyConnection, as_of: object, most: int = MOST) -> Grid:
    """Accounts whose open period has used most more, or less, than the same stretch of the one before."""
    return _moved("movers-so-far", rows(con, _SO_FAR + _LARGEST, [as_of, most]), "Used so far", "Same stretch before")


def _moved(name: str, found: list[Fields], now: str, before: str) -> Grid:
    groups = []
    for currency, accounts in by_currency(found):
        most = max(abs(it["change"]) for it in accounts)
        body = []
        for it in accounts:
            if not forms.rounded(it["change"]):
                continue
            sign, tone = ("+", "use") if it["change"] > 0 else ("", "less")
            part = forms.share(it["change"], it["before"]) if it["before"] > 0 else ""
            cells: list[Value] = [named(it), forms.money(it["before"]), forms.money(it["now"])]
            bar = Bar(Decimal(), it["change"], most, tone, -most)
            change = sign + forms.money(it["change"])
            body.append(Row(f"{currency}|{it['account_id']}", [*cells, bar, change, sign + part if part else ""]))
        rest = accounts[0]["moved"] - len(accounts)
        if body:
            groups.append(Group(currency, body, f"and {forms.count(rest)} more moved less" if rest else ""))
    columns = [Column("account", "Account"), Column("before", before, "number"), Column("now", now, "number")]
    columns += [Column("bar", "", "bar"), Column("change", "Change", "number"), Column("part", "", "number")]
    return Grid(name, columns, groups)
