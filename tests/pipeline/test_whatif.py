"""`tallyhouse what-if`: exactly the prices move (that nothing moves under the plans that are: tests/golden)."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from assets.whatif import what_if
from orchestration import dbt
from orchestration.cli import app
from tests import nights
from tests.golden.case import read_cases
from tests.pipeline.places import copied

pytestmark = pytest.mark.xdist_group("whatif")  # its workspaces are made once


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYHOUSE_WORKSPACE", raising=False)
    monkeypatch.delenv("TALLYHOUSE_DEBUG", raising=False)


def tallyhouse(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


STORY = """
case: story
# May of a1: 35 - 30 = 5.00, and 10 units x 1.00, 2 more later; of a2 the minimum of 500.  June is open: 4 units, a3 2
workspace: {default_plan: free}
accounts: |
  a1,organization,A,USD,cus_1
  a2,organization,B,JPY,cus_2
  a3,user,C,USD,cus_3
subscriptions: |
  s1,a1,pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,
  s2,a2,yen,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,2026-06-01T00:00:00Z
plans:
  pro:
    versions:
      - from: 2026-05-01T00:00:00Z
        included: 30
        charges: [{meter: money, pooled: true}, {meter: units, model: per_unit, price: 1}]
  yen:
    currency: jpy
    versions:
      - from: 2026-05-01T00:00:00Z
        minimum: 500
        charges: [{meter: units, model: per_unit, price: 2}]
  free:
    versions:
      - from: 2026-05-01T00:00:00Z
        charges: [{meter: units, model: per_unit, price: 5}]
usage:
  ev/1.ndjson: |
    e1 2026-05-02T00:00:00Z units 10 a1
    e2 2026-05-02T00:00:00Z money 35 a1
  ev/2.ndjson: |
    e3 2026-05-02T00:00:00Z units 2 a1
    e4 2026-06-02T00:00:00Z units 4 a1
    e5 2026-06-02T00:00:00Z units 2 a3
lands: {ev/2.ndjson: 2026-06-03T00:00:00Z}
nights: [2026-06-01T01:00:00Z, 2026-06-03T00:00:00Z]
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("story")
    (folder / "case.yaml").write_text(STORY)
    (found,) = read_cases(folder / "case.yaml")
    nights.play(found.script, folder / "workspace")
    return folder / "workspace"


def other(workspace: Path, to: Path, *changes: tuple[str, str]) -> Path:
    text = (workspace / "catalog" / "plans.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    to.write_text(text)
    return to


def test_what_is_owed_now_is_what_the_books_say(story: Path) -> None:
    found = what_if(story, story / "catalog" / "plans.yaml", dbt.compiled_models())
    assert {(each.account_id, each.currency): each.now_minor for each in found.differences} == {
        ("a1", "USD"): 2100,  # 5.00 and 12.00 of May, 4.00 of June so far
        ("a2", "JPY"): 500,
        ("a3", "USD"): 1000,
    }
    tables = nights.published(story)
    owed = sum(row["owed"] for row in tables["charges"] if row["subscription_id"] == "s1")
    assert owed == 21


def test_other_prices(story: Path, tmp_path: Path) -> None:
    file = other(story, tmp_path / "dearer.yaml", ("price: 1}", "price: 1.5}"), ("included: 30", "included: 33"))
    done = tallyhouse("what-if", "--plans", file, "--workspace", story)
    assert (done.exit_code, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"""\
4 periods of the shadow book, up to the night of 2026-06-03T00:00:00Z, rated anew under {file}. \
Usage keeps its payer, periods their terms; credit is left aside. Nothing was written.

JPY: no difference for 1 account.

USD: another amount for 1 account
  account      periods  owed now  would owe  difference
  -----------  -------  --------  ---------  ----------
  a1                 2     21.00      26.00       +5.00
  -----------  -------  --------  ---------  ----------
  1 unchanged        1     10.00      10.00        0.00
  total              3     31.00      36.00       +5.00
"""
    )


def test_by_period_and_in_json(story: Path, tmp_path: Path) -> None:
    file = other(story, tmp_path / "p.yaml", ("minimum: 500", "minimum: 400"), ("price: 5", "price: 0"))
    page = tallyhouse("what-if", "--plans", file, "--by", "period", "--workspace", story).stdout
    printed = [" ".join(line.split()) for line in page.splitlines()]
    assert "a2 s2 2026-05-01T00:00:00Z 500 400 -100" in printed
    assert "a3 default:a3 2026-06-01T00:00:00Z 10.00 0.00 -10.00" in printed
    assert "2 unchanged 21.00 21.00 0.00" in printed
    done = tallyhouse("what-if", "--plans", file, "--by", "period", "--json", "--workspace", story)
    *told, compared = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["event"] for row in told} == {"period"}
    assert [(row["subscription_id"], row["difference"]) for row in told if row["difference_minor"]] == [
        ("s2", "-100"),
        ("default:a3", "-10.00"),
    ]
    assert {total["currency"]: total["difference_minor"] for total in compared["totals"]} == {"JPY": -100, "USD": -1000}


