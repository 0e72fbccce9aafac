"""A practice Stripe for each test, and the real SDK pointed at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stripe

from assets.practice import PracticeStripe
from tests.stripe.client import client_of

NOW = 1_790_000_000  # 2026-09-21T13:33:20Z


@pytest.fixture
def practice(monkeypatch: pytest.MonkeyPatch) -> Iterator[PracticeStripe]:
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    with PracticeStripe(now=NOW) as practice:
        yield practice


@pytest.fixture
def client(practice: PracticeStripe) -> stripe.StripeClient:
    return client_of(practice)


@pytest.fixture
def acme(practice: PracticeStripe) -> str:
    practice.add_customer("cus_acme", "Acme")
    return "cus_acme"
