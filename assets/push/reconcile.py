"""Reconciliation: what the books have sent against what Stripe lists, both ways, item by item, hour by hour, in all.

A customer is compared again once something was sent to it, while something of it is open, and while it differs; or
always, where everything is asked for. Stripe counts reads, so items are listed from the first that is to be compared,
those of an invoice by their invoice, and usage of a meter in one window of hours. Stripe adds usage up a while after it
took it, so events of the last hour are left to the next time.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from assets import publish
from assets.core.agreement import Difference
from assets.core.catalogue.models import Catalogue
from assets.progress import tell
from assets.push import reconcile_words as words
from assets.push import refuse_unlike_the_night
from assets.push.client import Client, has_key
from assets.push.hours import meter_ids
from assets.push.outbox import Clock, Outbox
from assets.push.pace import Pace, Patience
from assets.push.send import workers_for
from assets.push.sides import LAG, Compared, compared, sides
from assets.warehouse import transaction

_BATCH = 200  # customers whose comparing is committed at once


@dataclass
class Result:
    """What was compared, and what could not be."""

    customers: int = 0
    reads: int = 0
    differences: list[Difference] = field(default_factory=list)
    why_not: dict[str, str] = field(default_factory=dict)  # by customer


def run(
    con: duckdb.DuckDBPyConnection,
    workspace: Path,
    catalogue: Catalogue,
    clock: Clock,
    is_all: bool = False,
    is_asked: bool = True,
    patience: Patience | None = None,
) -> Result | None:
    """Compare what is due, say what differs and publish it; None where nothing is ever sent.

    Without a key whoever asks for it is refused, and a night goes on with a warning.
    """
    settings = catalogue.settings
    if settings.stripe_mode == "shadow":
        tell("reconciled", "nothing; in shadow mode nothing is sent, so there is nothing to compare")
        return None
    refuse_unlike_the_night(con, settings)
    outbox = Outbox(con, settings.stripe_key, clock)
    result = Result()
    due = scope(outbox, is_all)
    if due and not (is_asked or has_key()):
        result.why_not = dict.fromkeys(due, "STRIPE_API_KEY is not set")
    elif due:
        client = Client(settings.stripe_key, Pace(settings.stripe_rate), patience)
        result = reconcile(outbox, client, is_all)
    publish.renew(con, workspace, ("reconciliation",))
    for sentence, facts in words.differences(con):
        tell("differs", sentence, **facts)
    for sentence in words.left_out(result.why_not):
        tell("warning", sentence)
    found = words.agreement(con, result.customers, result.reads, len(result.why_not))
    tell("reconciled", found.sentence, **found.facts)
    return result


def has_differences(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute("SELECT count(*) > 0 FROM billing.reconciliation").fetchone() == (True,)


# Whoever was called for something since the last time, or has something open, or differs; and from when on it counts.
_SCOPE = """
    SELECT o.customer, min(o.first_sent_at) FILTER (
        $all OR r.customer IS NULL OR o.state NOT IN ('sent', 'void')
        OR o.key_sent_at >= r.reconciled_at - if(o.entry = 'event', $lag, INTERVAL 0 SECOND)
        OR o.customer IN (SELECT customer FROM books.reconciliation WHERE key_mode = $mode)) AS since
    FROM books.outbox o LEFT JOIN books.reconciled r ON r.key_mode = o.key_mode AND r.customer = o.customer
    WHERE o.key_mode = $mode AND o.first_sent_at IS NOT NULL AND o.customer IS NOT NULL
    GROUP BY o.customer HAVING since IS NOT NULL ORDER BY o.customer"""


def scope(outbox: Outbox, is_all: bool = False) -> dict[str, datetime]:
    """The customers to compare, and from when on."""
    asked = {"mode": outbox.key_mode, "all": is_all, "lag": LAG}
    return {customer: since.replace(tzinfo=UTC) for customer, since in outbox.con.execute(_SCOPE, asked).fetchall()}


def reconcile(outbox: Outbox, client: Client, is_all: bool = False) -> Result:
    """Compare, customer by customer, and keep what differs; of what could not be listed the former rows stand."""
    result = Result()
    todo = sorted(scope(outbox, is_all).items())
    meters: dict[str, str] = {}
    has_events = "SELECT count(*) > 0 FROM books.outbox WHERE key_mode = ? AND entry = 'event' AND customer IS NOT NULL"
    if todo and outbox.con.execute(has_events, [outbox.key_mode]).fetchone() == (True,):
        listed = client.listed("billing.meters.list")
        if not listed.is_done:
            return Result(why_not={customer: listed.why for customer, _ in todo})
        meters, result.reads = meter_ids(listed), 1
    for start in range(0, len(todo), _BATCH):
        both = list(sides(outbox, dict(todo[start : start + _BATCH])))
        with ThreadPoolExecutor(workers_for(client), thread_name_prefix="stripe") as pool:
            found = list(pool.map(lambda side: compared(client, meters, side), both))
        _keep(outbox, found)
        for it in found:
            result.reads += it.reads
            if it.why_not is None:
                result.customers += 1
                result.differences += it.differences
            else:
                result.why_not[it.customer] = it.why_not
    return result


def _keep(outbox: Outbox, found: Iterable[Compared]) -> None:
    """The differences of these customers instead of their former ones."""
    now = outbox.clock().astimezone(UTC).replace(tzinfo=None)
    rows = [
        {
            "key_mode": outbox.key_mode,
            **{name: getattr(it, name) for name in ("customer", "kind", "account_id", "name", "stripe_id", "invoice")},
            **{
                name: getattr(it, name) for name in ("meter", "currency", "amount_minor", "books_minor", "stripe_minor")
            },
            "bucket_start": it.bucket_start and it.bucket_start.replace(tzinfo=None),
            "books_quantity": it.books_quantity,
            "stripe_quantity": it.stripe_quantity,
            "detail": it.detail,
            "reconciled_at": now,
        }
        for each in found
        if each.why_not is None
        for it in each.differences
    ]
    done = [each.customer for each in found if each.why_not is None]
    con = outbox.con
    with transaction(con):
        con.execute(
            "DELETE FROM books.reconciliation WHERE key_mode = ? AND customer IN (SELECT unnest(?))",
            [outbox.key_mode, done],
        )
        if rows:
            names = ", ".join(rows[0])
            marks = ", ".join(f"${name}" for name in rows[0])
            con.executemany(f"INSERT INTO books.reconciliation ({names}) VALUES ({marks})", rows)
        con.execute("INSERT OR REPLACE INTO books.reconciled SELECT ?, unnest(?), ?", [outbox.key_mode, done, now])
