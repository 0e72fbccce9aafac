"""Data Docs in a real browser: styled, without a request to anyone, and with the numbers that the tables have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from assets.gate.docs import REPORT
from tests import nights
from tests.pipeline.places import case

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


def test_the_report_opens_whole_and_says_what_the_tables_say(tmp_path: Path) -> None:
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
    asked: list[str] = []
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto((tmp_path / REPORT).as_uri())
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
        browser.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
