"""Meter events at the practice Stripe: each once, whatever fails and however late it is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from assets import publish, push, warehouse
from assets.books import closed_periods
from assets.core.catalogue.loading import load
from assets.practice import Fault, PracticeStripe
from assets.push.pace import Patience
from tests.nights import run_night
from tests.pipeline.places import copied
from tests.pipeline.test_meter_events import write
from tests.stripe.client import client_of

pytestmark = pytest.mark.xdist_group("meter_events")  # its workspace is made once

AS_OF = datetime(2026, 5, 20, 5, tzinfo=UTC)
NOW = datetime(2026, 5, 20, 5, 1, tzinfo=UTC)
LATER = {"a minute": timedelta(minutes=1), "25 hours": timedelta(hours=25), "40 days": timedelta(days=40)}

LIVE = {
    "bill_from": "2026-05-20T00:00:00Z",
    "stripe": {"mode": "live", "push": "meter_events", "key": "test", "rate": 1000},
}
ACCOUNTS = "a1,organization,A,USD,UTC,cus_1\na2,organization,B,USD,UTC,cus_2\na3,organization,C,USD,UTC,"
SUBSCRIPTIONS = "\n".join(f"s{it},a{it},pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z," for it in (1, 2, 3))
TOLD: dict[str, Any] = {"workspace": LIVE, "accounts": ACCOUNTS, "subscriptions": SUBSCRIPTIONS}
USAGE = """
    1  2026-05-20T00:10:00Z  units  3     a1
    2  2026-05-20T01:10:00Z  units  6     a1
    3  2026-05-20T01:20:00Z  money  0.05  a1
    4  2026-05-20T01:20:00Z  units  30    a2"""


class Bench:
    """A workspace whose nights are posted, and a Stripe to push to."""

    def __init__(self, root: Path, practice: PracticeStripe) -> None:
        self.root, self.practice, self.now, self.as_of = root, practice, NOW, AS_OF

    def night(self, as_of: datetime, usage: dict[str, str], **changes: Any) -> None:
        write(self.root, usage, **{**TOLD, **changes})
        run_night(self.root, as_of)
        self.as_of = as_of

    def at(self, now: datetime) -> None:
        self.now = now
        self.practice.clock.set(int(now.timestamp()))

    def push(self) -> dict[str, int] | str:
        """The counts, or what waits."""
        with warehouse.connect(self.root) as con:
            catalogue = load(self.root, closed_periods(con), self.as_of)
            try:
                return push.push(
                    con,
                    self.root,
                    catalogue,
                    self.as_of,
                    lambda: self.now,
                    is_confirmed=True,
                    patience=Patience(unknown=2, busy=2, first=0.001, longest=0.001),
                )
            except push.Waiting as waiting:
                return str(waiting)

    def events(self) -> list[tuple[str, str]]:
        """Identifier and value of all that Stripe counts."""
        rows = self.practice.state()["test"].get("billing.meter_event", [])
        return sorted((row["identifier"], row["payload"]["value"]) for row in rows)

    def states(self) -> dict[str, tuple[str, str | None]]:
        with warehouse.connect(self.root) as con:
            rows = con.execute("SELECT identifier, state, state_reason FROM billing.meter_events").fetchall()
        return {name: (state, reason) for name, state, reason in rows}


ALL = [
    ("a1:2026-05-20T00:00:00Z:units", "1"),
    ("a1:2026-05-20T01:00:00Z:money", "5"),
    ("a1:2026-05-20T01:00:00Z:units", "2"),
    ("a2:2026-05-20T01:00:00Z:units", "10"),
]


@pytest.fixture
def practice(monkeypatch: pytest.MonkeyPatch) -> Iterator[PracticeStripe]:
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    with PracticeStripe(now=int(NOW.timestamp())) as practice:
        yield practice


@pytest.fixture(scope="module")
def posted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose first night is posted, to be copied."""
    root = tmp_path_factory.mktemp("posted")
    write(root, {"ev/1.ndjson": USAGE}, **TOLD)
    run_night(root, AS_OF)
    return root


