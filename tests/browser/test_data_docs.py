"""Data Docs in a real browser: styled, without a request to anyone, and with the numbers that the tables have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assets import warehouse
from assets.gate.docs import REPORT
from assets.gate.findings import Finding
from assets.gate.judge import Judged, judge
from assets.gate.stop import Stopped, refuse_stopped
from tests import nights
from tests.browser import reading
from tests.browser.conftest import Look
from tests.pipeline.places import case

pytestmark = pytest.mark.xdist_group("browser")  # with the one Chromium


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Judged]:
    """A night that passes with a warning of the workspace's own."""
    workspace = tmp_path_factory.mktemp("docs") / "workspace"
    nights.run_night(workspace, case().script.before(1, workspace), is_published=False)
    as_of = case().script.before(2, workspace)
    sql = {
        "about": "No line is over a cent.",
        "sql": "SELECT * FROM gate.lines WHERE at_stake > 0.01",
        "severity": "warn",
    }
    (workspace / "catalog" / "checks.yaml").write_text(json.dumps({"checks": {"no_line_is_over_a_cent": sql}}))
    return workspace, nights.judge_night(workspace, as_of)


def test_the_report_opens_whole_and_says_what_the_tables_say(night: tuple[Path, Judged], look: Look) -> None:
    workspace, judged = night
    (failed,) = judged.of("warns")
    with look(workspace / REPORT) as sight:
        page = sight.page
        suites = page.locator("table").first.locator("tbody tr")
        ran = {check["suite"] for check in judged.checks if check["outcome"] not in ("off", "waiting")}
        assert ran == {"landed", "billed", "own"}
        assert suites.count() == 4  # usage, lines, sums, and the workspace's own
        assert "rgb(40, 167, 69)" in {  # Bootstrap's green: the style is there
            sign.evaluate("it => getComputedStyle(it).color") for sign in page.locator("i.ge-success-icon").all()
        }
        page.locator("tr", has_text="own-lines").first.click()
        row = page.locator("tr", has_text="No line is over a cent.").last
        row.wait_for()
        assert row.locator("td").last.inner_text().strip() == str(failed["rows_found"])
        page.go_back()
        page.get_by_role("link", name="no_line_is_over_a_cent").click()
        shown = reading.table(page, "every-check")
        assert set(shown) == {check["check_name"] for check in judged.checks}
        assert reading.number(shown["no_line_is_over_a_cent"]["rows"]) == failed["rows_found"]
        assert shown["no_line_is_over_a_cent"]["at_stake"] == f"{failed['at_stake']['USD']}.00 USD"
        assert len(reading.table(page, "no_line_is_over_a_cent")) == failed["rows_found"]
    assert sight.complaints == []
    assert [url for url in sight.requests if not url.startswith(("file:", "data:"))] == []


def test_what_a_rule_of_the_models_stopped_stands_there_too(night: tuple[Path, Judged], look: Look) -> None:
    """Then Great Expectations was never asked, and its pages of the night before would tell another story."""
    workspace, judged = night
    leak = Finding(
        check="no_usage_leaks",
        suite="models",
        kind="structure",
        severity="block",
        outcome="failed",
        about="All that came in has an end.",
        query="SELECT 'units' AS meter, 'EUR' AS currency, 12.5 AS at_stake",
    )
    with warehouse.connect(workspace) as con:
        stopped = judge(con, judged.as_of, [leak], is_first=True, report=REPORT)
        with pytest.raises(Stopped, match=r"no_usage_leaks found 1 row, 12\.50 EUR at stake") as refusal:
            refuse_stopped(con, stopped, workspace)
    assert REPORT in str(refusal.value)
    with look(workspace / REPORT) as sight:
        assert reading.table(sight.page, "every-check").keys() == {"no_usage_leaks"}
        (row,) = reading.table(sight.page, "no_usage_leaks").values()
        assert list(row.values()) == ["12.5", "EUR", "units"]
        assert "All that came in has an end." in sight.page.locator("#no_usage_leaks").inner_text()
        assert sight.page.locator(".warning").inner_text() in str(refusal.value).replace("\n", " ")
    assert sight.requests == [(workspace / REPORT).as_uri()]
