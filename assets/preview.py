"""What the open periods owe so far, as of the last night: from the published file, so that no night is waited for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from assets.core.catalogue.problems import shown, suggestion
from assets.core.numbers import less
from assets.core.page import from_minor
from assets.core.refusal import Refusal
from assets.reader import opened
from assets.rerate import Row, rows


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
    minimum_at_close: Decimal

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


def preview(workspace: Path, account_id: str | None = None) -> Preview:
    """The open periods of the published file, of one account or of all."""
    with opened(workspace) as con:
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
    return Preview(night["as_of"].replace(tzinfo=UTC), account_id, tuple(map(_open, found)))


def _open(row: Row) -> Open:
    known: dict[str, Any] = {each.name: row[each.name] for each in fields(Open)}
    for name in ("period_start", "period_end"):
        known[name] = known[name].replace(tzinfo=UTC)
    return Open(**known)


def _refuse_unknown(con: duckdb.DuckDBPyConnection, account_id: str) -> None:
    known = con.execute("SELECT account_id FROM billing.periods UNION SELECT account_id FROM billing.ledger").fetchall()
    names = sorted(name for (name,) in known)
    if account_id not in names:
        advice = suggestion(account_id, names[:1000], "see account_id in billing.periods")
        raise Refusal(f"No period and no usage of an account {shown(account_id)} is published; {advice}")
