"""Reports: a function of what is published, whole for any number of accounts, and for a customer their data alone."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from assets import report
from assets.core.refusal import Refusal
from assets.report import bridge, forms, month, night, published
from orchestration.cli import app
from orchestration.dbt import compiled_models
from tests.demo import CORRECTED, as_of_night, played
from tests.golden.case import catalogue_files, raw_files
from tests.nights import run_night
from tests.pipeline.places import bytes_below, case
from tests.reports import many_accounts

pytestmark = pytest.mark.xdist_group("report")  # its demo is copied once

MAY = date(2026, 5, 1)
LOOKS_BACK = "Written after the night of"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with the reports of its nights, in a place of its own."""
    return Path(shutil.copytree(played(tmp_path_factory), tmp_path_factory.mktemp("reports") / "demo"))


def text_of(page: Path) -> str:
    """What a reader sees of a page."""
    return re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page.read_text(), flags=re.DOTALL))


def ask(workspace: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["report", *words, "--workspace", str(workspace)])


def test_every_night_and_closed_month_has_its_page_and_writing_again_changes_no_byte(demo: Path) -> None:
    with published.opened(demo) as con:
        nights = published.nights(con)
    pages = bytes_below(report.folder(demo))
    names = {Path(path).name for path in pages if "account-" not in path}
    assert names == {"index.html", "month-2026-05.html", *map(forms.night_file, nights)}
    report.write(demo)
    assert ask(demo, "night").exit_code == ask(demo, "month", "2026-05").exit_code == 0
    assert bytes_below(report.folder(demo)) == pages


def test_links_between_pages_lead_somewhere(demo: Path) -> None:
    for page in report.folder(demo).iterdir():
        for href in re.findall(r'<a href="([^"]+)"', page.read_text()):
            target = page.parent / href.partition("#")[0] if not href.startswith("#") else page
            assert target.is_file(), f"{page.name} links to {href}"
            anchor = href.partition("#")[2]
            assert not anchor or f'id="{anchor}"' in target.read_text()


def test_a_page_says_when_it_was_written_by_a_later_night(demo: Path, tmp_path: Path) -> None:
    """And that its lines are not there where the workspace has gone live since."""
    shutil.copytree(demo / "published", tmp_path / "published", ignore=shutil.ignore_patterns("reports"))
    report.write(tmp_path)
    with published.opened(tmp_path) as con:
        *before, last = published.nights(con)
    assert LOOKS_BACK not in text_of(report.page_of(demo, last)) + text_of(report.page_of(tmp_path, last))
    assert all(LOOKS_BACK not in text_of(report.page_of(demo, each)) for each in before)
    assert all(LOOKS_BACK in text_of(report.page_of(tmp_path, each)) for each in before)
    assert "changed between shadow and live" in text_of(report.page_of(tmp_path, CORRECTED))
    assert "in the other book" in text_of(report.folder(tmp_path) / "index.html")
    assert report.page_of(demo, last).read_bytes() == report.page_of(tmp_path, last).read_bytes()


def test_a_nights_page_stands_as_its_night_wrote_it(tmp_path: Path) -> None:
    """Later nights leave it alone; a night killed before its page was written gets it from the next."""
    script = case().script
    first = script.before(1, tmp_path)
    run_night(tmp_path, first)
    report.write(tmp_path)
    pages = bytes_below(report.folder(tmp_path))
    second = script.before(2, tmp_path)
    run_night(tmp_path, second)  # and killed here
    third = script.before(3, tmp_path)
    run_night(tmp_path, third)
    report.write(tmp_path)
    kept = report.page_of(tmp_path, first)
    assert kept.read_bytes() == pages[str(kept)]
    assert report.write_night(tmp_path, first).read_bytes() == pages[str(kept)]
    assert LOOKS_BACK in text_of(report.page_of(tmp_path, second))
    assert LOOKS_BACK not in text_of(report.page_of(tmp_path, third))


