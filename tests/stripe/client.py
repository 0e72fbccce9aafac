"""The real SDK against a practice Stripe, and what it does most in these tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from assets.practice import PracticeStripe


def client_of(
    practice: PracticeStripe, key: str = "sk_test_x", retries: int = 0, timeout: float = 5
) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        max_network_retries=retries,
        base_addresses={"api": practice.url},
        http_client=stripe.RequestsClient(timeout=(5, timeout)),
    )


def item(client: stripe.StripeClient, to: str, key: str | None = None, **told: Any) -> Any:
    params: Any = {"customer": to, "amount": 1234, "currency": "usd", **told}
    return client.v1.invoice_items.create(params, {"idempotency_key": key} if key else {})


def failing(
    make: Callable[[], object], kind: type[stripe.StripeError] = stripe.StripeError, match: str | None = None
) -> Any:
    """The error that the SDK raises."""
    with pytest.raises(kind, match=match) as error:
        make()
    return error.value


def is_replayed(answer: Any) -> bool:
    told: dict[str, str] = answer.last_response.headers
    return told.get("Idempotent-Replayed") == "true"
