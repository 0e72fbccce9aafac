"""dbt's pages in one file: opened in Chromium they show every table and ask nobody for anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assets import publish
from orchestration.cli import app
from tests.browser.conftest import Look

pytestmark = pytest.mark.xdist_group("browser")  # with the one Chromium

ROOT = Path(__file__).resolve().parents[2]


def test_the_docs_open_offline(tmp_path: Path, look: Look) -> None:
    file = tmp_path / "docs.html"
    told = CliRunner().invoke(app, ["docs", "--out", str(file), "--json"])
    assert json.loads(told.stdout) == {"event": "docs", "message": f"{file}, to open in any browser", "file": str(file)}
    whole = file.read_text()
    assert str(ROOT) not in whole
    assert str(Path.home()) not in whole
    with look(file) as sight:
        page = sight.page
        page.wait_for_selector("h1:has-text('Tallyhouse')")
        page.goto(f"{file.as_uri()}#!/model/model.tallyhouse.periods")
        page.wait_for_selector("text=Overage that is billed before the close")
        shown = page.inner_text("body")
    assert [url for url in sight.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert set(publish.TABLES) <= set(shown.split())
    assert "timestamp with time zone" in shown
