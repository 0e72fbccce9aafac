"""Explanations held against what they explain: the line in the books, and the rows that their query finds."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb

from assets.core.page import lines_of
from assets.explain import Explanation, explain
from assets.explain import words as explain_words
from assets.explain.metered import Metered
from assets.explain.overage import Overage
from assets.reader import PUBLISHED
from orchestration.dbt import compiled_models

TWELFTH = Fraction(1, 10**12)  # to which readers see amounts


def line_ids(workspace: Path) -> list[str]:
    with duckdb.connect(str(workspace / "warehouse" / "tallyhouse.duckdb"), read_only=True) as con:
        found = con.execute(
            "SELECT line_id FROM books.lines ORDER BY created_as_of, subscription_id, charge"
        ).fetchall()
    return [line_id for (line_id,) in found]


def explained(workspace: Path) -> list[Explanation]:
    """Every line of the books, explained; each asserted to be what the ledger gives, and shown by its own rows."""
    found = [explain(workspace, line_id, compiled_models()) for line_id in line_ids(workspace)]
    for each in found:
        assert each.disagreements == (), each.line
        last = each.story.again[-1] if each.story.again else each.line  # a night run again with more files
        assert each.owed == last.owed, each.line
        assert explain_words.facts(each)["agrees"]
        text = "\n".join(lines_of(explain_words.page(each)))
        assert "comes out exactly" in text or "give this line exactly" in text
        if each.raw is not None:
            _rows_are_behind(workspace, each)
    return found


def queried(workspace: Path, sql: str) -> list[dict[str, Any]]:
    """What the query finds, run as it is printed, by any DuckDB on the published file."""
    with duckdb.connect(str(workspace / PUBLISHED), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        found = con.execute(sql)
        columns = [column[0] for column in found.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]


def _rows_are_behind(workspace: Path, each: Explanation) -> None:
    raw, facts = each.raw, each.facts
    assert raw is not None
    assert (raw.sql is None) == (raw.count == 0), each.line
    rows = queried(workspace, raw.sql) if raw.sql else []
    assert len(rows) == raw.count
    if isinstance(facts, Overage):
        assert Counter(row["meter"] for row in rows) == _counts(facts)
        if not raw.is_priced_anew:
            amount = sum((Fraction(row["amount"]) for row in rows), Fraction())
            assert abs(amount - sum(it.amount for it in facts.pooled)) <= TWELFTH * max(len(rows), 1)
    elif isinstance(facts, Metered):
        assert {row["meter"] for row in rows} <= {facts.meter}
        assert len(rows) == facts.rows
        total = _aggregate(facts, rows)
        assert total is None or abs(total - facts.aggregated) <= (
            TWELFTH * len(rows) if facts.aggregate == "cost" else 0
        )


def _counts(facts: Overage) -> Counter[str]:
    counts: Counter[str] = Counter()
    for it in facts.pooled:
        counts[it.meter] += it.rows
    return counts


def _aggregate(facts: Metered, rows: list[dict[str, Any]]) -> Fraction | None:
    """The aggregate taken once more, from the rows alone; None where it takes more than their columns."""
    quantities = [Fraction(row["quantity"] if row["quantity"] is not None else Decimal(0)) for row in rows]
    if facts.aggregate == "cost":
        return sum((Fraction(row["amount"]) for row in rows), Fraction())
    if facts.aggregate == "sum":
        return sum(quantities, Fraction())
    if facts.aggregate == "count":
        return Fraction(len(rows))
    if facts.aggregate == "max":
        return max(quantities, default=Fraction())
    if facts.aggregate == "unique_count" and facts.of_field == "actor":
        return Fraction(len({row["actor"] for row in rows if row["actor"] is not None}))
    return None
