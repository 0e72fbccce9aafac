"""What is said to Stripe about a line: the same bytes whoever says it, in steps and periods that Stripe takes."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assets.core.payload import (
    Line,
    canonical,
    idempotency_key,
    inclusive,
    invoice_payload,
    item_of,
    item_payload,
    items_of,
    wrong,
)

MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
CAP = 999_999_999_999


def line(line_id: str, amount: int = 100, currency: str = "USD", **other: Any) -> Line:
    told = {
        "account_id": "a1",
        "subscription_id": "s1",
        "period_start": MAY,
        "period_end": JUNE,
        "charge": "overage",
        "description": "usage above what the plan includes",
        "run_id": "night-2026-06-01T01:00:00Z",
        **other,
    }
    return Line(line_id, amount_minor=amount, currency=currency, **told)


def test_an_item_says_what_the_line_is() -> None:
    payload = item_payload(item_of([line("line_1", -250)]), "cus_1")
    assert payload == {
        "customer": "cus_1",
        "amount": -250,
        "currency": "usd",
        "description": "usage above what the plan includes",
        "period": {"start": 1777593600, "end": 1780271999},
        "metadata": {
            "line_key": "line_1",
            "account": "a1",
            "subscription": "s1",
            "period": "2026-05-01T00:00:00Z/2026-06-01T00:00:00Z",
            "charge": "overage",
            "lines": "1",
            "run": "night-2026-06-01T01:00:00Z",
        },
    }
    on_draft = item_payload(item_of([line("line_1")]), "cus_1", "in_1", "batch_1")
    assert (on_draft["invoice"], on_draft["metadata"]["batch_key"]) == ("in_1", "batch_1")


def test_a_draft_is_left_alone_by_stripe() -> None:
    payload = invoice_payload([line("l1", currency="JPY")], "cus_1", "batch_1", follows="batch_0")
    assert payload["auto_advance"] is False
    assert payload["currency"] == "jpy"
    assert payload["pending_invoice_items_behavior"] == "exclude"
    assert (payload["metadata"]["batch_key"], payload["metadata"]["follows"]) == ("batch_1", "batch_0")


def test_what_is_kept_is_the_same_to_the_byte() -> None:
    assert canonical({"b": 1, "a": {"d": "é", "c": None}}) == '{"a":{"c":null,"d":"é"},"b":1}'
    assert idempotency_key("line_1", 2) == hashlib.sha256(b"line_1|2").hexdigest()
    assert idempotency_key("line_1", 2) != idempotency_key("line_1", 1)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (MAY, JUNE, {"start": 1777593600, "end": 1780271999}),
        (MAY, MAY + timedelta(seconds=1), {"start": 1777593600, "end": 1777593600}),
        (MAY, MAY + timedelta(microseconds=1), {"start": 1777593600, "end": 1777593600}),
        (MAY + timedelta(microseconds=900_000), JUNE, {"start": 1777593600, "end": 1780271999}),
        (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC), MAY, {"start": -1, "end": 1777593599}),
    ],
)
def test_periods_are_told_with_both_ends_in_them(start: datetime, end: datetime, expected: dict[str, int]) -> None:
    assert inclusive(start, end) == expected


@pytest.mark.parametrize(
    ("amount", "currency", "cap", "words"),
    [
        (1, "USD", CAP, None),
        (1, "JPY", CAP, None),
        (100, "ISK", CAP, None),
        (150, "ISK", CAP, "not in steps of 100"),
        (-50, "UGX", CAP, "not in steps of 100"),
        (10, "KWD", CAP, None),
        (15, "BHD", CAP, "not in steps of 10"),
        (CAP, "USD", CAP, None),
        (-CAP - 1, "USD", CAP, "beyond 9999999999.99 (stripe.amount_cap"),
        (2_000, "JPY", 1_999, "beyond 1999 (stripe.amount_cap"),
    ],
)
def test_an_amount_that_stripe_would_not_take_is_found_here(
    amount: int, currency: str, cap: int, words: str | None
) -> None:
    found = wrong(item_of([line("l", amount, currency)]), cap)
    assert (found is None) if words is None else (found is not None and words in found)


def test_up_to_250_lines_are_items_of_their_own() -> None:
    items = items_of([line(f"l{n:03}") for n in range(250)])
    assert [item.line_key for item in items] == [f"l{n:03}" for n in range(250)]


@pytest.mark.parametrize("count", [251, 600])
def test_more_lines_fold_into_250_items_and_the_largest_stand_alone(count: int) -> None:
    lines = [line(f"l{n:03}", (-1) ** n * (n + 1)) for n in range(count)]
    items = items_of(lines)
    assert len(items) == 250
    assert sum(item.amount_minor for item in items) == sum(one.amount_minor for one in lines)
    assert sorted(one.line_id for item in items for one in item.lines) == sorted(one.line_id for one in lines)
    (fold,) = [item for item in items if len(item.lines) > 1]
    assert {one.line_id for one in fold.lines} == {f"l{n:03}" for n in range(count - 249)}
    shuffled = lines[:]
    random.Random(1).shuffle(shuffled)
    assert items_of(shuffled) == items
    payload = item_payload(fold, "cus_1")
    assert payload["description"] == f"{count - 249} positions, 2026-05-01 to 2026-06-01"
    assert (payload["metadata"]["charge"], payload["metadata"]["lines"]) == ("folded", str(count - 249))


def test_folds_keep_subscriptions_apart_as_long_as_there_is_room() -> None:
    lines = [line(f"l{n:03}", 1, subscription_id=f"s{n % 3}") for n in range(10)]
    items = items_of(lines, most=5)
    assert len(items) == 5
    assert all(len({one.subscription_id for one in item.lines}) == 1 for item in items)
    few = items_of(lines, most=2)
    assert len(few) <= 2
    assert sum(item.amount_minor for item in few) == 10
    far = [line(f"l{n:03}", 1, subscription_id=f"s{n}", period_start=MAY + timedelta(days=n)) for n in range(10)]
    (one,) = items_of(far, most=1)
    assert one.period == (MAY, JUNE)


def test_long_words_are_cut_to_what_stripe_takes() -> None:
    long = line("l1", charge="metered:" + "x" * 600, description="y" * 6000, account_id="a" * 600)
    payload = item_payload(item_of([long]), "cus_1")
    assert len(payload["description"]) == 5000
    assert max(len(value) for value in payload["metadata"].values()) == 500
