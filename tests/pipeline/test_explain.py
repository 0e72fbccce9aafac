"""`tallyhouse explain`: what it says of a line, that it touches nothing, and that it raises the alarm."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from threading import Barrier, Timer
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from assets import warehouse
from assets.core.instants import parse_instant
from assets.core.refusal import Refusal
from assets.explain import explain
from assets.reader import PUBLISHED
from orchestration import dbt
from orchestration.cli import app
from tests import nights
from tests.explaining import explained, line_ids, queried
from tests.golden.case import Script, read_cases
from tests.pipeline.places import bytes_below, case, copied

pytestmark = pytest.mark.xdist_group("explain")  # its workspaces are made once

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYHOUSE_WORKSPACE", raising=False)
    monkeypatch.delenv("TALLYHOUSE_DEBUG", raising=False)


def played(factory: pytest.TempPathFactory, name: str) -> Path:
    workspace = factory.mktemp(name) / "workspace"
    nights.play(case(name).script, workspace)
    return workspace


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """May closed with 15.00 and adjusted by 3.00 under the terms and prices of its close; June closed under others."""
    return played(tmp_path_factory, "closed-with-its-price-list-terms-and-baseline")


@pytest.fixture(scope="module")
def credited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(tmp_path_factory, "credits-meet-threshold-and-adjustment")


def tallyhouse(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def told(workspace: Path, line_id: str) -> dict[str, Any]:
    """What --json says; a number that is not a whole one would be a binary float."""
    done = tallyhouse("explain", line_id, "--workspace", workspace, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()

    def no_float(text: str) -> None:
        raise AssertionError(f"{text} is no exact number")

    found: dict[str, Any] = json.loads(line, parse_float=no_float)
    return found


def the_line(workspace: Path, charge: str, reason: str, period: str = "2026-05-01") -> str:
    with duckdb.connect(str(workspace / "warehouse" / "tallyhouse.duckdb"), read_only=True) as con:
        where = "charge = ? AND reason = ? AND strftime(period_start, '%Y-%m-%d') = ?"
        ((line_id,),) = con.execute(
            f"SELECT line_id FROM books.lines WHERE {where}", [charge, reason, period]
        ).fetchall()
    return str(line_id)


# --- what it says --------------------------------------------------------------------------------------------------

PAGE = """\
LINE: 4.17 USD for overage, billed at the period's close
  account       A (a1)
  subscription  s1
  period        2026-06-01T00:00:00Z to 2026-07-01T00:00:00Z
  made by       the night of 2026-07-01T01:00:00Z; shadow

Usage that draws on refresh and included, in USD
  plan   meter  rows  quantity  price  amount
  -----  -----  ----  --------  -----  ------
  max    money    20                    80.00
  pro    money    10                    40.00
  -----  -----  ----  --------  -----  ------
  total           30                   120.00

Daily refresh: each 24 hours give back what they used, up to the allowance
  from                  usage  allowance  refresh
  --------------------  -----  ---------  -------
WINDOWS
  --------------------  -----  ---------  -------
  30 windows                                22.50

Included: per seat, for the part of the period that the terms were in force
  from                  plan  included  seats  seconds               ÷ 2592000
  --------------------  ----  --------  -----  -------  ----------------------
  2026-06-01T00:00:00Z  max     125.00      1  1728000  83.333333333333333333…
  2026-06-21T00:00:00Z  pro      30.00      1   864000  10.00
  --------------------  ----  --------  -----  -------  ----------------------
  total                                                 93.333333333333333333

Overage, in USD
  usage               120.00
  less daily refresh  -22.50
  effective usage      97.50
  less included       -93.333333333333333333
  overage               4.166666666666666667

What is billed
  owed                 4.166666666666666667
  rounded to 0.01 USD  4.17
  -------------------  --------------------
  this line            4.17

The rounding residue, owed less rounded, is -0.003333333333333333 USD; no line bills it.

The 30 rows behind it, with any DuckDB on published/tallyhouse.duckdb:

SELECT raw_file, raw_line, occurred_at, actor, meter, quantity, amount
FROM billing.ledger
WHERE subscription_id = 's1'
  AND period_start = '2026-06-01T00:00:00Z'
  AND entered_at <= '2026-07-01T01:00:00Z'
  AND (plan, meter) IN (('max', 'money'), ('pro', 'money'))
  AND state = 'billable'
ORDER BY occurred_at, event_key;

