"""Laws of rating again, on generated workspaces: the books explain themselves, and other plans are another history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assets.core.refusal import Refusal
from assets.whatif import WhatIf, what_if
from orchestration.dbt import compiled_models
from tests import nights
from tests.explaining import explained
from tests.property.generate import Size, generate
from tests.property.seeds import seeds

SMALL = Size(accounts=4, events=60, nights=4, days=60)
PLANS = "catalog/plans.yaml"


@pytest.mark.parametrize("seed", seeds([8]))
def test_history_under_other_plans_is_the_history_played_with_them(seed: int, tmp_path: Path) -> None:
    """plans.yaml changes on the way: had the last one stood from the start, the books would say what the first say."""
    script = generate(seed, tmp_path / "generated", size=SMALL).script
    nights.play(script, tmp_path / "was")
    explained(tmp_path / "was")
    last = [arrival[PLANS] for arrival in script.arrivals if PLANS in arrival][-1]
    arrivals = tuple({**each, PLANS: last} if PLANS in each else each for each in script.arrivals)
    try:
        nights.play(replace(script, arrivals=arrivals), tmp_path / "with")
    except Refusal as refusal:
        pytest.skip(f"the last plans are none for the first nights: {refusal}")
    was, had = (rated(tmp_path / name, tmp_path / "with" / PLANS) for name in ("was", "with"))
    assert [each for each in had.differences if each.minor] == []
    assert {owed(each): each.under_minor for each in was.differences} == {
        owed(each): each.now_minor for each in had.differences
    }


def rated(workspace: Path, plans: Path) -> WhatIf:
    return what_if(workspace, plans, compiled_models(), "period")


def owed(each: object) -> tuple[object, ...]:
    return tuple(getattr(each, name) for name in ("account_id", "subscription_id", "period_start", "currency"))
