"""Rated part by part, accounts dealt by the hash of their names, a night bills what it bills as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets import verbs, warehouse
from tests import nights
from tests.benchmarks import partitions
from tests.property.generate import Size, generate
from tests.property.seeds import seeds

SMALL = Size(accounts=6, events=80, nights=4, days=60)


@pytest.mark.parametrize("seed", seeds((4,)))
def test_the_union_of_the_parts_is_the_whole(seed: int, tmp_path: Path) -> None:
    script = generate(seed, tmp_path / "generated", size=SMALL).script
    workspace = tmp_path / "workspace"
    for number in range(1, len(script.nights)):
        nights.run_night(workspace, script.before(number, workspace), is_published=False)
    as_of = script.before(len(script.nights), workspace)
    with warehouse.connect(workspace) as con:  # the last night, up to its books
        verbs.take_in(con, workspace, as_of)
        verbs.bring_in(con, workspace, as_of)
        nights.make_models(con)
    parts = list(partitions.rated(workspace, 3))
    assert sum(it.lines for it in parts) > 0, "nothing was billed"
    assert sum(it.usages > 0 for it in parts) > 1, "one part had it all"
    assert partitions.differences(workspace) == dict.fromkeys(partitions.OUTCOME, 0)
