"""Meter events: what stands against making them, and what a night has to say of them.

The arithmetic is in models/events; what is sent, and when, is in assets/push.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal

import duckdb

from assets.core.catalogue.models import SUMMABLE, Meter
from assets.core.instants import format_instant
from assets.core.refusal import Refusal


def refuse_remeasured(con: duckdb.DuckDBPyConnection, meters: Mapping[str, Meter]) -> None:
    """A meter that counts in another way than its events did: the difference would be sent as usage."""
    problems = []
    for name, aggregate, divide_by in _measured(con):
        meter = meters.get(name)
        if meter is None or meter.aggregate not in SUMMABLE:
            continue
        if (meter.aggregate, meter.divide_by) != (aggregate, divide_by):
            was, now = (_measure(*it) for it in ((aggregate, divide_by), (meter.aggregate, meter.divide_by)))
            problems.append(
                f"catalog/meters.yaml: {name}: is {now}, and its events at Stripe count {was}; "
                "put it back, and give what is counted anew a meter of its own."
            )
    if problems:
        raise Refusal(problems)


def _measured(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, Decimal]]:
    """Every meter that has events, as they were counted; none in a warehouse from before there were any."""
    is_there = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'books' AND table_name = 'meter_events'"
    ).fetchone()
    if not is_there:
        return []
    return con.execute("SELECT DISTINCT meter, aggregate, divide_by FROM books.meter_events ORDER BY ALL").fetchall()


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
