"""dbt's pages in one file: opened in Chromium they show every table and ask nobody for anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner

from assets import publish
from orchestration.cli import app

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_docs_open_offline(tmp_path: Path) -> None:
    file = tmp_path / "docs.html"
    told = CliRunner().invoke(app, ["docs", "--out", str(file), "--json"])
    assert json.loads(told.stdout) == {"event": "docs", "message": f"{file}, to open in any browser", "file": str(file)}
    whole = file.read_text()
    assert str(ROOT) not in whole
    assert str(Path.home()) not in whole
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        failed: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_selector("h1:has-text('Tallyhouse')")
        page.goto(f"{file.as_uri()}#!/model/model.tallyhouse.periods")
        page.wait_for_selector("text=Overage that is billed before the close")
        shown = page.inner_text("body")
        browser.close()
    assert failed == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert set(publish.TABLES) <= set(shown.split())
    assert "timestamp with time zone" in shown
