"""Who would owe something else under other plans, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from assets.core.instants import format_instant
from assets.core.page import Page, Table, Text, billed, counted, number, words
from assets.whatif import Difference, WhatIf


def opening(it: WhatIf) -> str:
    periods = counted(sum(total.periods for total in it.totals), "period")
    return f"{periods} of the {it.book} book, up to the night of {format_instant(it.as_of)}, rated anew under {it.file}"


def page(it: WhatIf) -> Page:
    """Who would owe something else, currency by currency."""
    found: Page = [
        Text(f"{opening(it)}. Usage keeps its payer, periods their terms; credit is left aside. Nothing was written.")
    ]
    is_period = it.by == "period"
    columns = [words("account"), *((words("subscription"), words("period from")) if is_period else ())]
    columns += [*(() if is_period else (number("periods"),)), *map(number, ("owed now", "would owe", "difference"))]
    for total in it.totals:
        mine = [each for each in it.differences if each.currency == total.currency]
        moved = [each for each in mine if each.minor]
        noun = "period" if is_period else "account"
        if moved:
            found.append(
                Table(
                    f"{total.currency}: another amount for {counted(len(moved), noun)}",
                    tuple(columns),
                    [_cells(each, is_period) for each in moved],
                    _foot(mine, total, is_period),
                )
            )
        else:
            found.append(Text(f"{total.currency}: no difference for {counted(len(mine), noun)}."))
    if not it.totals:
        found.append(Text("There is no period yet."))
    return found


def _cells(it: Difference, is_period: bool) -> tuple[str, ...]:
    start = (format_instant(it.period_start),) if it.period_start else ()
    where = (it.account_id, it.subscription_id or "", *start) if is_period else (it.account_id, str(it.periods))
    return (*where, *_amounts(it))


def _foot(mine: Sequence[Difference], total: Difference, is_period: bool) -> list[tuple[str, ...]]:
    rest = [each for each in mine if not each.minor]
    unchanged = replace(
        total,
        account_id=f"{len(rest)} unchanged",
        periods=sum(each.periods for each in rest),
        now_minor=sum(each.now_minor for each in rest),
        under_minor=sum(each.under_minor for each in rest),
    )
    whole = [*([unchanged] if rest else []), replace(total, account_id="total")]
    return [(each.account_id, "", "", *_amounts(each)) if is_period else _cells(each, False) for each in whole]


def _amounts(it: Difference) -> tuple[str, str, str]:
    sign = "+" if it.minor > 0 else ""
    return (
        billed(it.now_minor, it.currency),
        billed(it.under_minor, it.currency),
        sign + billed(it.minor, it.currency),
    )


def facts(it: Difference) -> dict[str, Any]:
    """A difference for a program."""
    period = {
        "subscription_id": it.subscription_id,
        "period_start": format_instant(it.period_start) if it.period_start else None,
    }
    return {
        **({"account_id": it.account_id} if it.account_id else {}),
        **(period if it.subscription_id else {}),
        "currency": it.currency,
        "periods": it.periods,
        "owed_now": billed(it.now_minor, it.currency),
        "would_owe": billed(it.under_minor, it.currency),
        "difference": billed(it.minor, it.currency),
        "difference_minor": it.minor,
    }


def told(it: Difference) -> str:
    now, then, difference = _amounts(it)
    whose = it.subscription_id or it.account_id or "all"
    return f"{whose}: {then} {it.currency} instead of {now}, {difference}"
