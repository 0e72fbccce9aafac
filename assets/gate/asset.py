"""The gate as a Dagster asset: it stands before the books, and lets a night pass or stops it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from assets import shown
from assets.core.catalogue.problems import Problems
from assets.core.catalogue.read_checks import read_checks
from assets.core.catalogue.shipped_checks import shipped
from assets.core.page import lines_of
from assets.gate import words
from assets.gate.judge import Judged
from assets.gate.stop import Stopped, account
from assets.gate.watch import watch
from assets.night import Night
from assets.progress import tell

OWN = "own_checks_pass"  # what a workspace adds, Dagster can't know before it runs


def blocking(workspace: Path) -> frozenset[str]:
    """The checks that stop a night of this workspace; as they come, where its catalog/checks.yaml is in disorder."""
    problems = Problems()
    checks, _ = read_checks(workspace, problems)
    if problems.mistakes:
        checks = tuple(shipped().values())
    return frozenset(OWN if check.suite == "own" else check.name for check in checks if check.severity == "block")


def gate_specs(stops: frozenset[str] | None = None) -> list[dg.AssetCheckSpec]:
    """The checks as Dagster shows them: those that stop a night as blocking, though `gate` itself says why before."""
    known = shipped()
    about = {name: check.about for name, check in known.items()}
    about[OWN] = "The checks that the workspace adds in catalog/checks.yaml."
    if stops is None:  # nobody says of which workspace
        stops = frozenset(name for name, check in known.items() if check.severity == "block")
    return [dg.AssetCheckSpec(name, asset="gate", description=about[name], blocking=name in stops) for name in about]


def gate(night: Night) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Tonight held against what is usual and against itself: what came in, and what would be billed."""
    judged = watch(night.root, night.clock)
    noted = judged.of("warns", "stops", "accepted")
    with night.connect() as con:
        page = account(con, judged, night.root)
        rows = {check["check_name"]: shown.check_rows(con, night.clock, check["check_name"]) for check in noted}
    for check in judged.of("warns", "accepted"):
        if check["suite"] != "models":  # those were told when the models were built
            tell("warning", words.sentence(check), check=check["check_name"], verdict=check["verdict"])
    yield dg.MaterializeResult(
        metadata={
            "verdict": judged.verdict,
            "lines": judged.lines,
            "account": dg.MetadataValue.md("```\n" + "\n".join(lines_of(page)) + "\n```"),
            "report": dg.MetadataValue.path(str(night.root / (judged.report or ""))),
        }
    )
    yield from _results(judged, rows)
    if judged.is_stopped:
        raise Stopped(judged, page)
    tell("gate", words.opening(judged), **words.facts(judged))


def _results(judged: Judged, rows: dict[str, str | None]) -> Iterator[dg.AssetCheckResult]:
    known = shipped()
    for check in judged.checks:
        if check["check_name"] in known:
            yield _result(check["check_name"], [check], rows)
    yield _result(OWN, [check for check in judged.checks if check["suite"] == "own"], rows)


def _result(name: str, checks: list[dict[str, Any]], rows: dict[str, str | None]) -> dg.AssetCheckResult:
    noted = [check for check in checks if check["verdict"] != "passes"]
    is_stop = any(check["verdict"] == "stops" for check in noted)
    said = [words.sentence(check) for check in noted]
    said += [f"{check['check_name']} is off: {check['because']}" for check in checks if check["outcome"] == "off"]
    said += [check["detail"] for check in checks if check["outcome"] == "waiting"]
    return dg.AssetCheckResult(
        check_name=name,
        passed=not noted,
        severity=dg.AssetCheckSeverity.ERROR if is_stop else dg.AssetCheckSeverity.WARN,
        description="; ".join(said) or None,
        metadata={
            "rows_found": sum(check["rows_found"] for check in checks),
            **{check["check_name"]: dg.MetadataValue.md(rows[check["check_name"]] or "none") for check in noted},
        },
    )
