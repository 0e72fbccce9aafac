"""CSV files of accounts, read row by row with the line that each record begins on."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from assets.core.catalogue.fields import has_control
from assets.core.catalogue.nodes import read_text
from assets.core.catalogue.problems import Problems, listed, shown, suggestion
from assets.core.instants import parse_instant
from assets.core.numbers import MAX_INTEGER_DIGITS, NotExactError, exact, parse_currency

T = TypeVar("T")
C = TypeVar("C", bound=str)


class Table:
    """A CSV file with the columns it must have; iterating gives each record's cells in that order."""

    def __init__(self, file: str, columns: Sequence[str], text: str | None, problems: Problems) -> None:
        self.file = file
        self.columns = columns
        self.problems = problems
        self.line = 0  # of the record in hand
        self.is_whole = text is not None  # False: some rows are not known, so nothing may be called unknown
        self._mistakes_before = 0
        self._reader = csv.reader(io.StringIO(text or "", newline=""), strict=True)
        self._header = self._read_header() if text is not None else None

    @classmethod
    def open(cls, workspace: Path, file: str, columns: Sequence[str], problems: Problems, optional: bool) -> Table:
        if optional and not (workspace / file).exists():
            return cls(file, columns, ",".join(columns) + "\n", problems)
        return cls(file, columns, read_text(workspace, file, problems), problems)

    def _read_header(self) -> list[str] | None:
        expected = ",".join(self.columns)
        try:
            header = [name.strip() for name in next(self._reader)]
        except StopIteration:
            header = []
        except csv.Error as error:
            self._unreadable(1, error)
            return None
        place = f"{self.file} line 1:"
        if not any(header):
            self.problems.add(self.file, "has no header", f"begin it with the line {expected}")
            self.is_whole = False
            return None
        missing = [column for column in self.columns if column not in header]
        extra = [name for name in header if name not in self.columns]
        for column in missing:
            advice = suggestion(column, extra, f"the columns are {expected}")
            self.problems.add(place, f"has no column {column}", advice)
        for name in sorted({name for name in header if name in self.columns and header.count(name) > 1}):
            self.problems.add(place, f"has two columns {name}", "keep one of them")
        if missing or len(header) - len(extra) != len(self.columns):
            self.is_whole = False
            return None
        for name in extra:
            self.problems.warn(place, f"has a column {shown(name)}, which is not read", "leave it, or take it out")
        return header

    def __iter__(self) -> Iterator[list[str]]:
        if self._header is None:
            return
        width = len(self._header)
        in_order = self._header == list(self.columns)
        pick = itemgetter(*map(self._header.index, self.columns))
        previous = self._reader.line_num
        try:
            for cells in self._reader:
                self.line, previous = previous + 1, self._reader.line_num
                self._mistakes_before = len(self.problems)
                if len(cells) == width:
                    yield cells if in_order else list(pick(cells))
                elif cells:
                    advice = "write a cell for each column, and quote a cell that holds a comma"
                    self.add(f"has {len(cells)} cells and the header {width}", advice)
                    self.is_whole = False
        except csv.Error as error:
            self._unreadable(previous + 1, error)

    def _unreadable(self, line: int, error: csv.Error) -> None:
        place = f"{self.file} line {line}:"
        self.problems.add(place, f"is not CSV ({error})", "close the quotes, and double a quote inside a cell")
        self.is_whole = False

    @property
    def is_clean(self) -> bool:
        """Whether the record in hand had no mistake so far."""
        return len(self.problems) == self._mistakes_before

    def add(self, wrong: str, advice: str) -> None:
        self.problems.add(f"{self.file} line {self.line}:", wrong, advice)

    def name(self, column: str, text: str) -> str:
        """An id: anything but nothing and control characters."""
        if not text:
            self.add(f"{column} is empty", "write the id")
        elif has_control(text):
            self.add(f"{column} is {shown(text)}, with a control character", "take it out")
        return text

    def instant(self, column: str, text: str) -> datetime | None:
        return self._parsed(
            column, text, parse_instant, "write a timestamp with an offset such as 2026-05-01T00:00:00Z"
        )

    def instant_or_none(self, column: str, text: str) -> datetime | None:
        return self.instant(column, text) if text else None

    def later(self, column: str, end: datetime | None, start_column: str, start: datetime | None) -> None:
        if end is not None and start is not None and end <= start:
            self.add(f"{column} is not after {start_column}", "swap or mend the two")

    def whole(self, column: str, text: str, least: int | None = None) -> int | None:
        digits = text.strip()
        if (
            digits.removeprefix("-").isascii()
            and digits.removeprefix("-").isdigit()
            and len(digits) <= MAX_INTEGER_DIGITS
        ):
            number = int(digits)
            if least is None or number >= least:
                return number
        bound = "" if least is None else f" of {least} or more"
        self.add(_said(column, text), f"write a whole number{bound}")
        return None

    def number(self, column: str, text: str) -> Decimal | None:
        try:
            return exact(text.strip())
        except NotExactError as error:
            wrong = f"{column} is {shown(text)}, which {error}" if text else f"{column} is empty"
            self.add(wrong, "write a decimal such as 32.50")
            return None

    def choice(self, column: str, text: str, choices: Collection[C]) -> C | None:
        for choice in choices:
            if text == choice:
                return choice
        self.add(_said(column, text), suggestion(text, choices, f"write {listed(choices)}"))
        return None

    def currency(self, column: str, text: str) -> str | None:
        return self._parsed(column, text, parse_currency, "write three letters such as USD")

    def _parsed(self, column: str, text: str, parse: Callable[[str], T], advice: str) -> T | None:
        try:
            return parse(text.strip())
        except ValueError:
            self.add(_said(column, text), advice)
            return None


def _said(column: str, text: str) -> str:
    return f"{column} is {shown(text)}" if text else f"{column} is empty"
