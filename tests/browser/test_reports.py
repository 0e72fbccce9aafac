"""Reports in a real browser: every number is the table's, nothing is fetched, and any screen or paper will do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Page

from assets import report
from assets.core.instants import parse_instant
from tests.browser import reading
from tests.browser.conftest import Look
from tests.demo import CORRECTED, as_of_night, played

pytestmark = pytest.mark.xdist_group("browser")  # with the one Chromium

# Closes with credits, a threshold, held rows; corrections of a closed month; closes again, the last night.
NIGHTS = ["2026-06-01T01:00:00Z", "2026-06-10T01:00:00Z", "2026-07-01T01:00:00Z"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(tmp_path_factory)


@contextmanager
def tables(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(workspace / "published" / "tallyhouse.duckdb"), read_only=True) as opened:
        opened.execute("SET TimeZone = 'UTC'; USE billing")
        yield opened


Numbers = dict[str, tuple[Decimal, ...]]


def asked(con: duckdb.DuckDBPyConnection, query: str, *values: Any) -> Numbers:
    """A query's rows by their first column; DuckDB rounds decimals half away from zero, as pages do."""
    return {
        str(name): tuple(Decimal(value or 0) for value in rest)
        for name, *rest in con.execute(query, list(values)).fetchall()
    }


def major(minor: str, currency: str = "currency") -> str:
    """The demo's currencies: yen have no decimals, the others two."""
    return f"if({currency} = 'JPY', {minor}, ({minor}) / 100)::DECIMAL(38, 2)"


LINES = f"""
    SELECT currency || '|' || CASE WHEN charge LIKE 'credit:%' THEN 'credit' WHEN charge LIKE 'metered:%'
           THEN split_part(charge, ':', 3) ELSE charge END, count(*), {major("sum(amount_minor)")},
           {major("coalesce(sum(amount_minor) FILTER (reason = 'close'), 0)")}
    FROM invoice_items WHERE $where GROUP BY currency, 1 ORDER BY 1"""
CLOSED = f"""
    SELECT subscription_id || '|' || strftime(period_start, '%Y-%m-%dT%H:%M:%S+00:00'), round(usage, 2),
           round(refresh, 2), round(overage, 2), round(metered, 2), round(owed, 2), {major("billed_minor")}
    FROM periods WHERE $where ORDER BY 1"""
METERS = """
    SELECT coalesce(currency, '') || '|' || meter, count(*), round(sum(amount), 2)
    FROM (SELECT meter, amount, if(amount IS NULL, NULL, currency) AS currency FROM ledger
          WHERE $where AND (state = 'billable' OR counted_in_baseline))
    GROUP BY currency, meter ORDER BY 1"""
NEAR = f"""
    SELECT subscription_id || '|' || strftime(period_start, '%Y-%m-%dT%H:%M:%S+00:00'),
           round(charges.owed - {major("charges.billed_minor")}, 2), threshold
    FROM charges JOIN periods USING (subscription_id, period_start)
    WHERE charge = 'overage' AND state = 'open' AND charges.owed > {major("charges.billed_minor")} AND threshold > 0"""
OF_MAY = """(subscription_id, period_start) IN (
    SELECT (subscription_id, period_start) FROM periods JOIN accounts USING (account_id)
    WHERE state = 'closed' AND strftime(timezone(timezone, period_end) - INTERVAL 1 second, '%Y-%m') = '2026-05')"""


