"""`tallyhouse preview`: what the open periods owe so far, from what the last night published."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from assets import warehouse
from assets.core.instants import parse_instant
from orchestration.cli import app
from tests import nights
from tests.golden.case import read_cases
from tests.pipeline.places import case, copied

pytestmark = pytest.mark.xdist_group("preview")  # its workspaces are made once


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYHOUSE_WORKSPACE", raising=False)


def tallyhouse(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


STORY = """
case: story
# a1: 45 less 0.50 and 30 is 14.50, billed by the threshold; a day later 0.625 more, and 10 units.  a2: 3 units
workspace: {close_grace: 2h}
accounts: |
  a1,organization,A,USD,cus_1
  a2,organization,B,JPY,cus_2
  a3,user,C,USD,cus_3
subscriptions: |
  s1,a1,pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,
  s2,a2,yen,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,
  s3,a3,pro,1,month,2026-04-01T00:00:00Z,2026-04-01T00:00:00Z,2026-05-01T00:00:00Z
plans:
  pro:
    priority: 10
    versions:
      - from: 2026-01-01T00:00:00Z
        included: 30
        daily_refresh: {basis: 50, rate: 0.01}
        threshold: 5
        charges: [{meter: money, pooled: true}, {meter: units, model: per_unit, price: 0.333}]
  yen:
    priority: 10
    versions:
      - from: 2026-01-01T00:00:00Z
        minimum: 500
        charges: [{meter: units, model: per_unit, price: 1.5}]
usage:
  ev/1.ndjson: |
    e1 2026-05-02T00:00:00Z money 45 a1
    e2 2026-05-02T00:00:00Z units 3 a2
  ev/2.ndjson: |
    e3 2026-05-03T00:00:00Z money 1.125 a1
    e4 2026-05-03T00:00:00Z units 10 a1
lands: {ev/2.ndjson: 2026-05-04T00:00:00Z}
nights: [2026-05-03T00:00:00Z, 2026-05-04T00:00:00Z]
"""
# One for each currency; a line of the page is longer than one of this file.
TABLES = {
    "JPY: owed so far": [
        "account subscription from until usage refresh included overage metered owed billed unbilled",
        "a2 s2 2026-05-01T00:00:00Z 2026-06-01T00:00:00Z 0 0 0 0 4.5 4.5 0 4.5",
        "total 0 0 0 4.5 4.5 0 4.5",
    ],
    "USD: owed so far": [
        "account subscription from until usage refresh included overage metered owed billed unbilled to threshold",
        "a1 s1 2026-05-01T00:00:00Z 2026-06-01T00:00:00Z 46.125 1.00 30.00 15.125 3.33 18.455 14.50 3.955 4.375",
        "total 46.125 1.00 15.125 3.33 18.455 14.50 3.955",
    ],
}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("story")
    (folder / "case.yaml").write_text(STORY)
    (found,) = read_cases(folder / "case.yaml")
    nights.play(found.script, folder / "workspace")
    return folder / "workspace"


def test_the_page(story: Path) -> None:
    done = tallyhouse("preview", "--workspace", story)
    assert (done.exit_code, done.stderr) == (0, "")
    opening, *tables, minimum = done.stdout.split("\n\n")
    assert opening == "2 open periods, as of the night of 2026-05-04T00:00:00Z."
    found = {}
    for table in tables:
        title, head, _, *rows, _, foot = table.splitlines()
        found[title] = [" ".join(line.split()) for line in (head, *rows, foot)]
    assert found == TABLES
    assert minimum == "At its close s2 owes at least 500 JPY, the minimum of plan yen.\n"


def test_one_account_in_json(story: Path) -> None:
    done = tallyhouse("preview", "a1", "--workspace", story, "--json")
    period, preview = [json.loads(line) for line in done.stdout.splitlines()]
    published = next(row for row in nights.published(story)["periods"] if row["subscription_id"] == "s1")
    assert (period["account_id"], Decimal(period["owed"])) == ("a1", published["owed"])
    assert Decimal(period["unbilled"]) == published["owed"] - Decimal("14.50")
    assert Decimal(period["to_threshold"]) == Decimal(5) - (published["overage"] - Decimal("14.50"))
    assert preview["totals"] == [
        {"currency": "USD", "periods": 1, "owed": "18.455", "billed_minor": 1450, "unbilled": "3.955"}
    ]


def test_nothing_open_is_said(story: Path) -> None:
    done = tallyhouse("preview", "a3", "--workspace", story)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "No period of a3 was open on the night of 2026-05-04T00:00:00Z.\n"


def test_an_account_nobody_knows_is_refused(story: Path) -> None:
    refused = tallyhouse("preview", "a11", "--workspace", story)
    assert refused.exit_code == 1
    assert refused.stderr == ("refused: No period and no usage of an account 'a11' is published; did you mean 'a1'?\n")


def test_nothing_published_is_refused(tmp_path: Path) -> None:
    case().script.before(1, tmp_path)
    refused = tallyhouse("preview", "--workspace", tmp_path)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("refused: Nothing is published in ")


def test_a_night_at_work_is_not_waited_for(story: Path, tmp_path: Path) -> None:
    workspace = copied(story, tmp_path / "workspace")
    with warehouse.only_run(workspace, parse_instant("2026-05-05T00:00:00Z")):
        done = tallyhouse("preview", "--workspace", workspace)
    assert done.exit_code == 0
    assert "18.455" in done.stdout
    assert done.stdout == tallyhouse("preview", "--workspace", story).stdout
