"""Facts as people read them: numbers whole and without noise, money with its cents, columns that stand on their points.

Nothing here is rounded. A number without an end is cut where the night cuts it, after 18 digits, and says so by an
ellipsis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from assets.core import tariff
from assets.core.numbers import minor_step


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """To be copied as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Column:
    title: str = ""
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[str]]
    foot: Sequence[Sequence[str]] = ()


Block: TypeAlias = Text | Code | Table
Page: TypeAlias = list[Block]


def words(title: str) -> Column:
    return Column(title)


def number(title: str) -> Column:
    return Column(title, is_number=True)


def plain(value: Decimal | int, least: int = 0) -> str:
    """Every digit there is, and no zeros at the end beyond `least` decimals."""
    whole, _, rest = f"{value or 0:f}".partition(".")
    rest = rest.rstrip("0").ljust(least, "0")
    return f"{whole}.{rest}" if rest else whole


def exactly(value: Fraction, least: int = 0) -> str:
    """A fraction in decimals; one without an end, or of more than 18 of them, ends in an ellipsis."""
    shown = tariff.money(value)
    return plain(shown, least) + ("" if Fraction(shown) == value else "…")


def decimals(currency: str) -> int:
    """How many decimals an amount that can be billed has."""
    exponent, step = minor_step(currency)
    return exponent - len(str(step)) + 1


def money(amount: Decimal, currency: str) -> str:
    return plain(amount, decimals(currency))


def from_minor(minor: int, currency: str) -> Decimal:
    exponent, _ = minor_step(currency)
    return Decimal((int(minor < 0), tuple(map(int, str(abs(minor)))), -exponent))


def billed(minor: int, currency: str) -> str:
    return money(from_minor(minor, currency), currency)


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def aligned(cells: Iterable[str]) -> list[str]:
    """Numbers under each other by their decimal points."""
    parts = [cell.partition(".") for cell in cells]
    left = max((len(whole) for whole, _, _ in parts), default=0)
    right = max((len(point + rest) for _, point, rest in parts), default=0)
    return [whole.rjust(left) + (point + rest).ljust(right) for whole, point, rest in parts]


def columns_of(table: Table) -> list[list[str]]:
    """Column by column the cells, title first, foot last, padded to one width."""
    found = []
    for index, column in enumerate(table.columns):
        cells = [row[index] for row in (*table.rows, *table.foot)]
        if column.is_number:
            cells = aligned(cells)
        width = max(len(column.title), *map(len, cells)) if cells else len(column.title)
        found.append([cell.rjust(width) if column.is_number else cell.ljust(width) for cell in (column.title, *cells)])
    return found


def lines_of(page: Page) -> Iterator[str]:
    """The page as plain text."""
    for index, block in enumerate(page):
        if index:
            yield ""
        if isinstance(block, Table):
            yield from _table_lines(block)
        else:
            yield from block.text.splitlines()


def _table_lines(table: Table) -> Iterator[str]:
    if table.title:
        yield table.title
    columns = columns_of(table)
    rule = "  " + "  ".join("-" * len(cells[0]) for cells in columns)
    body = 1 + len(table.rows)
    for number_, row in enumerate(zip(*columns, strict=True)):
        if number_ == 0 and not any(column.title for column in table.columns):
            continue
        if number_ == body:
            yield rule
        yield ("  " + "  ".join(row)).rstrip()
        if number_ == 0:
            yield rule
