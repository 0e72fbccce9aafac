"""The gate through the real command: a stop explains itself, is shown again, is accepted once, and tells people."""

from __future__ import annotations

import importlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from aiosmtpd.controller import Controller
from typer.testing import CliRunner, Result

from assets import warehouse
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.gate import expectations
from assets.gate.accept import accept
from assets.gate.findings import Finding
from assets.gate.judge import judge
from assets.notify import News, tell_people
from orchestration.cli import app
from orchestration.news import tell_people_of_failures
from orchestration.settings import COMMAND_LINE, TOLD_BY
from tests import nights
from tests.pipeline.places import NOTED, bytes_below, case

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

CHECKS: dict[str, Any] = {
    "no_line_is_over_a_cent": {
        "severity": "block",
        "sql": "SELECT line_id, {'of': charge} AS what, at_stake, currency FROM gate.lines WHERE at_stake > 0.01;",
    }
}


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "TALLYHOUSE_WORKSPACE", "TALLYHOUSE_DEBUG"):
        monkeypatch.delenv(name, raising=False)


class Webhook:
    """A server that keeps what it is told, and answers as it is told to."""

    def __init__(self, status: int = 200) -> None:
        self.told: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/services/secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


class Mails:
    def __init__(self) -> None:
        self.got: list[tuple[list[str], str]] = []

    async def handle_DATA(self, _: object, __: object, envelope: Any) -> str:  # noqa: N802 - the library's name
        self.got.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


@pytest.fixture
def mails() -> Iterator[tuple[Mails, int]]:
    box = Mails()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, port
    server.stop()


def configured(workspace: Path, checks: dict[str, Any], notify: dict[str, Any] | None = None) -> None:
    content = {"checks": checks, **({"notify": notify} if notify else {})}
    (workspace / "catalog" / "checks.yaml").write_text(json.dumps(content))


