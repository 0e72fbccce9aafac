"""Every golden workspace, night by night: exactly the lines it says, from exactly the arithmetic it says.

Some of them, one for each kind of line, are explained too, line by line; EXPLAIN=all explains them all. Some are rated
again under the plans that they have, which moves nothing; RATE=all rates all whose plans stand.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assets.whatif import what_if
from orchestration.dbt import compiled_models
from tests.explaining import explained
from tests.golden.case import GOLDEN, Case, read_cases
from tests.nights import play

PLANS = "catalog/plans.yaml"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
EXPLAINED = {
    "a-grant-raised-later",
    "a-period-that-is-gone-gives-back",
    "baseline-rows-before-bill-from",
    "credits-meet-threshold-and-adjustment",
    "currencies-round-to-what-stripe-takes",
    "graduated-edges",
    "level-under-two-plans-and-before-bill-from",
    "live-book-starts-empty",
    "max-latest-look-at-the-period-alone",
    "minimum-tops-up-and-gives-way",
    "package-edges-with-free-units",
    "percentage-free-units-and-fixed",
    "percentage-with-min-and-max-per-event",
    "plan-switch-with-metered-charges",
    "pooled-under-one-plan-metered-under-the-other",
    "refresh-seats-change-mid-window",
    "thirds-add-up",
    "threshold-then-negative-correction",
    "unique-count-of-a-context-key",
    "volume-tiers-edges",
}
RATED = {
    "a-period-that-is-gone-gives-back",
    "credits-meet-threshold-and-adjustment",
    "currencies-round-to-what-stripe-takes",
    "default-plan-calendar-months",
    "expired-after-the-late-window",
    "late-adjustments-both-signs",
    "level-change-that-lands-late",
    "live-book-starts-empty",
    "minimum-tops-up-and-gives-way",
    "thirds-add-up",
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, tmp_path: Path) -> None:
    cases = read_cases(GOLDEN / f"{name}.yaml")
    assert cases, "a file without a case would pass whatever happens"
    is_explained = name in EXPLAINED or os.environ.get("EXPLAIN") == "all"
    is_rated = name in RATED or os.environ.get("RATE") == "all"
    for number, case in enumerate(cases):
        workspace = tmp_path / str(number)
        # An explanation's query is run on the published file; nobody else opens it here.
        tables = play(case.script, workspace, is_checked=True, is_published=is_explained)
        differences = case.differences(tables)
        assert not differences, "\n".join([case.rule, *differences])
        if is_explained:
            explained(workspace)
        if is_rated and plans_stand(case):
            nothing_moves(workspace)


def plans_stand(case: Case) -> bool:
    told = [files[PLANS] for files in case.script.arrivals if PLANS in files]
    return all(each == told[0] for each in told)


def nothing_moves(workspace: Path) -> None:
    """The whole history under the plans that are."""
    found = what_if(workspace, workspace / "catalog" / "plans.yaml", compiled_models(), "period")
    assert found.differences, "no period, no proof"
    assert [each for each in found.differences if each.minor] == []


def test_what_is_looked_at_more_closely_is_there() -> None:
    assert set(CASES) >= EXPLAINED | RATED
