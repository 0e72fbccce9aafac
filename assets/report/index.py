"""The page that leads to all reports: nights, the latest first, with what each billed, and closed months."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import duckdb

from assets.report import forms
from assets.report.grid import Cell, Column, Grid, Group, Row, simple
from assets.report.page import Link, Report, Section
from assets.report.published import nights
from assets.rerate import rows

FILE = "index.html"
DOCS = "../data_docs/index.html"
MOST_NIGHTS = 400


def report(con: duckdb.DuckDBPyConnection, folder: Path) -> Report:
    found = nights(con)
    # A month that was closed in shadow keeps its page when the workspace is live.
    months = sorted(date.fromisoformat(f"{it.stem[-7:]}-01") for it in folder.glob("month-????-??.html"))
    last = found[-1]
    return Report(
        kind="index",
        title="Reports",
        eyebrow=f"As of the night of {forms.instant(last)}",
        links=[Link(DOCS, "What the gate looked at, check by check")] if (folder / DOCS).exists() else [],
        headline=f"{forms.counted(len(found), 'night')} and {forms.counted(len(months), 'closed month')}.",
        sections=[
            section
            for section in (
                Section("months", "Closed months", "", [_months(con, months)]),
                Section("nights", "Nights", "", [_nights(con, folder)]),
            )
            if section.shown
        ],
        closing="The report of an account, to be sent to whoever asks: tallyhouse report account ACCOUNT [PERIOD].",
    )


def _nights(con: duckdb.DuckDBPyConnection, folder: Path) -> Grid:
    found = rows(
        con,
        """
        WITH billed AS (
            SELECT created_as_of, currency, sum(amount_minor)::BIGINT AS total FROM invoice_items GROUP BY ALL
        ), money AS (
            SELECT created_as_of AS as_of, list({'currency': currency, 'total': total} ORDER BY currency) AS billed
            FROM billed GROUP BY created_as_of
        )
        SELECT runs.as_of, billed, (counts ->> 'files')::BIGINT AS files, (counts ->> 'rows')::BIGINT AS rows,
               (counts ->> 'usages')::BIGINT AS usages, (counts ->> 'closed_periods')::BIGINT AS closed,
               (counts ->> 'lines')::BIGINT AS lines, count(*) OVER () AS nights
        FROM runs LEFT JOIN money USING (as_of)
        ORDER BY as_of DESC LIMIT ?""",
        [MOST_NIGHTS],
    )
    body = [
        Row(
            it["as_of"].isoformat(),
            [
                _linked(folder, forms.night_file(it["as_of"]), it["as_of"]),
                *(forms.count(it[name]) if it[name] else Cell("–", tone="dim") for name in ("files", "rows", "usages")),
                *(forms.count(it[name]) if it[name] else Cell("–", tone="dim") for name in ("closed", "lines")),
                _amounts([(each["currency"], each["total"]) for each in it["billed"] or []], bool(it["lines"])),
            ],
        )
        for it in found
    ]
    titles = {"files": "Files", "rows": "Rows", "usages": "Usages", "closed": "Periods closed", "lines": "Lines"}
    columns = [Column("night", "Night", "date"), *(Column(name, title, "number") for name, title in titles.items())]
    rest = found[0]["nights"] - len(found) if found else 0
    more = f"and {forms.count(rest)} more" if rest else ""
    return simple("nights", [*columns, Column("billed", "Billed", "number")], body, more=more)


def _linked(folder: Path, file: str, as_of: datetime) -> Cell:
    return Cell(forms.instant(as_of), href=file if (folder / file).exists() else "")


def _months(con: duckdb.DuckDBPyConnection, months: list[date]) -> Grid:
    found = rows(
        con,
        """
        SELECT month, currency, sum(amount_minor)::BIGINT AS total, count(DISTINCT invoice_items.account_id) AS accounts
        FROM invoice_items JOIN (SELECT subscription_id, period_start, month FROM dated)
            USING (subscription_id, period_start)
        WHERE list_contains(?, month) GROUP BY ALL ORDER BY currency""",
        [months],
    )
    body = []
    for each in reversed(months):
        billed = [(it["currency"], it["total"]) for it in found if it["month"] == each]
        body.append(
            Row(
                each.isoformat(), [Cell(f"{each:%B %Y}", href=forms.month_file(each)), _amounts(billed, is_known=True)]
            ),
        )
    return Grid("months", [Column("month", "Month", "date"), Column("billed", "Billed", "number")], [Group("", body)])


def _amounts(billed: list[tuple[str, int]], is_known: bool = False) -> str | Cell:
    """What was billed; lines that are not in this book are in the one that the workspace had before."""
    if not billed:
        return Cell("in the other book" if is_known else "–", tone="dim")
    return " · ".join(f"{forms.minor(total, currency)} {currency}" for currency, total in billed)
