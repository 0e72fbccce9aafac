"""Which closed periods an audit is about, and the night after which nothing of them has changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from assets.core.instants import format_instant, parse_instant
from assets.core.periods import zone_of
from assets.core.refusal import Refusal

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_HOW = "write a month like 2026-05, or a subscription's period like sub_1@2026-05"

Key = tuple[str, datetime]  # subscription, period start (naive UTC)


@dataclass(frozen=True, slots=True)
class Audited:
    """The closed periods of a book, and the last night that entered anything of them."""

    period: str
    book: str
    keys: tuple[Key, ...]
    as_of: datetime


def audited(con: duckdb.DuckDBPyConnection, period: str) -> Audited:
    """What PERIOD names, laid out as the temporary table `audited`; refused while any of it is open."""
    subscription_id, _, when = period.rpartition("@")
    begins = _beginning(when)
    (book,) = con.execute("SELECT book FROM catalog.settings").fetchone() or ("",)
    zones = dict(con.execute("SELECT account_id, timezone FROM catalog.accounts").fetchall())
    found = con.execute("""
        SELECT subscription_id, period_start::TIMESTAMP, period_end::TIMESTAMP, account_id, state FROM billing.periods
        ORDER BY ALL""").fetchall()
    named = [
        (key, start, end, state)
        for key, start, end, account_id, state in found
        if (not subscription_id or key == subscription_id) and begins(start, zones.get(account_id, "UTC"))
    ]
    open_ones = [(key, end) for key, _, end, state in named if state == "open"]
    if not named:
        raise Refusal(f"No period of {period} is in the {book} book; {_HOW}.")
    if open_ones:
        key, end = open_ones[0]
        more = f" and {len(open_ones) - 1} more" if open_ones[1:] else ""
        raise Refusal(f"{period} is not closed: {key}{more} until {_at(end)} and its grace; audit it once it is.")
    keys = tuple((key, start) for key, start, _, _ in named)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE audited AS SELECT unnest(?::VARCHAR[]) AS subscription_id,"
        " unnest(?::TIMESTAMP[]) AS period_start, ?::VARCHAR AS book",
        [[key for key, _ in keys], [start for _, start in keys], book],
    )
    return Audited(period, book, keys, _last_touched(con))


def _beginning(when: str) -> Callable[[datetime, str], bool]:
    """Whether a period begins then: in a month of its account's wall clock, or at an instant."""
    if _MONTH.fullmatch(when):
        return lambda start, zone: f"{start.replace(tzinfo=UTC).astimezone(zone_of(zone)):%Y-%m}" == when
    try:
        instant = parse_instant(when).replace(tzinfo=None)
    except ValueError:
        raise Refusal(f"{when!r} names no period; {_HOW}.") from None
    return lambda start, _: start == instant


def _last_touched(con: duckdb.DuckDBPyConnection) -> datetime:
    """The last night that entered usage, a close or a line of the audited periods, as aware UTC."""
    row = con.execute("""
        WITH closes AS (FROM books.closes SEMI JOIN audited USING (book, subscription_id, period_start)),
        touched AS (
            SELECT max(closed_at) AS night FROM closes
            UNION ALL
            SELECT max(created_as_of) FROM books.lines SEMI JOIN audited USING (book, subscription_id, period_start)
            UNION ALL
            SELECT max(entered_at) FROM books.ledger l JOIN closes c
            ON l.subscription_id = c.subscription_id
            AND l.occurred_at >= c.period_start AND l.occurred_at < c.period_end)
        SELECT max(night) FROM touched""").fetchone()
    assert row is not None
    touched: datetime = row[0]
    # In a night of another book nothing of this one is reckoned: replayed up to the next of its own.
    row = con.execute(
        "SELECT min(as_of) FROM books.passes WHERE is_posted AND as_of >= ? AND book IN (SELECT book FROM audited)",
        [touched],
    ).fetchone()
    return ((row and row[0]) or touched).replace(tzinfo=UTC)


def _at(instant: datetime) -> str:
    return format_instant(instant.replace(tzinfo=UTC))
