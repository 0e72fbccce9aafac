"""Exactly once, whatever fails and whenever: each fault × each call × the process killed before, during or after that
call × tried again after a minute, 25 hours or 40 days.

By default a part of the matrix in which every fault meets every call; FAULTS=all plays the whole, FAULTS=17 every 17th.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from assets.core.refusal import Refusal
from assets.practice import Fault, PracticeStripe
from tests.pipeline.places import copied
from tests.stripe import pushing
from tests.stripe.pushing import NOW, Death, dying, pushed, settle, states, wrong

CALLS = {
    "item": ("POST", "/v1/invoiceitems"),
    "draft": ("POST", "/v1/invoices"),
    "list": ("GET", "/v1/invoiceitems"),
    "finalise": ("POST", r"/v1/invoices/\w+/finalize"),
}
FAULTS = {
    "reset": {"kind": "reset"},
    "limited": {"kind": "limited"},
    "in use": {"kind": "in_use"},
    "503": {"kind": "unavailable"},
    "503, done": {"kind": "unavailable_made"},
    "lock timeout": {"kind": "lock_timeout", "saved": False},
    "lock timeout, saved": {"kind": "lock_timeout"},
    "500, not saved": {"kind": "error", "saved": False},
    "500": {"kind": "error"},
    "500, done": {"kind": "error_made"},
    "500, done 10 hours later": {"kind": "error_later", "seconds": 36_000.0},
    "400": {"kind": "refuse"},
    "401": {"kind": "unauthorized"},
    "403": {"kind": "forbidden"},
    "dropped": {"kind": "drop"},
    "dropped again and again": {"kind": "drop", "times": 6},
    "out of reach": {"kind": "reset", "times": 40},
}
CRASHES = ("none", "before", "during", "after")
LATER = {"a minute": timedelta(minutes=1), "25 hours": timedelta(hours=25), "40 days": timedelta(days=40)}

MATRIX = list(product(FAULTS, CALLS, CRASHES, LATER))
ASKED = os.environ.get("FAULTS", "")


def chosen() -> list[tuple[str, str, str, str]]:
    if ASKED == "all":
        return MATRIX
    if ASKED.isdecimal():
        return MATRIX[:: int(ASKED)]
    # Every fault at every call; crashes and delays go round, so that each pair of them comes up too.
    crashes, later = list(CRASHES), list(LATER)
    return [
        (fault, call, crashes[(f + c) % len(crashes)], later[(f + c + f // 3) % len(later)])
        for f, fault in enumerate(FAULTS)
        for c, call in enumerate(CALLS)
    ]


@pytest.fixture(scope="module", params=["pending", "invoice"])
def eve(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A workspace whose lines are about to be sent for the first time."""
    collect = str(request.param)
    return collect, pushing.made(tmp_path_factory.mktemp(collect) / "workspace", collect=collect)


@pytest.fixture
def practice() -> Iterator[PracticeStripe]:
    with PracticeStripe(now=int(NOW.timestamp())) as practice, pushing.pointed_at(practice):
        for customer in ("cus_1", "cus_2"):
            practice.add_customer(customer)
        yield practice


@pytest.mark.parametrize(("fault", "call", "crash", "later"), chosen())
def test_each_line_arrives_once(
    eve: tuple[str, Path],
    practice: PracticeStripe,
    tmp_path: Path,
    fault: str,
    call: str,
    crash: str,
    later: str,
) -> None:
    collect, workspace = eve
    method, path = CALLS[call]
    if collect == "pending" and call in ("draft", "finalise"):
        pytest.skip("items that Stripe collects by itself have no draft")
    root = copied(workspace, tmp_path / "workspace")
    if collect == "pending" and call == "list":  # a list is asked for after an answer that says too little
        practice.faults.add(Fault("error_made", method="POST", path="/v1/invoiceitems"))
    practice.faults.add(Fault(**{"method": method, "path": path, **FAULTS[fault]}))  # type: ignore[arg-type]
    if crash == "none":
        pushed(root, NOW)
    else:
        dying(root, practice, NOW, Death(crash, method, path))  # type: ignore[arg-type]
    practice.faults.clear()
    settle(root, practice, NOW + LATER[later])
    assert wrong(root, practice) == []
    calls = len(practice.calls)
    assert not isinstance(pushed(root, NOW + timedelta(days=100)), Refusal)
    assert len(practice.calls) == calls, "all is at Stripe, and Stripe is asked again"


@pytest.mark.parametrize("step", [int(os.environ.get("KILLS_STEP", "6"))])
def test_killed_before_any_act(eve: tuple[str, Path], practice: PracticeStripe, tmp_path: Path, step: int) -> None:
    """Whatever the push does, statement, call or file: killed before it, the next one ends the same."""
    _, workspace = eve
    acts = dying(copied(workspace, tmp_path / "whole"), practice, NOW, Death())
    assert acts > 30
    first = len(practice.items())
    assert first == 4
    failed = {}
    for act in range(0, acts, step):
        for later in (timedelta(minutes=1), timedelta(hours=25))[act // step % 2 :][:1]:
            with PracticeStripe(now=int(NOW.timestamp())) as fresh, pushing.pointed_at(fresh):
                for customer in ("cus_1", "cus_2"):
                    fresh.add_customer(customer)
                root = copied(workspace, tmp_path / f"{act}-{later}")
                assert dying(root, fresh, NOW, Death(act=act)) < 0
                settle(root, fresh, NOW + later)
                if found := wrong(root, fresh):
                    failed[act] = found
    assert not failed


def test_two_crashes_and_a_clock_gone_back(eve: tuple[str, Path], practice: PracticeStripe, tmp_path: Path) -> None:
    _, workspace = eve
    root = copied(workspace, tmp_path / "workspace")
    dying(root, practice, NOW, Death("during", path="/v1/invoiceitems"))
    dying(root, practice, NOW + timedelta(hours=1), Death("after", path="/v1/invoiceitems", number=2))
    yesterday = NOW - timedelta(days=2)
    found = pushed(root, yesterday)
    settle(root, practice, NOW + timedelta(hours=26))
    assert found
    assert wrong(root, practice) == []
    assert states(root) == {"sent": 4}