def shows_the_money(page: Page, con: duckdb.DuckDBPyConnection, made: str, closed: str, used: str) -> None:
    """Lines, periods and meters of a page, each number as DuckDB reckons it from the tables."""

    def compared(name: str, query: str, where: str, *columns: str) -> Numbers:
        wanted = asked(con, query.replace("$where", where))
        assert wanted
        assert reading.numbers(page, name, *columns) == wanted, name
        return wanted

    lines = compared("lines", LINES, made, "lines", "total", "close")
    sums: dict[str, Decimal] = {}
    for row, (_, total, _) in lines.items():
        sums[row[:3]] = sums.get(row[:3], Decimal()) + total
    assert reading.totals(page, "lines", "total") == sums
    figures = ("usage", "refresh", "overage", "metered", "owed", "billed")
    periods = asked(con, CLOSED.replace("$where", closed))
    shown = reading.numbers(page, "closed", *figures)
    assert shown.items() <= periods.items()
    rest = len(periods) - len(shown)
    assert shown
    assert page.locator('[data-table="closed"] .more').all_inner_texts() == ([f"and {rest} more"] if rest else [])
    compared("meters", METERS, used, "usages", "amount")
    for currency, total in sums.items():
        assert reading.number(page.locator(f'[data-tile="billed-{currency}"] strong').inner_text()) == total
        steps = reading.table(page, f"bridge-{currency}")
        assert reading.number(steps["total"]["amount"]) == total


@pytest.mark.parametrize("as_of", NIGHTS)
def test_the_numbers_of_a_night_are_the_tables(demo: Path, look: Look, as_of: str) -> None:
    then = as_of_night(demo, parse_instant(as_of))
    with tables(then) as con, look(report.page_of(demo, parse_instant(as_of))) as sight:
        page = sight.page
        if as_of == NIGHTS[1]:  # nothing closed: adjustments alone
            assert not page.locator('[data-table="closed"]').count()
            adjusted = f"SELECT line_id, {major('amount_minor')} FROM invoice_items WHERE created_as_of = '{as_of}'"
            assert reading.numbers(page, "adjustments", "amount") == asked(con, adjusted)
        else:
            shows_the_money(
                page, con, f"created_as_of = '{as_of}'", f"closed_at = '{as_of}'", f"entered_at = '{as_of}'"
            )
        files = "SELECT raw_file || '|' || source, rows, accepted, duplicate, ignored, quarantined FROM files"
        shown = reading.numbers(page, "files", "rows", "accepted", "duplicate", "ignored", "quarantined")
        assert shown == asked(con, f"{files} WHERE landed_at = '{as_of}'")
        reached = f"""
            SELECT line_id, {major("amount_minor")} FROM invoice_items
            WHERE created_as_of = '{as_of}' AND reason = 'threshold' AND charge = 'overage'"""
        assert reading.numbers(page, "thresholds", "amount") == asked(con, reached)
        assert bool(asked(con, reached)) == (as_of == NIGHTS[0])
        near = asked(con, NEAR)
        assert reading.numbers(page, "near-threshold", "unbilled", "threshold") == near
        assert near or as_of != NIGHTS[2]
        held = (
            "SELECT reason, count(*), count(*) FILTER (first_seen = ?), round(sum(cost), 6) FROM quarantine GROUP BY 1"
        )
        assert reading.numbers(page, "held", "rows", "tonight", "cost") == asked(con, held, as_of)
        fates = "received, billed, free, held, duplicate, ignored, pre_cutover, expired, difference"
        leaks = reading.table(page, "leaks")
        for fate in fates.split(", "):
            query = f"SELECT measure, round(sum({fate}), 6) FROM leak_ledger GROUP BY 1"
            assert {m: (reading.number(leaks[fate][m]),) for m in ("usages", "quantity", "cost")} == asked(con, query)
        assert page.locator('[data-row="difference"] .good').count() == 3


def test_the_numbers_of_a_month_are_the_tables(demo: Path, look: Look) -> None:
    then = as_of_night(demo, CORRECTED)
    with tables(then) as con, look(report.folder(then) / "month-2026-05.html") as sight:
        page = sight.page
        shows_the_money(page, con, OF_MAY, OF_MAY, OF_MAY)
        plans = f"""
            SELECT currency || '|' || plan, count(*), {major("sum(amount_minor)")}
            FROM invoice_items JOIN periods USING (subscription_id, period_start, currency)
            WHERE {OF_MAY} GROUP BY currency, plan"""
        assert reading.numbers(page, "plans", "lines", "total") == asked(con, plans)
        accounts = f"""
            SELECT currency || '|' || account_id, {major("sum(amount_minor)")} FROM invoice_items
            WHERE {OF_MAY} GROUP BY currency, account_id"""
        assert reading.numbers(page, "accounts", "total") == asked(con, accounts)


