"""Explain a line: its arithmetic, reckoned anew from the ledger of its night, and the rows behind it.

The explanation is a proof as well. What the models make of the ledger today is held against what the line was made
from; where the two differ, something has changed that never may, and that is an alarm and no explanation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import duckdb

from assets import warehouse
from assets.core.numbers import less
from assets.core.page import billed, from_minor, plain
from assets.core.refusal import Refusal
from assets.explain.line import Line, Story, find
from assets.explain.metered import Metered, metered
from assets.explain.other import Credit, Minimum, Vanished, credit, minimum
from assets.explain.overage import Overage, overage
from assets.explain.raw_rows import RawRows, meant_by, raw_rows
from assets.explain.reckoning import go_back
from assets.rerate import Models

Facts: TypeAlias = Overage | Metered | Minimum | Vanished | Credit


KEEP = "Keep the workspace as it is, and compare it with a backup."
# The ledger says which night a row came in, not which run of it.
GREW = f"If that night was run again after more files had come, its ledger has grown since. If not: {KEEP}"


class Alarm(Refusal):
    """The books do not hold together; nobody's mistake in a file."""

    kind = "alarm"


@dataclass(frozen=True, slots=True)
class Explanation:
    story: Story
    facts: Facts
    owed_minor: int  # what the charge owed that night, rounded; of credit, the line itself
    raw: RawRows | None
    disagreements: tuple[str, ...]

    @property
    def line(self) -> Line:
        return self.story.line

    @property
    def owed(self) -> Decimal | None:
        return None if isinstance(self.facts, Credit) else self.facts.owed

    @property
    def residue(self) -> Decimal:
        """What the rounding leaves: not billed, and not lost, as the next line starts from what is owed."""
        return less(self.owed or Decimal(), from_minor(self.owed_minor, self.line.currency))

    def check(self) -> None:
        """Raise the alarm where the ledger does not give the line."""
        if self.disagreements:
            line = self.line
            raise Alarm(
                f"The books do not give line {line.line_id} ({line.charge} of {line.subscription_id}): "
                f"{'; '.join(self.disagreements)}. {GREW}"
            )


def explain(workspace: Path, line_id: str, models: Models) -> Explanation:
    """The arithmetic of a line of either book."""
    with warehouse.beside(workspace) as con:
        story = find(con, line_id, workspace)
        line = story.line
        if line.grant_id is not None or line.charge.startswith("credit:"):
            return _explained(story, credit(con, line), line.amount_minor, None)
        if line.reason == "adjustment" and not _is_closed(con, line):
            return _explained(story, Vanished(), 0, None)
        go_back(con, models, line)
        charge = con.execute(
            "SELECT owed_minor FROM night.int_charges__owed WHERE charge = ?", [line.charge]
        ).fetchone()
        facts = facts_of(con, line)
        raw = None if isinstance(facts, Minimum | Vanished) else raw_rows(con, workspace, story, meant_by(facts))
        return _explained(story, facts, charge[0] if charge else 0, raw)


def facts_of(con: duckdb.DuckDBPyConnection, line: Line) -> Overage | Metered | Minimum | Vanished:
    """What the models have just reckoned for the charge of a line."""
    if line.charge == "overage":
        return overage(con, line)
    if line.charge == "minimum":
        return minimum(con, line)
    found = metered(con, line)
    if found is None:
        raise Alarm(
            f"The books do not give line {line.line_id}: their price lists no longer charge {line.charge}. {KEEP}"
        )
    return found


def _is_closed(con: duckdb.DuckDBPyConnection, line: Line) -> bool:
    closed = "(book, subscription_id, period_start) = (?, ?, ?) AND closed_at <= ?"
    found = con.execute(f"FROM warehouse.books.closes WHERE {closed}", [*line.period, line.created_as_of]).fetchone()
    return found is not None


def _explained(story: Story, facts: Facts, owed_minor: int, raw: RawRows | None) -> Explanation:
    return Explanation(story, facts, owed_minor, raw, tuple(_disagreements(story, facts, owed_minor)))


def _disagreements(story: Story, facts: Facts, owed_minor: int) -> Iterator[str]:
    """What of the line the ledger of its night does not give."""
    line = story.line
    yield from facts.disagreements()
    if isinstance(facts, Credit):
        if line.amount_minor != -facts.used_minor:
            yield f"the line is {_minor(line, line.amount_minor)}, the grant's use {_minor(line, -facts.used_minor)}"
        return
    # Where the night was run again with more files, its ledger gives what its last line was made from.
    last = story.again[-1] if story.again else line
    if last.owed != facts.owed:
        yield f"the ledger gives {plain(facts.owed)} owed, the line was made from {plain(last.owed or 0)}"
    if isinstance(facts, Metered) and last.quantity != facts.quantity:
        yield f"the ledger counts {plain(facts.quantity)}, the line was made from {plain(last.quantity or 0)}"
    billed_minor = story.billed_before_minor + sum(it.amount_minor for it in (line, *story.again))
    if billed_minor != owed_minor:
        yield f"{_minor(line, owed_minor)} is owed, and the lines up to this one come to {_minor(line, billed_minor)}"


def _minor(line: Line, minor: int) -> str:
    return f"{billed(minor, line.currency)} {line.currency}"
