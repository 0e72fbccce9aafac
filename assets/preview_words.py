"""The open periods in words and numbers, currency by currency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from assets.core.instants import format_instant
from assets.core.numbers import added
from assets.core.page import Page, Table, Text, billed, counted, money, number, plain, words
from assets.preview import Open, Preview


def opening(it: Preview) -> str:
    whose = f" of {it.account_id}" if it.account_id else ""
    if not it.periods:
        return f"No period{whose} was open on the night of {format_instant(it.as_of)}."
    return f"{counted(len(it.periods), 'open period')}{whose}, as of the night of {format_instant(it.as_of)}."


def page(it: Preview) -> Page:
    """Currency by currency what is owed so far, with the sums."""
    found: Page = [Text(opening(it))]
    for currency in dict.fromkeys(each.currency for each in it.periods):
        found.append(_table(currency, [each for each in it.periods if each.currency == currency]))
    for each in it.periods:
        if each.minimum_at_close:
            found.append(
                Text(
                    f"At its close {each.subscription_id} owes at least {money(each.minimum_at_close, each.currency)} "
                    f"{each.currency}, the minimum of plan {each.plan}."
                )
            )
    return found


_MONEY = ("usage", "refresh", "included", "overage", "metered", "owed")


def _table(currency: str, periods: list[Open]) -> Table:
    def cells(names: Iterable[Decimal]) -> list[str]:
        return [money(amount, currency) for amount in names]

    has_threshold = any(each.threshold is not None for each in periods)
    has_baseline = any(each.baseline for each in periods)
    sums = ("baseline", *_MONEY) if has_baseline else _MONEY
    columns = [words("account"), words("subscription"), words("from"), words("until"), *map(number, sums)]
    columns += [number("billed"), number("unbilled"), *((number("to threshold"),) if has_threshold else ())]
    body = []
    for each in periods:
        limit = each.to_threshold
        body.append(
            [
                each.account_id,
                each.subscription_id,
                format_instant(each.period_start),
                format_instant(each.period_end),
                *cells(getattr(each, name) for name in sums),
                billed(each.billed_minor, currency),
                money(each.unbilled, currency),
                *(["" if limit is None else money(limit, currency) if limit else "reached"] if has_threshold else []),
            ]
        )
    foot = [
        "total",
        "",
        "",
        "",
        *(
            "" if name == "included" else money(added(getattr(each, name) for each in periods), currency)
            for name in sums
        ),
        billed(sum(each.billed_minor for each in periods), currency),
        money(added(each.unbilled for each in periods), currency),
        *([""] if has_threshold else []),
    ]
    return Table(f"{currency}: owed so far", tuple(columns), body, [foot])


def told(it: Open) -> str:
    owed = (
        f"owes {money(it.owed, it.currency)} {it.currency} so far, {billed(it.billed_minor, it.currency)} of it billed"
    )
    return f"{it.account_id}: {it.subscription_id} from {format_instant(it.period_start)} {owed}"


def facts(it: Open) -> dict[str, Any]:
    """An open period for a program: every amount exact, as text."""
    found: dict[str, Any] = {}
    for each in fields(Open):
        value = getattr(it, each.name)
        if isinstance(value, Decimal):
            value = plain(value)
        elif isinstance(value, datetime):
            value = format_instant(value)
        found[each.name] = value
    limit = it.to_threshold
    return {**found, "unbilled": plain(it.unbilled), "to_threshold": None if limit is None else plain(limit)}


def totals(it: Preview) -> list[dict[str, Any]]:
    """What all open periods of a currency come to."""
    found = []
    for currency in dict.fromkeys(each.currency for each in it.periods):
        periods = [each for each in it.periods if each.currency == currency]
        found.append(
            {
                "currency": currency,
                "periods": len(periods),
                "owed": plain(added(each.owed for each in periods)),
                "billed_minor": sum(each.billed_minor for each in periods),
                "unbilled": plain(added(each.unbilled for each in periods)),
            }
        )
    return found
