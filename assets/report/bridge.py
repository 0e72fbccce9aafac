"""The bridge of a report: from raw usage through refresh, included, minimum and rounding to what is billed, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

import duckdb

from assets.core.numbers import added, less, round_minor
from assets.core.page import from_minor
from assets.report import forms
from assets.report.grid import Cell, Column, Grid, Group, Row
from assets.report.svg import Bar
from assets.rerate import Row as Fields
from assets.rerate import rows


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
    return [
        waterfall(f"bridge-{currency}", currency, steps, f"In {currency}") for currency, steps in steps_of(con, ending)
    ]


def steps_of(con: duckdb.DuckDBPyConnection, ending: str) -> list[tuple[str, list[Step]]]:
    """The steps of each currency's bridge; between two totals they add up exactly."""
    figures = {it["currency"]: it for it in rows(con, _CLOSED)}
    billed = {it["currency"]: it for it in rows(con, _BILLED)}
    return [
        (currency, list(_steps(currency, figures.get(currency), billed.get(currency, {}), ending)))
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
        counted = forms.counted(it["periods"], "open period")
        found.append(waterfall(f"open-{currency}", currency, steps, f"{counted}, in {currency}"))
    return found
