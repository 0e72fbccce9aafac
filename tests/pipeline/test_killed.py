"""A night killed at any moment, and then done again, is a night that was never killed (SPEC §2, §8, §9)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from assets.core.instants import format_instant
from orchestration.run import night
from tests import nights
from tests.golden.case import Script
from tests.pipeline import dying
from tests.pipeline.places import bytes_below, case, copied, own_process, without_history
from tests.property.generate import Size, generate

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KILLS", "9"))
# What the command says right before it is killed, and nothing is published yet.
WORDS = ("landed", "gate", "posted") if KILLS > 9 else ("posted",)


@pytest.fixture(scope="module")
def eve(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Script]:
    """A workspace just before its last night, which has everything to do: land, retry, close, bill, adjust, hold."""
    folder = tmp_path_factory.mktemp("eve")
    script = generate(6, folder / "generated", size=Size(accounts=4, events=60, nights=3, days=60)).script
    workspace = folder / "workspace"
    for number in range(1, len(script.nights)):
        nights.run_night(workspace, script.before(number, workspace))
    script.before(len(script.nights), workspace)
    return workspace, script


@pytest.fixture(scope="module")
def whole(eve: tuple[Path, Script], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The workspace after that night, and the acts the night came to."""
    workspace, script = eve
    undisturbed = copied(workspace, tmp_path_factory.mktemp("whole") / "workspace")
    return undisturbed, dying.night(undisturbed, script.nights[-1])


def told(workspace: Path) -> tuple[nights.Tables, dict[str, bytes]]:
    exports = workspace / "published" / "exports"
    return nights.published(workspace), {file.name: file.read_bytes() for file in exports.glob("*.csv")}


def test_killed_before_any_act(eve: tuple[Path, Script], whole: tuple[Path, list[str]], tmp_path: Path) -> None:
    workspace, script = eve
    before, as_of = nights.published(workspace), script.nights[-1]
    undisturbed, acts = whole
    after = told(undisturbed)
    counts = after[0]["runs"][-1]["counts"]
    for table in ("ledger", "invoice_items"):
        assert len(after[0][table]) > len(before[table]), f"a night without new {table} shows little: {counts}"
    begin, commit = _entered(acts)
    assert acts[:commit].count("execute COMMIT") == 2, "one notes what the night was given, one lands it"
    # Both sides of the commit, the files taken away or put in place, and the rest at even distances.
    named = {begin, commit, commit + 1, *(n for n, what in enumerate(acts) if what.startswith(("replace", "rmtree")))}
    step = max(1, len(acts) * 2 // KILLS)
    chosen = sorted({*range(0, len(acts), step), *_few(sorted(named), KILLS // 3)})

    def wrong_after(number: int) -> str | None:
        killed = copied(workspace, tmp_path / str(number))
        dying.night(killed, as_of, dies_before=number)
        if number <= commit and nights.published(killed) != before:
            return "readers saw half a night"
        nights.run_night(killed, as_of)
        tables, exports = told(killed)
        wrong = [name for name in tables if tables[name] != after[0][name]]
        wrong += [name for name in after[1] if exports.get(name) != after[1][name]]
        leftovers = [path for path in bytes_below(killed / "published") if ".tmp" in path]
        return f"differ: {wrong}; left over: {leftovers}" if wrong or leftovers else None

    failed = {f"{number} {acts[number][:200]}": found for number in chosen if (found := wrong_after(number))}
    assert not failed, "\n".join(f"killed before {act}: {found}" for act, found in failed.items())
    assert len(chosen) >= min(KILLS, len(acts)) // 2


def _entered(acts: list[str]) -> tuple[int, int]:
    """Where the one transaction begins and ends that enters the books."""
    entries = [n for n, what in enumerate(acts) if "INSERT INTO books.ledger" in what or "INTO books.lines" in what]
    begin = max(n for n in range(entries[0]) if acts[n] == "execute BEGIN")
    commit = acts.index("execute COMMIT", begin)
    assert entries[-1] < commit
    return begin, commit


def _few(numbers: list[int], most: int) -> list[int]:
    return numbers[:: max(1, len(numbers) // most)] + numbers[-1:]


def test_what_a_killed_night_landed_keeps_its_landing(
    eve: tuple[Path, Script], whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """The next night takes over what the killed one has read, and says when it was read (SPEC §2: landed_at)."""
    workspace, script = eve
    as_of = script.nights[-1]
    undisturbed, killed = copied(whole[0], tmp_path / "undisturbed"), copied(workspace, tmp_path / "killed")
    dying.night(killed, as_of, dies_before=_entered(whole[1])[0])
    later = as_of + timedelta(hours=2)
    for one in (undisturbed, killed):
        nights.run_night(one, later)
    ours, theirs = nights.published(killed), nights.published(undisturbed)
    for usage in (*ours["ledger"], *theirs["ledger"]):
        usage.pop("entered_at")  # the night it died in did not enter it
    for table in ("ledger", "quarantine", "files", "daily_refresh"):
        assert ours[table] == theirs[table], table
    assert [row["as_of"] for row in ours["runs"]] == [*script.nights[:-1], later]


@pytest.fixture(scope="module")
def golden_eve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("golden") / "workspace"
    script = case().script
    for number in range(1, len(script.nights)):
        nights.run_night(workspace, script.before(number, workspace))
    script.before(len(script.nights), workspace)
    return workspace


def test_the_real_process_killed(golden_eve: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command itself, killed once its books are entered (KILLS=10: also before); the job then clears up."""
    as_of = case().script.nights[-1]
    undisturbed, workspace = copied(golden_eve, tmp_path / "undisturbed"), copied(golden_eve, tmp_path / "killed")
    with monkeypatch.context() as patch:
        own_process(patch)
        without_history(patch)
        night(undisturbed, as_of)  # with the gate, whose tables must be the same too
    for word in WORDS:
        kill(workspace, as_of, word)
        assert nights.published(workspace) == nights.published(golden_eve)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    night(workspace, as_of)
    assert told(workspace) == told(undisturbed)


def kill(workspace: Path, as_of: datetime, word: str) -> None:
    command = [sys.executable, "-m", "orchestration.cli", "nightly", "--workspace", str(workspace)]
    with subprocess.Popen(
        [*command, "--as-of", format_instant(as_of)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"{word}:"):
                process.send_signal(signal.SIGKILL)
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == -signal.SIGKILL, f"never came to {word}: {errors}"
