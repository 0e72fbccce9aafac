"""Every golden workspace, night by night: exactly the lines it says, from exactly the arithmetic it says.

Some of them, one for each kind of line, are explained too, line by line; EXPLAIN=all explains them all.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.explaining import explained
from tests.golden.case import GOLDEN, read_cases
from tests.nights import play

CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
EXPLAINED = {
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


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, tmp_path: Path) -> None:
    cases = read_cases(GOLDEN / f"{name}.yaml")
    assert cases, "a file without a case would pass whatever happens"
    for number, case in enumerate(cases):
        differences = case.differences(play(case.script, tmp_path / str(number), is_checked=True))
        assert not differences, "\n".join([case.rule, *differences])
        if name in EXPLAINED or os.environ.get("EXPLAIN") == "all":
            explained(tmp_path / str(number))


def test_each_kind_of_line_is_explained_by_default() -> None:
    assert set(CASES) >= EXPLAINED
