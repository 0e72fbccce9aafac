"""Two counts of the same usage, night after night; and the switch from one biller to the other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from assets import parity, warehouse
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from orchestration.cli import app
from orchestration.dbt import compiled_models
from tests import nights
from tests.golden.case import catalogue_files, raw_files
from tests.nights import run_night
from tests.pipeline.places import bytes_below, own_process, without_history

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

#: The switch is at midnight of May 20; the old side's totals run from the 18th up to it.
BILL_FROM = datetime(2026, 5, 20, tzinfo=UTC)
FIRST = datetime(2026, 5, 18, tzinfo=UTC)
NIGHT = datetime(2026, 5, 20, 2, tzinfo=UTC)

ACCOUNTS = ("a1", "a2", "a3", "a4")
WORKSPACE: dict[str, Any] = {
    "accounts": "\n".join(f"{it},organization,{it},USD,UTC,cus" for it in ACCOUNTS),
    "subscriptions": "\n".join(f"s{it},{it},pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z," for it in ACCOUNTS),
    "meters": {"old_money": {"aggregate": "cost"}, "old_units": {"aggregate": "sum", "divide_by": "1000", "unit": "k"}},
    "sources": {
        "biller": {
            "files": "old/*.ndjson",
            "format": "ndjson",
            "identity": ["id"],
            "occurred_at": "t",
            "account": "acct",
            "emits": [
                {"meter": "old_money", "cost": "v", "when": {"m": "old_money"}},
                {"meter": "old_units", "quantity": "v", "when": {"m": "old_units"}},
            ],
        },
    },
    "workspace": {"bill_from": format_instant(BILL_FROM)},
    "plan": {"charges": [{"meter": "money", "pooled": "true"}, {"meter": "units", "model": "per_unit", "price": "1"}]},
    "parity": {"spend": {"reference": {"meter": "old_money"}, "candidate": {"meter": "money"}, "measure": "cost"}},
}
LIVE: dict[str, Any] = {"workspace": {"bill_from": format_instant(BILL_FROM), "stripe": {"mode": "live"}}}


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    own_process(monkeypatch)


def write(root: Path, usage: dict[str, str] | None = None, **changes: Any) -> Path:
    """The catalogue and account files of WORKSPACE, after changes, and raw files: usage in lines by name."""
    files = catalogue_files({**WORKSPACE, **changes})
    files |= {f"raw/{name}": content for name, content in raw_files({"usage": usage or {}}).items()}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    lock = root / "warehouse" / "run.lock"  # as every run leaves it; run_night is no whole run
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    return root


def usage(meter: str, *rows: tuple[datetime, str, str]) -> str:
    """Lines of (when, account, value), each with an identity of its own."""
    return "\n".join(
        f"{meter}-{number} {format_instant(at)} {meter} {value} {account}"
        for number, (at, account, value) in enumerate(rows)
    )


def every_hour(start: datetime, end: datetime, value: str, accounts: Iterable[str] = ("a1",)) -> list[Any]:
    hours = int((end - start) / timedelta(hours=1))
    return [(start + timedelta(hours=hour), account, value) for hour in range(hours) for account in accounts]


def agreeing(**more: str) -> dict[str, str]:
    """The old side's totals up to the switch, and this side's rows of the same usage beyond it."""
    return {
        "old/totals.ndjson": usage("old_money", *every_hour(FIRST, BILL_FROM, "1.00")),
        "ev/rows.ndjson": usage("money", *every_hour(FIRST, NIGHT, "1.00")),
        **more,
    }


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night after a clean switch; only to be asked."""
    root = write(tmp_path_factory.mktemp("clean"), agreeing())
    run_night(root, NIGHT)
    return root