def tallyhouse(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def books(workspace: Path) -> dict[str, Any]:
    with duckdb.connect(str(warehouse.path(workspace)), read_only=True) as con:
        tables = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'books' ORDER BY 1").fetchall()
        names = [name for (name,) in tables if name not in NOTED]
        return {name: sorted(map(str, con.execute(f"FROM books.{name}").fetchall())) for name in names}


def test_a_stop_explains_itself_and_one_night_is_let_pass(
    tmp_path: Path, webhook: Webhook, mails: tuple[Mails, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = case().script
    first = script.before(1, tmp_path)
    nights.run_night(tmp_path, first)
    second = script.before(2, tmp_path)
    box, port = mails
    monkeypatch.setenv("HOOK", webhook.address)
    mail = {
        "to": ["billing@example.com"],
        "from": "tallyhouse@example.com",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
    }
    configured(tmp_path, CHECKS, {"webhook": {"url_env": "HOOK"}, "email": mail})
    before, published = books(tmp_path), bytes_below(tmp_path / "published")
    nightly = ("nightly", "--workspace", tmp_path, "--as-of", format_instant(second))

    stopped = tallyhouse(*nightly)
    assert stopped.exit_code == 1
    said = stopped.stderr
    assert "gate: The night of " in said
    assert "[own, blocks] no_line_is_over_a_cent found " in said
    assert "USD at stake" in said
    assert f"Last published: the night of {format_instant(first)} is what readers see, untouched." in said
    assert "warehouse/gate/index.html" in said
    assert '--accept no_line_is_over_a_cent --because "…"' in said
    assert books(tmp_path) == before
    assert bytes_below(tmp_path / "published") == published
    (told,) = webhook.told
    assert told["text"] == f"Tallyhouse: the night of {format_instant(second)} was stopped by the gate"
    assert "no_line_is_over_a_cent" in told["blocks"][1]["text"]["text"]
    ((to, content),) = box.got
    assert to == ["billing@example.com"]
    assert f"Subject: {told['text']}" in content

    again = tallyhouse("gate", "--workspace", tmp_path, "--json")
    verdict = json.loads(again.stdout.splitlines()[-1])
    assert (verdict["verdict"], verdict["as_of"]) == ("stops", format_instant(second))
    (failed,) = verdict["failed"]
    shown = tallyhouse("gate", "--workspace", tmp_path, "--rows", "no_line_is_over_a_cent", "--json")
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(rows) == failed["rows_found"] == verdict["lines"]
    assert "no_line_is_over_a_cent" in tallyhouse("gate", "--workspace", tmp_path).stdout

    assert tallyhouse("gate", "--workspace", tmp_path, "--accept", "no_line_is_over_a_cent").exit_code == 2
    words = ("gate", "--workspace", tmp_path, "--accept", "no_line_is_over_a_cent", "--because", "the customer knows")
    assert "is accepted for" in tallyhouse(*words).stdout
    assert "was accepted before" in tallyhouse(*words).stdout
    passed = tallyhouse(*nightly)
    assert passed.exit_code == 0, passed.stderr
    tables = nights.published(tmp_path)
    (decision,) = [row for row in tables["decisions"] if row["decision"] == "accept_check"]
    assert (decision["subject"], decision["because"], decision["as_of"]) == (
        "no_line_is_over_a_cent", "the customer knows", second,
    )  # fmt: skip
    (check,) = [row for row in tables["checks"] if row["check_name"] == "no_line_is_over_a_cent"]
    assert (check["outcome"], check["verdict"], check["because"]) == ("failed", "accepted", "the customer knows")
    assert len(tables["check_rows"]) == check["rows_found"]
    assert (tmp_path / "published" / "data_docs" / "index.html").exists()
    assert len(webhook.told) == 1

    third = script.before(3, tmp_path)
    configured(tmp_path, CHECKS)
    assert nights.judge_night(tmp_path, third).is_stopped  # what was accepted went with its night


# --- checks of one's own -------------------------------------------------------------------------------------------

WRONG = {
    "a mistake": ("SELECT nothing FROM gate.lines", "nothing"),
    "no such table": ("SELECT * FROM gate.nowhere", "nowhere"),
    "another file": ("SELECT * FROM read_text('/etc/hostname')", "disabled"),
    "not a query": ("DELETE FROM books.lines", "syntax error"),
    "a second statement": ("SELECT 1 AS one) AS found; DROP TABLE books.lines; SELECT * FROM (SELECT 1", "rror"),
}


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("landed")
    nights.run_night(workspace, case().script.before(1, workspace))
    case().script.before(2, workspace)
    return workspace


def test_a_check_that_can_not_be_run_blocks_and_says_so(landed: Path) -> None:
    checks: dict[str, Any] = {
        f"check_{index}": {"sql": sql, "severity": "warn"} for index, (sql, _) in enumerate(WRONG.values())
    }
    checks["check_of_nothing"] = {
        "table": "gate.nowhere",
        "expect": "expect_table_row_count_to_be_between",
        "with": {"min_value": 1},
    }
    checks["check_badly_asked"] = {
        "table": "lines",
        "expect": "expect_column_values_to_be_between",
        "with": {"colum": "x"},
    }
    configured(landed, checks)
    before = books(landed)
    judged = nights.judge_night(landed, case().script.nights[1])
    assert books(landed) == before
    found = {check["check_name"]: check for check in judged.checks}
    for index, (_, word) in enumerate(WRONG.values()):
        check = found[f"check_{index}"]
        assert (check["outcome"], check["verdict"]) == ("raised", "stops"), check
        assert word in check["detail"]
    for name in ("check_of_nothing", "check_badly_asked"):
        assert (found[name]["outcome"], found[name]["verdict"]) == ("raised", "stops"), found[name]
    (landed / "warehouse" / "run.lock").touch()
    with pytest.raises(Refusal, match="could not be run"):
        accept(landed, "check_0", "never mind")


def test_own_expectations_find_their_rows_and_off_is_off(landed: Path) -> None:
    configured(
        landed,
        {
            "lines_are_small": {
                "table": "lines",
                "expect": "expect_column_values_to_be_between",
                "with": {"column": "amount_minor", "max_value": 1},
                "severity": "warn",
            },
            "there_are_lines": {
                "table": "billing.invoice_items",
                "expect": "expect_table_row_count_to_be_between",
                "with": {"min_value": 1_000_000},
                "severity": "warn",
            },
            "sources_deliver_every_night": {"off": True, "because": "nobody delivers here"},
        },
    )
    judged = nights.judge_night(landed, case().script.nights[1])
    found = {check["check_name"]: check for check in judged.checks}
    assert judged.verdict == "warns"
    assert found["lines_are_small"]["rows_found"] == judged.lines > 0
    assert found["lines_are_small"]["at_stake"] == judged.money
    assert found["there_are_lines"]["detail"].startswith("observed ")
    assert found["sources_deliver_every_night"]["outcome"] == "off"
    assert found["sources_deliver_every_night"]["because"] == "nobody delivers here"
    assert found["price_lists_hold"]["detail"] == "begins after 14 nights; there are 1 so far"


def test_what_structure_stops_nobody_accepts(landed: Path) -> None:
    as_of = case().script.nights[1]
    broken = Finding("sums", "models", "structure", "block", "failed", "Sums agree.", query="SELECT 1 AS at_stake")
    with warehouse.connect(landed) as con:
        con.execute(
            "INSERT INTO books.decisions VALUES ('accept_check', 'sums', 'so what', ?, '{}')",
            [as_of.replace(tzinfo=None)],
        )
        judged = judge(con, as_of, [broken], is_first=True, has_lines=False)
        con.execute("DELETE FROM books.decisions")
    assert judged.is_stopped
    (landed / "warehouse" / "run.lock").touch()
    with pytest.raises(Refusal, match="always blocks"):
        accept(landed, "sums", "so what")
    with pytest.raises(Refusal, match="did you mean 'sums'"):
        accept(landed, "sum", "so what")


def test_the_night_after_a_stop_counts_what_that_had_landed(tmp_path: Path) -> None:
    script = case().script
    nights.judge_night(tmp_path, script.before(1, tmp_path))
    nights.run_night(tmp_path, script.before(2, tmp_path))
    tables = nights.published(tmp_path)
    (counts,) = [json.loads(run["counts"]) for run in tables["runs"]]
    assert (counts["files"], counts["rows"]) == (len(tables["files"]), sum(file["rows"] for file in tables["files"]))
    assert counts["usages"] == len(tables["ledger"]) > 0


# --- who is told ---------------------------------------------------------------------------------------------------


def test_whoever_can_not_be_reached_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = Webhook(status=500)
    (tmp_path / "catalog").mkdir()
    (tmp_path / "address").write_text(hook.address)
    mail = {"to": "a@example.com", "from": "b@example.com", "host": "127.0.0.1", "port": 1}
    configured(tmp_path, {}, {"on": "failure", "webhook": {"url_file": str(tmp_path / "address")}, "email": mail})
    try:
        assert tell_people(tmp_path, News("stop", "a", "b")) == []
        problems = tell_people(tmp_path, News("failure", "a", "b"))
    finally:
        hook.server.shutdown()
        hook.server.server_close()
    assert len(problems) == 2
    assert all("could not be told" in problem for problem in problems)
    assert "secret" not in "".join(problems)
    assert [told["text"] for told in hook.told] == ["a"]


def test_a_refused_night_is_told_too(tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    as_of = case().script.before(1, tmp_path)
    monkeypatch.setenv("HOOK", webhook.address)
    configured(tmp_path, {}, {"webhook": {"url_env": "HOOK"}})
    (tmp_path / "catalog" / "plans.yaml").write_text("plans: 7\n")
    assert tallyhouse("nightly", "--workspace", tmp_path, "--as-of", format_instant(as_of)).exit_code == 1
    (told,) = webhook.told
    assert told["text"].endswith("failed")
    assert "catalog/plans.yaml" in told["blocks"][1]["text"]["text"]


@pytest.mark.parametrize("is_told_already", [False, True])
def test_dagsters_daemon_tells_of_its_own_runs(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, is_told_already: bool
) -> None:
    @dg.op
    def stop() -> None:
        raise ValueError("the books are wet")

    @dg.job(executor_def=dg.in_process_executor)
    def nightly() -> None:
        stop()

    (tmp_path / "catalog").mkdir()
    monkeypatch.setenv("TALLYHOUSE_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("HOOK", webhook.address)
    configured(tmp_path, {}, {"webhook": {"url_env": "HOOK"}})
    tags = {"dagster/partition": "2026-06-01"} | ({TOLD_BY: COMMAND_LINE} if is_told_already else {})
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        done = nightly.execute_in_process(instance=instance, raise_on_error=False, tags=tags, run_config=quiet)
        event = next(one for one in done.all_events if one.event_type_value == "PIPELINE_FAILURE")
        context = dg.build_run_status_sensor_context(
            sensor_name="tell_people", dagster_instance=instance, dagster_run=done.dagster_run, dagster_event=event
        ).for_run_failure()
        tell_people_of_failures(context)
    assert len(webhook.told) == (0 if is_told_already else 1)
    if webhook.told:
        assert webhook.told[0]["text"] == "Tallyhouse: the night of 2026-06-01 failed"
        assert "the books are wet" in webhook.told[0]["blocks"][1]["text"]["text"]


def test_a_broken_law_stops_the_night_where_it_is_found(tmp_path: Path) -> None:
    """dbt builds nothing on a model whose test has failed; the account is the same, and nobody can accept it."""
    script = case().script
    nights.run_night(tmp_path, script.before(1, tmp_path))
    with warehouse.connect(tmp_path) as con:
        con.execute("UPDATE books.received SET usages = usages + 1 WHERE rowid = 0")
    before, published = books(tmp_path), bytes_below(tmp_path / "published")
    second = script.before(2, tmp_path)
    stopped = tallyhouse("nightly", "--workspace", tmp_path, "--as-of", format_instant(second))
    assert stopped.exit_code == 1
    assert "[structure, blocks] no_usage_leaks found 1 row" in stopped.stderr
    assert "can't be accepted. Nothing but mending helps." in stopped.stderr
    assert books(tmp_path) == before
    assert bytes_below(tmp_path / "published") == published
    refused = tallyhouse("gate", "--workspace", tmp_path, "--accept", "no_usage_leaks", "--because", "it is only one")
    assert refused.exit_code == 1
    assert "always blocks" in refused.stderr


def test_a_path_may_hold_what_great_expectations_replaces(tmp_path: Path) -> None:
    workspace = tmp_path / "$HOME is {{ here }}"
    nights.run_night(workspace, case().script.before(1, workspace))
    judged = nights.judge_night(workspace, case().script.before(2, workspace))
    assert {check["outcome"] for check in judged.checks} == {"passed", "waiting"}


def test_a_module_that_is_wanted_later_is_loaded_by_the_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heavy_to_load.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    with expectations._later("heavy_to_load", "json"):
        held = importlib.import_module("heavy_to_load")
        assert importlib.import_module("json") is json  # what is there stays what it is
    assert "heavy_to_load" not in sys.modules
    assert held.answer == 42
    assert sys.modules.pop("heavy_to_load").answer == 42