Reckoned again from the ledger of that night, this line comes out exactly.
"""


def test_the_page(tmp_path: Path) -> None:
    nights.play(case("plan-downgrade-mid-period").script, tmp_path)
    (line_id,) = line_ids(tmp_path)
    done = tallyhouse("explain", line_id, "--workspace", tmp_path)
    assert (done.exit_code, done.stderr) == (0, "")
    windows = [
        f"  2026-06-{day:02}T00:00:00Z   4.00       {allowance}     {allowance}"
        for day, allowance in [*((day, "1.00") for day in range(1, 21)), *((day, "0.25") for day in range(21, 31))]
    ]
    page = done.stdout.replace(line_id, "LINE")
    assert page.splitlines() == PAGE.replace("WINDOWS", "\n".join(windows)).splitlines()


def test_json_has_the_same_facts_exactly(closed: Path) -> None:
    found = told(closed, the_line(closed, "overage", "adjustment"))
    sums = found["arithmetic"]
    assert (found["event"], found["kind"], found["agrees"]) == ("explained", "overage", True)
    pooled = sum(Fraction(it["amount"]) for it in sums["pooled"])
    assert pooled == Fraction(sums["usage"]) == 36
    assert Fraction(sums["owed"]) == pooled - Fraction(sums["refresh"]) - Fraction(sums["included"]) == 6
    assert Decimal(found["owed"]) == 6
    assert found["owed_minor"] - sum(it["amount_minor"] for it in found["billed_before"]) == 100
    assert [it["reason"] for it in found["billed_before"]] == ["close"]
    assert len(queried(closed, found["rows_sql"])) == found["rows"] == 2


def test_the_line_before_and_what_has_come_since(closed: Path) -> None:
    line_id = the_line(closed, "metered:pro:units", "adjustment")
    page = tallyhouse("explain", line_id, "--workspace", closed).stdout
    assert f"less close of 2026-06-01T01:00:00Z  {the_line(closed, 'metered:pro:units', 'close')}" in page
    assert "1 of them came since the line before: those with entered_at > '2026-06-01T01:00:00Z'." in page
    assert "all     12  1.00   12.00" in page  # the price of the close, though plans.yaml says 3.00 by now


def test_the_beginning_of_an_id_is_enough(closed: Path) -> None:
    line_id = the_line(closed, "overage", "close")
    assert tallyhouse("explain", line_id[:12], "--workspace", closed).stdout.startswith(f"{line_id}: 5.00 USD")
    several = tallyhouse("explain", "line_", "--workspace", closed)
    assert (several.exit_code, several.stdout) == (1, "")
    assert several.stderr == "refused: More than one line begins with 'line_'; give more of its id.\n"


def test_credit_is_explained_from_what_it_met(credited: Path) -> None:
    found = told(credited, the_line(credited, "credit:g2", "adjustment"))
    sums = found["arithmetic"]
    assert [(it["charge"], it["amount_minor"]) for it in sums["lines"]] == [
        ("overage", -200),
        ("metered:pro:units", 250),
    ]
    assert (sums["balance_before"], sums["used_minor"], sums["balance_after"]) == (100, 50, 50)
    page = tallyhouse("explain", the_line(credited, "credit:g1", "threshold"), "--workspace", credited).stdout
    assert "balance of grant g1 before   5.00" in page
    assert "The lines and balances in the books give this line exactly." in page


# --- nights run again, and rows that stand elsewhere by now ---------------------------------------------------------


def scripted(folder: Path, text: str) -> Script:
    path = folder / "case.yaml"
    path.write_text(text)
    (found,) = read_cases(path)
    return found.script


AGAIN = """
case: again
plan: {{threshold: 1, charges: [{{meter: money, pooled: true}}]}}
usage: e1 2026-05-02T00:00:00Z money 5 a1
nights: [{night}]
"""
MORE = '{"id": "e2", "t": "2026-05-03T00:00:00Z", "m": "money", "v": 7, "acct": "a1"}\n'


@pytest.mark.parametrize(
    ("night", "reasons"),
    [
        ("2026-05-10T00:00:00Z", ["threshold", "threshold"]),
        ("2026-06-01T01:00:00Z", ["close", "adjustment"]),
    ],
)
def test_a_night_run_again_with_more_files(night: str, reasons: list[str], tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    nights.play(scripted(tmp_path, AGAIN.format(night=night)), workspace)
    (workspace / "raw" / "ev" / "more.ndjson").write_text(MORE)
    nights.run_night(workspace, parse_instant(night))
    found = [explain(workspace, line_id, dbt.compiled_models()) for line_id in line_ids(workspace)]
    first, second = sorted(found, key=lambda each: each.line.amount_minor)
    assert [each.line.reason for each in (first, second)] == reasons
    assert (first.disagreements, second.disagreements) == ((), ())
    assert [each.line_id for each in second.story.before] == [first.line.line_id]
    assert [each.line_id for each in first.story.again] == [second.line.line_id]
    assert first.owed == second.owed == 12


def test_rows_are_found_by_their_keys_where_nothing_else_finds_them(closed: Path, tmp_path: Path) -> None:
    workspace = copied(closed, tmp_path / "workspace")
    line_id = the_line(workspace, "overage", "close")
    with duckdb.connect(str(workspace / PUBLISHED)) as con:
        con.execute("UPDATE billing.ledger SET subscription_id = 'another'")
    raw = explain(workspace, line_id, dbt.compiled_models()).raw
    assert raw is not None
    assert raw.sql is not None
    assert "event_key IN ('" in raw.sql
    assert len(queried(workspace, raw.sql)) == raw.count == 1


def test_amounts_by_another_price_list_are_said_to_be(tmp_path: Path) -> None:
    """A line of an open period was billed at 1.00 a unit; by now plans.yaml and the published file say 3.00."""
    text = """