def test_every_bridge_adds_up_to_the_last_digit(demo: Path) -> None:
    with published.opened(demo) as con:
        nights = published.nights(con)
    found = {}
    for as_of in nights:
        with published.opened(as_of_night(demo, as_of)) as con:
            night.scope(con, as_of)
            found[f"the night of {as_of}"] = (bridge.steps_of(con, ""), dict(_billed(con)))
            month.scope(con, MAY)
            found[f"May after {as_of}"] = (bridge.steps_of(con, ""), dict(_billed(con)))
    assert sum(len(steps) for steps, _ in found.values()) > 20
    for when, (currencies, billed) in found.items():
        for currency, steps in currencies:
            reached = Decimal()
            for step in steps:
                assert not step.is_total or step.amount == reached, (when, currency, step.name)
                reached = step.amount if step.is_total else reached + step.amount
            scale = 0 if currency == "JPY" else 2
            assert reached == Decimal(billed.get(currency, 0)).scaleb(-scale), (when, currency)


def _billed(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    return con.execute("SELECT currency, sum(amount_minor)::BIGINT FROM made GROUP BY currency").fetchall()


def test_a_month_is_reported_once_all_its_periods_are_closed(demo: Path) -> None:
    refused = ask(demo, "month", "2026-06")
    assert refused.exit_code == 1
    assert refused.stderr == (
        f"refused: 2026-06 has 2 of its periods still open in {demo}; closed are 2026-05.\n"  # Acme's and Dev's
    )
    assert ask(demo, "month", "May").exit_code == 2


def test_a_month_that_closed_empty_has_its_page_once_something_comes_for_it(tmp_path: Path) -> None:
    """A period of nothing, and usage that lands late: an adjustment, beside a closed row that stays at nothing."""
    late = {"ev/1.ndjson": "late 2026-05-30T05:00:00Z money 3 a1"}
    nights = [datetime(2026, 6, 1, 1, tzinfo=UTC), datetime(2026, 6, 2, 1, tzinfo=UTC)]
    for files, as_of in zip((catalogue_files({}), raw_files({"usage": late})), nights, strict=True):
        for name, content in files.items():
            place = tmp_path / (name if name.startswith(("catalog", "accounts")) else f"raw/{name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        run_night(tmp_path, as_of)
        report.write(tmp_path)
        with published.opened(tmp_path) as con:
            assert published.closed_months(con) == ([MAY] if as_of == nights[1] else [])
    assert "3.00" in text_of(report.write_month(tmp_path, MAY))


def test_what_is_not_there_is_refused_in_a_sentence(demo: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"Nothing is published in .* yet; run its first night"):
        report.write_night(tmp_path)
    with pytest.raises(Refusal, match=r"No night of 2026-05-05T01:00:00Z is in the books .*; the last is 2026-07-01"):
        report.write_night(demo, datetime(2026, 5, 5, 1, tzinfo=UTC))
    models = compiled_models()
    for words, why in [
        (("org_acmee", None), "No period of an account 'org_acmee' is published; did you mean 'org_acme'?"),
        (("org_acme", "2025-01"), "Account org_acme has no period of 2025-01; it has some of 2026-05, 2026-06."),
        (("org_acme", "may"), "'may' is neither a month such as 2026-05 nor a day such as 2026-05-14."),
    ]:
        with pytest.raises(Refusal) as refusal:
            report.write_account(demo, *words, models)
        assert str(refusal.value) == why


def test_a_customers_page_holds_nobody_elses_data(demo: Path) -> None:
    with published.opened(demo) as con:
        people = con.execute("SELECT account_id, name FROM accounts").fetchall()
        actors = [actor for (actor,) in con.execute("SELECT DISTINCT actor FROM ledger").fetchall() if actor]
    for account_id in ("org_acme", "usr_ben", "org_cobalt"):
        page = report.write_account(demo, account_id, "2026-05", compiled_models()).read_text()
        others = {word for each in people if each[0] != account_id for word in each} | set(actors) - {account_id}
        assert [word for word in others if word in page] == []
        assert account_id in page


def test_the_periods_of_a_page_are_those_asked_for(demo: Path, tmp_path: Path) -> None:
    """Ben's May: his short pro period and the free plan's month, which his pro days are no part of."""
    out = tmp_path / "sent" / "ben.html"
    page = text_of(report.write_account(demo, "usr_ben", "2026-05", compiled_models(), out))
    assert out.is_file()
    assert "1 – 19 May 2026" in page
    assert "1 – 31 May 2026" in page
    last = report.write_account(demo, "usr_ben", None, compiled_models())
    assert last.name == "account-usr_ben-2026-06.html"
    day = text_of(report.write_account(demo, "org_delta", "2026-05-28", compiled_models()))
    assert "1 – 28 May 2026" in day
    assert "29 May" not in day


def test_an_open_period_says_so(demo: Path) -> None:
    page = text_of(report.write_account(demo, "org_acme", "2026-06", compiled_models()))
    assert "128.31 USD is owed so far, and the period is still open." in page
    assert "Not billed yet" in page


def test_whatever_text_comes_in_is_shown_as_text(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo / "published", tmp_path / "published")
    nasty = "<script>alert(1)</script>\"'><img src=//example.org/x>"
    with duckdb.connect(str(tmp_path / "published" / "tallyhouse.duckdb")) as con:
        con.execute("UPDATE billing.accounts SET name = ?", [nasty])
        for column in ("raw_text", "detail", "raw_file", "reason"):
            con.execute(f"UPDATE billing.quarantine SET {column} = ?", [nasty])
        for table, column in (("files", "raw_file"), ("ledger", "meter"), ("periods", "plan"), ("ledger", "plan")):
            con.execute(f"UPDATE billing.{table} SET {column} = ?", [nasty])
    pages = "".join(page.read_text() for page in (report.write_night(tmp_path), report.write_month(tmp_path, MAY)))
    assert "&lt;script&gt;alert(1)" in pages
    assert not re.search(r"<(script|img)", pages)


def test_a_long_list_is_counted_and_summed_whole(demo: Path, tmp_path: Path) -> None:
    many_accounts(tmp_path, demo, 3_000)
    page = report.write(tmp_path)[0]
    shown = text_of(page)
    assert len(page.read_bytes()) < 150_000
    assert "3,000 periods closed and 3,000 lines came to 4,815.00 EUR and 43,200.00 USD." in shown
    # 300 accounts pay in EUR, 2,700 in USD; a list shows twelve of each.
    assert shown.count("and 288 more") == shown.count("and 2,688 more") == 2
    accounts = text_of(report.folder(tmp_path) / "month-2026-05.html")
    assert re.search(r"and 2,688 more\s+2,688\s+42,828\.81", accounts)


def test_the_gates_findings_are_told_with_the_money_at_stake(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo / "published", tmp_path / "published")
    with duckdb.connect(str(tmp_path / "published" / "tallyhouse.duckdb")) as con:
        con.execute("SET TimeZone = 'UTC'; DELETE FROM billing.checks")
        for name, outcome, verdict, found, at_stake in [
            ("lines_are_sums", "passed", "passes", 0, None),
            ("bills_move_little", "failed", "warns", 3, '{"USD": "1234.565", "JPY": "20"}'),
            ("usage_has_its_volume", "failed", "accepted", 1, None),
            ("a_history_yet_to_come", "waiting", "passes", None, None),
        ]:
            con.execute(
                """INSERT INTO billing.checks BY NAME
                SELECT max(as_of) AS as_of, ? AS check_name, 'billed' AS suite, ? AS outcome, ? AS verdict,
                       'About it.' AS about, 'What it found.' AS detail, ? AS rows_found, ?::JSON AS at_stake
                FROM billing.runs""",
                [name, outcome, verdict, found, at_stake],
            )
    page = text_of(report.write_night(tmp_path))
    section = re.sub(r"\s+", " ", page[page.index("What was looked at") : page.index("For every day and meter")])
    assert "billed what would be billed 4 1 1 1 1 –" in section  # all, passed, warned, accepted, waiting, off
    assert "bills_move_little About it. warns What it found. 3 20.00 JPY · 1,234.57 USD" in section
    assert "usage_has_its_volume" in section
    assert "lines_are_sums" not in section