def tallyhouse_says(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def rows_of(said: Result, *events: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    return [it for it in lines if it["event"] in events]


def hour(day: int, at: int, minute: int = 0) -> datetime:
    return datetime(2026, 5, day, at, minute, tzinfo=UTC)


# --- drift ---------------------------------------------------------------------------------------------------------


def test_drift_by_account_and_hour_as_reckoned_by_hand(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "old/1.ndjson": usage(
                "old_money",
                (hour(19, 10), "a1", "100"),
                (hour(19, 10), "a2", "50.00"),
                (hour(19, 10), "a3", "0.05"),
                (hour(19, 10), "a4", "8"),
                (hour(19, 11), "a4", "8"),
            ),
            "ev/1.ndjson": usage(
                "money",
                (hour(19, 10, 1), "a1", "60"),
                (hour(19, 10, 59), "a1", "42"),  # 102: exactly 2 % above
                (hour(19, 10, 30), "a2", "48.99"),  # 1.01 of 50 below: 2.02 %
                (hour(19, 10, 30), "a3", "0.06"),  # 20 %
                (hour(19, 11, 0), "a4", "8"),
            ),
        },
    )
    run_night(tmp_path, NIGHT)
    tables = nights.published(tmp_path)
    flagged = {it["account_id"]: it for it in tables["parity_hours"]}
    assert sorted(flagged) == ["a2", "a3", "a4"]  # not a1
    assert flagged["a2"]["drift"] == Decimal("-0.020200")
    assert flagged["a2"]["difference"] == Decimal("-1.01")
    assert (flagged["a3"]["drift"], flagged["a3"]["flag"], flagged["a3"]["is_alarming"]) == (
        Decimal("0.2"),
        "drift",
        True,
    )
    assert (flagged["a4"]["drift"], flagged["a4"]["flag"], flagged["a4"]["candidate"]) == (-1, "reference_only", 0)
    ten, eleven = tables["parity"]
    assert (ten["hour_start"], eleven["hour_start"]) == (hour(19, 10), hour(19, 11))
    # 100 + 50 + 0.05 + 8 against 102 + 48.99 + 0.06
    assert (ten["reference"], ten["candidate"]) == (Decimal("158.05"), Decimal("151.05"))
    assert ten["drift"] == Decimal("-0.044290")  # -7 / 158.05
    assert (ten["accounts"], ten["accounts_flagged"], ten["accounts_one_sided"]) == (4, 3, 1)
    assert (ten["accounts_alarming"], ten["is_alarming"]) == (2, False)  # two are not three
    assert (eleven["difference"], eleven["accounts_flagged"], eleven["unit"]) == (0, 0, "USD")


def test_units_are_compared_as_sold(tmp_path: Path) -> None:
    """The old side counts in thousands of what this side counts in thirds."""
    meters = {**WORKSPACE["meters"], "units": {"aggregate": "sum", "divide_by": "3"}}
    comparison = {"reference": {"meter": "old_units"}, "candidate": {"meter": "units"}, "real_volume": "1.5"}
    write(
        tmp_path,
        {
            "old/1.ndjson": usage("old_units", (hour(19, 10), "a1", "1000"), (hour(19, 11), "a1", "1000")),
            "ev/1.ndjson": usage("units", (hour(19, 10), "a1", "3.06"), (hour(19, 11), "a1", "3.060000001")),
        },
        meters=meters,
        parity={"units": comparison},
    )
    run_night(tmp_path, NIGHT)
    tables = nights.published(tmp_path)
    assert [(it["reference"], it["candidate"]) for it in tables["parity"]] == [
        (1, Decimal("1.02")),
        (1, Decimal("1.020000000333")),
    ]
    (flagged,) = tables["parity_hours"]
    assert (flagged["hour_start"], flagged["unit"], flagged["is_alarming"]) == (hour(19, 11), "k", False)


def test_two_sources_of_one_meter_are_two_ledgers(tmp_path: Path) -> None:
    sources = {
        "biller": {**WORKSPACE["sources"]["biller"], "emits": [{"meter": "money", "cost": "v"}]},
    }
    sides = {"reference": {"meter": "money", "source": "biller"}, "candidate": {"meter": "money", "source": "ev"}}
    write(
        tmp_path,
        {
            "old/1.ndjson": usage("money", (hour(19, 10), "a1", "10")),
            "ev/1.ndjson": usage("money", (hour(19, 10), "a1", "11")),
        },
        sources=sources,
        parity={"two": {**sides, "measure": "cost"}},
    )
    run_night(tmp_path, NIGHT)
    (flagged,) = nights.published(tmp_path)["parity_hours"]
    assert (flagged["reference"], flagged["candidate"], flagged["drift"]) == (10, 11, Decimal("0.1"))
    assert not flagged["is_alarming"]  # exactly 10 %


def test_an_hour_is_compared_once_it_has_settled(tmp_path: Path) -> None:
    late = {**WORKSPACE["parity"]["spend"], "settle": "2h"}
    write(tmp_path, agreeing(), parity={"spend": WORKSPACE["parity"]["spend"], "late": late})
    run_night(tmp_path, NIGHT)
    last = {it["comparison"]: it["hour_start"] for it in nights.published(tmp_path)["parity"]}
    assert last == {"spend": hour(20, 1), "late": hour(19, 23)}


# --- asked again ---------------------------------------------------------------------------------------------------


def test_a_late_row_changes_the_hour_and_not_the_past_answer(tmp_path: Path) -> None:
    write(tmp_path, agreeing())
    run_night(tmp_path, NIGHT)
    then = nights.published(tmp_path)
    asked = ("parity", "--workspace", tmp_path, "--at", "2026-05-19T10:30:00Z", "--json")
    before = tallyhouse_says(*asked)
    write(tmp_path, {"ev/late.ndjson": "late 2026-05-19T10:15:00Z money 0.50 a1"})
    run_night(tmp_path, NIGHT + timedelta(days=1))

    (now,) = rows_of(tallyhouse_says(*asked), "hour")
    assert (now["reference"], now["candidate"], now["drift"], now["is_alarming"]) == ("1", "1.5", "0.5", True)
    assert tallyhouse_says(*asked, "--as-of", format_instant(NIGHT)).stdout == before.stdout
    published = {it["hour_start"]: it for it in then["parity"]}
    for at in (hour(19, 10), hour(20, 1)):
        words = ("--at", format_instant(at), "--as-of", format_instant(NIGHT))
        (again,) = rows_of(tallyhouse_says("parity", "--workspace", tmp_path, "--json", *words), "hour")
        assert {key: again[key] for key in published[at]} == parity.facts(published[at])


def test_any_hour_can_be_asked_and_an_alert_needs_the_hour_before(tmp_path: Path) -> None:
    """Hours long gone from the published week; 3 accounts at 5 and 6 o'clock."""
    early = datetime(2026, 5, 2, 5, tzinfo=UTC)
    three = every_hour(early, early + timedelta(hours=2), "1", ACCOUNTS[:3])
    write(
        tmp_path,
        {
            "old/1.ndjson": usage("old_money", *three, (early, "a4", "1000")),
            "ev/1.ndjson": usage("money", *[(at, who, "1.2") for at, who, _ in three], (early, "a4", "1000")),
        },
    )
    run_night(tmp_path, NIGHT)
    assert nights.published(tmp_path)["parity"] == []
    said = [
        rows_of(
            tallyhouse_says("parity", "--workspace", tmp_path, "--at", f"2026-05-02T0{at}:00:00Z", "--json"), "hour"
        )
        for at in (5, 6, 7)
    ]
    assert [[(it["accounts_alarming"], it["is_alarming"], it["is_alert"]) for it in rows] for rows in said] == [
        [(3, True, False)],
        [(3, True, True)],
        [],
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--at", "2026-05-20T02:00:00Z"), "had not ended"),
        (("--at", "2026-05-19T00:00:00Z", "--as-of", "2026-05-20T02:00:01Z"), "lies after the last night"),
    ],
)
def test_what_no_night_knows_is_refused(clean: Path, words: tuple[str, ...], why: str) -> None:
    said = tallyhouse_says("parity", "--workspace", clean, *words)
    assert said.exit_code == 1
    assert why in said.stderr


