"""Every golden workspace, night by night: exactly the lines it says, from exactly the arithmetic it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.case import GOLDEN, read_cases
from tests.nights import play

CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, tmp_path: Path) -> None:
    cases = read_cases(GOLDEN / f"{name}.yaml")
    assert cases, "a file without a case would pass whatever happens"
    for number, case in enumerate(cases):
        differences = case.differences(play(case.script, tmp_path / str(number), is_checked=True))
        assert not differences, "\n".join([case.rule, *differences])
