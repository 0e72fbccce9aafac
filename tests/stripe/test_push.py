"""What a push brings to Stripe, and what it leaves waiting for whom."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from assets import warehouse
from assets.core.refusal import Refusal
from assets.practice import Fault, PracticeStripe
from assets.push import Waiting
from tests import nights
from tests.pipeline.places import copied
from tests.stripe import pushing
from tests.stripe.client import client_of, item
from tests.stripe.pushing import AS_OF, NOW, WORKSPACE, made, pushed, rewritten, rows, states, wrong

pytestmark = pytest.mark.xdist_group("push")  # its workspace is made once

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("push") / "workspace")


@pytest.fixture
def stripe(practice: PracticeStripe):
    practice.clock.set(int(NOW.timestamp()))
    for customer in ("cus_1", "cus_2"):
        practice.add_customer(customer)
    with pushing.pointed_at(practice):
        yield practice


@pytest.fixture
def practice():
    with PracticeStripe(now=int(AS_OF.timestamp())) as practice:
        yield practice


@pytest.fixture
def root(nightly: Path, tmp_path: Path) -> Path:
    return copied(nightly, tmp_path / "workspace")


def items(root: Path) -> list[dict[str, Any]]:
    return nights.published(root)["invoice_items"]


def test_lines_arrive_as_they_stand_in_the_books(root: Path, stripe: PracticeStripe) -> None:
    assert pushed(root, NOW) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, stripe) == []
    (overage,) = [it for it in stripe.items("cus_1") if it["metadata"]["charge"] == "overage"]
    assert (overage["amount"], overage["currency"], overage["invoice"]) == (1234, "usd", None)
    assert overage["period"] == {"start": 1777593600, "end": 1780271999}
    assert overage["metadata"]["run"] == "night-2026-06-01T01:00:00Z"
    assert sorted(it["amount"] for it in stripe.items("cus_2")) == [2, 12]  # yen


def test_a_second_push_changes_nothing_and_asks_nothing(root: Path, stripe: PracticeStripe) -> None:
    pushed(root, NOW)
    calls, before = len(stripe.calls), warehouse.path(root).read_bytes()
    assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert len(stripe.calls) == calls
    assert warehouse.path(root).read_bytes() == before


# --- what waits for someone to mend something ------------------------------------------------------------------------


def test_a_line_without_a_customer_waits_and_goes_once_there_is_one(tmp_path: Path, stripe: PracticeStripe) -> None:
    root = made(tmp_path / "w", {**WORKSPACE, "accounts": WORKSPACE["accounts"].replace("JPY,UTC,cus_2", "JPY,UTC,")})
    assert pushed(root, NOW) == {"sent": 2, "pending": 0, "parked": 2}
    assert {row["state_reason"] for row in items(root)} == {
        None,
        "its account has no stripe_customer_id; write it into accounts/accounts.csv",
    }
    before = warehouse.path(root).read_bytes()
    pushed(root, NOW)
    assert warehouse.path(root).read_bytes() == before
    rewritten(root, "accounts/accounts.csv", "JPY,UTC,", "JPY,UTC,cus_2")
    assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, stripe) == []


@pytest.mark.parametrize("collect", ["pending", "invoice"])
def test_a_deleted_customer_stops_nobody_else(tmp_path: Path, practice: PracticeStripe, collect: str) -> None:
    root = made(tmp_path / "w", collect=collect)
    practice.add_customer("cus_1", deleted=True)
    practice.add_customer("cus_2")
    with pushing.pointed_at(practice):
        assert pushed(root, NOW) == {"sent": 2, "pending": 0, "parked": 2}
        assert {row["state_reason"] for row in items(root) if row["account_id"] == "a1"} == {
            "Stripe refused it: No such customer: 'cus_1' (400)"
        }
        assert pushed(root, NOW + timedelta(minutes=1)) == {"sent": 2, "pending": 0, "parked": 2}
        practice.add_customer("cus_3")
        rewritten(root, "accounts/accounts.csv", "cus_1", "cus_3")
        assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert [it["amount"] for it in practice.items("cus_3")] == [1234, 200]
    assert pushing.unfinished(practice) + pushing.unseen(practice) == []


def test_a_currency_the_customer_may_not_have_is_parked(root: Path, stripe: PracticeStripe) -> None:
    stripe.settings.currency_lock = True
    item(client_of(stripe), "cus_2", currency="eur")
    assert pushed(root, NOW) == {"sent": 2, "pending": 0, "parked": 2}
    assert "combine currencies" in next(row["state_reason"] for row in items(root) if row["account_id"] == "a2")
    stripe.settings.currency_lock = False
    assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert len(stripe.items("cus_2")) == 3


def test_an_amount_over_the_cap_waits_and_asks_nobody(tmp_path: Path, stripe: PracticeStripe) -> None:
    root = made(tmp_path / "w", amount_cap="1000")
    assert pushed(root, NOW) == {"sent": 3, "pending": 0, "parked": 1}
    (parked,) = [row for row in items(root) if row["state"] == "parked"]
    assert parked["state_reason"] == (
        "its amount 12.34 USD is beyond 10.00 (stripe.amount_cap in catalog/workspace.yaml)"
    )
    assert all(call.params.get("amount") != "1234" for call in stripe.calls)
    rewritten(root, "catalog/workspace.yaml", "amount_cap: 1000", "amount_cap: 2000")
    assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}


def test_another_amount_at_stripe_is_never_sent_over(root: Path, stripe: PracticeStripe) -> None:
    """Somebody changed the item while its outcome was open: it is theirs now, and a person's matter."""
    stripe.faults.add(Fault("drop", times=None, method="POST", path="/v1/invoiceitems", customer="cus_1"))
    assert isinstance(pushed(root, NOW), Waiting)
    stripe.faults.clear()
    theirs = stripe.items("cus_1")
    client_of(stripe).v1.invoice_items.update(theirs[0]["id"], {"amount": 999})
    later = NOW + timedelta(hours=25)
    assert pushed(root, later) == {"sent": 3, "pending": 0, "parked": 1}
    (parked,) = [row for row in items(root) if row["state"] == "parked"]
    assert f"Stripe holds it with another amount ({theirs[0]['id']}: 999 usd)" in parked["state_reason"]
    assert len(stripe.items("cus_1")) == 2


