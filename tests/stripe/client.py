"""The real SDK against a practice Stripe, and what it does most in these tests."""

from __future__ import annotations

from typing import Any

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


def item(client: stripe.StripeClient, customer: str, key: str | None = None, **told: Any) -> stripe.InvoiceItem:
    params: Any = {"customer": customer, "amount": 1234, "currency": "usd", **told}
    return client.v1.invoice_items.create(params, {"idempotency_key": key} if key else {})


def is_replayed(answer: stripe.StripeObject) -> bool:
    assert answer.last_response is not None
    return answer.last_response.headers.get("Idempotent-Replayed") == "true"
