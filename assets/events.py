"""Meter events: what stands against making them, and what a night has to say of them.

The arithmetic is in models/events; what is sent, and when, is in assets/push.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC
from decimal import Decimal
from typing import Any

import duckdb

from assets.core.catalogue.models import SUMMABLE, Catalogue, Meter, Settings
from assets.core.instants import format_instant
from assets.core.refusal import Refusal


def refuse_doubling(con: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> None:
    """What would send the same usage twice: a meter that counts in another way than its events did, another push."""
    there = "SELECT count(*) > 0 FROM duckdb_tables() WHERE schema_name = 'books' AND table_name = 'meter_events'"
    if not _one(con, there, []):  # a warehouse from before there were any
        return
    if problems := [*_remeasured(con, catalogue.meters), *_pushed_anew(con, catalogue.settings)]:
        raise Refusal(problems)


def _remeasured(con: duckdb.DuckDBPyConnection, meters: Mapping[str, Meter]) -> Iterator[str]:
    for name, aggregate, divide_by in _measured(con):
        meter = meters.get(name)
        if meter is None or meter.aggregate not in SUMMABLE:
            continue
        if (meter.aggregate, meter.divide_by) != (aggregate, divide_by):
            was, now = (_measure(*it) for it in ((aggregate, divide_by), (meter.aggregate, meter.divide_by)))
            yield (
                f"catalog/meters.yaml: {name}: is {now}, and its events at Stripe count {was}; "
                "put it back, and give what is counted anew a meter of its own."
            )


def _pushed_anew(con: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[str]:
    """Usage goes out on lines, or hour by hour. Where one follows the other, it begins where the other has ended."""
    if settings.stripe_mode == "shadow" or settings.bill_from is None:
        return
    if settings.stripe_push == "meter_events":
        how = "on lines"
        query = "SELECT max(created_as_of) FROM books.lines WHERE state = 'pending' AND period_end > ?"
    else:
        how = "as meter events"
        query = "SELECT max(bucket_start) + to_hours(1) FROM books.meter_events WHERE bucket_start >= ?"
    until = _one(con, query, [settings.bill_from.replace(tzinfo=None)])
    if until is not None and until.replace(tzinfo=UTC) > settings.bill_from:
        yield (
            f"catalog/workspace.yaml: stripe.push: is {settings.stripe_push}, and usage up to "
            f"{format_instant(until.replace(tzinfo=UTC))} has gone out {how}; put it back, or let bill_from be an hour "
            "from then on, and bill by hand what is still open before it."
        )


def _measured(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, Decimal]]:
    """Every meter that has events, as they were counted."""
    return con.execute("SELECT DISTINCT meter, aggregate, divide_by FROM books.meter_events ORDER BY ALL").fetchall()


def _one(con: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> Any:
    row = con.execute(sql, values).fetchone()
    assert row is not None
    return row[0]


def _measure(aggregate: str, divide_by: Decimal) -> str:
    return aggregate if aggregate == "cost" else f"{aggregate} by {divide_by.normalize():f}"


def remarks(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What tonight has to say of its events besides how many there are."""
    said = []
    bill_from, from_at = con.execute(
        "SELECT any_value(bill_from), any_value(from_at) FROM night.int_events__scope"
    ).fetchone() or (None, None)
    if bill_from and bill_from < from_at:
        since, until = (format_instant(at.replace(tzinfo=UTC)) for at in (bill_from, from_at))
        said.append(
            f"bill_from is {since}, and meter events were made from {until} on; hours before that stay consumed "
            "and are not sent."
        )
    digests, an_account = con.execute(
        """SELECT count(*), min(account_id) FROM night.int_events__new
        WHERE NOT starts_with(identifier, account_id || ':')"""
    ).fetchone() or (0, None)
    if digests:
        said.append(
            f"{digests} meter events ({an_account} for one) have names too long for Stripe, or a meter with a colon: "
            "a digest stands for the rest of them (billing.meter_events.identifier)."
        )
    return said