case: dearer
plan: {threshold: 1, charges: [{meter: units, model: per_unit, price: 1, pooled: true}]}
usage: e1 2026-05-02T00:00:00Z units 5 a1
nights: [2026-05-10T00:00:00Z, 2026-05-11T00:00:00Z]
changes:
  2:
    plan: {threshold: 1, charges: [{meter: units, model: per_unit, price: 3, pooled: true}]}
"""
    workspace = tmp_path / "workspace"
    nights.play(scripted(tmp_path, text), workspace)
    first = explained(workspace)[0]
    assert first.raw is not None
    assert first.raw.is_priced_anew
    page = tallyhouse("explain", first.line.line_id, "--workspace", workspace).stdout
    assert "Amounts there are by the price list of the last night" in page


@pytest.mark.parametrize("is_there", [True, False])
def test_rows_that_are_not_published_are_not_promised(is_there: bool, closed: Path, tmp_path: Path) -> None:
    workspace = copied(closed, tmp_path / "workspace")
    if is_there:
        with duckdb.connect(str(workspace / PUBLISHED)) as con:
            con.execute("DELETE FROM billing.ledger")
    else:
        (workspace / PUBLISHED).unlink()
    done = tallyhouse("explain", the_line(workspace, "overage", "close"), "--workspace", workspace)
    assert done.exit_code == 0
    assert "published/tallyhouse.duckdb does not give the 1 row behind it" in done.stdout
    assert "SELECT" not in done.stdout


# --- the alarm -----------------------------------------------------------------------------------------------------

TAMPERED = {
    "UPDATE books.ledger SET cost = cost + 0.000000001 WHERE meter = 'money'": ("overage", "close"),
    "DELETE FROM books.ledger WHERE meter = 'units'": ("metered:pro:units", "close"),
    "UPDATE books.ledger SET occurred_at = '2026-07-03' WHERE meter = 'money'": ("overage", "close"),
    "UPDATE books.lines SET amount_minor = amount_minor + 1 WHERE reason = 'close'": ("overage", "close"),
    "UPDATE books.lines SET quantity = quantity + 1 WHERE reason = 'adjustment'": ("metered:pro:units", "adjustment"),
    "DELETE FROM books.lines WHERE reason = 'close'": ("overage", "adjustment"),
    "UPDATE books.close_slices SET included = 31": ("overage", "close"),
    "UPDATE books.close_segments SET rate_num = 2 WHERE up_to_units IS NULL": ("metered:pro:units", "close"),
    "DELETE FROM books.close_charges": ("metered:pro:units", "close"),
}


@pytest.mark.parametrize("tampering", TAMPERED)
def test_the_alarm(tampering: str, closed: Path, tmp_path: Path) -> None:
    workspace = copied(closed, tmp_path / "workspace")
    line_id = the_line(workspace, *TAMPERED[tampering])
    with duckdb.connect(str(workspace / "warehouse" / "tallyhouse.duckdb")) as con:
        con.execute(tampering)
    rung = tallyhouse("explain", line_id, "--workspace", workspace)
    assert rung.exit_code == 1
    assert rung.stderr.startswith(f"alarm: The books do not give line {line_id}")
    assert "comes out exactly" not in rung.stdout
    events = [
        json.loads(line)
        for line in tallyhouse("explain", line_id, "--workspace", workspace, "--json").stdout.splitlines()
    ]
    assert events[-1]["event"] == "alarm"
    assert all(event["agrees"] is False for event in events[:-1])


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE books.lines SET amount_minor = -499 WHERE charge = 'credit:g1'",
        "UPDATE books.credits SET balance_after = 1 WHERE grant_id = 'g1'",
        "UPDATE books.lines SET amount_minor = 400 WHERE charge = 'overage' AND reason = 'threshold'",
        "DELETE FROM books.credits WHERE kind = 'use'",
    ],
)
def test_the_alarm_over_credit(tampering: str, credited: Path, tmp_path: Path) -> None:
    workspace = copied(credited, tmp_path / "workspace")
    line_id = the_line(workspace, "credit:g1", "threshold")
    with duckdb.connect(str(workspace / "warehouse" / "tallyhouse.duckdb")) as con:
        con.execute(tampering)
    rung = tallyhouse("explain", line_id, "--workspace", workspace)
    assert rung.exit_code == 1
    assert rung.stderr.startswith(f"alarm: The books do not give line {line_id}")


# --- who asks, and what is left as it was --------------------------------------------------------------------------


def test_nothing_is_touched(closed: Path, tmp_path: Path) -> None:
    workspace = copied(closed, tmp_path / "workspace")
    before = bytes_below(workspace)
    for line_id in line_ids(workspace):
        assert tallyhouse("explain", line_id, "--workspace", workspace).exit_code == 0
    assert tallyhouse("preview", "--workspace", workspace).exit_code == 0
    plans = workspace / "catalog" / "plans.yaml"
    assert tallyhouse("what-if", "--plans", plans, "--workspace", workspace).exit_code == 0
    assert bytes_below(workspace) == before


def test_a_line_that_is_not_there_is_refused(closed: Path) -> None:
    refused = tallyhouse("explain", "line_0", "--workspace", closed)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"refused: There is no line 'line_0' in the books of {closed}")


@pytest.mark.parametrize("words", [("explain", "line_0"), ("what-if", "--plans", __file__)])
def test_a_workspace_without_books_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    for workspace, why in ((tmp_path / "nowhere", "There is no workspace at"), (tmp_path, "has no books yet")):
        refused = tallyhouse(*words, "--workspace", workspace)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert why in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def at_work(closed: Path, tmp_path: Path) -> Iterator[Path]:
    """A workspace that a run is at work in."""
    workspace = copied(closed, tmp_path / "workspace")
    with warehouse.only_run(workspace, parse_instant("2026-07-02T00:00:00Z")):
        yield workspace


def test_a_run_at_work_is_not_disturbed(at_work: Path) -> None:
    line_id = the_line(at_work, "overage", "close")
    plans = at_work / "catalog" / "plans.yaml"
    for words in (("explain", line_id), ("what-if", "--plans", plans)):
        refused = tallyhouse(*words, "--workspace", at_work)
        assert refused.exit_code == 1
        assert "is being worked on by the night of 2026-07-02T00:00:00Z" in refused.stderr


def test_a_run_waits_for_whoever_reads(closed: Path, tmp_path: Path) -> None:
    workspace = copied(closed, tmp_path / "workspace")
    lock = workspace / "warehouse" / "run.lock"
    lock.touch()
    with lock.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        leaves = Timer(0.3, lambda: fcntl.flock(reader, fcntl.LOCK_UN))
        leaves.start()
        with warehouse.only_run(workspace, parse_instant("2026-07-02T00:00:00Z")):
            assert not leaves.is_alive()
        leaves.join()


def test_of_two_runs_that_wait_for_a_reader_one_is_refused(closed: Path, tmp_path: Path) -> None:
    """Or it would sit there without a word for as long as the other one works."""
    workspace = copied(closed, tmp_path / "workspace")
    as_of = parse_instant("2026-07-02T00:00:00Z")
    lock = workspace / "warehouse" / "run.lock"
    lock.touch()
    both = Barrier(3)

    def run() -> str | None:
        both.wait()
        try:
            with warehouse.only_run(workspace, as_of):
                both.wait()  # until the other one was refused
        except Refusal as refusal:
            both.wait()
            return str(refusal)
        return None

    with lock.open() as reader, ThreadPoolExecutor(2) as pool:
        fcntl.flock(reader, fcntl.LOCK_SH)
        told = [pool.submit(run), pool.submit(run)]
        both.wait()
        fcntl.flock(reader, fcntl.LOCK_UN)
        both.wait()
        found = sorted(filter(None, (one.result() for one in told)))
    assert len(found) == 1
    assert "is being worked on by" in found[0]  # the other one may not have written down what it is yet


def test_dagster_stays_out_of_it(closed: Path) -> None:
    """These commands answer while a person waits: neither Dagster nor dbt is loaded for them."""
    line_id = the_line(closed, "overage", "close")
    plans = closed / "catalog" / "plans.yaml"
    dbt.compiled_models()
    for words in (["explain", line_id], ["preview"], ["what-if", "--plans", str(plans)]):
        call = (
            "import sys; from orchestration.cli import app\n"
            f"try: app({[*words, '--workspace', str(closed)]!r})\n"
            "except SystemExit as done: assert not done.code, done.code\n"
            "print(sorted(name for name in ('dagster', 'dbt') if name in sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