def test_without_a_night_or_a_comparison_there_is_nothing_to_ask(tmp_path: Path) -> None:
    write(tmp_path)
    said = tallyhouse_says("parity", "--workspace", tmp_path)
    assert (said.exit_code, "run one first" in said.stderr) == (1, True)
    run_night(tmp_path, NIGHT)
    (tmp_path / "catalog" / "parity.yaml").unlink()
    said = tallyhouse_says("cutover", "--check", "--workspace", tmp_path)
    assert (said.exit_code, "write catalog/parity.yaml" in said.stderr) == (1, True)


# --- the switch ----------------------------------------------------------------------------------------------------


def verdict(root: Path, **question: Any) -> parity.Verdict:
    with parity.asked_again(root, compiled_models(), is_going_live=True, **question) as (con, _, _):
        return parity.verdict(con)


def test_a_clean_switch_is_said_to_be_clean_and_adds_up(clean: Path) -> None:
    said = tallyhouse_says("cutover", "--check", "--workspace", clean, "--json")
    assert said.exit_code == 0, said.output
    (last,) = rows_of(said, "cutover")
    assert (last["is_clean"], last["bill_from"]) == (True, "2026-05-20T00:00:00Z")
    parts = {(it["side"], it["part"]): (it["usages"], it["quantity"], it["money"]) for it in rows_of(said, "seam")}
    assert parts == {
        ("reference", "old"): (48, "48", "48"),
        ("candidate", "old"): (48, "48", "48"),
        ("candidate", "new"): (2, "2", "2"),
    }


