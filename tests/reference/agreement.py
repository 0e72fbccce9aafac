"""Where the reference and a published night say different things, row by row (columns of SPEC §8).

Left out are the columns whose text is the product's own: ids, details, descriptions, context, raw text. Amounts are
compared as they are shown, to twelve places; charges that owe and billed nothing may be missing on either side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.reference.exact import half_away

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "files": ("raw_file", "source", "rows", "accepted", "duplicate", "ignored", "quarantined", "sha256"),
    "quarantine": ("source", "raw_file", "raw_line", "reason", "first_seen"),
    "ledger": (
        "raw_file", "raw_line", "meter", "event_key", "source", "account_id", "subscription_id", "actor",
        "period_start", "period_end", "occurred_at", "landed_at", "quantity", "amount", "currency", "state",
        "counted_in_baseline",
    ),
    "daily_refresh": ("subscription_id", "period_start", "window_start", "usage", "allowance", "refresh"),
    "periods": (
        "subscription_id", "period_start", "period_end", "account_id", "plan", "state", "currency", "baseline", "usage",
        "refresh", "effective", "included", "overage", "metered", "minimum", "owed", "billed_minor", "closed_at",
    ),
    "charges": ("subscription_id", "period_start", "charge", "quantity", "owed", "billed_minor"),
    "invoice_items": (
        "created_as_of", "subscription_id", "period_start", "period_end", "account_id", "charge", "reason",
        "amount_minor", "currency",
    ),
    "credits": ("grant_id", "account_id", "kind", "amount_minor", "balance_before", "balance_after", "at"),
}  # fmt: skip

Table = Iterable[Mapping[str, Any]]


def disagreements(
    reference: Mapping[str, Table],
    published: Mapping[str, Table],
    tables: Iterable[str] = tuple(COLUMNS),
    most: int = 10,
) -> list[str]:
    """A sentence per row that only one side has, `most` of each table; tables upstream first, where causes are."""
    found = []
    for name in tables:
        ours, theirs = _rows(name, reference[name]), _rows(name, published[name])
        lines = [f"{name}: only the reference has {_spoken(name, row)}" for row in (ours - theirs).elements()]
        lines += [f"{name}: only the published table has {_spoken(name, row)}" for row in (theirs - ours).elements()]
        found += sorted(lines, key=lambda line: line.split(" has ", 1)[1])[:most]
        found += [f"{name}: and {len(lines) - most} more"] if len(lines) > most else []
    return found


def _rows(name: str, table: Table) -> Counter[tuple[Any, ...]]:
    kept = (row for row in table if name != "charges" or row["owed"] or row["billed_minor"])
    return Counter(tuple(_plain(row[column]) for column in COLUMNS[name]) for row in kept)


def _plain(value: Any) -> Any:
    """One form for what both sides may hold differently: exact numbers, instants, truth."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, int | Fraction | Decimal):
        return Fraction(half_away(Fraction(value) * 10**12), 10**12)
    raise TypeError(f"{value!r} is of no kind a table holds")


def _spoken(name: str, row: tuple[Any, ...]) -> str:
    return " ".join(f"{column}={_said(value)}" for column, value in zip(COLUMNS[name], row, strict=True))


def _said(value: Any) -> str:
    if isinstance(value, Fraction):
        return f"{Decimal(value.numerator) / Decimal(value.denominator):f}"
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
