"""What is said to Stripe about a line, frozen to the byte: the same line always makes the same request.

An item stands for one line or, where an invoice would hold more than Stripe takes, for several: then the smallest lines
of a period are folded together, their sum is kept, and the warehouse knows which lines an item stands for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from assets.core.instants import format_instant
from assets.core.numbers import minor_step
from assets.core.page import billed

MOST_ITEMS = 250  # Stripe takes no more on one invoice

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_LONGEST_VALUE, _LONGEST_DESCRIPTION = 500, 5000


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the books, as far as Stripe is told of it."""

    line_id: str
    account_id: str
    subscription_id: str
    period_start: datetime
    period_end: datetime
    charge: str
    amount_minor: int
    currency: str
    description: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Item:
    """One invoice item; `line_key` is what it is known by, here and at Stripe."""

    line_key: str
    lines: tuple[Line, ...]

    @property
    def amount_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines)

    @property
    def currency(self) -> str:
        return self.lines[0].currency

    @property
    def period(self) -> tuple[datetime, datetime]:
        return min(line.period_start for line in self.lines), max(line.period_end for line in self.lines)


def items_of(lines: Iterable[Line], most: int = MOST_ITEMS) -> list[Item]:
    """The lines of one invoice as at most `most` items: the largest by themselves, the smallest folded by period."""
    # The order of the books, so that an invoice reads the same however its lines were found.
    ordered = sorted(lines, key=lambda it: (it.period_start, it.account_id, it.subscription_id, it.charge, it.line_id))
    if len(ordered) <= most:
        return [item_of([line]) for line in ordered]
    by_size = sorted(ordered, key=lambda it: (-abs(it.amount_minor), it.line_id))
    for fold in _FOLDS:
        for kept in range(most - 1, -1, -1):  # as many by themselves as leave room for the folds of the rest
            if kept + len({fold(line) for line in by_size[kept:]}) <= most:
                return _folded(ordered, fold, {line.line_id for line in by_size[:kept]})
    raise AssertionError("everything folds into one")


# Each coarser than the one before; the last makes one of all, for whoever has hundreds of subscriptions.
_FOLDS: tuple[Callable[[Line], Any], ...] = (
    lambda it: (it.account_id, it.subscription_id, it.period_start, it.period_end),
    lambda it: (it.account_id, it.period_start, it.period_end),
    lambda it: (it.period_start, it.period_end),
    lambda it: (),
)


def _folded(lines: Sequence[Line], fold: Callable[[Line], Any], kept: Container[str]) -> list[Item]:
    groups: dict[Any, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.line_id if line.line_id in kept else fold(line), []).append(line)
    return [item_of(group) for group in groups.values()]


def item_of(lines: Sequence[Line]) -> Item:
    """A line by itself keeps its name; a fold is named after its lines, in any order."""
    if len(lines) == 1:
        return Item(lines[0].line_id, tuple(lines))
    return Item(f"fold_{digest(*sorted(line.line_id for line in lines))[:32]}", tuple(lines))


def item_payload(item: Item, customer: str, invoice: str | None = None, batch_key: str | None = None) -> dict[str, Any]:
    """The parameters of the invoice item; without an invoice it waits for the customer's next one."""
    first = item.lines[0]
    start, end = item.period
    is_one = len(item.lines) == 1
    metadata = {
        "line_key": item.line_key,
        "account": _several(line.account_id for line in item.lines),
        "subscription": _several(line.subscription_id for line in item.lines),
        "period": f"{format_instant(start)}/{format_instant(end)}",
        "charge": first.charge if is_one else "folded",
        "lines": str(len(item.lines)),
        "run": _several(line.run_id for line in item.lines),
    }
    folded = f"{len(item.lines)} positions, {start:%Y-%m-%d} to {end:%Y-%m-%d}"
    return {
        "customer": customer,
        **({"invoice": invoice} if invoice else {}),
        "amount": item.amount_minor,
        "currency": item.currency.lower(),
        "description": (first.description if is_one else folded)[:_LONGEST_DESCRIPTION],
        "period": inclusive(start, end),
        "metadata": _metadata(metadata, batch_key),
    }


def invoice_payload(lines: Sequence[Line], customer: str, batch_key: str, follows: str | None = None) -> dict[str, Any]:
    """The parameters of a draft that Stripe leaves alone until it is compared and finalised.

    `follows` names the batch whose invoice was closed before these lines came onto it.
    """
    first = lines[0]
    metadata = {
        "account": _several(line.account_id for line in lines),
        "period": f"{format_instant(first.period_start)}/{format_instant(first.period_end)}",
        "run": _several(line.run_id for line in lines),
        **({"follows": follows} if follows else {}),
    }
    return {
        "customer": customer,
        "currency": first.currency.lower(),
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "metadata": _metadata(metadata, batch_key),
    }


def _metadata(metadata: Mapping[str, str], batch_key: str | None) -> dict[str, str]:
    return {
        **{key: value[:_LONGEST_VALUE] for key, value in metadata.items()},
        **({"batch_key": batch_key} if batch_key else {}),
    }


def inclusive(start: datetime, end: datetime) -> dict[str, int]:
    """The half-open period as Stripe counts it: in seconds, both ends in it, the end never before the start."""
    first, past = (start - _EPOCH) // _SECOND, (end - _EPOCH) // _SECOND
    return {"start": first, "end": max(first, past - 1)}


def wrong(item: Item, most_minor: int) -> str | None:
    """Why Stripe would not take the item, if it would not: said before anything is sent."""
    _, step = minor_step(item.currency)
    amount = item.amount_minor
    if amount % step:
        return f"its amount {amount} is not in steps of {step}, which is what Stripe takes of {item.currency}"
    if abs(amount) > most_minor:
        shown, most = billed(amount, item.currency), billed(most_minor, item.currency)
        return f"its amount {shown} {item.currency} is beyond {most} (stripe.amount_cap in catalog/workspace.yaml)"
    return None


def canonical(payload: Mapping[str, Any]) -> str:
    """The payload as it is kept; what is read back from it is sent."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def idempotency_key(name: str, attempt: int) -> str:
    """The key of an attempt: the same whoever makes it, so that two who make it at once make one."""
    return hashlib.sha256(f"{name}|{attempt}".encode()).hexdigest()


def _several(names: Iterable[str]) -> str:
    return ",".join(dict.fromkeys(names))
