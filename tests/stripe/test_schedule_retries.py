"""A night of the schedule that can't reach Stripe tries its push again later; one at a prompt says so at once."""

from __future__ import annotations

import socket
from pathlib import Path

import dagster as dg
import pytest

from assets import verbs
from assets.core.instants import format_instant
from assets.night import Night
from assets.practice import Fault, PracticeStripe
from assets.push import Waiting
from tests.stripe import pushing


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where nobody listens, and no patience for it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("STRIPE_API_KEY", pushing.KEY)
    monkeypatch.setenv("TALLYHOUSE_STRIPE_API_BASE", f"http://127.0.0.1:{port}")
    monkeypatch.setattr("assets.push.client.Patience", lambda: pushing.PATIENCE)


def push(workspace: Path, retries: int) -> None:
    night = Night(workspace=str(workspace), as_of=format_instant(pushing.AS_OF), yes=True, retries=retries)
    with dg.build_init_resource_context() as context, night.yield_for_execution(context) as ours:
        verbs.pushed(ours, lambda: pushing.NOW)


def test_what_may_pass_is_tried_again_by_the_schedule(tmp_path: Path, nobody: None) -> None:
    workspace = pushing.made(tmp_path)
    with pytest.raises(dg.RetryRequested) as later:
        push(workspace, retries=3)
    assert (later.value.max_retries, later.value.seconds_to_wait) == (3, verbs.RETRY_SECONDS)
    with pytest.raises(Waiting, match="Stripe can't be reached"):
        push(workspace, retries=0)
    assert set(pushing.states(workspace)) == {"pending"}


@pytest.mark.parametrize(("fault", "may_pass"), [("reset", True), ("unauthorized", False)])
def test_also_what_begins_in_the_middle_of_a_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, may_pass: bool
) -> None:
    monkeypatch.setattr("assets.push.client.Patience", lambda: pushing.PATIENCE)
    workspace = pushing.made(tmp_path)
    with PracticeStripe(now=int(pushing.NOW.timestamp())) as practice, pushing.pointed_at(practice):
        for customer in ("cus_1", "cus_2"):
            practice.add_customer(customer)
        practice.faults.add(Fault(fault, path="/v1/invoiceitems", times=None))
        with pytest.raises(dg.RetryRequested if may_pass else Waiting):
            push(workspace, retries=3)
    assert set(pushing.states(workspace)) <= {"pending"}
