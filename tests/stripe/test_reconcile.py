"""The books against a Stripe in which things have happened: every difference is a row, with its money."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import stripe
from typer.testing import CliRunner, Result

from assets import progress, verbs, warehouse
from assets.core.instants import format_instant
from assets.night import Night
from assets.practice import Fault, PracticeStripe
from orchestration.cli import app
from tests.nights import run_night
from tests.pipeline.places import copied
from tests.pipeline.test_meter_events import write
from tests.stripe import pushing
from tests.stripe.client import client_of, item
from tests.stripe.test_meter_events import AS_OF as HOURS_AS_OF
from tests.stripe.test_meter_events import NOW as HOURS_NOW
from tests.stripe.test_meter_events import TOLD, USAGE

pytestmark = pytest.mark.xdist_group("reconcile")  # its workspaces are made once

NOW = pushing.NOW


@pytest.fixture(scope="module")
def posted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Workspaces whose night is posted, by how they collect."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("pending", "invoice", "hours")}
    for name in ("pending", "invoice"):
        pushing.made(roots[name], collect=name)
    write(roots["hours"], {"ev/1.ndjson": USAGE}, **TOLD)
    run_night(roots["hours"], HOURS_AS_OF)
    return roots


@pytest.fixture
def practice(monkeypatch: pytest.MonkeyPatch) -> Iterator[PracticeStripe]:
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    with PracticeStripe(now=int(HOURS_NOW.timestamp())) as practice, pushing.pointed_at(practice):
        for customer in ("cus_1", "cus_2"):
            practice.add_customer(customer)
        yield practice


def at(practice: PracticeStripe, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    practice.clock.set(int(now.timestamp()))
    monkeypatch.setenv("TALLYHOUSE_NOW", now.isoformat())


def sent(posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, how: str, monkeypatch: Any) -> Path:
    root = copied(posted[how], tmp_path / "workspace")
    at(practice, NOW, monkeypatch)
    pushing.pushed(root, NOW)
    at(practice, NOW + timedelta(minutes=1), monkeypatch)
    return root


def reconcile(root: Path, *words: str) -> Result:
    progress._listeners.clear()  # each command is a process of its own
    return CliRunner().invoke(app, ["reconcile", "--workspace", str(root), "--json", *words])


def differences(result: Result) -> list[dict[str, Any]]:
    return [it for it in map(json.loads, result.stdout.splitlines()) if it["event"] == "differs"]


def summary(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert found["event"] == "reconciled"
    return found


def kinds(result: Result) -> list[tuple[str, str | None, Any]]:
    return [(it["kind"], it.get("currency"), it.get("amount_minor")) for it in differences(result)]


@pytest.mark.parametrize("how", ["pending", "invoice"])
def test_what_was_sent_is_there(
    how: str, posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sent(posted, tmp_path, practice, how, monkeypatch)
    client_of(practice).v1.invoice_items.create(
        {"customer": "cus_1", "amount": 5, "currency": "usd"}
    )  # somebody else's
    before = len(practice.calls)
    found = reconcile(root)
    assert found.exit_code == 0, found.output
    assert summary(found)["differences"] == 0
    assert summary(found)["customers"] == 2
    asked = practice.calls[before:]
    assert summary(found)["reads"] == len(asked)
    assert {call.method for call in asked} == {"GET"}
    # nothing new: nothing is asked
    at(practice, NOW + timedelta(days=1), monkeypatch)
    again = reconcile(root)
    assert (again.exit_code, len(practice.calls)) == (0, before + len(asked))
    assert summary(again)["message"] == "nothing new to compare; Stripe agrees with the books"
    assert reconcile(root, "--all").exit_code == 0
    assert len(practice.calls) == before + 2 * len(asked)


def test_each_difference_is_a_row_with_its_money(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sent(posted, tmp_path, practice, "pending", monkeypatch)
    client, (one, other) = client_of(practice), practice.items("cus_1")
    client.v1.invoice_items.delete(one["id"])
    client.v1.invoice_items.update(other["id"], {"amount": other["amount"] + 7})
    yen = practice.items("cus_2")[0]
    item(client, "cus_2", amount=yen["amount"], currency="jpy", metadata=yen["metadata"])
    item(client, "cus_2", amount=11, currency="jpy", metadata={"line_key": "line_of_nobody"})
    found = reconcile(root)
    assert found.exit_code == 1
    assert sorted(kinds(found)) == sorted(
        [
            ("missing_at_stripe", "USD", -one["amount"]),
            ("amount_differs", "USD", 7),
            ("customer_total_differs", "USD", 7 - one["amount"]),
            ("sent_twice", "JPY", yen["amount"]),
            ("unknown_to_books", "JPY", 11),
            ("customer_total_differs", "JPY", yen["amount"] + 11),
        ]
    )
    missing = next(it for it in differences(found) if it["kind"] == "missing_at_stripe")
    assert (missing["name"], missing["stripe_id"], missing["customer"]) == (
        one["metadata"]["line_key"],
        one["id"],
        "cus_1",
    )
    assert missing["message"].startswith(
        f"cus_1: {missing['name']} ({one['id']}) was sent, and Stripe does not have it: "
    )
    with duckdb.connect(str(root / "published" / "tallyhouse.duckdb"), read_only=True) as con:
        rows = con.execute("SELECT count(*), count(DISTINCT kind) FROM billing.reconciliation").fetchone()
    assert rows == (6, 5)
    # mended, the customers that differed are compared again, and the rows are gone
    for row in practice.items("cus_2")[-2:]:
        client.v1.invoice_items.delete(row["id"])
    client.v1.invoice_items.update(other["id"], {"amount": other["amount"]})
    mended = reconcile(root)
    assert kinds(mended) == [
        ("missing_at_stripe", "USD", -one["amount"]),
        ("customer_total_differs", "USD", -one["amount"]),
    ]


def test_invoices_of_ours(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sent(posted, tmp_path, practice, "invoice", monkeypatch)
    (invoice,) = practice.invoices("cus_1")
    client_of(practice).v1.invoices.void_invoice(invoice["id"])
    found = reconcile(root, "--all")
    assert found.exit_code == 1
    owed = sum(row["amount"] for row in practice.items("cus_1"))
    assert kinds(found) == [("invoice_void", "USD", -owed)]
    assert differences(found)[0]["invoice"] == invoice["id"]


def test_an_item_in_doubt_that_is_there_is_named(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(posted["pending"], tmp_path / "workspace")
    at(practice, NOW, monkeypatch)
    practice.faults.add(Fault("error_later", path="/v1/invoiceitems", customer="cus_1", seconds=600))
    pushing.pushed(root, NOW)
    assert reconcile(root).exit_code == 0  # not there, and not known to be
    at(practice, NOW + timedelta(hours=1), monkeypatch)
    found = reconcile(root)
    assert [kind for kind, *_ in kinds(found)] == ["found_though_unsure", "customer_total_differs"]
    # the next push finds it too, and then nothing differs
    pushing.pushed(root, NOW + timedelta(hours=1))
    assert reconcile(root).exit_code == 0


def test_a_customer_that_can_not_be_listed_is_left_to_the_next_time(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sent(posted, tmp_path, practice, "pending", monkeypatch)
    practice.faults.add(Fault("forbidden", method="GET", customer="cus_1", times=None))
    found = reconcile(root)
    assert found.exit_code == 1
    assert (summary(found)["customers"], summary(found)["not_compared"]) == (1, 1)
    told = "1 customer compared in 2 reads, 1 customer could not be; no difference is known"
    assert summary(found)["message"] == told
    practice.faults.clear()
    again = reconcile(root)
    assert (again.exit_code, summary(again)["customers"]) == (0, 1)


def test_usage_by_the_hour(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(practice)
    for meter in ("units", "money"):
        client.v1.billing.meters.create(
            {"event_name": meter, "display_name": meter, "default_aggregation": {"formula": "sum"}}
        )
    root = copied(posted["hours"], tmp_path / "workspace")
    at(practice, HOURS_NOW, monkeypatch)
    run_push(root, HOURS_NOW)
    early = reconcile(root)  # what was sent a moment ago need not be added up yet
    assert (early.exit_code, summary(early)["reads"]) == (0, 1)  # which meters there are
    for customer, meter, value in (("cus_2", "units", "5"), ("cus_1", "money", "-1")):
        client.v1.billing.meter_events.create(
            {
                "event_name": meter,
                "payload": {"stripe_customer_id": customer, "value": value},
                "timestamp": int(datetime(2026, 5, 20, 1, 30, tzinfo=UTC).timestamp()),
            }
        )
    at(practice, HOURS_NOW + timedelta(hours=2), monkeypatch)
    found = reconcile(root)
    assert found.exit_code == 1
    told = [(it["kind"], it["meter"], it["books_quantity"], it["stripe_quantity"]) for it in differences(found)]
    assert told == [
        ("usage_differs", "money", 5, "4"),
        ("usage_differs", "units", 10, "15"),
        ("customer_total_differs", "money", 5, "4"),
        ("customer_total_differs", "units", 10, "15"),
    ]
    assert [it.get("amount_minor") for it in differences(found)] == [-1, None, -1, None]
    assert differences(found)[0]["bucket_start"] == "2026-05-20T01:00:00Z"


def run_push(root: Path, now: datetime) -> None:
    from assets import push
    from assets.books import closed_periods
    from assets.core.catalogue.loading import load

    with warehouse.connect(root) as con:
        push.push(con, root, load(root, closed_periods(con), HOURS_AS_OF), HOURS_AS_OF, lambda: now, is_confirmed=True)


def test_a_night_without_a_key_says_that_nothing_was_compared(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sent(posted, tmp_path, practice, "pending", monkeypatch)
    monkeypatch.delenv("STRIPE_API_KEY")
    told: list[str] = []
    night = Night(workspace=str(root), as_of=format_instant(pushing.AS_OF))
    with (
        dg.build_init_resource_context() as context,
        night.yield_for_execution(context) as ours,
        progress.about(lambda _, sentence, __: told.append(sentence)),
    ):
        _, check = verbs.reconciled(ours, lambda: NOW)
    assert isinstance(check, dg.AssetCheckResult)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)  # it blocks nothing
    assert told == [
        "2 customers (cus_1, cus_2) could not be compared: STRIPE_API_KEY is not set. "
        "The next reconciliation tries again.",
        "nothing was compared, 2 customers could not be; no difference is known",
    ]


def test_what_differed_stands_where_stripe_is_out_of_reach(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sent(posted, tmp_path, practice, "pending", monkeypatch)
    client_of(practice).v1.invoice_items.delete(practice.items("cus_1")[0]["id"])
    assert summary(reconcile(root))["differences"] == 2
    practice.faults.add(Fault("forbidden", times=None))
    again = reconcile(root)
    assert (again.exit_code, summary(again)["differences"]) == (1, 2)
    assert summary(again)["message"].startswith("nothing was compared, 1 customer could not be; 2 differences between")


def test_shadow_has_nothing_to_compare(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(posted["pending"], tmp_path / "workspace")
    pushing.rewritten(root, "catalog/workspace.yaml", "mode: live", "mode: shadow")
    before = len(practice.calls)
    with monkeypatch.context() as patch:
        patch.delenv("STRIPE_API_KEY")
        found = reconcile(root)
    assert (found.exit_code, len(practice.calls)) == (0, before)
    (line,) = map(json.loads, found.stdout.splitlines())
    assert line["message"] == "nothing; in shadow mode nothing is sent, so there is nothing to compare"


def test_the_night_compares_and_ends_badly_where_it_differs(
    posted: dict[str, Path], tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real night by the real command: the check says so, the night is in the books, and whoever runs it is told."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    root = sent(posted, tmp_path, practice, "pending", monkeypatch)
    client_of(practice).v1.invoice_items.delete(practice.items("cus_1")[0]["id"])
    at(practice, NOW + timedelta(days=1), monkeypatch)
    progress._listeners.clear()
    as_of = format_instant(pushing.AS_OF + timedelta(days=1))
    night = CliRunner().invoke(app, ["nightly", "--workspace", str(root), "--as-of", as_of])
    assert night.exit_code == 1
    assert "was sent, and Stripe does not have it: " in night.stdout
    assert "reconciled: 2 customers compared in 2 reads; 2 differences between the books and Stripe" in night.stdout
    assert "waiting: 2 differences between the books and Stripe; the night is in the books." in night.stderr
    with dg.DagsterInstance.from_config(str(root / "warehouse" / "dagster")) as instance:
        (record,) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("reconciled"), "stripe_agrees_with_the_books"), limit=1
        )
    assert record.event is not None
    evaluation: Any = record.event.get_dagster_event().event_specific_data
    assert not evaluation.passed
    with duckdb.connect(str(root / "published" / "tallyhouse.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM billing.reconciliation").fetchone() == (2,)
