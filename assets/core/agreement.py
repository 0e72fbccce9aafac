"""The books against what stands at Stripe: every difference by its kind, in both directions.

Pure: it is given both sides and names what is different. A difference's money is Stripe's less the books'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "missing_at_stripe",  # sent, and not there (any more)
    "unknown_to_books",  # there, and never sent from here
    "found_though_unsure",  # there; whether it had arrived was not known
    "amount_differs",
    "currency_differs",
    "id_differs",  # there, as another object than was sent
    "sent_twice",
    "invoice_missing",
    "invoice_void",
    "invoice_not_finalised",
    "usage_differs",  # of an hour
    "customer_total_differs",
]


@dataclass(frozen=True, slots=True)
class Booked:
    """An item as the books know it."""

    name: str  # its line_key
    account_id: str
    amount_minor: int
    currency: str  # lower case, as Stripe has it
    stripe_id: str | None
    is_sent: bool  # else it was called, and what came of it is not known


@dataclass(frozen=True, slots=True)
class Used:
    """An event as the books know it."""

    name: str
    account_id: str
    value: int
    is_sent: bool


@dataclass(frozen=True, slots=True)
class Difference:
    kind: Kind
    customer: str
    account_id: str | None = None
    name: str | None = None  # line_key or identifier
    stripe_id: str | None = None
    invoice: str | None = None
    meter: str | None = None
    bucket_start: datetime | None = None
    currency: str | None = None  # upper case
    books_minor: int | None = None
    stripe_minor: int | None = None
    books_quantity: int | None = None  # of events, in what is sent
    stripe_quantity: Decimal | None = None
    detail: str | None = None

    @property
    def amount_minor(self) -> int | None:
        if self.books_minor is None and self.stripe_minor is None:
            return None
        return (self.stripe_minor or 0) - (self.books_minor or 0)


def name_of(row: Mapping[str, Any]) -> str:
    return str((row.get("metadata") or {}).get("line_key", ""))


def compare_items(
    customer: str, booked: Sequence[Booked], rows: Iterable[Mapping[str, Any]], invoice: str | None = None
) -> list[Difference]:
    """What was sent against what is listed, item by item and in all. On an invoice of ours every row is meant."""
    ours = {it.name: it for it in booked}
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    meant = [row for row in rows if name_of(row) or invoice]
    found: list[Difference] = []
    for row in meant:
        if name_of(row) in ours:
            by_name.setdefault(name_of(row), []).append(row)
        else:
            found.append(_of_row("unknown_to_books", customer, row, invoice))
    for it in booked:
        found += _compare_item(customer, it, by_name.get(it.name, []), invoice)
    return [*found, *_totals(customer, [it for it in booked if it.is_sent], meant, invoice)]


def _compare_item(
    customer: str, it: Booked, rows: Sequence[Mapping[str, Any]], invoice: str | None
) -> Iterator[Difference]:
    if not rows:
        if it.is_sent:
            yield Difference(
                "missing_at_stripe",
                customer,
                it.account_id,
                it.name,
                it.stripe_id,
                invoice,
                currency=it.currency.upper(),
                books_minor=it.amount_minor,
            )
        return
    same = [row for row in rows if row["id"] == it.stripe_id]
    one = same[0] if same else rows[-1]  # lists begin with the newest
    if not it.is_sent:
        yield _of_row("found_though_unsure", customer, one, invoice, it.account_id)
    elif not same:
        detail = f"the books have {it.stripe_id}"
        yield _of_row("id_differs", customer, one, invoice, it.account_id, it.amount_minor, detail)
    if it.is_sent and one["currency"] != it.currency:
        detail = f"the books have {it.currency.upper()}"
        yield _of_row("currency_differs", customer, one, invoice, it.account_id, None, detail)
    elif it.is_sent and one["amount"] != it.amount_minor:
        yield _of_row("amount_differs", customer, one, invoice, it.account_id, it.amount_minor)
    for row in rows:
        if row is not one:
            detail = f"{one['id']} is the one in the books"
            yield _of_row("sent_twice", customer, row, invoice, it.account_id, None, detail)


def _of_row(
    kind: Kind,
    customer: str,
    row: Mapping[str, Any],
    invoice: str | None,
    account_id: str | None = None,
    books_minor: int | None = None,
    detail: str | None = None,
) -> Difference:
    return Difference(
        kind,
        customer,
        account_id or (row.get("metadata") or {}).get("account"),
        name_of(row) or None,
        row["id"],
        invoice or row.get("invoice"),
        currency=row["currency"].upper(),
        books_minor=books_minor,
        stripe_minor=row["amount"],
        detail=detail,
    )


def _totals(
    customer: str, booked: Iterable[Booked], rows: Iterable[Mapping[str, Any]], invoice: str | None
) -> Iterator[Difference]:
    """The customer's money on both sides, whatever the items are called."""
    books: dict[str, int] = {}
    there: dict[str, int] = {}
    for it in booked:
        books[it.currency] = books.get(it.currency, 0) + it.amount_minor
    for row in rows:
        there[row["currency"]] = there.get(row["currency"], 0) + row["amount"]
    for currency in sorted({*books, *there}):
        ours, theirs = books.get(currency, 0), there.get(currency, 0)
        if ours != theirs:
            yield Difference(
                "customer_total_differs",
                customer,
                invoice=invoice,
                currency=currency.upper(),
                books_minor=ours,
                stripe_minor=theirs,
            )


