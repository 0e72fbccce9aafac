"""Letting one night pass a check: decided by a person, recorded with the reason, over with that night."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import duckdb

from assets import warehouse
from assets.books import Decision, record
from assets.core.catalogue.problems import listed, suggestion
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.gate.judge import ACCEPT, Judged, look_again
from assets.gate.words import is_acceptable


def accept(workspace: Path, check: str, because: str) -> tuple[Judged, bool]:
    """Accept what the check found in the night that was stopped; false where it is accepted already."""
    with warehouse.peek(workspace) as con:
        judged = look_again(con) if con else None
    if judged is None:
        raise Refusal(f"The gate has not judged a night of {workspace} yet, or a run is at work there.")
    _refuse(judged, check)
    with warehouse.only_run(workspace, judged.as_of), warehouse.connect(workspace) as con:
        if _is_accepted(con, judged, check):
            return judged, False
        found = next(one for one in judged.checks if one["check_name"] == check)
        detail = {key: found[key] for key in ("kind", "severity", "rows_found", "at_stake")}
        record(con, Decision(ACCEPT, check, because, judged.as_of, detail))
    return judged, True


def _refuse(judged: Judged, check: str) -> None:
    night = f"the night of {format_instant(judged.as_of)}"
    stops = {one["check_name"]: one for one in judged.of("stops")}
    known = {one["check_name"]: one for one in judged.checks}
    if check not in known:
        advice = f"what stopped it is {listed(list(stops), 'and')}" if stops else "nothing stopped it"
        raise Refusal(f"There is no check {check} in {night}; {suggestion(check, list(known), advice + '.')}")
    if check not in stops:
        verdict = {
            "accepted": f"{check} is accepted for {night} already",
            "warns": f"{check} only warned of something in {night}",
        }.get(known[check]["verdict"], f"{check} found nothing in {night}")
        raise Refusal(f"{verdict}; there is nothing to accept.")
    if not is_acceptable(stops[check]):
        why = (
            "watches the arithmetic itself, and always blocks: mend what is wrong and run the night again"
            if stops[check]["kind"] == "structure"
            else "could not be run, so nobody knows what it is about: mend it in catalog/checks.yaml, or turn it off"
        )
        raise Refusal(f"{check} {why}.")


def _is_accepted(con: duckdb.DuckDBPyConnection, judged: Judged, check: str) -> bool:
    at = judged.as_of.astimezone(UTC).replace(tzinfo=None)
    found = con.execute(
        "SELECT 1 FROM books.decisions WHERE (decision, subject, as_of) = (?, ?, ?)", [ACCEPT, check, at]
    )
    return found.fetchone() is not None