def test_the_numbers_of_a_customers_page_are_the_tables(demo: Path, look: Look) -> None:
    mine = "subscription_id = 'sub_acme' AND period_start = '2026-05-01 07:00:00+00'"
    then = as_of_night(demo, CORRECTED)
    with tables(then) as con, look(acme(demo)) as sight:
        page = sight.page
        lines = f"SELECT line_id, {major('amount_minor')} FROM invoice_items WHERE {mine}"
        assert reading.numbers(page, "lines", "amount") == asked(con, lines)
        windows = f"""
            SELECT strftime(timezone('America/Los_Angeles', window_start), '%Y-%m-%d'), round(usage, 2),
                   round(allowance, 2), round(refresh, 2)
            FROM daily_refresh WHERE {mine} AND usage <> 0"""
        shown = reading.numbers(page, "windows-USD", "usage", "allowance", "refresh")
        assert shown == asked(con, windows)
        every_day = f"""
            SELECT strftime(timezone('America/Los_Angeles', occurred_at), '%Y-%m-%d') || '|' || meter, count(*),
                   round(sum(amount), 2)
            FROM ledger WHERE {mine} AND (state = 'billable' OR counted_in_baseline) GROUP BY 1"""
        assert reading.numbers(page, "every-day", "usages", "amount") == asked(con, every_day)
        charges = asked(con, f"SELECT charge, owed, {major('billed_minor', repr('USD'))} FROM charges WHERE {mine}")
        for charge, (owed, billed) in charges.items():
            if not owed:
                continue
            steps = reading.table(page, f"0-{charge}-billed")
            assert round(reading.number(steps["owed"]["amount"]), 12) == owed
            assert reading.number(steps["billed"]["amount"]) == billed


def acme(demo: Path) -> Path:
    return report.folder(as_of_night(demo, CORRECTED)) / "account-org_acme-2026-05.html"


def pages(demo: Path) -> list[Path]:
    nights = [report.page_of(demo, parse_instant(as_of)) for as_of in NIGHTS[::2]]
    months = [report.folder(as_of_night(demo, CORRECTED)) / "month-2026-05.html"]
    return [*nights, *months, report.folder(demo) / "index.html", acme(demo)]


# Whether any two labels of one axis overlap, and whether anything stands out of a drawing.
LABELS = """() => [...document.querySelectorAll("svg.chart")].flatMap(chart => {
  const frame = chart.getBoundingClientRect();
  const boxes = [...chart.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
  const wrong = boxes.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1).map(([it]) => it);
  boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
    if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) wrong.push(`${one} × ${other}`);
  }));
  return wrong;
})"""


def test_pages_open_alone_and_read_well_at_any_width(demo: Path, look: Look) -> None:
    for file in pages(demo):
        for width in (1100, 390):
            with look(file, width=width) as sight:
                assert sight.requests == [file.as_uri()], "a page fetches nothing"
                assert sight.complaints == []
                assert sight.page.evaluate("document.documentElement.scrollWidth") <= width, file.name
                assert sight.page.evaluate(LABELS) == [], file.name
                assert sight.page.locator("script, img, link[rel=stylesheet], iframe").count() == 0
                assert sight.page.locator("h1").count() == 1


def test_pages_turn_dark_and_print_light(demo: Path, look: Look) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    with look(acme(demo), scheme="dark") as sight:
        dark = sight.page.evaluate(paper)
        sight.page.emulate_media(media="print")
        printed = sight.page.evaluate(paper)
        assert not sight.page.locator("nav").first.is_visible()
    with look(acme(demo)) as sight:
        assert sight.page.evaluate(paper) == printed != dark


def test_a_customers_page_prints_on_a4(demo: Path, look: Look) -> None:
    with look(acme(demo)) as sight:
        printed = sight.page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    sheets = printed.count(b"/Type /Page\n") or printed.count(b"/Type /Page")
    assert 3 <= sheets <= 12
    assert b"/MediaBox [0 0 594.95996 841.91998]" in printed or b"/MediaBox [0 0 595" in printed