@pytest.fixture
def bench(posted: Path, tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_x")
    monkeypatch.setenv("TALLYHOUSE_STRIPE_API_BASE", practice.url)
    monkeypatch.setattr(publish, "renew", lambda *_: None)  # readers are not looked at here
    made = Bench(copied(posted, tmp_path / "workspace"), practice)
    for customer in ("cus_1", "cus_2"):
        practice.add_customer(customer, customer)
    for meter in ("units", "money"):
        client_of(practice).v1.billing.meters.create(
            {"event_name": meter, "display_name": meter, "default_aggregation": {"formula": "sum"}}
        )
    return made


def test_each_event_arrives_once_with_its_hour(bench: Bench) -> None:
    assert bench.push() == {
        "sent": 0,
        "pending": 0,
        "parked": 0,
        "meter_events_sent": 4,
        "meter_events_pending": 0,
        "meter_events_parked": 0,
        "meter_events_nothing": 0,
    }
    assert bench.events() == ALL
    events = {it["identifier"]: it for it in bench.practice.state()["test"]["billing.meter_event"]}
    event = events["a1:2026-05-20T00:00:00Z:units"]
    assert event["timestamp"] == int(datetime(2026, 5, 20, tzinfo=UTC).timestamp())
    before = len(bench.practice.calls)
    bench.push()
    assert len(bench.practice.calls) == before


FAULTS: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset", "times": 2},
    "drop": {"kind": "drop", "times": 2},
    "lock_timeout": {"kind": "lock_timeout"},
    "saved lock_timeout": {"kind": "lock_timeout", "saved": True},
    "500": {"kind": "error"},
    "500 done": {"kind": "error_made"},
    "500 later": {"kind": "error_later", "seconds": 600},
    "503": {"kind": "unavailable", "times": 2},
    "503 done": {"kind": "unavailable_made", "times": 2},
    "limited": {"kind": "limited", "times": 2},
    "in use": {"kind": "in_use", "times": 2},
}


# Each fault a day later, when its key is gone; those that leave most in doubt also sooner and much later.
MATRIX = [(fault, "25 hours") for fault in FAULTS] + [
    (fault, after) for fault in ("drop", "saved lock_timeout", "500 done") for after in ("a minute", "40 days")
]


@pytest.mark.parametrize(("fault", "after"), MATRIX)
def test_whatever_fails_it_is_there_once(bench: Bench, fault: str, after: str) -> None:
    bench.practice.faults.add(Fault(path="/v1/billing/meter_events", customer="cus_1", after=1, **FAULTS[fault]))
    bench.push()
    bench.at(NOW + LATER[after])
    bench.push()
    bench.at(bench.now + timedelta(hours=25))
    bench.push()
    found, states = bench.events(), bench.states()
    assert len(found) == len({name for name, _ in found})
    for name, value in ALL:
        there = (name, value) in found
        assert states[name][0] == ("sent" if there else "parked"), states[name]
        # Only what is too late by then may be missing, and that is said.
        assert there or (after == "40 days" and "35 days" in (states[name][1] or ""))
    if after != "40 days":
        assert found == ALL


class Died(Exception):
    pass


