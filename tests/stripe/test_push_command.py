"""The commands as people run them: what they say, how they exit, and that kill -9 costs nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assets import progress
from assets.core.instants import format_instant
from assets.practice import PracticeStripe
from orchestration.cli import app
from tests import nights
from tests.pipeline.places import bytes_below, copied
from tests.stripe.pushing import AS_OF, KEY, NOW, made, states
from tests.stripe.test_push import many

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def practice(monkeypatch: pytest.MonkeyPatch) -> Iterator[PracticeStripe]:
    monkeypatch.setenv("TALLYHOUSE_NOW", format_instant(NOW))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr(progress, "_listeners", [])
    with PracticeStripe(now=int(NOW.timestamp())) as practice:
        # By what the tests set them with too: two who put back what they found leave what the other had set.
        monkeypatch.setenv("STRIPE_API_KEY", KEY)
        monkeypatch.setenv("TALLYHOUSE_STRIPE_API_BASE", practice.url)
        for customer in ("cus_1", "cus_2"):
            practice.add_customer(customer)
        yield practice


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "orchestration.cli", *map(str, words)]


def test_the_real_process_killed_in_the_middle(tmp_path: Path, practice: PracticeStripe) -> None:
    """And a second pusher meanwhile: refused by name, and without a word to Stripe."""
    root = made(tmp_path / "w", many(60), rate="40")
    push = command("push", "--workspace", root, "--yes")
    with subprocess.Popen(push, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as first:
        deadline = time.monotonic() + 60
        while len(practice.items()) < 10 and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)  # it holds the lock, and waits
        second = subprocess.run(push, cwd=ROOT, capture_output=True, text=True, check=False)
        first.send_signal(signal.SIGKILL)
        said = first.communicate()[0]
    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 1
    assert f"is being worked on by the push of {format_instant(NOW)} (process {first.pid})" in second.stderr
    assert 10 <= len(practice.items()) < 60
    third = subprocess.run([*push, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert third.returncode == 0, third.stderr
    events = [json.loads(line) for line in third.stdout.splitlines()]
    assert {"sent": 60, "pending": 0, "parked": 0}.items() <= events[-1].items()
    assert sorted(it["metadata"]["line_key"] for it in practice.items()) == sorted(
        row["line_id"] for row in nights.published(root)["invoice_items"]
    )
    secret = KEY.removeprefix("sk_test_")
    assert secret not in said + second.stdout + second.stderr + third.stdout + third.stderr
    assert [name for name, data in bytes_below(root).items() if secret.encode() in data] == []


def test_a_night_whose_lines_cannot_go_is_in_the_books_and_ends_badly(
    tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(tmp_path / "w")
    monkeypatch.setenv("STRIPE_API_KEY", "")
    late = '{"id": "late", "t": "2026-05-20T00:00:00Z", "m": "money", "v": 1.00, "acct": "a1"}\n'
    (root / "raw" / "ev" / "late.ndjson").write_text(late)
    as_of = format_instant(AS_OF + timedelta(days=1))
    done = CliRunner().invoke(app, ["nightly", "--workspace", str(root), "--as-of", as_of, "--yes"])
    assert done.exit_code == 1, done.output
    assert "waiting: STRIPE_API_KEY is not set, so 5 lines wait" in done.output
    assert states(root) == {"pending": 5}, "the night is in the books, and published"
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    again = CliRunner().invoke(app, ["push", "--workspace", str(root)])
    assert again.exit_code == 0, again.output
    assert "pushed: 5 lines, 14 JPY and 15.34 USD, are at Stripe, each once" in again.output
    assert states(root) == {"sent": 5}


def test_a_wrong_key_refuses_the_night_before_it_begins(
    tmp_path: Path, practice: PracticeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(made(tmp_path / "w"), tmp_path / "copy")
    before = bytes_below(root)
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_4eC39HqLyjWDarjtT1zdp7dc")
    for words in (["nightly", "--as-of", format_instant(AS_OF + timedelta(days=1))], ["push", "--yes"]):
        done = CliRunner().invoke(app, [*words, "--workspace", str(root)])
        assert done.exit_code == 1
        assert "STRIPE_API_KEY holds a live key, and catalog/workspace.yaml asks for a test key" in done.output
        assert "4eC39" not in done.output
    assert practice.calls == []
    changed = {Path(name).name for name, data in bytes_below(root).items() if before.get(name) != data}
    assert changed <= {"run.lock"}


def test_a_push_without_books_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["push", "--workspace", str(tmp_path)])
    assert done.exit_code == 1
    assert "has no books yet; run its first night with `tallyhouse nightly`" in done.output
    assert list(tmp_path.iterdir()) == []