def test_a_charge_that_is_gone_owes_nothing_and_is_warned_of(story: Path, tmp_path: Path) -> None:
    units = "{meter: units, model: per_unit, price: "
    file = other(story, tmp_path / "p.yaml", (f", {units}1}}", ""), (f"{units}2}}", ""), (f"{units}5}}", ""))
    done = tallyhouse("what-if", "--plans", file, "--workspace", story)
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "a1 2 21.00 5.00 -16.00" in rows
    assert (
        done.stderr == f"warning: {file}: no plan charges units, which is charged now; its usage would owe nothing.\n"
    )


# --- what is refused -----------------------------------------------------------------------------------------------


def refused(story: Path, file: Path) -> list[str]:
    done = tallyhouse("what-if", "--plans", file, "--workspace", story)
    assert (done.exit_code, done.stdout) == (1, "")
    assert all(line.startswith("refused: ") for line in done.stderr.splitlines())
    return [line.removeprefix("refused: ") for line in done.stderr.splitlines()]


def test_every_mistake_of_the_file_is_named_at_once(story: Path, tmp_path: Path) -> None:
    file = other(
        story, tmp_path / "p.yaml", ("included: 30", "included: many"), ("price: 5", "price: x"), ("  free:", "  fre:")
    )
    problems = refused(story, file)
    assert len(problems) == 3
    assert all(str(file) in problem for problem in problems)
    assert {problem.split(" is ")[1].split(",")[0] for problem in problems} == {"'many'", "'x'", "'free'"}


def test_plans_that_periods_stood_under_must_be_there(story: Path, tmp_path: Path) -> None:
    """The yen plan's subscription has left the account files, so only the books know of it."""
    workspace = copied(story, tmp_path / "workspace")
    (workspace / "accounts" / "subscriptions.csv").write_text(
        (workspace / "accounts" / "subscriptions.csv").read_text().partition("s2")[0]
    )
    plans = (workspace / "catalog" / "plans.yaml").read_text()
    file = tmp_path / "p.yaml"
    file.write_text(plans.replace("  yen:", "  yens:"))
    whose = "and 1 period stood under it, the first from 2026-05-01T00:00:00Z on"
    assert refused(workspace, file) == [f"{file}: the plan 'yen' is missing, {whose}; add the plan."]
    file.write_text(plans.replace("currency: jpy", "currency: usd"))
    (currency,) = refused(workspace, file)
    assert currency.startswith(f"{file}: plans.yen is for USD, and 1 period stood under it")
    file.write_text(plans.replace("2026-05-01T00:00:00Z", "2026-05-15T00:00:00Z"))
    problems = refused(workspace, file)
    assert [problem.split(" ")[1] for problem in problems] == ["plans.pro", "plans.yen"]
    assert all(
        "has no version in force at 2026-05-01T00:00:00Z, where a period under it begins" in it for it in problems
    )


def test_a_file_that_is_not_there_is_wrong_usage(story: Path, tmp_path: Path) -> None:
    assert tallyhouse("what-if", "--plans", tmp_path / "none.yaml", "--workspace", story).exit_code == 2
    assert tallyhouse("what-if", "--plans", tmp_path, "--workspace", story).exit_code == 2
    assert (
        tallyhouse("what-if", "--plans", story / "catalog/plans.yaml", "--by", "week", "--workspace", story).exit_code
        == 2
    )


@pytest.mark.parametrize(
    "unfinished",
    [
        "UPDATE catalog.settings SET as_of = '2026-06-04'",
        "INSERT INTO landing.batch BY NAME SELECT 'ev' AS source",
    ],
)
def test_a_night_that_did_not_end_is_to_be_ended_first(unfinished: str, story: Path, tmp_path: Path) -> None:
    workspace = copied(story, tmp_path / "workspace")
    with duckdb.connect(str(workspace / "warehouse" / "tallyhouse.duckdb")) as con:
        con.execute(unfinished)
    (problem,) = refused(workspace, workspace / "catalog" / "plans.yaml")
    assert "is not in the books" in problem
    assert problem.endswith("run it to its end first.")
