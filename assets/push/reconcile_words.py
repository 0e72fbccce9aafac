"""What a reconciliation says: each difference in a sentence, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb

from assets.core.instants import format_instant
from assets.core.page import billed, counted, plain
from assets.push.words import sums

_DIFFERENT = {
    "missing_at_stripe": "was sent, and Stripe does not have it",
    "unknown_to_books": "is at Stripe, and was never sent from here",
    "found_though_unsure": "is at Stripe; whether it had arrived was not known",
    "amount_differs": "has another amount at Stripe",
    "currency_differs": "has another currency at Stripe",
    "id_differs": "is another object at Stripe than the one that was sent",
    "sent_twice": "is at Stripe a second time",
    "invoice_missing": "is an invoice that Stripe does not have any more",
    "invoice_void": "is an invoice that was voided",
    "invoice_not_finalised": "is an invoice that is a draft still, or again",
    "usage_differs": "is counted otherwise at Stripe",
    "customer_total_differs": "comes to another total",
}


@dataclass(frozen=True, slots=True)
class Agreement:
    sentence: str
    facts: dict[str, Any]


def differences(con: duckdb.DuckDBPyConnection, most: int = 50) -> Iterable[tuple[str, dict[str, Any]]]:
    """A sentence for each difference that stands, lines before totals."""
    cursor = con.execute(f"""
        FROM billing.reconciliation
        ORDER BY kind = 'customer_total_differs', customer, meter, bucket_start, name, stripe_id, kind
        LIMIT {most + 1}""")
    columns = [column[0] for column in cursor.description or ()]
    rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    for row in rows[:most]:
        yield _difference(row), {key: _fact(value) for key, value in row.items() if value is not None}
    if len(rows) > most:
        yield "and more; see billing.reconciliation", {}


def _difference(row: dict[str, Any]) -> str:
    hour = format_instant(row["bucket_start"].astimezone(UTC)) if row["bucket_start"] else None
    what = row["name"] or row["stripe_id"] or " ".join(part for part in (row["meter"], hour) if part)
    if row["kind"] == "customer_total_differs":
        what = " ".join(part for part in (row["meter"] or row["currency"], row["invoice"]) if part)
    elif row["name"] and row["stripe_id"]:
        what += f" ({row['stripe_id']})"
    if row["books_minor"] is not None or row["stripe_minor"] is not None:
        books, there = (
            "nothing" if row[side] is None else f"{billed(row[side], row['currency'])} {row['currency']}"
            for side in ("books_minor", "stripe_minor")
        )
    else:
        books, there = (plain(row[side] or 0) for side in ("books_quantity", "stripe_quantity"))
    detail = f" ({row['detail']})" if row["detail"] else ""
    return f"{row['customer']}: {what} {_DIFFERENT[row['kind']]}: {books} in the books, {there} at Stripe{detail}"


def _fact(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value.astimezone(UTC))
    return plain(value) if isinstance(value, Decimal) else value


def left_out(why_not: Mapping[str, str]) -> Iterable[str]:
    """A sentence for each reason why customers could not be compared, which often is one for many."""
    customers: dict[str, list[str]] = {}
    for customer, why in why_not.items():
        customers.setdefault(why, []).append(customer)
    for why, of in customers.items():
        who = of[0] if len(of) == 1 else f"{counted(len(of), 'customer')} ({', '.join(of[:3])}{' …' * (len(of) > 3)})"
        yield f"{who} could not be compared: {why}. The next reconciliation tries again."


def agreement(con: duckdb.DuckDBPyConnection, customers: int, reads: int, left: int) -> Agreement:
    """What a reconciliation comes to."""
    money = con.execute("""
        SELECT currency, sum(amount_minor)::BIGINT FROM billing.reconciliation
        WHERE kind = 'customer_total_differs' AND currency IS NOT NULL
        GROUP BY currency ORDER BY currency""").fetchall()
    row = con.execute("SELECT count(*) FROM billing.reconciliation").fetchone()
    assert row is not None
    count = row[0]
    if customers:
        compared = f"{counted(customers, 'customer')} compared in {counted(reads, 'read')}"
    else:
        compared = "nothing was compared" if left else "nothing new to compare"
    if left:
        compared += f", {counted(left, 'customer')} could not be"
    if count:
        at_stake = f"; in all Stripe has {sums(money)} more (less where negative)" if money else ""
        verdict = f"{counted(count, 'difference')} between the books and Stripe{at_stake}"
    else:
        verdict = "no difference is known" if left else "Stripe agrees with the books"
    facts = {
        "differences": count,
        "customers": customers,
        "reads": reads,
        "not_compared": left,
        "money": {code: billed(minor, code) for code, minor in money},
    }
    return Agreement(f"{compared}; {verdict}", facts)
