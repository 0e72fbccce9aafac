"""The money of a report: the bridge from raw usage to what is billed, the lines, the plans, who moved.

Each works on what its page is about, told by three temporary tables: `closed` (periods), `made` (lines) and `used`
(usage). A night's page and a month's differ by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

import duckdb

from assets.core.numbers import added, less, round_minor
from assets.core.page import from_minor
from assets.report import forms
from assets.report.grid import Cell, Column, Grid, Group, Row, Value, bars, simple
from assets.report.published import MOST, one
from assets.report.svg import Bar
from assets.rerate import Row as Fields
from assets.rerate import rows

CHARGES = {
    "overage": "Usage above what is included",
    "minimum": "Up to the plan's minimum",
    "credit": "Credit",
}
# Lines in words, and credit as one: there may be as many grants as accounts.
KIND = "CASE WHEN starts_with(charge, 'credit:') THEN 'credit' ELSE charge END"


def charge_words(charge: str) -> str:
    """What a line is for."""
    if charge.startswith("credit:"):
        return f"Credit {charge.removeprefix('credit:')}"
    return CHARGES.get(charge) or charge.removeprefix("metered:").partition(":")[2] or charge


def by_currency(found: Iterable[Fields]) -> Iterator[tuple[str, list[Fields]]]:
    for currency, group in groupby(found, key=lambda it: it["currency"]):
        yield str(currency), list(group)


def totals(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    """What the lines come to, by currency, credit taken off."""
    return con.execute("""
        SELECT currency, sum(amount_minor)::BIGINT FROM made GROUP BY currency ORDER BY currency""").fetchall()


# --- the bridge ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    label: str
    amount: Decimal
    is_total: bool = False  # stands on the ground; the others begin where the one before ended
    is_shown: bool = True  # also where it is zero
    is_billed: bool = False  # what lines say; the others are exact


def waterfall(name: str, currency: str, steps: Iterable[Step], caption: str) -> Grid:
    """Steps from one total to the next, each a bar that begins where the one before has ended."""
    shown = [step for step in steps if step.is_shown or step.amount]
    reached, ends = Decimal(), []
    for step in shown:
        start = Decimal() if step.is_total else reached
        reached = step.amount if step.is_total else added([reached, step.amount])
        ends.append((start, reached))
    least = min(Decimal(), *(min(pair) for pair in ends)) if ends else Decimal()
    most = max(Decimal(), *(max(pair) for pair in ends)) if ends else Decimal()
    body = []
    for step, (start, end) in zip(shown, ends, strict=True):
        tone = "sum" if step.is_total else "less" if step.amount < 0 else "use"
        text = forms.minor(round_minor(step.amount, currency), currency) if step.is_billed else forms.money(step.amount)
        label = Cell(step.label, tone="" if step.is_total else "dim")
        body.append(Row(step.name, [label, Bar(start, end, most, tone, least), text], is_total=step.is_total))
    columns = [Column("step", ""), Column("bar", "", "bar"), Column("amount", currency, "number")]
    # Totals stand between the steps here, not below them.
    return Grid(name, columns, [Group("", body)], caption, is_bridge=True)


def bridges(con: duckdb.DuckDBPyConnection, ending: str) -> list[Grid]:
    """From raw usage through refresh, included, minimum and rounding to the lines, currency by currency."""
    figures = {it["currency"]: it for it in rows(con, _CLOSED)}
    billed = {it["currency"]: it for it in rows(con, _BILLED)}
    return [
        waterfall(
            f"bridge-{currency}",
            currency,
            _steps(currency, figures.get(currency), billed.get(currency, {}), ending),
            f"In {currency}",
        )
        for currency in sorted(figures.keys() | billed.keys())
    ]


_FIGURES = """
    currency, count(*) AS periods, sum(baseline) AS baseline, sum(usage) AS usage, sum(refresh) AS refresh,
    sum(effective) AS effective, sum(least(effective, included)) AS met, sum(overage) AS overage,
    sum(metered) AS metered, sum(minimum) AS minimum, sum(owed) AS owed, sum(billed_minor)::BIGINT AS billed_minor"""
_CLOSED = f"SELECT {_FIGURES} FROM closed GROUP BY currency ORDER BY currency"
_OPEN = f"SELECT {_FIGURES} FROM {{}} WHERE state = 'open' GROUP BY currency ORDER BY currency"
_BILLED = """
    WITH lines AS (
        SELECT made.*, starts_with(charge, 'credit:') AS is_credit, closed.subscription_id IS NOT NULL AS is_closed
        FROM made LEFT JOIN closed USING (subscription_id, period_start)
    )
    SELECT currency,
           coalesce(sum(amount_minor) FILTER (NOT is_credit AND is_closed AND reason <> 'adjustment'), 0)::BIGINT AS closing,
           coalesce(sum(amount_minor) FILTER (NOT is_credit AND NOT is_closed AND reason <> 'adjustment'), 0)::BIGINT AS early,
           coalesce(sum(amount_minor) FILTER (NOT is_credit AND reason = 'adjustment'), 0)::BIGINT AS adjusted,
           coalesce(sum(amount_minor) FILTER (is_credit), 0)::BIGINT AS credit,
           sum(amount_minor)::BIGINT AS total
    FROM lines GROUP BY currency ORDER BY currency"""


def figures_steps(it: Fields) -> Iterator[Step]:
    """What periods owe, from the usage that draws on refresh and included to all that is owed."""
    raw = added([it["baseline"], it["usage"]])
    effective = less(raw, it["refresh"])
    yield Step("baseline", "Baseline", it["baseline"], is_shown=False)
    yield Step("usage", "Pooled usage", it["usage"])
    yield Step("refresh", "Daily refresh", it["refresh"].copy_negate())
    yield Step("floor", "Below zero, which owes nothing", less(it["effective"], effective), is_shown=False)
    yield Step("included", "Included", it["met"].copy_negate())
    uncharged = less(less(it["effective"], it["met"]), it["overage"])
    yield Step("uncharged", "Above it, on plans that charge no overage", uncharged.copy_negate(), is_shown=False)
    yield Step("overage", "Overage", it["overage"], is_total=True)
    yield Step("metered", "Metered charges", it["metered"])
    yield Step("minimum", "Up to minimums", it["minimum"], is_shown=False)
    yield Step("owed", "Owed", it["owed"], is_total=True)


def _steps(currency: str, figures: Fields | None, billed: Fields, ending: str) -> Iterator[Step]:
    def money(name: str) -> Decimal:
        return from_minor(billed.get(name, 0), currency)

    if figures:
        yield from figures_steps(figures)
        rounded = from_minor(figures["billed_minor"], currency)
        yield Step("rounding", "Rounding", less(rounded, figures["owed"]))
        yield Step(
            "earlier", "Billed by earlier nights", less(money("closing"), rounded), is_shown=False, is_billed=True
        )
    yield Step("early", "Thresholds reached", money("early"), is_shown=False, is_billed=True)
    yield Step("adjusted", "Adjustments", money("adjusted"), is_shown=False, is_billed=True)
    if billed.get("credit"):
        yield Step("lines", "Lines before credit", less(money("total"), money("credit")), is_total=True, is_billed=True)
        yield Step("credit", "Credit used", money("credit"), is_billed=True)
    yield Step("total", ending, money("total"), is_total=True, is_billed=True)


def open_bridges(con: duckdb.DuckDBPyConnection, periods: str = "dated") -> list[Grid]:
    """The open periods as they stand: what they owe so far, and what of it is not billed yet."""
    found = []
    for it in rows(con, _OPEN.format(periods)):
        currency = it["currency"]
        if not any(it[name] for name in ("baseline", "usage", "owed", "billed_minor")):
            continue
        billed = from_minor(it["billed_minor"], currency)
        steps = [
            *figures_steps(it),
            Step("billed", "Billed already", billed.copy_negate(), is_shown=False, is_billed=True),
            Step("unbilled", "Not billed yet", less(it["owed"], billed), is_total=True),
        ]
        counted = f"{forms.count(it['periods'])} open period{'' if it['periods'] == 1 else 's'}"
        found.append(waterfall(f"open-{currency}", currency, steps, f"{counted}, in {currency}"))
    return found


# --- lines -----------------------------------------------------------------------------------------------------------


def lines_by_charge(con: duckdb.DuckDBPyConnection) -> Grid:
    """What was billed, by what it is for and why."""
    found = rows(
        con,
        f"""
        SELECT currency, CASE WHEN starts_with(charge, 'metered:') THEN split_part(charge, ':', 3) ELSE {KIND} END AS kind,
               count(*) AS lines, sum(amount_minor)::BIGINT AS total,
               coalesce(sum(amount_minor) FILTER (reason = 'threshold'), 0)::BIGINT AS threshold,
               coalesce(sum(amount_minor) FILTER (reason = 'close'), 0)::BIGINT AS close,
               coalesce(sum(amount_minor) FILTER (reason = 'adjustment'), 0)::BIGINT AS adjustment
        FROM made GROUP BY currency, kind
        ORDER BY currency, kind = 'credit', kind <> 'overage', kind = 'minimum', total DESC, kind""",
    )
    sums = ("threshold", "close", "adjustment", "total")
    groups = []
    for currency, lines in by_currency(found):
        body = [
            Row(
                f"{currency}|{it['kind']}",
                [charge_words(str(it["kind"])), forms.count(it["lines"]), *_minors(it, sums, currency)],
            )
            for it in lines
        ]
        whole = {name: sum(it[name] for it in lines) for name in (*sums, "lines")}
        total = [f"Total {currency}", forms.count(whole["lines"]), *_minors(whole, sums[:-1], currency)]
        total.append(forms.minor(whole["total"], currency))
        groups.append(Group(currency, [*body, Row(f"{currency}|", total, is_total=True)]))
    columns = [Column("kind", "For"), Column("lines", "Lines", "number")]
    return Grid("lines", [*columns, *(Column(name, name.capitalize(), "number") for name in sums)], groups)


def _minors(it: dict[str, Any], names: Iterable[str], currency: str) -> list[str | Cell]:
    return [forms.minor(it[name], currency) if it[name] else Cell("–", tone="dim") for name in names]


def by_plan(con: duckdb.DuckDBPyConnection) -> Grid:
    """What was billed, by the plan in force last in the period, credit taken off."""
    found = rows(
        con,
        """
        SELECT made.currency, coalesce(dated.plan, 'no period any more') AS plan, count(*) AS lines,
               count(DISTINCT made.account_id) AS accounts, sum(amount_minor)::BIGINT AS total
        FROM made LEFT JOIN dated USING (subscription_id, period_start)
        GROUP BY made.currency, dated.plan ORDER BY made.currency, total DESC, plan""",
    )
    groups = []
    for currency, plans in by_currency(found):
        amounts = [from_minor(it["total"], currency) for it in plans]
        body = [
            Row(
                f"{currency}|{it['plan']}",
                [
                    it["plan"],
                    forms.count(it["accounts"]),
                    forms.count(it["lines"]),
                    bar,
                    forms.minor(it["total"], currency),
                ],
            )
            for it, bar in zip(plans, bars(amounts), strict=True)
        ]
        groups.append(Group(currency, body))
    columns = [Column("plan", "Plan"), Column("accounts", "Accounts", "number"), Column("lines", "Lines", "number")]
    return Grid("plans", [*columns, Column("bar", "", "bar"), Column("total", "Billed", "number")], groups)


def by_account(con: duckdb.DuckDBPyConnection, most: int = MOST) -> Grid:
    """Who was billed most, and how much all the others together."""
    found = rows(
        con,
        """
        WITH sums AS (
            SELECT currency, account_id, count(*) AS lines, sum(amount_minor)::BIGINT AS total
            FROM made GROUP BY currency, account_id
        )
        SELECT sums.*, coalesce(name, account_id) AS name, count(*) OVER by_currency AS accounts,
               sum(total) OVER by_currency::BIGINT AS whole, sum(lines) OVER by_currency::BIGINT AS all_lines
        FROM sums LEFT JOIN (SELECT account_id, name FROM accounts) AS named USING (account_id)
        WINDOW by_currency AS (PARTITION BY currency)
        QUALIFY row_number() OVER (PARTITION BY currency ORDER BY abs(total) DESC, account_id) <= ?
        ORDER BY currency, total DESC, account_id""",
        [most],
    )
    groups = []
    for currency, accounts in by_currency(found):
        amounts = [from_minor(it["total"], currency) for it in accounts]
        body = [
            Row(
                f"{currency}|{it['account_id']}",
                [named(it), forms.count(it["lines"]), bar, forms.minor(it["total"], currency)],
            )
            for it, bar in zip(accounts, bars(amounts), strict=True)
        ]
        first = accounts[0]
        rest = first["accounts"] - len(accounts)
        if rest:
            left = first["whole"] - sum(it["total"] for it in accounts)
            lines = first["all_lines"] - sum(it["lines"] for it in accounts)
            label = Cell(f"and {forms.count(rest)} more", tone="dim")
            body.append(Row(f"{currency}|more", [label, forms.count(lines), "", forms.minor(left, currency)]))
        total = [f"Total {currency}", forms.count(first["all_lines"]), "", forms.minor(first["whole"], currency)]
        groups.append(Group(currency, [*body, Row(f"{currency}|", total, is_total=True)]))
    columns = [Column("account", "Account"), Column("lines", "Lines", "number"), Column("bar", "", "bar")]
    return Grid("accounts", [*columns, Column("total", "Billed", "number")], groups)


def named(it: Fields) -> Cell:
    return Cell(it["name"], note=it["account_id"] if it["name"] != it["account_id"] else "")


def line_list(con: duckdb.DuckDBPyConnection, name: str, where: str, most: int = MOST) -> Grid:
    """Lines one by one, the largest first."""
    found = rows(
        con,
        f"""
        SELECT made.*, coalesce(named.name, made.account_id) AS name, coalesce(named.timezone, 'UTC') AS zone,
               count(*) OVER (PARTITION BY made.currency) AS lines,
               sum(amount_minor) OVER (PARTITION BY made.currency)::BIGINT AS whole
        FROM made LEFT JOIN (SELECT account_id, name, timezone FROM accounts) AS named USING (account_id)
        WHERE {where}
        QUALIFY row_number() OVER (PARTITION BY made.currency ORDER BY abs(amount_minor) DESC, line_id) <= ?
        ORDER BY made.currency, abs(amount_minor) DESC, line_id""",
        [most],
    )
    groups = []
    for currency, lines in by_currency(found):
        body = [
            Row(
                it["line_id"],
                [
                    named(it),
                    forms.span(it["period_start"], it["period_end"], it["zone"]),
                    charge_words(it["charge"]),
                    it["reason"],
                    forms.minor(it["amount_minor"], currency),
                ],
            )
            for it in lines
        ]
        rest = lines[0]["lines"] - len(lines)
        total = Row(f"{currency}|", [f"Total {currency}", "", "", "", forms.minor(lines[0]["whole"], currency)], True)
        groups.append(Group(currency, [*body, total], f"and {forms.count(rest)} more" if rest else ""))
    columns = [
        Column("account", "Account"),
        Column("period", "Period", "date"),
        Column("charge", "For"),
        Column("reason", "Why"),
    ]
    return Grid(name, [*columns, Column("amount", "Amount", "number")], groups)


# --- periods ---------------------------------------------------------------------------------------------------------


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


# --- rounding --------------------------------------------------------------------------------------------------------


def rounding(con: duckdb.DuckDBPyConnection) -> Grid:
    """What rounding left over: less than a cent a line, and handed to the next line of its charge."""
    found = rows(
        con,
        """
        SELECT ledger.currency, count(*) AS lines, sum(exact) AS exact, sum(rounded) AS rounded, sum(residue) AS residue,
               max(abs(residue)) AS largest
        FROM rounding_ledger AS ledger SEMI JOIN made USING (line_id)
        GROUP BY ledger.currency ORDER BY ledger.currency""",
    )
    columns = [Column("currency", ""), Column("lines", "Lines", "number"), Column("exact", "Exact", "number")]
    columns += [Column("rounded", "Billed", "number"), Column("residue", "Residue", "number")]
    columns += [Column("largest", "Largest of a line", "number")]
    return simple(
        "rounding",
        columns,
        (
            Row(
                it["currency"],
                [
                    it["currency"],
                    forms.count(it["lines"]),
                    forms.quantity(it["exact"]),
                    forms.minor(round_minor(it["rounded"], it["currency"]), it["currency"]),
                    forms.quantity(it["residue"]),
                    forms.quantity(it["largest"]),
                ],
            )
            for it in found
        ),
    )


def periods_count(con: duckdb.DuckDBPyConnection) -> int:
    return int(one(con, "SELECT count(*) AS periods FROM closed")["periods"])
