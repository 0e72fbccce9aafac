"""A page on a terminal: the same words and columns, with rules and shades."""

from __future__ import annotations

from rich.box import HORIZONTALS
from rich.console import Console, ConsoleDimensions
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text as RichText

from assets.core.page import Code, Page, Table, columns_of


def print_page(page: Page, console: Console) -> None:
    for index, block in enumerate(page):
        if index:
            console.print()
        if isinstance(block, Table):
            if block.title:
                console.print(RichText(block.title, style="bold"), soft_wrap=True)
            table = _table(block)
            # No digit is ever cut: a table wider than the terminal is wrapped by the terminal itself.
            size = console.size
            needed = Measurement.get(console, console.options.update(width=10_000), table).maximum
            console.size = ConsoleDimensions(
                max(size.width, needed), size.height
            )  # both: a dumb terminal asks for both
            console.print(table)
            console.size = size
        else:
            console.print(RichText(block.text, style="cyan" if isinstance(block, Code) else ""), soft_wrap=True)


def _table(block: Table) -> RichTable:
    has_titles = any(column.title for column in block.columns)
    table = RichTable(box=HORIZONTALS, show_edge=False, show_header=has_titles, header_style="dim")
    for column in block.columns:
        table.add_column(column.title, justify="right" if column.is_number else "left", no_wrap=True)
    cells = list(zip(*columns_of(block), strict=True))[1:]
    for row in cells[: len(block.rows)]:
        table.add_row(*map(RichText, row))
    if block.foot:
        table.add_section()
    for row in cells[len(block.rows) :]:
        table.add_row(*map(RichText, row), style="bold")
    return table
