"""One request as the endpoints see it: who asks, in which mode, when, with which parameters, and what it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from assets.practice.errors import no_such
from assets.practice.store import Change, Json, Store


@dataclass(slots=True)
class Settings:
    """What a test or a demonstration may want otherwise. All may be changed while the server runs."""

    account: str = "acct_1Practice0000000"
    account_name: str = "Practice"
    # Keys are forgotten once this old; Stripe promises to keep them for at least a day.
    key_ttl: int = 24 * 3600
    # So are the identifiers of meter events.
    identifier_ttl: int = 24 * 3600
    # Seconds until a meter event shows in the summaries.
    meter_lag: int = 0
    latency_ms: float = 0
    # Stripe's older rule: all items and invoices of a customer are in one currency.
    currency_lock: bool = False
    # Two calls at once that write for one customer: the second gets 429 lock_timeout, which is not saved.
    customer_lock: bool = False
    # Requests a second for the account and for each endpoint (Stripe: live 100, sandbox 25; 25). None: no limiter.
    account_rate: int | None = None
    endpoint_rate: int | None = None
    most_amount: int = 999_999_999_999


@dataclass(slots=True)
class Ask:
    store: Store
    settings: Settings
    now: int
    is_live: bool
    params: dict[str, Any]
    path: str
    ids: tuple[str, ...] = ()
    change: Change = field(default_factory=lambda: Change([], []))

    def put(self, row: Json) -> Json:
        return self.change.put(self.is_live, row)

    def find(self, kind: str, id: str, param: str | None = None) -> Json:
        """The object, or Stripe's 400 (a parameter) or 404 (in the path), which knows of the other mode."""
        row = self.store.get(self.is_live, kind, id)
        if row is None:
            other = self.store.get(not self.is_live, kind, id) is not None
            raise no_such(NOUNS.get(kind, kind), id, param, self.is_live, other)
        return row

    def customer(self, id: str, param: str = "customer") -> Json:
        """A customer that is not deleted."""
        row = self.find("customer", id, param)
        if row.get("deleted"):
            raise no_such("customer", id, param, self.is_live, exists_in_other_mode=False)
        return row

    def rows(self, kind: str, **where: str | None) -> list[Json]:
        """Newest first, of those told; None tells nothing."""
        told = {field: value for field, value in where.items() if value is not None}
        rows = self.store.all(self.is_live, kind, **told)
        return [row for row in reversed(rows) if all(row.get(field) == value for field, value in told.items())]


NOUNS = {"billing.meter": "meter", "invoiceitem": "invoiceitem"}
