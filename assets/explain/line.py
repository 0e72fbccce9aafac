"""A line as the books keep it, with the lines of its charge around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from assets.core.refusal import Refusal
from assets.rerate import rows


@dataclass(frozen=True, slots=True)
class Line:
    line_id: str
    book: str
    account_id: str
    subscription_id: str
    period_start: datetime
    period_end: datetime
    charge: str
    reason: str
    amount_minor: int
    currency: str
    quantity: Decimal | None
    owed: Decimal | None  # None: credit owes nothing
    grant_id: str | None
    created_as_of: datetime
    state: str

    @property
    def period(self) -> tuple[str, str, datetime]:
        return self.book, self.subscription_id, self.period_start


@dataclass(frozen=True, slots=True)
class Story:
    """A line, and of the same charge the lines made before it and after it in the same night."""

    line: Line
    account_name: str | None
    before: tuple[Line, ...]
    again: tuple[Line, ...]  # a night may be run again after more files have come

    @property
    def billed_before_minor(self) -> int:
        return sum(line.amount_minor for line in self.before)


def find(con: duckdb.DuckDBPyConnection, line_id: str, place: object) -> Story:
    """The line in either book, by its id or the beginning of it; refused unless there is one such line."""
    found = rows(
        con, "FROM warehouse.books.lines WHERE starts_with(line_id, ?) ORDER BY line_id = ? DESC LIMIT 2", [line_id] * 2
    )
    if not found:
        raise Refusal(f"There is no line {line_id!r} in the books of {place}; line ids stand in billing.invoice_items.")
    line = as_line(found[0])
    if len(found) > 1 and line.line_id != line_id:
        raise Refusal(f"More than one line begins with {line_id!r}; give more of its id.")
    same = rows(
        con,
        """FROM warehouse.books.lines
        WHERE (book, subscription_id, period_start) = (?, ?, ?) AND charge = ? ORDER BY line_no""",
        [*line.period, line.charge],
    )
    lines = [as_line(it) for it in same]
    place_of = lines.index(line)
    name = con.execute("SELECT name FROM warehouse.catalog.accounts WHERE account_id = ?", [line.account_id]).fetchone()
    return Story(
        line,
        name[0] if name else None,
        before=tuple(lines[:place_of]),
        again=tuple(it for it in lines[place_of + 1 :] if it.created_as_of == line.created_as_of),
    )


def as_line(row: Mapping[str, Any]) -> Line:
    return Line(**{name: row[name] for name in Line.__dataclass_fields__})


def utc(instant: datetime) -> datetime:
    """Inside the warehouse instants are UTC without a zone."""
    return instant.replace(tzinfo=UTC)


def microseconds(start: datetime, end: datetime) -> int:
    return (end - start) // timedelta(microseconds=1)
