"""What the open periods owe so far, as of the last night: read from the published file, so that no night is waited for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from assets import warehouse
from assets.core.catalogue.problems import shown, suggestion
from assets.core.instants import format_instant
from assets.core.numbers import added, less
from assets.core.page import Page, Table, Text, billed, counted, from_minor, money, number, plain, words
from assets.core.refusal import Refusal
from assets.rerate import rows


@dataclass(frozen=True, slots=True)
class Open:
    """An open period as the last night left it; money as published, to twelve places."""

    account_id: str
    subscription_id: str
    plan: str
    period_start: datetime
    period_end: datetime
    currency: str
    baseline: Decimal
    usage: Decimal
    refresh: Decimal
    included: Decimal
    overage: Decimal
    metered: Decimal
    owed: Decimal
    billed_minor: int
    overage_billed_minor: int
    threshold: Decimal | None
    minimum: Decimal | None  # due at the close

    @property
    def unbilled(self) -> Decimal:
        return less(self.owed, from_minor(self.billed_minor, self.currency))

    @property
    def to_threshold(self) -> Decimal | None:
        """How much more overage brings a line before the close."""
        if self.threshold is None:
            return None
        unbilled = less(self.overage, from_minor(self.overage_billed_minor, self.currency))
        return max(less(self.threshold, unbilled), Decimal())


@dataclass(frozen=True, slots=True)
class Preview:
    as_of: datetime
    account_id: str | None
    periods: tuple[Open, ...]
    is_whole: bool  # False: thresholds and minimums could not be read, as a night is at work


def preview(workspace: Path, account_id: str | None = None) -> Preview:
    """The open periods of the published file, of one account or of all."""
    file = workspace / "published" / "tallyhouse.duckdb"
    if not file.exists():
        raise Refusal(f"Nothing is published in {workspace} yet; run its first night with `tallyhouse nightly`.")
    with duckdb.connect(str(file), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        if account_id is not None:
            _refuse_unknown(con, account_id)
        (night,) = rows(con, "SELECT max(as_of)::TIMESTAMP AS as_of FROM billing.runs")
        found = rows(
            con,
            """
            SELECT p.* REPLACE (p.period_start::TIMESTAMP AS period_start, p.period_end::TIMESTAMP AS period_end),
                   coalesce(o.billed_minor, 0) AS overage_billed_minor
            FROM billing.periods p
            LEFT JOIN billing.charges o
                ON (o.subscription_id, o.period_start, o.charge) = (p.subscription_id, p.period_start, 'overage')
            WHERE p.state = 'open' AND p.account_id = coalesce(?, p.account_id)
            ORDER BY p.currency, p.account_id, p.period_start, p.subscription_id""",
            [account_id],
        )
    limits = _limits(workspace, night["as_of"])
    periods = []
    for it in found:
        threshold, minimum = (limits or {}).get((it["subscription_id"], it["period_start"]), (None, None))
        for name in ("period_start", "period_end"):
            it[name] = it[name].replace(tzinfo=UTC)
        known = {each.name: it.get(each.name) for each in fields(Open)}
        periods.append(Open(**{**known, "threshold": threshold, "minimum": minimum}))
    return Preview(night["as_of"].replace(tzinfo=UTC), account_id, tuple(periods), limits is not None)


def _refuse_unknown(con: duckdb.DuckDBPyConnection, account_id: str) -> None:
    known = con.execute("SELECT account_id FROM billing.periods UNION SELECT account_id FROM billing.ledger").fetchall()
    names = sorted(name for (name,) in known)
    if account_id not in names:
        advice = suggestion(account_id, names[:1000], "see account_id in billing.periods")
        raise Refusal(f"No period and no usage of an account {shown(account_id)} is published; {advice}")


def _limits(
    workspace: Path, as_of: datetime
) -> dict[tuple[str, datetime], tuple[Decimal | None, Decimal | None]] | None:
    """Threshold and minimum of the open periods, which only the warehouse knows; None while a night is at work."""
    with warehouse.peek(workspace) as con:
        if con is None or con.execute("SELECT as_of FROM catalog.settings").fetchone() != (as_of,):
            return None
        found = con.execute("SELECT subscription_id, period_start, threshold, minimum FROM night.int_periods__figures")
        return {(subscription, start): (threshold, minimum) for subscription, start, threshold, minimum in found.fetchall()}


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
    if it.periods and not it.is_whole:
        found.append(Text("A night is at work, so thresholds and minimums are not shown."))
    for each in it.periods:
        if each.minimum:
            found.append(
                Text(
                    f"At its close {each.subscription_id} owes at least {money(each.minimum, each.currency)} "
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
        *("" if name == "included" else money(added(getattr(each, name) for each in periods), currency) for name in sums),
        billed(sum(each.billed_minor for each in periods), currency),
        money(added(each.unbilled for each in periods), currency),
        *([""] if has_threshold else []),
    ]
    return Table(f"{currency}: owed so far", tuple(columns), body, [foot])


def told(it: Open) -> str:
    owed = f"owes {money(it.owed, it.currency)} {it.currency} so far, {billed(it.billed_minor, it.currency)} of it billed"
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