BLOCKS = [
    ({"old/more.ndjson": "m 2026-05-20T00:00:00Z old_money 1 a1"}, "are billed by both sides"),
    ({"ev/more.ndjson": "m 2026-05-18T12:00:00Z money 1 a2"}, "are billed by neither side; have the old side bill"),
    ({"ev/more.ndjson": "m 2026-05-19T12:00:00Z money 0.01 a2"}, "one side alone knows usage of 1 account (first a2"),
    ({"old/more.ndjson": "m 2026-05-19T12:00:00Z old_money 0.01 a2"}, "one side alone knows usage of 1 account"),
    (
        {"ev/more.ndjson": "m 2026-05-19T12:00:00Z money 5 a1\nn 2026-05-19T13:00:00Z money 5 a1"},
        "spend: 1 alert in the 24 h to 2026-05-20T00:00:00Z, the first at 2026-05-19T13:00:00Z",
    ),
    ({"ev/more.ndjson": "m 2026-05-19T23:00:00Z money 5 a1"}, "the last hour, 2026-05-19T23:00:00Z, alarms"),
]


@pytest.mark.parametrize(("more", "block"), BLOCKS)
def test_what_blocks_is_named(tmp_path: Path, more: dict[str, str], block: str) -> None:
    write(tmp_path, agreeing(**more))
    run_night(tmp_path, NIGHT, is_published=False)
    assert [it for it in verdict(tmp_path).blocks if block in it] != []


@pytest.mark.parametrize(
    ("bill_from", "block"),
    [
        (hour(22, 0), "one side alone knows"),
        (hour(18, 0), "the reference has no usage in the 24 h to 2026-05-18"),
        (hour(18, 23), "the reference begins at 2026-05-18T00:00:00Z, so not all"),
        (hour(20, 0, 30), "lies within an hour"),
    ],
)
def test_another_instant_may_be_no_place_to_switch(clean: Path, bill_from: datetime, block: str) -> None:
    assert [it for it in verdict(clean, bill_from=bill_from).blocks if block in it] != []


def test_only_what_blocks_is_named(tmp_path: Path) -> None:
    """A single alarming hour and drifting accounts are no alert; before the day that counts anything may have been."""
    write(
        tmp_path,
        agreeing(
            **{
                "ev/more.ndjson": """
                    m 2026-05-19T12:00:00Z money 5 a1
                    n 2026-05-19T14:00:00Z money 5 a1
                    o 2026-05-18T12:00:00Z money 5 a1
                    p 2026-05-18T13:00:00Z money 5 a1""",
                "old/more.ndjson": "q 2026-05-18T12:00:00Z old_money 1 a3",
            }
        ),
    )
    run_night(tmp_path, NIGHT, is_published=False)
    assert verdict(tmp_path).blocks == []


