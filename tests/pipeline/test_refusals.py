"""Each mistake is refused by name, by the command itself, before anything moves: not a byte changes."""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from assets import verbs, warehouse
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.post import post
from orchestration import run
from orchestration.cli import app
from tests import nights
from tests.golden.case import catalogue_files, raw_files
from tests.pipeline.places import bytes_below

pytestmark = pytest.mark.xdist_group("refusals")  # its workspaces are made once

NIGHT = datetime(2026, 6, 1, 1, tzinfo=UTC)
POOLED = {"meter": "money", "pooled": "true"}


def version(**more: Any) -> dict[str, Any]:
    return {"from": "2020-01-01T00:00:00Z", "charges": [POOLED], **more}


# A subscription whose May has closed, an organization in euro that has ended, a told period, a baseline, a grant.
WORKSPACE: dict[str, Any] = {
    "workspace": {"default_plan": "free", "ledger_cutover": "2026-05-10T00:00:00Z"},
    "accounts": "a1,organization,A,USD,cus_1\n e1,organization,E,EUR,cus_2",
    "subscriptions": "s1,a1,pro,2,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,",
    "periods": "s1,2026-06-01T00:00:00Z,2026-06-20T00:00:00Z",
    "baselines": "a1,2026-05-01T00:00:00Z,10",
    "credit_grants": "g1,a1,100,USD,2026-05-01T00:00:00Z,,1",
    "plans": {"pro": {"priority": "10", "versions": [version()]}, "free": {"versions": [version()]}},
    "usage": "e1 2026-05-12T00:00:00Z money 30 a1",
}
OTHER = "s2,a1,pro,1,month,2026-05-01T00:00:00Z"
TWO = "s1,a1,pro,2,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,2026-07-01T00:00:00Z\n"
NEXT = "2026-07-01T00:00:00Z"


def pro(**more: Any) -> dict[str, Any]:
    return {"plans": {**WORKSPACE["plans"], "pro": {"priority": "10", "versions": [version(**more)]}}}


def free(**more: Any) -> dict[str, Any]:
    return {"plans": {**WORKSPACE["plans"], "free": {"versions": [version(**more)]}}}


def settings(**more: Any) -> dict[str, Any]:
    return {"workspace": {**WORKSPACE["workspace"], **more}}