@pytest.mark.parametrize("after", LATER)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_push_that_dies_is_finished(bench: Bench, moment: str, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any call of the batch, or after all of them: claimed, and nothing recorded."""
    calls = _dying(monkeypatch, moment)
    with pytest.raises(Died):
        bench.push()
    monkeypatch.undo()
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_x")
    monkeypatch.setenv("TALLYHOUSE_STRIPE_API_BASE", bench.practice.url)
    assert len(bench.events()) == (4 if moment == "after" else 0)
    assert calls
    bench.at(NOW + LATER[after])
    bench.push()
    bench.push()
    if moment == "after" or after != "40 days":
        assert bench.events() == ALL
        assert {state for state, _ in bench.states().values()} == {"sent"}
    else:
        assert bench.events() == []
        assert {state for state, _ in bench.states().values()} == {"parked"}


def _dying(monkeypatch: pytest.MonkeyPatch, moment: str) -> list[str]:
    from assets.push.outbox import Outbox
    from assets.push.send import Sender

    died: list[str] = []

    def die(*_: object, **__: object) -> None:
        died.append(moment)
        raise Died

    if moment == "before":
        monkeypatch.setattr(Sender, "_customer", die)
        return died
    record: Callable[..., None] = Outbox.record

    def only_claims(self: Outbox, entries: Any, events: Any = ()) -> None:
        if any(it.state == "sent" for it in entries):
            die()
        record(self, entries, events)

    monkeypatch.setattr(Outbox, "record", only_claims)
    return died


def test_a_sum_that_does_not_tell_parks_the_event(bench: Bench) -> None:
    """Somebody else counts on the same meter, so the hour says nothing of ours."""
    bench.practice.faults.add(Fault("drop", path="/v1/billing/meter_events", customer="cus_2", times=4))
    bench.push()
    bench.practice.faults.clear()
    client_of(bench.practice).v1.billing.meter_events.create(
        {
            "event_name": "units",
            "payload": {"stripe_customer_id": "cus_2", "value": "7"},
            "timestamp": int(datetime(2026, 5, 20, 1, 30, tzinfo=UTC).timestamp()),
        }
    )
    bench.at(NOW + timedelta(hours=25))
    bench.push()
    state, reason = bench.states()["a2:2026-05-20T01:00:00Z:units"]
    assert state == "parked"
    assert reason == (
        "it is not known whether Stripe took it, and the 17 that it holds of cus_2 in that hour does not tell; look at"
        " the meter's usage there"
    )
    assert [it for it in bench.events() if it[0].startswith("a2")] == [ALL[3]]


def test_who_can_not_be_told_waits_and_the_others_go_on(bench: Bench) -> None:
    second = AS_OF + timedelta(days=1)
    usage = """
        5  2026-05-20T02:10:00Z  units  3                   a3
        6  2026-05-20T02:10:00Z  units  30000000000000000  a2
        7  2026-05-20T02:10:00Z  units  9                   a1
        8  2026-05-20T02:10:00Z  calls  1                   a1"""
    plan = {"charges": [{"meter": name, "model": "per_unit", "price": "1"} for name in ("units", "calls")]}
    bench.night(second, {"ev/2.ndjson": usage}, plan=plan)
    bench.at(NOW + timedelta(days=1))
    bench.push()
    states = bench.states()
    assert states["a3:2026-05-20T02:00:00Z:units"] == (
        "parked",
        "its account has no stripe_customer_id; write it into accounts/accounts.csv",
    )
    assert "more than 15 digits" in (states["a2:2026-05-20T02:00:00Z:units"][1] or "")
    assert "No active meter found for event name calls" in (states["a1:2026-05-20T02:00:00Z:calls"][1] or "")
    assert states["a1:2026-05-20T02:00:00Z:units"] == ("sent", None)
    client_of(bench.practice).v1.billing.meters.create(
        {"event_name": "calls", "display_name": "calls", "default_aggregation": {"formula": "sum"}}
    )
    bench.night(second + timedelta(hours=1), {}, plan=plan, accounts=f"{ACCOUNTS}cus_1")
    bench.push()
    states = bench.states()
    assert states["a1:2026-05-20T02:00:00Z:calls"] == ("sent", None)
    assert states["a3:2026-05-20T02:00:00Z:units"] == ("sent", None)


def test_an_hour_too_long_ago_is_parked_unsent(bench: Bench) -> None:
    bench.at(NOW + timedelta(days=36))
    bench.push()
    assert set(bench.states().values()) == {
        ("parked", "its hour is more than 35 days ago, which Stripe does not take; bill it by hand")
    }
    assert bench.events() == []


def test_the_same_identifier_is_taken_as_there(bench: Bench) -> None:
    """A sum that lags says absent; the next attempt has another key, and Stripe knows the identifier."""
    bench.practice.settings.meter_lag = 7 * 86_400
    bench.practice.faults.add(Fault("error_made", path="/v1/billing/meter_events", customer="cus_2"))
    bench.push()
    bench.practice.settings.identifier_ttl = 30 * 86_400
    bench.at(NOW + timedelta(hours=25))
    bench.push()
    assert bench.states()["a2:2026-05-20T01:00:00Z:units"] == ("sent", None)
    assert bench.events() == ALL