def compare_hours(
    customer: str,
    meter: str,
    currency: str | None,
    booked: Mapping[datetime, Sequence[Used]],
    held: Mapping[datetime, Decimal],
) -> list[Difference]:
    """The events of a customer's meter against what Stripe adds up of each hour, and in all.

    `currency` is that of a cost meter, whose units are money.
    """
    found = [
        difference
        for hour in sorted({*booked, *held})
        if (
            difference := _compare_hour(
                customer, meter, currency, hour, booked.get(hour, ()), held.get(hour, Decimal(0))
            )
        )
    ]
    ours = sum(it.value for events in booked.values() for it in events if it.is_sent)
    theirs = sum(held.values(), Decimal(0))
    if ours != theirs:
        found.append(_usage("customer_total_differs", customer, meter, currency, ours, theirs))
    return found


def _compare_hour(
    customer: str, meter: str, currency: str | None, hour: datetime, events: Sequence[Used], held: Decimal
) -> Difference | None:
    ours = sum(it.value for it in events if it.is_sent)
    if ours == held:
        return None
    unsure = [it for it in events if not it.is_sent]
    sums = sums_of(it.value for it in unsure[:MOST_UNSURE])
    kind: Kind = "usage_differs"
    if not events:
        kind = "unknown_to_books"
    elif held - ours in sums:
        kind = "found_though_unsure"
    elif not held and not unsure:
        kind = "missing_at_stripe"
    accounts = {it.account_id for it in events}
    return _usage(
        kind,
        customer,
        meter,
        currency,
        ours,
        held,
        hour,
        account_id=accounts.pop() if len(accounts) == 1 else None,
        name=events[0].name if len(events) == 1 else None,
        detail=f"{len(events)} events of the hour" if len(events) > 1 else None,
    )


MOST_UNSURE = 12  # events of one hour whose sums are tried


def sums_of(values: Iterable[int]) -> set[int]:
    """What any of them, or none, come to together."""
    sums = {0}
    for value in values:
        sums |= {total + value for total in sums}
    return sums


def _usage(
    kind: Kind,
    customer: str,
    meter: str,
    currency: str | None,
    ours: int,
    theirs: Decimal,
    hour: datetime | None = None,
    **more: Any,
) -> Difference:
    money: dict[str, Any] = {}
    if currency and theirs == theirs.to_integral_value():
        money = {"currency": currency, "books_minor": ours, "stripe_minor": int(theirs)}
    return Difference(
        kind,
        customer,
        meter=meter,
        bucket_start=hour,
        books_quantity=ours,
        stripe_quantity=theirs,
        **money,
        **more,
    )
