"""Tables of a report: columns of words and of numbers, groups, totals, and what is not shown counted.

A cell carries its text, as it is read; rows and columns have names, so that whoever doubts a number can find its place
on the page and compare it with the table it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from assets.core.page import Table
from assets.report import forms
from assets.report.svg import Bar, Spark

Kind: TypeAlias = Literal["text", "date", "number", "bar", "mono", "long"]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    note: str = ""  # smaller, below or beside
    href: str = ""
    tone: Literal["", "good", "warn", "bad", "dim"] = ""


Value: TypeAlias = str | Cell | Bar | Spark


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cells: Sequence[Value]
    is_total: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    title: str  # empty: the rows stand by themselves
    rows: Sequence[Row]
    more: str = ""  # what is not shown


@dataclass(frozen=True, slots=True)
class Grid:
    name: str
    columns: Sequence[Column]
    groups: Sequence[Group]
    caption: str = ""
    foot: Sequence[Row] = ()
    is_bridge: bool = False  # a few steps, drawn; two of them fit beside each other

    @property
    def is_empty(self) -> bool:
        return not any(group.rows for group in self.groups)


@dataclass
class Top:
    """The first rows of a long list, and how many more there are."""

    most: int
    rows: list[Row] = field(default_factory=list)
    total: int = 0

    @property
    def more(self) -> str:
        rest = self.total - len(self.rows)
        return f"and {forms.count(rest)} more" if rest > 0 else ""


def simple(name: str, columns: Sequence[Column], rows: Iterable[Row], caption: str = "", more: str = "") -> Grid:
    """One group; rows that are totals become its foot."""
    found = list(rows)
    body = [row for row in found if not row.is_total]
    return Grid(name, columns, [Group("", body, more)], caption, [row for row in found if row.is_total])


def of_table(name: str, table: Table) -> Grid:
    """A table as explanations have them: numbers with all their digits, standing on their points."""
    columns = [
        Column(f"c{number}", column.title[:1].upper() + column.title[1:], "number" if column.is_number else "text")
        for number, column in enumerate(table.columns)
    ]
    lines = [*table.rows, *table.foot]
    by_column = [
        _on_their_points([line[number] for line in lines]) if column.is_number else [line[number] for line in lines]
        for number, column in enumerate(table.columns)
    ]
    found = [
        Row(str(number), cells, is_total=number >= len(table.rows))
        for number, cells in enumerate(zip(*by_column, strict=True))
    ]
    return simple(name, columns, found, table.title)


# As wide as a point and as a digit; browsers keep them at the end of a cell.
_POINT, _DIGIT = "\u2008", "\u2007"


def _on_their_points(cells: Sequence[str]) -> list[str]:
    rests = [cell.partition(".")[2] for cell in cells]
    most = max(map(len, rests), default=0)

    def padded(cell: str, rest: str) -> str:
        missing = _DIGIT * (most - len(rest))
        return forms.grouped(cell) + (missing if rest else (_POINT + missing) * bool(most)) if cell else ""

    return [padded(cell, rest) for cell, rest in zip(cells, rests, strict=True)]


def bars(amounts: Sequence[Decimal], tone: str = "use") -> list[Bar]:
    """Amounts as bars of one scale."""
    most = max((abs(amount) for amount in amounts), default=Decimal())
    return [Bar(Decimal(), amount, most, tone if amount >= 0 else "less") for amount in amounts]
