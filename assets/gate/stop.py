"""A night that the gate stops, with an account that explains itself."""

from __future__ import annotations

from pathlib import Path

import duckdb

from assets.core.page import Page, lines_of
from assets.core.refusal import Refusal
from assets.gate import docs, sheet, words
from assets.gate.judge import Judged, rows_of


class Stopped(Refusal):
    """Checks failed, so nothing was posted, published or pushed; `page` says all of it."""

    kind = "gate"

    def __init__(self, judged: Judged, page: Page) -> None:
        super().__init__("\n".join(lines_of(page)))
        self.judged = judged
        self.page = page

    @property
    def facts(self) -> dict[str, object]:
        return words.facts(self.judged)


def refuse_stopped(con: duckdb.DuckDBPyConnection, judged: Judged, workspace: Path) -> None:
    """Raise where a rule of the models stops the night, before any suite was asked; its page takes their place."""
    if judged.is_stopped:
        docs.fresh(workspace)
        sheet.put(con, judged, workspace)
        raise Stopped(judged, account(con, judged, workspace))


def account(con: duckdb.DuckDBPyConnection, judged: Judged, workspace: Path) -> Page:
    return words.page(judged, lambda check, most: rows_of(con, judged.as_of, check, most), workspace)