def test_a_switch_needs_an_instant_and_a_charge(tmp_path: Path) -> None:
    plan = {"charges": [{"meter": "units", "model": "per_unit", "price": "1"}]}
    write(tmp_path, agreeing(), workspace={}, plan=plan)
    run_night(tmp_path, NIGHT, is_published=False)
    told = verdict(tmp_path).blocks
    assert [it for it in told if "There is no bill_from" in it] != []
    assert [it for it in told if "no plan charges money" in it] != []
    assert tallyhouse_says("cutover", "--check", "--workspace", tmp_path).exit_code == 1


def test_a_level_is_no_meter_event(tmp_path: Path) -> None:
    """Where usage is sent hour by hour, a meter that can't be is billed by nobody."""
    plan = {"charges": [{"meter": "disk", "model": "per_unit", "price": "1"}]}
    sides = {"reference": {"meter": "old_units"}, "candidate": {"meter": "disk"}}
    told = {"bill_from": format_instant(BILL_FROM), "stripe": {"push": "meter_events"}}
    write(tmp_path, agreeing(), workspace=told, plan=plan, parity={"disk": sides})
    run_night(tmp_path, NIGHT)
    block = "disk: disk is time_weighted, of which no meter events are sent (stripe.push)"
    assert [it for it in verdict(tmp_path).blocks if it.startswith(block)] != []


def test_a_baseline_of_a_period_that_goes_on_is_billed_by_this_side(tmp_path: Path) -> None:
    write(
        tmp_path,
        agreeing(**{"ev/counted.ndjson": "b 2026-05-19T10:20:00Z money 0.01 - a1"}),
        workspace={"bill_from": format_instant(BILL_FROM), "ledger_cutover": format_instant(BILL_FROM)},
        baselines="a1,2026-05-01T00:00:00Z,7.00",
    )
    run_night(tmp_path, NIGHT, is_published=False)
    found = verdict(tmp_path)
    (block,) = found.blocks
    assert "1 row (0.01 USD, first at 2026-05-19T10:20:00Z, of a1 for one) before bill_from are in a baseline" in block
    assert verdict(tmp_path, bill_from=datetime(2026, 5, 19, 11, tzinfo=UTC)).blocks != []


def test_rows_held_may_still_land_on_either_side(tmp_path: Path) -> None:
    write(tmp_path, agreeing(**{"old/held.ndjson": "h 2026-05-19T10:00:00Z old_money 1 nobody"}))
    run_night(tmp_path, NIGHT, is_published=False)
    said = tallyhouse_says("cutover", "--check", "--workspace", tmp_path)
    assert said.exit_code == 0
    assert "spend: 1 row of biller held as unknown_account may still land on either side." in said.stdout


def test_asking_writes_nothing(clean: Path) -> None:
    before = bytes_below(clean)
    assert tallyhouse_says("cutover", "--check", "--workspace", clean).exit_code == 0
    assert tallyhouse_says("parity", "--workspace", clean).exit_code == 0
    assert bytes_below(clean) == before


# --- going live ----------------------------------------------------------------------------------------------------


def decisions(root: Path) -> list[dict[str, Any]]:
    return nights.published(root)["decisions"]


def test_a_clean_live_book_begins_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, agreeing())
    run_night(tmp_path, NIGHT)
    assert decisions(tmp_path) == []
    write(tmp_path, **LIVE)
    # Days later: what counts is the day before the switch, though the published week has left it behind.
    later = NIGHT + timedelta(days=12)
    run_night(tmp_path, later)
    (decision,) = decisions(tmp_path)
    assert (decision["decision"], decision["subject"], decision["as_of"]) == ("go_live", "live", later)
    assert decision["because"] == "parity is clean"
    run_night(tmp_path, later)
    run_night(tmp_path, later + timedelta(days=1))
    assert decisions(tmp_path) == [decision]