TIERS = [{"up_to": "10", "unit": "1"}, {"up_to": "5", "unit": "2"}, {"unit": "3"}]
CALLS = {"meter": "calls", "model": "per_unit", "price": "1"}
DISK = {"meter": "disk", "model": "per_unit", "price": "1"}

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "overlapping subscriptions": (
        {"subscriptions": f"{WORKSPACE['subscriptions']}\n{OTHER},2026-06-10T00:00:00Z,"},
        (
            "accounts/subscriptions.csv line 3: subscription 's2' overlaps 's1' on line 2, of the same "
            "account; end the one before the other starts."
        ),
    ),
    "terms that overlap": (
        {"subscriptions": f"{TWO}s1,a1,pro,2,month,2026-05-01T00:00:00Z,2026-06-30T00:00:00Z,"},
        (
            "accounts/subscriptions.csv line 3: starts_at is 2026-06-30T00:00:00Z, and line 2, of the same "
            "subscription 's1', ends at 2026-07-01T00:00:00Z; let each row start where the one before it ends."
        ),
    ),
    "terms that do not touch": (
        {"subscriptions": f"{TWO}s1,a1,pro,2,month,2026-05-01T00:00:00Z,2026-07-02T00:00:00Z,"},
        (
            "accounts/subscriptions.csv line 3: starts_at is 2026-07-02T00:00:00Z, and line 2, of the same "
            "subscription 's1', ends at 2026-07-01T00:00:00Z; let each row start where the one before it ends."
        ),
    ),
    "terms after open ones": (
        {"subscriptions": f"{WORKSPACE['subscriptions']}\ns1,a1,pro,2,month,2026-05-01T00:00:00Z,{NEXT},"},
        (
            "accounts/subscriptions.csv line 3: starts_at is 2026-07-01T00:00:00Z, and line 2, of the same "
            "subscription 's1', has no end; let each row start where the one before it ends."
        ),
    ),
    "terms of another account": (
        {"subscriptions": f"{TWO}s1,e1,pro,2,month,2026-05-01T00:00:00Z,{NEXT},"},
        (
            "accounts/subscriptions.csv line 3: account_id is not that of line 2, of the same subscription "
            "'s1'; write the same, or give it another subscription_id."
        ),
    ),
    "terms of another interval": (
        {"subscriptions": f"{TWO}s1,a1,pro,2,year,2026-05-01T00:00:00Z,{NEXT},"},
        (
            "accounts/subscriptions.csv line 3: interval is not that of line 2, of the same subscription 's1'; "
            "write the same, or give it another subscription_id."
        ),
    ),
    "terms of another anchor": (
        {"subscriptions": f"{TWO}s1,a1,pro,2,month,2026-05-02T00:00:00Z,{NEXT},"},
        (
            "accounts/subscriptions.csv line 3: anchor_at is not that of line 2, of the same subscription "
            "'s1'; write the same, or give it another subscription_id."
        ),
    ),
    "negative seats": (
        {"subscriptions": WORKSPACE["subscriptions"].replace(",2,month", ",-1,month")},
        "accounts/subscriptions.csv line 2: seats is '-1'; write a whole number of 1 or more.",
    ),
    "no seats": (
        {"subscriptions": WORKSPACE["subscriptions"].replace(",2,month", ",0,month")},
        "accounts/subscriptions.csv line 2: seats is '0'; write a whole number of 1 or more.",
    ),
    "a plan that is not there": (
        {"subscriptions": WORKSPACE["subscriptions"].replace("pro", "pri")},
        ("accounts/subscriptions.csv line 2: plan is 'pri', which plans.yaml does not list; did you mean 'pro'?"),
    ),
    "a plan without a version": (
        pro(**{"from": "2026-06-15T00:00:00Z"}),
        (
            "accounts/subscriptions.csv line 2: plan 'pro' has no version at 2026-06-01T00:00:00Z, the start "
            "of a period it serves; add one to plans.yaml with `from: 2026-06-01T00:00:00Z` or earlier."
        ),
    ),
    "a plan without a version when it takes over": (
        {
            "subscriptions": f"{TWO}s1,a1,max,2,month,2026-05-01T00:00:00Z,{NEXT},",
            "plans": {**WORKSPACE["plans"], "max": {"versions": [version(**{"from": "2026-07-01T00:00:01Z"})]}},
        },
        (
            "accounts/subscriptions.csv line 3: plan 'max' has no version at 2026-07-01T00:00:00Z, the start "
            "of a period it serves; add one to plans.yaml with `from: 2026-07-01T00:00:00Z` or earlier."
        ),
    ),
    "a plan for another currency": (
        {"plans": {**WORKSPACE["plans"], "pro": {"currency": "eur", "versions": [version()]}}},
        (
            "accounts/subscriptions.csv line 2: plan 'pro' is for EUR, and account 'a1' has USD; choose a plan "
            "in the account's currency."
        ),
    ),
    "tiers out of order": (
        pro(charges=[{"meter": "units", "model": "graduated", "tiers": TIERS}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0].tiers[1].up_to is 5, not above the "
            "tier before it; order the tiers by rising up_to."
        ),
    ),
    "tiers alike": (
        pro(charges=[{"meter": "units", "model": "volume", "tiers": [TIERS[0], TIERS[0], TIERS[2]]}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0].tiers[1].up_to is 10, not above the "
            "tier before it; order the tiers by rising up_to."
        ),
    ),
    "a last tier with an end": (
        pro(charges=[{"meter": "units", "model": "volume", "tiers": TIERS[:1]}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0].tiers[0].up_to ends the last tier; "
            "take it out: the last tier has no end."
        ),
    ),
    "a price that is too long": (
        pro(charges=[{**CALLS, "price": "0.0000000000000001"}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0].price is '0.0000000000000001', which "
            "has more than 15 digits after the decimal point; write a shorter number."
        ),
    ),
    "a price with too many digits": (
        pro(charges=[{**CALLS, "price": "1234567890123456789"}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0].price is '1234567890123456789', which "
            "has more than 18 digits before the decimal point; write a shorter number."
        ),
    ),
    "a negative price": (
        pro(charges=[{**CALLS, "price": "-1"}]),
        ("catalog/plans.yaml line 4: plans.pro.versions[0].charges[0].price is -1; write a number of zero or more."),
    ),
    "a minimum that no line can hold": (
        pro(minimum="1000000000000000.01"),
        (
            "catalog/plans.yaml: plans.pro, version from 2020-01-01T00:00:00Z: minimum is 1000000000000000.01; "
            "write at most 1000000000000000."
        ),
    ),
    "a baseline that no line can hold": (
        {"baselines": "a1,2026-05-01T00:00:00Z,1000000000000000.01"},
        "accounts/baselines.csv line 2: amount is 1000000000000000.01; write at most 1000000000000000.",
    ),
    "tiers beyond all money": (
        pro(charges=[{"meter": "units", "model": "graduated", "tiers": [{"up_to": "9" * 18, "unit": "101"}, {}]}]),
        (
            "catalog/plans.yaml: plans.pro, version from 2020-01-01T00:00:00Z: the tiers or packages of units reach "
            "beyond 20 digits, where money ends; write smaller bounds, sizes or prices, or a smaller divide_by."
        ),
    ),
    "a refresh beyond all money": (
        pro(daily_refresh={"basis": "9" * 18, "rate": "1000"}),
        (
            "catalog/plans.yaml: plans.pro, version from 2020-01-01T00:00:00Z: daily_refresh.basis x rate reaches "
            "beyond 20 digits, where money ends; write a smaller basis or rate."
        ),
    ),
    "a price that is no number": (
        pro(charges=[{**CALLS, "price": "1,5"}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0].price is '1,5', which is not a "
            "number; write digits with at most one point, such as 1000 or 0.25."
        ),
    ),
    "a meter charged twice": (
        pro(charges=[CALLS, {**CALLS, "price": "2"}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[1] charges 'calls' again, first on line "
            "4; keep one charge of the meter in a version."
        ),
    ),
    "a meter that is not there": (
        pro(charges=[{**CALLS, "meter": "cals"}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0].meter is 'cals', which meters.yaml "
            "does not list; did you mean 'calls'?"
        ),
    ),
    "a percentage of a count": (
        pro(charges=[{"meter": "calls", "model": "percentage", "rate": "0.1"}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0] takes a percentage of calls, a count "
            "meter; use a cost or sum meter, or another model."
        ),
    ),
    "a pooled package": (
        pro(charges=[{"meter": "units", "model": "package", "size": "1", "price": "1", "pooled": "true"}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0] can't be pooled as package on units, "
            "a sum meter; pool a cost meter without a model, or per_unit on sum or count without free_units."
        ),
    ),
    "pooled free units": (
        pro(charges=[{**CALLS, "free_units": "1", "pooled": "true"}]),
        (
            "catalog/plans.yaml line 4: plans.pro.versions[0].charges[0] can't be pooled as per_unit on calls, "
            "a count meter; pool a cost meter without a model, or per_unit on sum or count without free_units."
        ),
    ),
    "a default plan that is not there": (
        settings(default_plan="gratis"),
        (
            "catalog/workspace.yaml line 4: default_plan is 'gratis', which plans.yaml does not list; add the "
            "plan, or write null."
        ),
    ),
    "a default plan with a minimum": (
        free(minimum="5"),
        (
            "catalog/workspace.yaml line 4: default_plan is 'free', which has a minimum; choose a plan without "
            "one, or take it out there."
        ),
    ),
    "a default plan with a level": (
        free(charges=[DISK]),
        (
            "catalog/workspace.yaml line 4: default_plan is 'free', which charges disk, a time_weighted meter; "
            "choose a plan without such a charge, or take it out there."
        ),
    ),
    "live without bill_from": (
        settings(stripe={"mode": "live"}),
        (
            "catalog/workspace.yaml line 7: stripe.mode is live, and there is no `bill_from`; write the "
            "instant from which usage is billed, such as bill_from: 2026-06-01T00:00:00Z."
        ),
    ),
    "a mode that is none": (
        settings(stripe={"mode": "test"}),
        "catalog/workspace.yaml line 7: stripe.mode is 'test'; write shadow or live.",
    ),
    "a baseline for no period": (
        {"baselines": "a1,2026-05-02T00:00:00Z,10"},
        (
            "accounts/baselines.csv line 2: period_start is 2026-05-02T00:00:00Z, where no period of account "
            "'a1' begins; write the start of a period that it has, or take the row out."
        ),
    ),
    "two baselines of one period": (
        {"baselines": "a1,2026-05-01T00:00:00Z,10\na1,2026-05-01T00:00:00Z,11"},
        (
            "accounts/baselines.csv line 3: the period of account 'a1' has a baseline on line 2 already; keep "
            "one of them."
        ),
    ),
    "a told period across a closed one": (
        {"periods": "s1,2026-05-20T00:00:00Z,2026-06-20T00:00:00Z"},
        (
            "accounts/periods.csv line 2: the period crosses the closed one from 2026-05-01T00:00:00Z to "
            "2026-06-01T00:00:00Z (BILLING_PERIOD_LOCKED); tell the closed period as it was closed."
        ),
    ),
    "told periods that overlap": (
        {"periods": f"{WORKSPACE['periods']}\ns1,2026-06-19T00:00:00Z,2026-06-25T00:00:00Z"},
        (
            "accounts/periods.csv line 3: the period overlaps that of line 2, of the same subscription; let "
            "each period end where the next one starts."
        ),
    ),
    "a told period of nobody": (
        {"periods": "s9,2026-06-01T00:00:00Z,2026-06-20T00:00:00Z"},
        ("accounts/periods.csv line 2: subscription_id is 's9', which subscriptions.csv does not list; add it there."),
    ),
    "a told period that ends before it begins": (
        {"periods": "s1,2026-06-20T00:00:00Z,2026-06-01T00:00:00Z"},
        "accounts/periods.csv line 2: period_end is not after period_start; swap or mend the two.",
    ),
    "a grant in another currency": (
        {"credit_grants": "g1,a1,100,EUR,2026-05-01T00:00:00Z,,1"},
        (
            "accounts/credit_grants.csv line 2: currency is EUR, and account 'a1' has USD; grant in the "
            "account's currency."
        ),
    ),
    "a grant between Stripe's steps": (
        {
            "accounts": f"{WORKSPACE['accounts']}\nk1,user,K,KWD,cus_3",
            "credit_grants": "g1,k1,1005,KWD,2026-05-01T00:00:00Z,,1",
        },
        (
            "accounts/credit_grants.csv line 2: amount_minor is 1005, and Stripe takes KWD in steps of 10; "
            "write a multiple of 10."
        ),
    ),
    "a grant of a fraction": (
        {"credit_grants": "g1,a1,1.5,USD,2026-05-01T00:00:00Z,,1"},
        "accounts/credit_grants.csv line 2: amount_minor is '1.5'; write a whole number of 1 or more.",
    ),
    "an unknown time zone": (
        {"accounts": "a1,organization,A,USD,Mars/Olympus,cus_1\ne1,organization,E,EUR,cus_2"},
        (
            "accounts/accounts.csv line 2: timezone is 'Mars/Olympus', which is not an IANA time zone; write "
            "an IANA name such as Europe/Berlin, or nothing for UTC."
        ),
    ),
    "a timestamp without offset": (
        {"subscriptions": WORKSPACE["subscriptions"].replace("00:00Z,", "00:00,", 1)},
        (
            "accounts/subscriptions.csv line 2: anchor_at is '2026-05-01T00:00:00'; write a timestamp with an "
            "offset such as 2026-05-01T00:00:00Z."
        ),
    ),
    "a key that is none": (
        settings(late_windw="35d"),
        ("catalog/workspace.yaml line 6: late_windw is not a key that is known here; did you mean 'late_window'?"),
    ),
    "a cost for a count": (
        {
            "sources": {
                "ev": {
                    "files": "ev/*",
                    "format": "ndjson",
                    "identity": ["id"],
                    "occurred_at": "t",
                    "emits": [{"meter": "calls", "cost": "v"}],
                }
            }
        },
        (
            "catalog/sources.yaml line 7: sources.ev.emits[0].cost is given to calls, whose aggregate is "
            "count; write `quantity`, or make it a cost meter."
        ),
    ),
}


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace after its first night."""
    workspace = tmp_path_factory.mktemp("billed") / "workspace"
    write(workspace, {**catalogue_files(WORKSPACE), **{f"raw/{name}": it for name, it in raw_files(WORKSPACE).items()}})
    with warehouse.only_run(workspace, NIGHT):
        nights.run_night(workspace, NIGHT)
    tables = nights.published(workspace)
    assert [row["state"] for row in tables["periods"]] == ["closed", "open"]
    assert sorted(row["amount_minor"] for row in tables["invoice_items"]) == [-100, 4000]
    return workspace


@pytest.fixture
def workspace(billed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which no job may begin."""
    for name in ("DAGSTER_HOME", "TALLYHOUSE_WORKSPACE", "TALLYHOUSE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(run, "_nightly", lambda _: pytest.fail("a job began"))
    return shutil.copytree(billed, tmp_path / "workspace")


def write(workspace: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_bytes(content)


def refused(workspace: Path, as_of: datetime = NIGHT + timedelta(days=1)) -> str:
    """What the command says; it may leave nothing behind, neither in the books nor in Dagster's history."""
    before = bytes_below(workspace)
    done = CliRunner().invoke(app, ["nightly", "--workspace", str(workspace), "--as-of", format_instant(as_of)])
    assert bytes_below(workspace) == before
    assert done.exit_code == 1, done.output
    return done.stderr


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_by_name_before_anything_moves(mistake: str, workspace: Path) -> None:
    changes, sentence = MISTAKES[mistake]
    write(workspace, catalogue_files({**WORKSPACE, **changes}))
    assert refused(workspace) == f"refused: {sentence}\n"


def test_every_mistake_is_named_at_once(workspace: Path) -> None:
    changes = {**WORKSPACE, **MISTAKES["no seats"][0], **MISTAKES["a baseline for no period"][0], **pro(minimum="-1")}
    write(workspace, catalogue_files(changes))
    said = refused(workspace).splitlines()
    assert len(said) == 2  # the baseline's period is not known while the subscription is wrong
    assert all(line.startswith("refused: ") for line in said)


def test_a_night_of_the_past_is_refused(workspace: Path) -> None:
    said = refused(workspace, NIGHT - timedelta(seconds=1))
    assert said == (
        "refused: as_of 2026-06-01T00:59:59Z lies before the last run's 2026-06-01T01:00:00Z; "
        "nights go forward only: give a later --as-of.\n"
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TALLYHOUSE_NOW", "yesterday", "TALLYHOUSE_NOW: 'yesterday' is not a timestamp with an offset; write it like"),
        ("TALLYHOUSE_MEMORY", "much", "TALLYHOUSE_MEMORY is 'much'; write a number and its unit, such as 2GB."),
    ],
)
def test_a_setting_of_the_environment_is_refused_by_name(
    name: str, value: str, says: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert refused(workspace).startswith(f"refused: {says}")


def test_a_path_that_libraries_take_for_a_pattern_is_refused(workspace: Path, tmp_path: Path) -> None:
    """Dagster would not read its settings there, and with them that it is to tell nobody that it runs."""
    odd = tmp_path / "what [now]?"
    workspace.rename(odd)
    assert refused(odd) == (
        f"refused: {odd}: Dagster and Great Expectations take ? and [ and ] in a path for something else; "
        "give the directory another name.\n"
    )


def test_a_demo_is_made_in_no_workspace_that_is_another(workspace: Path) -> None:
    before = bytes_below(workspace)
    done = CliRunner().invoke(app, ["demo", "--workspace", str(workspace)])
    assert bytes_below(workspace) == before
    assert (done.exit_code, done.stderr) == (
        1,
        f"refused: {workspace} holds something else than a demo; name a directory that is new, with --workspace.\n",
    )


# --- what lies below raw/ ------------------------------------------------------------------------------------------


def test_the_ui_begins_no_workspace_where_there_is_none(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ui", "--workspace", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stderr == (
        f"refused: There is no workspace at {tmp_path}; give the directory that holds catalog/ and accounts/.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_landed_files_that_changed_are_refused(workspace: Path) -> None:
    raw = workspace / "raw" / "ev" / "a.ndjson"
    raw.write_bytes(raw.read_bytes().replace(b"30", b"31"))
    assert refused(workspace) == (
        "refused: raw/ev/a.ndjson has landed and its bytes are different now: put the file back as it was, "
        "and add what is new as a file of another name\n"
    )


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": ["e9"] * 100}), out)
    return out.getvalue()


LINES = b'{"id": "e9", "t": "2026-05-12T00:00:00Z", "m": "money", "v": 1, "acct": "a1"}\n' * 1000
UNREADABLE = {
    "half.ndjson.gz": gzip.compress(LINES, mtime=0)[:-9],
    "empty.ndjson.gz": b"",
    "plain.ndjson.gz": LINES,
    "half.ndjson.zst": bytes(pa.compress(LINES, codec="zstd", asbytes=True))[:-9],
    "bad-sum.ndjson.gz": gzip.compress(LINES, mtime=0)[:-8] + b"\0" * 8,
    "half.parquet": parquet()[:-9],
    "hole.parquet": parquet()[:40] + b"\0" * 20 + parquet()[60:],
    "half.csv.gz": gzip.compress(b"id,t\n" + b"e9,2026\n" * 1000, mtime=0)[:-9],
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_to_its_end_is_refused(name: str, workspace: Path) -> None:
    form = name.split(".")[1]
    source = {"files": f"new/*.{form}*", "format": form, "identity": ["id"], "occurred_at": "t", "account": "acct"}
    sources = {"new": {**source, "emits": [{"meter": "money", "cost": "v"}]}}
    write(workspace, {**catalogue_files({**WORKSPACE, "sources": sources}), f"raw/new/{name}": UNREADABLE[name]})
    said = refused(workspace)
    assert said.startswith(f"refused: raw/new/{name} cannot be read to its end (")
    assert said.endswith("): put a whole copy in its place, or take it away, and run again\n")
    assert len(said.splitlines()) == 1


def test_all_unreadable_files_are_named_at_once(workspace: Path) -> None:
    names = [name for name in UNREADABLE if ".ndjson." in name]
    write(workspace, {f"raw/ev/{name}": UNREADABLE[name] for name in names})
    assert len(refused(workspace).splitlines()) == len(names)


# --- what only usage tells -----------------------------------------------------------------------------------------


def test_a_month_of_the_default_plan_before_its_first_version_is_refused(workspace: Path) -> None:
    """Landing must come first here; nothing enters the books, and once the plan is mended the night goes through."""
    later = free(**{"from": "2026-05-01T00:00:00Z"})
    accounts = {"accounts": "a1,organization,A,USD,cus_1\ne1,organization,E,EUR,Asia/Tokyo,cus_2"}
    usage = raw_files({"usage": {"ev/b.ndjson": "e2 2026-05-12T00:00:00Z money 5 e1"}})
    write(workspace, {**catalogue_files({**WORKSPACE, **later, **accounts}), "raw/ev/b.ndjson": usage["ev/b.ndjson"]})
    before = bytes_below(workspace / "published")
    with pytest.raises(Refusal) as refusal:
        nights.run_night(workspace, NIGHT)
    start = "2026-04-30T15:00:00Z"  # midnight in Tokyo
    assert refusal.value.problems == (
        f"catalog/plans.yaml: plan 'free' has no version at {start}, the start of a period it serves; "
        f"add one to plans.yaml with `from: {start}` or earlier.",
    )
    assert bytes_below(workspace / "published") == before
    write(workspace, catalogue_files({**WORKSPACE, **accounts}))
    nights.run_night(workspace, NIGHT)
    lines = nights.published(workspace)["invoice_items"]
    assert sorted(line["amount_minor"] for line in lines) == [-100, 500, 4000]


def test_a_closed_period_is_locked(workspace: Path) -> None:
    """Whatever might make one anew: it is named and nothing is posted."""
    published = bytes_below(workspace / "published")
    later = NIGHT + timedelta(days=1)
    with warehouse.connect(workspace) as con:
        verbs.take_in(con, workspace, later)
        verbs.bring_in(con, workspace, later)
        nights.make_models(con)
        con.execute("UPDATE night.int_periods__open SET period_start = '2026-05-31 23:59:59.999999'")
        closes = con.execute("FROM books.closes").fetchall()
        with pytest.raises(Refusal) as refusal:
            post(con, workspace, later)
        assert con.execute("FROM books.closes").fetchall() == closes
        assert con.execute("SELECT count(*) FROM books.runs").fetchone() == (1,)
    assert refusal.value.problems == (
        "BILLING_PERIOD_LOCKED: subscription 's1' has the period from 2026-05-01T00:00:00Z to 2026-06-01T00:00:00Z, "
        "closed on 2026-06-01T01:00:00Z, and would be reckoned anew from 2026-05-31T23:59:59.999999Z to "
        "2026-06-20T00:00:00Z; put the account files back as they were, and send what is to change as correcting usage "
        "or as a credit grant.",
    )
    assert bytes_below(workspace / "published") == published
