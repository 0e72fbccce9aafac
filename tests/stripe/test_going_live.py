"""From shadow to live: asked once, remembered, in the mode that is configured, and resting when turned back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from assets import progress
from assets.core.refusal import Refusal
from assets.practice import Fault, PracticeStripe
from assets.push import Waiting
from tests import nights
from tests.pipeline.places import bytes_below, copied
from tests.stripe import pushing
from tests.stripe.pushing import AS_OF, KEY, NOW, made, pushed, rewritten, rows, states, wrong

pytestmark = pytest.mark.xdist_group("going_live")  # its workspace is made once

DAY = timedelta(days=1)
QUESTION = (
    "The first push to Stripe with a test key: 4 lines of 2 accounts, 14 JPY and 14.34 USD, "
    "as items that wait for each customer's next subscription invoice."
)


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("live") / "workspace")


@pytest.fixture
def practice():
    with PracticeStripe(now=int(NOW.timestamp())) as practice:
        for customer in ("cus_1", "cus_2"):
            practice.add_customer(customer)
            practice.add_customer(customer, live=True)
        with pushing.pointed_at(practice):
            yield practice


@pytest.fixture
def root(nightly: Path, tmp_path: Path) -> Path:
    return copied(nightly, tmp_path / "workspace")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    heard: list[tuple[str, str]] = []
    monkeypatch.setattr(progress, "_listeners", [lambda step, sentence, facts: heard.append((step, sentence))])
    return heard


def decisions(root: Path) -> list[dict[str, Any]]:
    return nights.published(root)["decisions"]


def test_in_shadow_nothing_is_sent(tmp_path: Path, practice: PracticeStripe, said: list[tuple[str, str]]) -> None:
    root = made(tmp_path / "w", mode="shadow")
    assert pushed(root, NOW) == {}
    assert said == [("pushed", "nothing; in shadow mode lines are complete and never sent")]
    assert (practice.calls, states(root), decisions(root)) == ([], {"shadow": 4}, [])


def test_an_unconfirmed_night_leaves_its_lines_waiting(
    root: Path, practice: PracticeStripe, said: list[tuple[str, str]]
) -> None:
    assert pushed(root, NOW, is_confirmed=False) == {"sent": 0, "pending": 4, "parked": 0}
    assert ("warning", f"{QUESTION} They wait for `tallyhouse push --yes`.") in said
    assert (practice.calls, decisions(root)) == ([], [])


def test_a_push_that_nobody_confirms_is_refused(root: Path, practice: PracticeStripe) -> None:
    found = pushed(root, NOW, is_confirmed=False, is_asked=True)
    assert isinstance(found, Refusal)
    assert str(found) == f"{QUESTION} If that is right, say so with `tallyhouse push --yes`."
    found = pushed(root, NOW, is_confirmed=False, is_asked=True, ask=lambda question: False)
    assert str(found) == "Nothing was sent; the lines wait for `tallyhouse push`."
    assert (practice.calls, decisions(root)) == ([], [])


def test_lines_of_periods_before_bill_from_are_named_first(root: Path, practice: PracticeStripe) -> None:
    rewritten(root, "catalog/workspace.yaml", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z")
    found = pushed(root, NOW, is_confirmed=False, is_asked=True)
    assert "Of these, 4 lines, 14 JPY and 14.34 USD, are of periods that ended before bill_from. If" in str(found)


def test_a_yes_is_remembered_with_what_it_was_about(root: Path, practice: PracticeStripe) -> None:
    questions: list[str] = []
    sent = pushed(root, NOW, is_confirmed=False, ask=lambda question: not questions.append(question))  # type: ignore[func-returns-value]
    assert sent == {"sent": 4, "pending": 0, "parked": 0}
    assert questions == [f"{QUESTION} Send them?"]
    (decision,) = decisions(root)
    assert (decision["decision"], decision["subject"], decision["because"]) == (
        "push",
        "test key",
        "said at the prompt",
    )
    assert decision["as_of"] == AS_OF
    assert '"money": {"JPY": "14", "USD": "14.34"}' in decision["detail"]
    late = '{"id": "late", "t": "2026-05-20T00:00:00Z", "m": "money", "v": 1.00, "acct": "a1"}\n'
    (root / "raw" / "ev" / "late.ndjson").write_text(late)
    nights.run_night(root, AS_OF + DAY)
    assert pushed(root, NOW + DAY, is_confirmed=False, as_of=AS_OF + DAY) == {"sent": 5, "pending": 0, "parked": 0}
    assert len(decisions(root)) == 1


def test_without_a_key_the_lines_wait(root: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_API_KEY")
    found = pushed(root, NOW)
    assert isinstance(found, Waiting)
    assert "STRIPE_API_KEY is not set, so 4 lines wait" in str(found)
    assert states(root) == {"pending": 4}
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    assert pushed(root, NOW, is_confirmed=False) == {"sent": 4, "pending": 0, "parked": 0}


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc", "nonsense"])
def test_a_key_of_the_wrong_mode_is_refused_before_anything(
    root: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", key)
    before = bytes_below(root)
    assert isinstance(pushed(root, NOW), Refusal)
    with pytest.raises(Refusal, match="STRIPE_API_KEY"):
        nights.run_night(root, AS_OF + DAY)
    assert practice.calls == []
    after = bytes_below(root)
    assert {name for name in before if after[name] != before[name]} <= {str(root / "warehouse" / "run.lock")}


def test_what_was_rehearsed_in_the_sandbox_is_still_to_be_sent_in_earnest(
    root: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(root, NOW)
    assert wrong(root, practice) == []
    rewritten(root, "catalog/workspace.yaml", "key: test", "key: live")
    monkeypatch.setenv("STRIPE_API_KEY", "rk_live_abc")
    assert pushed(root, NOW + DAY, is_confirmed=False) == {"sent": 0, "pending": 4, "parked": 0}
    assert practice.items(live=True) == []
    assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, practice, live=True) == []
    assert {row["subject"] for row in decisions(root)} == {"test key", "live key"}
    assert len(practice.items()) == 4


def test_turned_back_to_shadow_the_live_book_rests(root: Path, practice: PracticeStripe) -> None:
    practice.faults.add(Fault("drop", method="POST", path="/v1/invoiceitems", customer="cus_1", times=None))
    assert isinstance(pushed(root, NOW), Waiting)
    practice.faults.clear()
    calls = len(practice.calls)
    rewritten(root, "catalog/workspace.yaml", "mode: live", "mode: shadow")
    assert pushed(root, NOW + DAY) == {}
    nights.run_night(root, AS_OF + DAY)
    assert pushed(root, NOW + DAY) == {}
    assert states(root) == {"shadow": 4}
    rewritten(root, "catalog/workspace.yaml", "mode: shadow", "mode: live")
    found = pushed(root, NOW + DAY)
    assert isinstance(found, Refusal)
    assert "has turned live since the last night" in str(found)
    assert len(practice.calls) == calls
    nights.run_night(root, AS_OF + 2 * DAY)
    assert pushed(root, NOW + 2 * DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, practice) == []


def test_what_stripe_rates_itself_is_never_sent_as_items(tmp_path: Path, practice: PracticeStripe) -> None:
    root = made(tmp_path / "w", push="meter_events")
    reason = "Stripe rates this usage itself (stripe.push: meter_events)"
    counts = pushed(root, NOW)
    assert isinstance(counts, dict)
    assert [counts[state] for state in ("sent", "pending", "parked")] == [0, 0, 0]
    assert {(row["state"], row["state_reason"]) for row in nights.published(root)["invoice_items"]} == {
        ("shadow", reason)
    }
    assert practice.items() == []
    assert rows(root, "SELECT DISTINCT entry FROM books.outbox") == [("event",)]


def test_the_key_is_found_nowhere(
    root: Path, practice: PracticeStripe, said: list[tuple[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in a table, a file, an export, a message or an exception, also where Stripe itself repeats it."""
    told = f"Invalid API Key provided: {KEY}"
    practice.faults.add(Fault("refuse", method="POST", customer="cus_1", message=told))
    practice.faults.add(Fault("reset", method="POST", customer="cus_2"))
    found = [pushed(root, NOW), pushed(root, NOW + DAY)]
    texts = [*map(repr, found), *map(str, said), *capfd.readouterr()]
    assert any("(the key)" in text for text in texts)
    secret = KEY.removeprefix("sk_test_")
    assert [text for text in texts if secret in text] == []
    assert [name for name, data in bytes_below(root).items() if secret.encode() in data] == []