# --- what stops everything -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [("unauthorized", "Invalid API Key provided (401)"), ("forbidden", "may not do that on this account (403)")],
)
def test_a_key_that_is_refused_stops_the_whole_push(root: Path, stripe: PracticeStripe, fault: str, words: str) -> None:
    stripe.faults.add(Fault(fault, times=None, method="POST"))
    found = pushed(root, NOW)
    assert isinstance(found, Waiting)
    assert "Stripe refuses the key" in str(found)
    assert "4 lines wait" in str(found)
    assert words in str(found)
    assert len([call for call in stripe.calls if call.method == "POST"]) <= 2  # one for each customer at most
    assert states(root) == {"pending": 4}
    assert rows(root, "SELECT count(*) FROM books.outbox WHERE first_sent_at IS NOT NULL") == [(0,)]
    stripe.faults.clear()
    assert pushed(root, NOW) == {"sent": 4, "pending": 0, "parked": 0}


def test_a_key_refused_after_a_call_without_an_answer_leaves_that_one_open(root: Path, stripe: PracticeStripe) -> None:
    """The first try may have come through, so it is not forgotten with the second."""
    stripe.faults.add(Fault("drop", method="POST", path="/v1/invoiceitems", customer="cus_1"))
    stripe.faults.add(
        Fault("unauthorized", method="POST", path="/v1/invoiceitems", customer="cus_1", after=1, times=None)
    )
    assert isinstance(pushed(root, NOW), Waiting)
    stripe.faults.clear()
    pushing.settle(root, stripe, NOW + timedelta(hours=25))
    assert wrong(root, stripe) == []


