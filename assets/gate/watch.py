"""The gate's own work: tonight's figures laid out, every check asked, the answers recorded and judged."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from assets import warehouse
from assets.core.catalogue.problems import Problems
from assets.core.catalogue.read_checks import read_checks
from assets.core.refusal import Refusal
from assets.gate import docs, expectations, sheet
from assets.gate.judge import Judged, judge, nights_known
from assets.gate.tables import lay_out


def watch(workspace: Path, as_of: datetime) -> Judged:
    """Ask every check of the workspace; nobody may hold the warehouse open."""
    problems = Problems()
    checks, _ = read_checks(workspace, problems)
    if problems.mistakes:
        raise Refusal(problems)
    with warehouse.connect(workspace) as con:
        nights = nights_known(con, as_of)
        lay_out(con)
    found = expectations.run(workspace, checks, nights, as_of, docs.fresh(workspace))
    docs.dress(workspace)
    with warehouse.connect(workspace) as con:
        judged = judge(con, as_of, found, is_first=False, report=docs.REPORT)
        sheet.put(con, judged, workspace)
        return judged
