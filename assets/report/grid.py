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
from assets.report.svg import Bar

Kind: TypeAlias = Literal["text", "number", "bar", "mono", "long"]


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


Value: TypeAlias = str | Cell | Bar


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
    """A table as explanations have them: numbers with all their digits."""
    columns = [
        Column(f"c{number}", column.title, "number" if column.is_number else "text")
        for number, column in enumerate(table.columns)
    ]

    def row(number: int, cells: Sequence[str], is_total: bool = False) -> Row:
        shown = [
            forms.grouped(cell) if column.is_number else cell for cell, column in zip(cells, table.columns, strict=True)
        ]
        return Row(str(number), shown, is_total)

    body = [row(number, cells) for number, cells in enumerate(table.rows)]
    foot = [row(number, cells, True) for number, cells in enumerate(table.foot, len(body))]
    return Grid(name, columns, [Group("", body)], table.title, foot)


def bars(amounts: Sequence[Decimal], tone: str = "use") -> list[Bar]:
    """Amounts as bars of one scale."""
    most = max((abs(amount) for amount in amounts), default=Decimal())
    return [Bar(Decimal(), amount, most, tone if amount >= 0 else "less") for amount in amounts]