def test_a_listing_that_fails_proves_nothing(root: Path, stripe: PracticeStripe) -> None:
    stripe.faults.add(Fault("drop", method="POST", path="/v1/invoiceitems", times=None))
    assert isinstance(pushed(root, NOW), Waiting)
    assert stripe.items()
    stripe.faults.clear()
    stripe.faults.add(Fault("refuse", method="GET", path="/v1/invoiceitems", times=None))
    assert isinstance(pushed(root, NOW + timedelta(hours=25)), Waiting)
    # A worker that found the others giving up may have left its line untried, to be sent for the first time now.
    there = Counter(it["metadata"]["line_key"] for it in stripe.items())
    assert set(there.values()) == {1}, "sent again unseen"
    stripe.faults.clear()
    pushing.settle(root, stripe, NOW + timedelta(hours=50))
    assert wrong(root, stripe) == []


def test_stripe_out_of_reach_is_not_asked_for_every_line(root: Path, stripe: PracticeStripe) -> None:
    stripe.faults.add(Fault("reset", times=None))
    found = pushed(root, NOW)
    assert isinstance(found, Waiting)
    assert str(found).startswith("Stripe can't be reached: no answer (ConnectionError); 4 lines wait.")
    assert len(stripe.calls) == pushing.PATIENCE.unknown
    assert states(root) == {"pending": 4}


def test_a_key_of_another_account_is_refused(root: Path, stripe: PracticeStripe) -> None:
    stripe.faults.add(Fault("refuse", method="POST", path="/v1/invoiceitems", customer="cus_2"))
    assert pushed(root, NOW) == {"sent": 3, "pending": 0, "parked": 1}
    stripe.settings.account = "acct_other"
    calls = len(stripe.items())
    found = pushed(root, NOW + DAY)
    assert isinstance(found, Refusal)
    assert "is a key of acct_other, and lines of this workspace have gone to acct_1Practice0000000" in str(found)
    assert len(stripe.items()) == calls


def test_a_500_is_believed_absent_only_a_day_later(root: Path, stripe: PracticeStripe) -> None:
    stripe.faults.add(Fault("error", method="POST", path="/v1/invoiceitems", customer="cus_1"))
    found = pushed(root, NOW)
    assert isinstance(found, Waiting)
    assert f"Run `tallyhouse push` again, from {NOW + DAY:%Y-%m-%dT%H:%M:%SZ} on" in str(found)
    assert len(stripe.items()) == 3
    assert isinstance(pushed(root, NOW + timedelta(hours=23)), Waiting)
    assert len(stripe.items()) == 3
    assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, stripe) == []
    assert rows(root, "SELECT event FROM books.outbox_log ORDER BY logged_at, event") == [
        ("doubted",),
        ("doubted",),
        ("absent",),
    ]


def test_a_key_that_replays_an_error_is_given_up_once_nothing_is_found(root: Path, stripe: PracticeStripe) -> None:
    """A lock that timed out is saved under the key, and would be answered all day."""
    stripe.faults.add(Fault("lock_timeout", method="POST", path="/v1/invoiceitems", customer="cus_1"))
    assert pushed(root, NOW) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, stripe) == []
    assert rows(root, "SELECT attempt, count(*) FROM books.outbox GROUP BY attempt ORDER BY attempt") == [
        (1, 3),
        (2, 1),
    ]
    keys = [call.key for call in stripe.calls if call.method == "POST"]
    assert len(set(keys)) == 5


# --- more than Stripe takes, and every kind of currency ---------------------------------------------------------------