def test_an_unclean_live_book_begins_by_force_alone(tmp_path: Path) -> None:
    write(tmp_path, agreeing(**{"ev/more.ndjson": "m 2026-05-19T12:00:00Z money 0.01 a2"}))
    run_night(tmp_path, NIGHT)
    before = nights.published(tmp_path)
    write(tmp_path, {"ev/next.ndjson": "x 2026-05-20T02:30:00Z money 1 a1"}, **LIVE)
    later = NIGHT + timedelta(days=1)
    for _ in range(2):
        with pytest.raises(Refusal, match="one side alone knows usage of 1 account"):
            run_night(tmp_path, later)
    with warehouse.connect(tmp_path) as con:  # nothing was entered
        assert con.execute("SELECT max(as_of) FROM books.runs").fetchone() == (NIGHT.replace(tzinfo=None),)
        assert con.execute("SELECT count(*) FROM books.ledger").fetchone() == (len(before["ledger"]),)
    run_night(tmp_path, later, force=True)
    (decision,) = decisions(tmp_path)
    assert decision["because"] == "forced, while 2 reasons stood against it"
    detail = json.loads(decision["detail"])
    assert (detail["forced"], len(detail["blocks"])) == (True, 2)
    first = nights.published(tmp_path)
    run_night(tmp_path, later)  # tried again, it is decided
    assert nights.published(tmp_path) == first
    run_night(tmp_path, later + timedelta(days=1), force=True)  # there is nothing left to force
    assert decisions(tmp_path) == [decision]


def test_a_book_that_was_live_before_parity_is_not_asked(tmp_path: Path) -> None:
    write(tmp_path, agreeing(), **LIVE)
    (tmp_path / "catalog" / "parity.yaml").unlink()
    run_night(tmp_path, datetime(2026, 6, 1, 1, tzinfo=UTC))  # closes May
    write(tmp_path, {"old/more.ndjson": "m 2026-05-21T00:00:00Z old_money 1 a1"}, **LIVE)
    run_night(tmp_path, datetime(2026, 6, 2, 1, tzinfo=UTC))
    assert decisions(tmp_path) == []


def test_the_job_refuses_forces_and_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real night by the real command: an alert is a warning that blocks no night but the first live one."""
    alert = "m 2026-05-19T12:00:00Z money 5 a1\nn 2026-05-19T13:00:00Z money 5 a1"
    write(tmp_path, agreeing(**{"ev/more.ndjson": alert}))
    run_night(tmp_path, BILL_FROM, is_checked=True)
    warning = "warning: parity spend: 1 alert, the latest at 2026-05-19T13:00:00Z with 1 account too far apart"

    write(tmp_path, **LIVE)
    before = nights.published(tmp_path)
    again = ("nightly", "--workspace", tmp_path, "--as-of", "2026-05-20T03:00:00Z")
    with monkeypatch.context() as patch:
        without_history(patch)
        refused = tallyhouse_says(*again)
    assert refused.exit_code == 1
    assert "refused: spend: 1 alert in the 24 h to 2026-05-20T00:00:00Z" in refused.stderr
    assert "--force, which is recorded" in refused.stderr
    assert nights.published(tmp_path) == before
    forced = tallyhouse_says(*again, "--force")
    assert forced.exit_code == 0, forced.output
    assert "go_live: forced, while 1 reason stood against it" in forced.stdout
    assert len(decisions(tmp_path)) == 1
    assert warning in forced.stderr  # the old side has stopped since, which is no alert
    with dg.DagsterInstance.from_config(str(tmp_path / "warehouse" / "dagster")) as instance:
        (record,) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("int_parity__totals"), "parity_raises_no_alert"), limit=1
        )
        assert record.event is not None
        evaluation: Any = record.event.get_dagster_event().event_specific_data
        assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
