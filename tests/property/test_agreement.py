"""Two readings of one specification agree on random workspaces: the night's SQL and the reference's fractions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import nights
from tests.property.generate import Size, generate
from tests.property.seeds import seeds
from tests.reference.agreement import disagreements
from tests.reference.night import Reference

SMALL = Size(accounts=4, events=60, nights=4, days=60)


@pytest.mark.parametrize("seed", seeds(range(3, 7)))
def test_the_night_and_the_reference_agree(seed: int, tmp_path: Path) -> None:
    script = generate(seed, tmp_path / "generated", size=SMALL).script
    workspace = tmp_path / "workspace"
    reference = Reference(workspace)
    for number in range(1, len(script.nights) + 1):
        as_of = script.before(number, workspace)
        nights.run_night(workspace, as_of, is_published=number == len(script.nights), is_checked=True)
        reference.run(as_of)
    found = disagreements(vars(reference.tables), nights.published(workspace))
    assert not found, "\n".join([f"seed {seed} of {SMALL}; SEEDS={seed}-{seed} plays it alone", *found])