def many(count: int) -> dict[str, Any]:
    """One account with many lines of one period."""
    meters = {f"m{n:03}": {"aggregate": "sum"} for n in range(count)}
    emits = [{"meter": meter, "quantity": "v", "when": {"m": meter}} for meter in meters]
    source = {"files": "many/*.ndjson", "format": "ndjson", "identity": ["id"], "occurred_at": "t", "account": "acct"}
    usage = "\n".join(f"u{n} 2026-05-02T00:00:00Z m{n:03} {n + 1} a1" for n in range(count))
    return {
        **WORKSPACE,
        "meters": meters,
        "sources": {"many": {**source, "emits": emits}},
        "plan": {"charges": [{"meter": meter, "model": "per_unit", "price": "0.01"} for meter in meters]},
        "usage": {"many/a.ndjson": usage},
    }


@pytest.mark.parametrize("collect", ["pending", "invoice"])
def test_over_250_lines_fold_and_the_warehouse_knows_them(tmp_path: Path, stripe: PracticeStripe, collect: str) -> None:
    root = made(tmp_path / "w", many(260), collect=collect)
    stripe.faults.add(Fault("error_made", method="POST", path="/v1/invoiceitems", after=200))
    assert pushed(root, NOW) == {"sent": 260, "pending": 0, "parked": 0}
    there = stripe.items("cus_1")
    assert len(there) == 250
    assert sum(it["amount"] for it in there) == sum(range(1, 261))
    folded = [it for it in there if it["metadata"]["charge"] == "folded"]
    assert [it["amount"] for it in folded] == [sum(range(1, 12))]
    assert Counter(row["stripe_id"] for row in items(root))[folded[0]["id"]] == 11
    assert pushing.unfinished(stripe) + pushing.unseen(stripe) == []


def test_every_kind_of_currency_is_taken(tmp_path: Path, stripe: PracticeStripe) -> None:
    """Stripe's own table refuses what ours would send wrong."""
    kinds = {"USD": 1234, "JPY": 12, "KRW": 12, "ISK": 1200, "UGX": 1200, "KWD": 12340, "TND": 12340, "HUF": 1234}
    accounts = [f"a{n},organization,A,{code},UTC,cus_{n}" for n, code in enumerate(kinds, 1)]
    entry = {
        "accounts": "\n".join(accounts),
        "subscriptions": "\n".join(
            f"s{n},a{n},pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z," for n in range(1, len(kinds) + 1)
        ),
        "usage": "\n".join(f"m{n} 2026-05-02T00:00:00Z money 12.34 a{n}" for n in range(1, len(kinds) + 1)),
    }
    for n in range(1, len(kinds) + 1):
        stripe.add_customer(f"cus_{n}")
    assert pushed(made(tmp_path / "w", entry, collect="invoice"), NOW) == {"sent": 8, "pending": 0, "parked": 0}
    assert {it["currency"].upper(): it["amount"] for it in stripe.items()} == kinds


# --- two at once -----------------------------------------------------------------------------------------------------


def test_a_second_pusher_is_refused_by_name(root: Path, stripe: PracticeStripe) -> None:
    with (
        warehouse.only_run(root, NOW, "push"),
        pytest.raises(Refusal, match=r"is being worked on by the push of 2026-06-01T02:00:00Z \(process \d+\)"),
    ):
        pushed(root, NOW)
    assert stripe.calls == []


def test_two_copies_of_a_workspace_send_each_line_once(root: Path, tmp_path: Path, stripe: PracticeStripe) -> None:
    """Against the advice, on two machines: the same lines have the same keys."""
    other = copied(root, tmp_path / "other")
    assert pushed(root, NOW) == pushed(other, NOW + timedelta(hours=1))
    assert wrong(root, stripe) + wrong(other, stripe) == []


def test_the_rate_is_kept_over_all_workers(tmp_path: Path, stripe: PracticeStripe) -> None:
    root = made(tmp_path / "w", many(40), rate="100")
    pushed(root, NOW)
    started = sorted(call.started for call in stripe.calls)
    assert len(started) == 41
    # As they leave, they are a hundredth of a second apart; on their way they may bunch up by a few.
    assert all(after - before >= 0.2 for before, after in zip(started, started[24:], strict=False))
