"""Events are told to PostHog's own library, which speaks to a server of ours: each once, whatever dies in between."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from assets import announce, books, metrics, warehouse
from assets.core.refusal import Refusal
from tests import nights
from tests.pipeline.places import case, copied

pytestmark = pytest.mark.xdist_group("announce")  # its workspace is made once

CASE = "threshold-again-and-again"
AS_OF = case(CASE).script.nights[-1]


class Recorder(BaseHTTPRequestHandler):
    """Takes batches as PostHog does, or fails as it is told."""

    answers: ClassVar[list[int]] = []
    taken: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        status = self.answers.pop(0) if self.answers else 200
        self.asked.append(self.path)
        if status == 200:
            told = json.loads(body)
            assert told["api_key"] == "phc_test"
            self.taken.extend(told["batch"])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"status": 1}')

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Recorder]]:
    for told in (Recorder.answers, Recorder.taken, Recorder.asked):
        told.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("TALLYHOUSE_POSTHOG_KEY", "phc_test")
        monkeypatch.setenv("TALLYHOUSE_POSTHOG_HOST", f"http://127.0.0.1:{server.server_port}")
        yield Recorder
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("told") / "workspace"
    nights.play(case(CASE).script, workspace)
    return workspace


@pytest.fixture
def workspace(billed: Path, tmp_path: Path) -> Path:
    return copied(billed, tmp_path / "workspace")


def tell(workspace: Path, as_of: datetime = AS_OF) -> announce.Announced:
    listener = announce.posthog()
    assert listener is not None
    with warehouse.connect(workspace) as con:
        return announce.announce(con, as_of, listener)


def test_every_event_is_told_once(workspace: Path, recorder: type[Recorder]) -> None:
    events = nights.published(workspace)["events"]
    assert {it["event"] for it in events} == {"threshold_reached", "period_closed"}
    assert tell(workspace) == announce.Announced(len(events), 0)
    told = {it["uuid"]: it for it in recorder.taken}
    assert set(told) == {it["event_id"] for it in events}
    assert len(recorder.taken) == len(events)
    for it in events:
        theirs = told[it["event_id"]]
        assert (theirs["event"], theirs["distinct_id"]) == (it["event"], it["account_id"])
        assert datetime.fromisoformat(theirs["timestamp"]) == it["happened_at"]
        assert theirs["properties"]["amount_minor"] == it["amount_minor"]
        assert theirs["properties"].get("line_id") == it["line_id"]
        assert theirs["properties"]["$process_person_profile"] is False
    assert set(recorder.asked) == {"/batch/"}  # and nothing else was asked for
    assert tell(workspace) == announce.Announced(0, 0)
    assert len(recorder.taken) == len(events)


def test_killed_between_the_telling_and_the_note_it_tells_the_same_again(
    workspace: Path, recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    note = announce.note
    monkeypatch.setattr(announce, "note", die)
    with pytest.raises(KeyboardInterrupt):
        tell(workspace)
    monkeypatch.setattr(announce, "note", note)
    before = list(recorder.taken)
    recorder.taken.clear()
    assert tell(workspace).waiting == 0

    def content(events: list[dict[str, Any]]) -> list[str]:
        return sorted(json.dumps(it, sort_keys=True) for it in events)

    assert content(recorder.taken) == content(before) != []


def test_what_was_not_taken_waits_for_the_next_night(
    workspace: Path, recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "AT_ONCE", 1)
    recorder.answers.extend([200, 400])
    found = tell(workspace)
    assert found.sent == 1
    assert found.waiting == len(nights.published(workspace)["events"]) - 1
    assert tell(workspace) == announce.Announced(found.waiting, 0)
    assert len({it["uuid"] for it in recorder.taken}) == len(recorder.taken) == found.waiting + 1


def test_a_stopped_night_has_happened_whatever_becomes_of_it(workspace: Path, recorder: type[Recorder]) -> None:
    tell(workspace)
    recorder.taken.clear()
    with warehouse.connect(workspace) as con:
        con.execute(
            "INSERT INTO gate.nights VALUES ('2026-08-01 01:00:00', 'stops', 3, '{\"USD\": \"9.00\"}', NULL, NULL)"
        )
        metrics.write(con, workspace)
        assert announce.tell_posthog(con, AS_OF) == announce.Announced(1, 0)
        # The night is tried again, judged anew, and passes.
        books.remember_stops(con)
        con.execute("UPDATE gate.nights SET verdict = 'passes' WHERE verdict = 'stops'")
        assert announce.tell_posthog(con, AS_OF) == announce.Announced(0, 0)
        (stop,) = con.execute("SELECT event_id, account_id FROM billing.events WHERE event = 'gate_stopped'").fetchall()
    (told,) = recorder.taken
    assert (told["uuid"], told["distinct_id"]) == (stop[0], "tallyhouse")
    assert (told["properties"]["lines"], told["properties"]["money"]) == (3, {"USD": "9.00"})
    measured = (workspace / "warehouse" / "metrics.prom").read_text().splitlines()
    assert "tallyhouse_gate_stopped 1" in measured
    assert 'tallyhouse_gate_money{currency="USD"} 9' in measured


def test_nobody_is_told_unless_somebody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYHOUSE_POSTHOG_KEY", raising=False)
    assert announce.posthog() is None


def test_a_library_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYHOUSE_POSTHOG_KEY", "phc_test")
    monkeypatch.setattr(announce, "find_spec", lambda _: None)
    with pytest.raises(Refusal, match=r"install tallyhouse\[events\]"):
        announce.posthog()
