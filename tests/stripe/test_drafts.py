"""Invoices of our own: nothing is finalised that is not, item for item and cent for cent, what the outbox has sent."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.core.refusal import Refusal
from assets.practice import Fault, PracticeStripe
from assets.push.prepare import SEVERAL
from tests import nights
from tests.pipeline.places import copied
from tests.stripe import pushing
from tests.stripe.client import client_of, item
from tests.stripe.pushing import AS_OF, NOW, made, pushed, rewritten, rows, states, wrong

pytestmark = pytest.mark.xdist_group("drafts")  # its workspace is made once

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("drafts") / "workspace", collect="invoice")


@pytest.fixture
def practice():
    with PracticeStripe(now=int(NOW.timestamp())) as practice:
        for customer in ("cus_1", "cus_2"):
            practice.add_customer(customer)
        with pushing.pointed_at(practice):
            yield practice


@pytest.fixture
def root(nightly: Path, tmp_path: Path) -> Path:
    return copied(nightly, tmp_path / "workspace")


def stopped_before_finalising(root: Path, practice: PracticeStripe) -> dict[str, Any]:
    """Both drafts full, and neither finalised; the one of cus_1."""
    fault = Fault("forbidden", method="POST", path="/v1/invoices/.*/finalize", times=None)
    practice.faults.add(fault)
    assert isinstance(pushed(root, NOW), Refusal)
    practice.faults.clear()
    assert {it["status"] for it in practice.invoices()} == {"draft"}
    assert len(practice.items()) == 4
    (draft,) = practice.invoices("cus_1")
    return draft


def reasons(root: Path) -> set[str | None]:
    return {row["state_reason"] for row in nights.published(root)["invoice_items"] if row["account_id"] == "a1"}


def test_each_customer_and_period_has_an_invoice_that_stripe_then_collects(
    root: Path, practice: PracticeStripe
) -> None:
    assert pushed(root, NOW) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, practice) == []
    invoices = practice.invoices()
    assert {it["customer"] for it in invoices} == {"cus_1", "cus_2"}
    assert {it["status"] for it in invoices} <= {"open", "paid"}
    finals = [call for call in practice.calls if call.path.endswith("/finalize")]
    assert [call.params for call in finals] == [{"auto_advance": "true"}] * 2
    assert {it["metadata"]["run"] for it in invoices} == {"night-2026-06-01T01:00:00Z"}


def test_what_comes_later_has_an_invoice_of_its_own(root: Path, practice: PracticeStripe) -> None:
    pushed(root, NOW)
    late = '{"id": "late", "t": "2026-05-20T00:00:00Z", "m": "money", "v": 1.00, "acct": "a1"}\n'
    (root / "raw" / "ev" / "late.ndjson").write_text(late)
    as_of = AS_OF + DAY
    nights.run_night(root, as_of)
    assert pushed(root, NOW + DAY, as_of=as_of) == {"sent": 5, "pending": 0, "parked": 0}
    assert wrong(root, practice) == []
    first, second = practice.invoices("cus_1")
    assert first["metadata"]["period"] == second["metadata"]["period"]
    assert [it["amount"] for it in practice.items("cus_1") if it["invoice"] == second["id"]] == [100]


def test_a_copy_of_ours_is_taken_off_and_remembered(root: Path, practice: PracticeStripe) -> None:
    draft = stopped_before_finalising(root, practice)
    ours = practice.items("cus_1")[0]
    copy = item(client_of(practice), "cus_1", invoice=draft["id"], amount=ours["amount"], metadata=ours["metadata"])
    assert pushed(root, NOW) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, practice) == []
    assert rows(root, "SELECT event, detail FROM books.outbox_log") == [
        ("copy taken off", f"{copy.id}, {ours['amount']} usd")
    ]


def test_something_foreign_stops_the_invoice_and_no_other(root: Path, practice: PracticeStripe) -> None:
    draft = stopped_before_finalising(root, practice)
    foreign = item(client_of(practice), "cus_1", invoice=draft["id"], amount=7)
    assert pushed(root, NOW) == {"sent": 2, "pending": 0, "parked": 2}
    assert reasons(root) == {f"it holds {foreign.id}, which was not sent from here"}
    client_of(practice).v1.invoice_items.delete(foreign.id)
    assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, practice) == []


def test_an_item_taken_away_or_changed_stops_the_invoice(root: Path, practice: PracticeStripe) -> None:
    stopped_before_finalising(root, practice)
    gone, changed = practice.items("cus_1")[0], practice.items("cus_2")[0]
    client_of(practice).v1.invoice_items.delete(gone["id"])
    client_of(practice).v1.invoice_items.update(changed["id"], {"amount": changed["amount"] + 1})
    assert pushed(root, NOW) == {"sent": 0, "pending": 0, "parked": 4}
    assert reasons(root) == {f"it does not hold {gone['id']}, which was sent to it"}
    assert {it["status"] for it in practice.invoices()} == {"draft"}


def test_a_draft_taken_away_is_not_made_again_behind_anybodys_back(root: Path, practice: PracticeStripe) -> None:
    draft = stopped_before_finalising(root, practice)
    client_of(practice).v1.invoices.delete(draft["id"])
    for now in (NOW, NOW + DAY):
        assert pushed(root, now) == {"sent": 2, "pending": 0, "parked": 2}
    assert all("can't be listed: No such invoice" in str(reason) for reason in reasons(root))
    assert practice.items("cus_1") == []


@pytest.mark.parametrize("death", [None, pushing.Death("after", method="DELETE", path="/v1/invoices/.*")])
def test_the_draft_of_a_customer_that_is_gone_makes_way(
    death: pushing.Death | None, root: Path, practice: PracticeStripe
) -> None:
    """Not before the account has another; also where the push dies once it has taken the draft down."""
    stopped_before_finalising(root, practice)
    client_of(practice).v1.customers.delete("cus_1")
    meant = Counter(it["amount"] for it in practice.items("cus_1"))
    for now in (NOW, NOW + DAY):
        assert pushed(root, now) == {"sent": 2, "pending": 0, "parked": 2}
    assert reasons(root) == {"Stripe refused to finalise it: No such customer: 'cus_1' (400)"}
    rewritten(root, "accounts/accounts.csv", "cus_1", "cus_9")
    practice.add_customer("cus_9")
    if death:
        assert pushing.dying(root, practice, NOW + DAY, death) < 0
    assert pushed(root, NOW + DAY) == {"sent": 4, "pending": 0, "parked": 0}
    assert practice.invoices("cus_1") == []
    assert Counter(it["amount"] for it in practice.items("cus_9")) == meant
    assert [it["status"] == "draft" for it in practice.invoices("cus_9")] == [False]
    assert pushing.unseen(practice) + pushing.unfinished(practice) == []
    ids = {row["stripe_id"] for row in nights.published(root)["invoice_items"] if row["account_id"] == "a1"}
    assert ids == {it["id"] for it in practice.items("cus_9")}
    assert rows(root, "SELECT DISTINCT event, detail FROM books.outbox_log WHERE event = 'made way'") == [
        ("made way", "customer cus_1 is gone from Stripe")
    ]


def test_an_item_of_several_accounts_waits_until_they_have_one_customer(
    tmp_path: Path, practice: PracticeStripe
) -> None:
    """251 lines are 250 items, one of them of two accounts, and they part when the customer is gone."""
    accounts = [f"a{number}" for number in range(1, 252)]
    entry = {
        "accounts": "\n".join([f"{it},organization,A,USD,UTC,cus_1" for it in accounts]),
        "subscriptions": "\n".join(
            f"s_{it},{it},pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z," for it in accounts
        ),
        "usage": "\n".join(f"m_{it} 2026-05-02T00:00:00Z money {it[1:]} {it}" for it in accounts),
    }
    root = made(tmp_path / "workspace", entry, collect="invoice")
    practice.faults.add(Fault("forbidden", method="POST", path="/v1/invoices/.*/finalize", times=None))
    assert isinstance(pushed(root, NOW), Refusal)
    practice.faults.clear()
    ((item, lines),) = rows(root, "SELECT name, count(*) FROM books.outbox_lines GROUP BY name HAVING count(*) > 1")
    query = "SELECT min(account_id) FROM books.lines JOIN books.outbox_lines USING (line_id) WHERE name = '{}'"
    ((one,),) = rows(root, query.format(item))
    client_of(practice).v1.customers.delete("cus_1")
    practice.add_customer("cus_9")
    its = f"{one},organization,A,USD,UTC"
    rewritten(root, "accounts/accounts.csv", f"{its},cus_1", f"{its},cus_9")
    for now in (NOW, NOW + DAY):
        assert pushed(root, now) == {"sent": 0, "pending": 0, "parked": 251}
    why = Counter(row["state_reason"] for row in nights.published(root)["invoice_items"])
    assert why == {SEVERAL: lines, "Stripe refused it: No such customer: 'cus_1' (400)": 251 - lines}
    rewritten(root, "accounts/accounts.csv", "cus_1", "cus_9")
    assert pushed(root, NOW + DAY) == {"sent": 251, "pending": 0, "parked": 0}
    there = practice.items("cus_9")
    assert (len(there), sum(it["amount"] for it in there)) == (250, 100 * sum(range(1, 252)))


def test_the_draft_of_a_customer_that_is_there_goes_to_it(root: Path, practice: PracticeStripe) -> None:
    """Whatever customer the account has since: what was sent stays where it is."""
    stopped_before_finalising(root, practice)
    rewritten(root, "accounts/accounts.csv", "cus_1", "cus_9")
    assert pushed(root, NOW) == {"sent": 4, "pending": 0, "parked": 0}
    assert wrong(root, practice) == []


def test_an_invoice_closed_under_an_item_is_followed_by_another(root: Path, practice: PracticeStripe) -> None:
    """Somebody finalises the draft by hand between two items."""
    practice.faults.add(
        Fault("forbidden", method="POST", path="/v1/invoiceitems", customer="cus_1", after=1, times=None)
    )
    assert isinstance(pushed(root, NOW), Refusal)
    practice.faults.clear()
    (draft,) = practice.invoices("cus_1")
    client_of(practice).v1.invoices.finalize_invoice(draft["id"])
    assert pushed(root, NOW) == {"sent": 4, "pending": 0, "parked": 0}
    first, second = practice.invoices("cus_1")
    assert second["metadata"]["follows"] == first["metadata"]["batch_key"]
    assert second["metadata"]["period"] == first["metadata"]["period"]
    assert {it["invoice"] for it in practice.items("cus_1")} == {first["id"], second["id"]}
    assert len({(it["period"]["start"], it["period"]["end"]) for it in practice.items("cus_1")}) == 1
    assert [event for (event,) in rows(root, "SELECT event FROM books.outbox_log")].count("moved") == 1
    assert pushing.unfinished(practice) == []


def test_a_draft_orphaned_by_a_crash_is_found_and_not_doubled(root: Path, practice: PracticeStripe) -> None:
    pushing.dying(root, practice, NOW, pushing.Death("during", path="/v1/invoices"))
    later = NOW + timedelta(days=40)
    practice.clock.set(int(later.timestamp()))
    assert pushed(root, later) == {"sent": 4, "pending": 0, "parked": 0}
    assert len(practice.invoices()) == 2
    assert wrong(root, practice) == []


@pytest.mark.parametrize("moment", ["item", "draft"])
def test_another_way_to_collect_leaves_what_was_sent(root: Path, practice: PracticeStripe, moment: str) -> None:
    path = {"item": "/v1/invoiceitems", "draft": "/v1/invoices"}[moment]
    practice.faults.add(Fault("drop", method="POST", path=path, times=None))
    assert isinstance(pushed(root, NOW), Refusal)
    practice.faults.clear()
    rewritten(root, "catalog/workspace.yaml", "collect: invoice", "collect: pending")
    pushing.settle(root, practice, NOW + timedelta(hours=25))
    assert wrong(root, practice) == []
    assert states(root) == {"sent": 4}
    assert all(it["invoice"] for it in practice.items()), "begun on a draft, ended on a draft"


def test_a_finalised_invoice_is_known_whatever_was_answered(root: Path, practice: PracticeStripe) -> None:
    practice.faults.add(Fault("error_made", method="POST", path="/v1/invoices/.*/finalize", customer="cus_1"))
    practice.faults.add(Fault("refuse", method="POST", path="/v1/invoices/.*/finalize", status=402))
    found = pushed(root, NOW)
    assert found in ({"sent": 4, "pending": 0, "parked": 0}, {"sent": 2, "pending": 0, "parked": 2})
    pushing.settle(root, practice, NOW + timedelta(hours=25))
    assert wrong(root, practice) == []
    finals = [call for call in practice.calls if call.path.endswith("/finalize") and call.status == 200]
    assert len(finals) <= 2
