"""How many calls Stripe takes: by the second, for the account and for each endpoint."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque

from assets.practice.ask import Settings
from assets.practice.errors import ApiError


class Limits:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._seen: dict[str, deque[float]] = defaultdict(deque)

    def admit(self, endpoint: str) -> None:
        """429 for the call that is one too many in any second; it does not count itself."""
        account, each = self._settings.account_rate, self._settings.endpoint_rate
        if account is None and each is None:
            return
        now = time.monotonic()
        with self._lock:
            for name, rate, reason in (("", account, "global-rate"), (endpoint, each, "endpoint-rate")):
                if rate is not None and self._within(name, now) >= rate:
                    raise limited(reason)
            for name in ("", endpoint):
                self._seen[name].append(now)

    def _within(self, name: str, now: float) -> int:
        seen = self._seen[name]
        while seen and seen[0] <= now - 1:
            seen.popleft()
        return len(seen)


def limited(reason: str) -> ApiError:
    return ApiError(
        429,
        "Request rate limit exceeded; send less in a second.",
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": reason},
    )
