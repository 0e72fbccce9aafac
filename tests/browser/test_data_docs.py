"""Data Docs in a real browser: styled, without a request to anyone, and with the numbers that the tables have."""

from __future__ import annotations

import json
from pathlib import Path

from assets.gate.docs import REPORT
from tests import nights
from tests.browser.conftest import Look
from tests.pipeline.places import case


def test_the_report_opens_whole_and_says_what_the_tables_say(tmp_path: Path, look: Look) -> None:
    nights.run_night(tmp_path, case().script.before(1, tmp_path), is_published=False)
    as_of = case().script.before(2, tmp_path)
    sql = {
        "about": "No line is over a cent.",
        "sql": "SELECT * FROM gate.lines WHERE at_stake > 0.01",
        "severity": "warn",
    }
    (tmp_path / "catalog" / "checks.yaml").write_text(json.dumps({"checks": {"no_line_is_over_a_cent": sql}}))
    judged = nights.judge_night(tmp_path, as_of)
    (failed,) = judged.of("warns")
    with look(tmp_path / REPORT) as sight:
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
    assert sight.complaints == []
    assert [url for url in sight.requests if not url.startswith(("file:", "data:"))] == []
