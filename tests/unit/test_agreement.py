"""The books against what stands at Stripe: every kind of difference, named and in money."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from assets.core.agreement import Booked, Difference, Used, compare_hours, compare_items

HOUR = datetime(2026, 5, 20, 1, tzinfo=UTC)
NEXT = datetime(2026, 5, 20, 2, tzinfo=UTC)


def booked(name: str = "l1", amount: int = 100, currency: str = "usd", is_sent: bool = True) -> Booked:
    return Booked(name, "a1", amount, currency, f"ii_{name}" if is_sent else None, is_sent)


def row(
    name: str = "l1", amount: int = 100, currency: str = "usd", id: str | None = None, **more: Any
) -> dict[str, Any]:
    metadata = {"line_key": name, "account": "a1"} if name else {}
    return {"id": id or f"ii_{name}", "amount": amount, "currency": currency, "metadata": metadata, **more}


def told(found: list[Difference]) -> list[tuple[Any, ...]]:
    return [(it.kind, it.name, it.stripe_id, it.amount_minor, it.currency) for it in found]


def total(amount: int, currency: str = "USD") -> tuple[Any, ...]:
    return ("customer_total_differs", None, None, amount, currency)


@pytest.mark.parametrize(
    ("sent", "there", "found"),
    [
        ([booked(), booked("l2", -5)], [row("l2", -5), row()], []),
        # what is not ours is not compared
        ([booked()], [row(), row("", 77, id="ii_else")], []),
        ([booked()], [], [("missing_at_stripe", "l1", "ii_l1", -100, "USD"), total(-100)]),
        ([], [row("l9")], [("unknown_to_books", "l9", "ii_l9", 100, "USD"), total(100)]),
        ([booked()], [row(amount=90)], [("amount_differs", "l1", "ii_l1", -10, "USD"), total(-10)]),
        (
            [booked()],
            [row(currency="eur")],
            [("currency_differs", "l1", "ii_l1", 100, "EUR"), total(100, "EUR"), total(-100)],
        ),
        (
            [booked()],
            [row(id="ii_copy"), row()],
            [("sent_twice", "l1", "ii_copy", 100, "USD"), total(100)],
        ),
        # deleted there and made anew by hand
        ([booked()], [row(id="ii_anew")], [("id_differs", "l1", "ii_anew", 0, "USD")]),
        # of what is not known to have arrived, nothing there is no difference
        ([booked(is_sent=False)], [], []),
        ([booked(is_sent=False)], [row()], [("found_though_unsure", "l1", "ii_l1", 100, "USD"), total(100)]),
        # two that make up for each other still differ
        (
            [booked(), booked("l2")],
            [row(amount=101), row("l2", 99)],
            [("amount_differs", "l1", "ii_l1", 1, "USD"), ("amount_differs", "l2", "ii_l2", -1, "USD")],
        ),
    ],
)
def test_items(sent: list[Booked], there: list[dict[str, Any]], found: list[tuple[Any, ...]]) -> None:
    assert told(compare_items("cus_1", sent, there)) == found


def test_on_an_invoice_of_ours_every_row_is_meant() -> None:
    found = compare_items("cus_1", [booked()], [row(), row("", 77, id="ii_else")], "in_1")
    assert told(found) == [("unknown_to_books", None, "ii_else", 77, "USD"), total(77)]
    assert {it.invoice for it in found} == {"in_1"}


def used(value: int, is_sent: bool = True, name: str = "e") -> Used:
    return Used(name, "a1", value, is_sent)


@pytest.mark.parametrize(
    ("sent", "held", "found"),
    [
        ({HOUR: [used(3), used(-1)]}, {HOUR: 2}, []),
        ({HOUR: [used(3)]}, {}, [("missing_at_stripe", HOUR, 3, 0), ("customer_total_differs", None, 3, 0)]),
        ({HOUR: [used(3)]}, {HOUR: 4}, [("usage_differs", HOUR, 3, 4), ("customer_total_differs", None, 3, 4)]),
        ({HOUR: [used(3)]}, {HOUR: 6}, [("usage_differs", HOUR, 3, 6), ("customer_total_differs", None, 3, 6)]),
        ({}, {HOUR: 4}, [("unknown_to_books", HOUR, 0, 4), ("customer_total_differs", None, 0, 4)]),
        (
            {HOUR: [used(3)], NEXT: [used(4)]},
            {HOUR: 4, NEXT: 3},
            [("usage_differs", HOUR, 3, 4), ("usage_differs", NEXT, 4, 3)],
        ),
        ({HOUR: [used(3), used(5, is_sent=False)]}, {HOUR: 3}, []),
        (
            {HOUR: [used(3), used(5, is_sent=False)]},
            {HOUR: 8},
            [("found_though_unsure", HOUR, 3, 8), ("customer_total_differs", None, 3, 8)],
        ),
        (
            {HOUR: [used(3), used(5, is_sent=False)]},
            {HOUR: 7},
            [("usage_differs", HOUR, 3, 7), ("customer_total_differs", None, 3, 7)],
        ),
    ],
)
def test_usage(sent: dict[datetime, list[Used]], held: dict[datetime, int], found: list[tuple[Any, ...]]) -> None:
    there = {hour: Decimal(value) for hour, value in held.items()}
    differences = compare_hours("cus_1", "units", None, sent, there)
    assert [(it.kind, it.bucket_start, it.books_quantity, it.stripe_quantity) for it in differences] == found
    assert {it.amount_minor for it in differences} <= {None}  # units are no money ...
    money = compare_hours("cus_1", "money", "EUR", sent, there)
    assert all(it.amount_minor == (it.stripe_quantity or 0) - (it.books_quantity or 0) for it in money)  # ... cents are
