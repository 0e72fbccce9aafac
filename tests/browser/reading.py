"""Numbers as they stand on a page, for comparing with the tables they come from."""

from __future__ import annotations

from decimal import Decimal

from playwright.sync_api import Page

Cells = dict[str, str]

# One call for a whole table: the rows by their names, the cells of each by theirs; a cell's small print is left out.
_TABLE = """(name) => Object.fromEntries(
  [...document.querySelectorAll(`table[data-table="${name}"] tr[data-row]`)].map(row => [
    row.dataset.row,
    Object.fromEntries([...row.querySelectorAll("[data-cell]")].map(cell => {
      const shown = cell.cloneNode(true);
      shown.querySelectorAll("small").forEach(note => note.remove());
      return [cell.dataset.cell, shown.textContent.trim()];
    })),
  ]))"""


def table(page: Page, name: str) -> dict[str, Cells]:
    found: dict[str, Cells] = page.evaluate(_TABLE, name)
    return found


def number(text: str) -> Decimal:
    """A dash stands for nothing."""
    return Decimal(0) if text == "–" else Decimal(text.replace(",", "").replace("−", "-").replace("+", ""))


def numbers(page: Page, name: str, *columns: str) -> dict[str, tuple[Decimal, ...]]:
    """The rows of a table that are no totals, as numbers of these columns."""
    return {
        row: tuple(number(cells[column]) for column in columns)
        for row, cells in table(page, name).items()
        if row and not row.endswith("|")
    }


def totals(page: Page, name: str, column: str) -> dict[str, Decimal]:
    """The totals of a table by currency."""
    rows = table(page, name)
    return {row.rstrip("|"): number(cells[column]) for row, cells in rows.items() if row.endswith("|")}
