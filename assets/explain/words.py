"""An explanation in words and numbers: pure, and each sentence one that finance can read aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

from assets.core.instants import format_instant
from assets.core.numbers import less, minor_step
from assets.core.page import (
    Block,
    Code,
    Column,
    Page,
    Table,
    Text,
    billed,
    counted,
    decimals,
    exactly,
    from_minor,
    money,
    number,
    plain,
    words,
)
from assets.explain import Explanation, Facts
from assets.explain.line import Line, utc
from assets.explain.metered import Metered, Step
from assets.explain.other import Credit, Minimum, Vanished
from assets.explain.overage import Overage
from assets.reader import PUBLISHED

REASONS = {
    "threshold": "billed within the period, as its threshold was reached",
    "close": "billed at the period's close",
    "adjustment": "an adjustment of a closed period",
}
STATES = {"expired": "past the late window", "pre_cutover": "from before bill_from"}
# A level may change with every row; a page shows how it goes, and explain --json has the rest.
MOST_LEVELS = 60

Rows = list[tuple[str, ...]]
At: TypeAlias = Callable[[datetime], str]  # how an instant is written


def sentence(it: Explanation) -> str:
    line = it.line
    amount = f"{billed(line.amount_minor, line.currency)} {line.currency}"
    reason = "billed for a period that is gone" if isinstance(it.facts, Vanished) else REASONS[line.reason]
    return f"{line.line_id}: {amount} for {_charge(line)}, {reason}"


def page(it: Explanation) -> Page:
    """The explanation from what came in to what was billed, then the rows."""
    blocks = list(arithmetic(it.facts, it.line.currency))
    return [_head(it), *blocks, *_billing(it), *_behind(it), *_proof(it)]


def arithmetic(facts: Facts, currency: str, at: At | None = None) -> Iterator[Block]:
    """How a charge comes to what it owes, or a line of credit to what it takes."""
    at = at or _at
    if isinstance(facts, Overage):
        yield from _overage(facts, currency, at)
    elif isinstance(facts, Metered):
        yield from _metered(facts, currency, at)
    elif isinstance(facts, Minimum):
        yield from _minimum(facts, currency)
    elif isinstance(facts, Credit):
        yield from _credit(facts, currency)
    else:
        yield Text(
            "The account files no longer have this period, and it was never closed. Nothing is owed for it, so what "
            "was billed for it goes back."
        )


def _head(it: Explanation) -> Block:
    line = it.line
    name = f"{it.story.account_name} ({line.account_id})" if it.story.account_name else line.account_id
    return Table(
        sentence(it),
        (words(""), words("")),
        [
            ("account", name),
            ("subscription", line.subscription_id),
            ("period", f"{_at(line.period_start)} to {_at(line.period_end)}"),
            ("made by", f"the night of {_at(line.created_as_of)}; {line.state}"),
        ],
    )


def _overage(it: Overage, currency: str, at: At) -> Iterator[Block]:
    yield from _pooled(it, currency)
    if any(window.allowance for window in it.windows):
        used = [window for window in it.windows if window.usage]
        idle = len(it.windows) - len(used)
        quiet = f", {idle} without usage" if idle else ""
        yield Table(
            "Daily refresh: each 24 hours give back what they used, up to the allowance",
            (words("from"), number("usage"), number("allowance"), number("refresh")),
            [
                (
                    at(window.start),
                    money(window.usage, currency),
                    money(window.allowance, currency),
                    money(window.refresh, currency),
                )
                for window in used
            ],
            [(counted(len(it.windows), "window") + quiet, "", "", money(it.refresh, currency))],
        )
    if it.included:
        yield Table(
            "Included: per seat, for the part of the period that the terms were in force",
            (
                words("from"),
                words("plan"),
                *map(number, ("included", "seats", "seconds", f"÷ {_seconds(it.period_us)}")),
            ),
            [
                (
                    at(share.start),
                    share.plan,
                    money(share.included, currency),
                    str(share.seats),
                    _seconds(share.us),
                    exactly(Fraction(share.included) * share.seats * share.us / it.period_us, decimals(currency)),
                )
                for share in it.shares
            ],
            [("total", "", "", "", "", money(it.included, currency))],
        )
    yield Table(f"Overage, in {currency}", (words(""), number("")), list(_overage_sum(it, currency)))


def _pooled(it: Overage, currency: str) -> Iterator[Block]:
    has_baseline = any(row.in_baseline for row in it.pooled)
    least = decimals(currency)
    columns = [words("plan"), words("meter"), *map(number, ("rows", "quantity", "price", "amount"))]
    rows: Rows = [
        (
            row.plan,
            row.meter,
            str(row.rows),
            "" if row.quantity is None else exactly(row.quantity),
            "" if row.price is None else plain(row.price, least),
            exactly(row.amount, least),
            exactly(row.in_baseline, least),
        )
        for row in it.pooled
    ]
    if it.unended:
        rows.append(("", "prices without an end, divided day by day", "", "", "", plain(it.unended), ""))
    in_baseline = sum((row.in_baseline for row in it.pooled), Fraction())
    used = exactly(Fraction(it.usage) + in_baseline, least)
    foot = ("total", "", str(sum(row.rows for row in it.pooled)), "", "", used, exactly(in_baseline, least))
    if has_baseline:
        columns.append(number("counted in baseline"))
    if rows:
        width = len(columns)
        yield Table(
            f"Usage that draws on refresh and included, in {currency}",
            tuple(columns),
            [row[:width] for row in rows],
            [foot[:width]],
        )
    for state, count, amount in it.left_out:
        value = f", {money(amount, currency)} {currency}" if amount else ""
        yield Text(f"Kept, and owing nothing: {counted(count, 'row')} {STATES.get(state, state)}{value}.")


def _overage_sum(it: Overage, currency: str) -> Iterator[tuple[str, str]]:
    def line(label: str, amount: Decimal) -> tuple[str, str]:
        return label, money(amount, currency)

    if it.baseline:
        yield line("baseline, counted before the cutover", it.baseline)
        yield line("usage not counted in it", it.usage)
        yield line("raw usage", it.raw)
    else:
        yield line("usage", it.usage)
    yield line("less daily refresh", it.refresh.copy_negate())
    floor = ", never below 0" if less(it.raw, it.refresh) < 0 else ""
    yield line(f"effective usage{floor}", it.effective)
    yield line("less included", it.included.copy_negate())
    if it.unmeant:
        yield line("what ratios without an end leave over: three thirds are one", it.unmeant)
    if not it.is_overage:
        yield line(f"overage: plan {it.plan} charges none", it.owed)
    else:
        floor = ", never below 0" if it.effective < it.included else ""
        yield line(f"overage{floor}", it.owed)


_COUNTS = {
    "cost": "money of {rows}",
    "sum": "sum of {rows}",
    "count": "number of rows",
    "max": "largest of {rows}",
    "latest": "latest of {rows}, at {at}",
    "unique_count": "different values of {field} in {rows}",
    "time_weighted": "average level over the period, made by {rows}",
}


def _metered(it: Metered, currency: str, at: At) -> Iterator[Block]:
    if it.levels:
        yield _levels(it, at)
    yield Table(f"{it.meter} under plan {it.plan}", (words(""), number("")), list(_count(it, at)))
    least = decimals(currency)
    if it.model is None:
        yield Text("The rows carry money, and the charge is their sum.")
    elif it.bands:
        yield _bands(it, currency)
    elif it.model == "package":
        size, price = exactly(it.size or Fraction(1)), plain(it.price or 0, least)
        yield Table(
            f"Price: {price} for every package of {size} begun",
            (number("packages"), number("price"), number("amount")),
            [(str(it.packages), price, exactly(it.amounts[0], least))],
        )
    else:
        yield _steps(it, currency)
    for state, count in it.left_out:
        yield Text(f"Kept, and not counted: {counted(count, 'row')} {STATES.get(state, state)}.")


def _count(it: Metered, at: At) -> Iterator[tuple[str, str]]:
    label = _COUNTS[it.aggregate].format(
        rows=counted(it.rows, "row" if it.aggregate != "time_weighted" else "change"),
        at=at(it.latest_at) if it.latest_at else "no time",
        field=it.of_field,
    )
    yield label, exactly(it.aggregated)
    unit = f", in {it.unit}" if it.unit else ""
    if it.divide_by != 1:
        yield f"÷ {exactly(it.divide_by)}{unit}", exactly(it.aggregated / it.divide_by)
    if it.free_units:
        yield "less free units", exactly(-it.free_units)
        over = it.aggregated / it.divide_by - it.free_units
        yield ("charged, never below 0" if over < 0 else "charged"), exactly(max(over, Fraction()))


def _levels(it: Metered, at: At) -> Table:
    shown = it.levels[:MOST_LEVELS]
    rows: Rows = [
        (
            at(level.start),
            at(level.end),
            plain(level.level),
            _seconds(level.us),
            exactly(Fraction(max(level.level, Decimal())) * level.us / 10**6),
        )
        for level in shown
    ]
    if len(it.levels) > len(shown):
        rows.append((f"and {len(it.levels) - len(shown)} more; explain --json has all", "", "", "", ""))
    total = exactly(it.aggregated * it.period_us / 10**6)
    return Table(
        "The level, which counts as 0 while negative",
        (words("from"), words("until"), number("level"), number("seconds"), number("level × seconds")),
        rows,
        [
            ("total", "", "", "", total),
            (f"÷ {_seconds(it.period_us)} seconds of the period", "", "", "", exactly(it.aggregated)),
        ],
    )


def _steps(it: Metered, currency: str) -> Table:
    least = decimals(currency)
    titles = {
        "per_unit": "Price: per unit",
        "graduated": "Price: graduated, each tier for the units within it",
        "volume": "Price: volume, the tier that the quantity ends in for all units",
        "percentage": "Price: a percentage",
    }
    rows: Rows = [
        (
            _tier(step),
            exactly(step.units),
            exactly(step.unit_price, 0 if it.model == "percentage" else least),
            exactly(step.flat, least),
            exactly(step.amount, least),
        )
        for step in it.steps
    ]
    if it.model == "percentage" and it.fixed:
        amount = exactly(Fraction(it.fixed) * it.rows, least)
        rows.append(("fixed, for every event", str(it.rows), plain(it.fixed, least), "", amount))
    if not rows:
        rows.append(("nothing to charge", "0", "", "", plain(0, least)))
    if it.unended:
        rows.append(("what has no end, cut at the 18th digit", "", "", "", plain(it.unended)))
    has_flat = any(step.flat for step in it.steps)
    columns = (words("tier" if it.model in ("graduated", "volume") else ""), number("units"), number("each"))
    return Table(
        titles[it.model or "per_unit"],
        (*columns, *((number("flat"),) if has_flat else ()), number("amount")),
        [row if has_flat else (*row[:3], row[4]) for row in rows],
        [("total", "", "", *(("",) if has_flat else ()), money(it.owed, currency))] if len(rows) > 1 else [],
    )


def _tier(step: Step) -> str:
    if step.above is None:
        return "all" if step.up_to is None else f"up to {exactly(step.up_to)}"
    return f"above {exactly(step.above)}" + ("" if step.up_to is None else f", up to {exactly(step.up_to)}")


def _bands(it: Metered, currency: str) -> Table:
    least = decimals(currency)
    rate = f"{exactly(it.rate)} of the value" + (f" and {plain(it.fixed, least)}" if it.fixed else "")
    kinds = {
        "least": f"at the least, {plain(it.least or 0, least)} each",
        "between": rate,
        "most": f"at the most, {plain(it.most or 0, least)} each",
    }
    return Table(
        "Price: for each event by itself",
        (words(""), number("events"), number("value"), number("amount")),
        [
            (kinds[band.kind], str(band.events), exactly(band.value), money(band.amount, currency))
            for band in sorted(it.bands, key=lambda band: list(kinds).index(band.kind))
        ],
        [("total", str(it.rows), "", money(it.owed, currency))],
    )


def _minimum(it: Minimum, currency: str) -> Iterator[Block]:
    yield Table(
        f"The other charges of the period, in {currency}",
        (words("charge"), number("owed"), number("rounded")),
        [(each.charge, money(each.owed, currency), billed(each.owed_minor, currency)) for each in it.others],
        [("total", "", money(it.others_total, currency))],
    )
    floor = ", never below 0" if it.others_total > it.minimum else ""
    yield Table(
        "Up to the minimum",
        (words(""), number("")),
        [
            (f"minimum of plan {it.plan}", money(it.minimum, currency)),
            ("less the other charges", money(it.others_total.copy_negate(), currency)),
            (f"owed{floor}", money(it.owed, currency)),
        ],
    )


def _credit(it: Credit, currency: str) -> Iterator[Block]:
    yield Table(
        f"What this night billed for the period, in {currency}",
        (words("charge"), words("line"), number("amount")),
        [(line.charge, line.line_id, billed(line.amount_minor, currency)) for line in it.lines],
        [("net", "", billed(it.net_minor, currency))],
    )
    rows: Rows = [(f"met by {line.charge}", billed(line.amount_minor, currency)) for line in it.others]
    less = ", some of it taken back in credit_grants.csv" if it.is_lowered and it.balance_after else ""
    rows += [
        (f"balance of grant {it.grant_id} before", billed(it.balance_before, currency)),
        ("used of it", billed(-it.used_minor, currency)),
        (f"balance after{less}", billed(it.balance_after, currency)),
    ]
    yield Table("Credit is used up to what is to be paid, and up to its balance", (words(""), number("")), rows)


def _billing(it: Explanation) -> Iterator[Block]:
    line, currency, owed = it.line, it.line.currency, it.owed
    if owed is None:
        return
    amount = from_minor(it.owed_minor, currency)
    again = sum(each.amount_minor for each in it.story.again)
    rows: Rows = [("owed", "", money(owed, currency))]
    rows.append((f"rounded to {billed(minor_step(currency)[1], currency)} {currency}", "", money(amount, currency)))
    for each in it.story.before:
        when = f"less {each.reason} of {_at(each.created_as_of)}"
        rows.append((when, each.line_id, billed(-each.amount_minor, currency)))
    if it.story.again:
        rows.append(("less what this night billed when run again with more files", "", billed(-again, currency)))
    rows.append(("this line", "", billed(line.amount_minor, currency)))
    columns: tuple[Column, ...] = (words(""), words(""), number(""))
    if not it.story.before:
        rows, columns = [(label, amount_) for label, _, amount_ in rows], (words(""), number(""))
    yield Table("What is billed", columns, rows[:-1], rows[-1:])
    if isinstance(it.facts, Overage) and line.reason == "threshold" and it.facts.threshold is not None:
        unbilled = less(line.owed or owed, from_minor(it.story.billed_before_minor, currency))
        yield Text(
            f"{money(unbilled, currency)} {currency} was owed and not billed; "
            f"the threshold is {money(it.facts.threshold, currency)}."
        )
    if it.residue:
        yield Text(f"The rounding residue, owed less rounded, is {plain(it.residue)} {currency}; no line bills it.")


def _behind(it: Explanation) -> Iterator[Block]:
    raw = it.raw
    if raw is None:
        return
    if raw.sql:
        yield Text(f"The {counted(raw.count, 'row')} behind it, with any DuckDB on {PUBLISHED}:")
        yield Code(raw.sql + ";")
        if raw.since and it.story.before:
            last = _at(it.story.before[-1].created_as_of)
            yield Text(f"{raw.since} of them came since the line before: those with entered_at > '{last}'.")
        if raw.is_priced_anew:
            yield Text(
                "Amounts there are by the price list of the last night; these rows were billed by an earlier one."
            )
    elif raw.count:
        yield Text(
            f"{PUBLISHED} does not give the {counted(raw.count, 'row')} behind it; the next night publishes them."
        )
    else:
        yield Text("No row is behind it.")


def _proof(it: Explanation) -> Iterator[Block]:
    if it.disagreements:
        return
    if isinstance(it.facts, Credit):
        yield Text("The lines and balances in the books give this line exactly.")
    elif isinstance(it.facts, Vanished):
        yield Text("The lines in the books give this line exactly.")
    else:
        yield Text("Reckoned again from the ledger of that night, this line comes out exactly.")


def facts(it: Explanation) -> dict[str, Any]:
    """The same for a program: every number exact, as text; a ratio without an end as numerator/denominator."""
    line = it.line
    raw = it.raw
    return {
        "line": _told(line),
        "account_name": it.story.account_name,
        "kind": type(it.facts).__name__.lower(),
        "arithmetic": _told(it.facts),
        "owed": _told(it.owed),
        "owed_minor": it.owed_minor,
        "residue": _told(it.residue),
        "billed_before": [_told(each) for each in it.story.before],
        "billed_again": [_told(each) for each in it.story.again],
        "rows": None if raw is None else raw.count,
        "rows_sql": None if raw is None else raw.sql,
        "agrees": not it.disagreements,
        "disagreements": list(it.disagreements),
    }


def _told(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _told(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Fraction):
        text = exactly(value)
        return f"{value.numerator}/{value.denominator}" if text.endswith("…") else text
    if isinstance(value, datetime):
        return _at(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_told(each) for each in value]
    return value


def _charge(line: Line) -> str:
    return line.charge.removeprefix("metered:")


def _at(instant: datetime) -> str:
    return format_instant(utc(instant))


def _seconds(us: int) -> str:
    return exactly(Fraction(us, 10**6))
