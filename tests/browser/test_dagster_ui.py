"""The Dagster UI on a workspace: the graph by its rooms, a night's run, what it left behind, and every check green."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from assets.core.catalogue.loading import load
from assets.practice import PracticeStripe
from assets.push.client import BASE, KEY
from orchestration.run import night
from tests.browser.conftest import Look
from tests.demo import played

pytestmark = pytest.mark.xdist_group("browser")  # with the one Chromium

ROOT = Path(__file__).resolve().parents[2]
LAST = datetime(2026, 7, 1, 1, tzinfo=UTC)
PATIENCE = 60_000  # milliseconds; a code location takes its time to load


@pytest.fixture
def address(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The demo after its last night, done again as a job that sends its lines, with the UI's server on its own port."""
    workspace = tmp_path / "demo"
    shutil.copytree(played(tmp_path_factory), workspace)
    with PracticeStripe() as practice, ThreadPoolExecutor(1) as aside:  # where no event loop of the browser's runs
        for account in load(workspace).accounts:
            if account.stripe_customer_id:
                practice.add_customer(account.stripe_customer_id, account.name)
        monkeypatch.setenv(KEY, "sk_test_practice")
        monkeypatch.setenv(BASE, practice.url)
        aside.submit(night, workspace, LAST, yes=True).result()
    with serving(workspace) as found:
        yield found


@contextmanager
def serving(workspace: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "TALLYHOUSE_WORKSPACE": str(workspace),
        "DAGSTER_HOME": str(workspace / "warehouse" / "dagster"),
        "PYTHONPATH": str(ROOT),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
    }
    server = Path(sys.executable).parent / "dagster-webserver"
    command = [str(server), "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)]
    with (workspace / "ui.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | told, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 3 * PATIENCE / 1000
        while not _answers(address):
            assert process.poll() is None, (workspace / "ui.log").read_text()
            assert time.monotonic() < until, "the UI did not come up"
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/server_info", timeout=5) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_ui_shows_a_night(address: str, look: Look) -> None:
    with look(f"{address}/asset-groups", width=1600, height=1000) as sight:
        page = sight.page
        page.set_default_timeout(PATIENCE)
        for room in ("raw", "ledger", "rating", "lines", "billing", "books", "published"):
            expect(page.get_by_text(room, exact=True).first).to_be_visible(timeout=PATIENCE)

        page.goto(f"{address}/runs")
        expect(page.get_by_text("Success").first).to_be_visible(timeout=PATIENCE)
        page.locator("a[href*='/runs/']").first.click()
        expect(page.get_by_text("reported").first).to_be_visible(timeout=PATIENCE)

        page.goto(f"{address}/assets/posted")
        expect(page.get_by_text("quarantine_by_reason").first).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_text("Tonight entered into the books").first).to_be_visible()

        page.goto(f"{address}/assets/posted?view=checks")
        for check in ("every_row_is_accounted_for", "nothing_has_leaked"):
            expect(page.get_by_text(check).first).to_be_visible(timeout=PATIENCE)
        assert _verdicts(page) == {"Succeeded"}

        page.goto(f"{address}/assets/reported")
        expect(page.get_by_text("night-2026-07-01T010000Z.html").first).to_be_visible(timeout=PATIENCE)

        page.goto(f"{address}/assets/pushed")
        expect(page.get_by_text("Lines of the live book at Stripe").first).to_be_visible(timeout=PATIENCE)

        outside = [url for url in sight.requests if not url.startswith((address, "data:", "blob:"))]
        assert outside == []
        assert sight.complaints == []


def _verdicts(page: Page) -> set[str]:
    """What stands below the names of the checks."""
    words = ("Succeeded", "Failed", "Not evaluated", "Skipped", "Execution failed")
    return {word for word in words if page.get_by_text(word, exact=True).count()}
