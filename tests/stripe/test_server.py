"""The server around the API: what is kept, what other processes can ask for, and who is let in."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import stripe
from typer.testing import CliRunner

from assets.core.refusal import Refusal
from assets.practice import Fault, PracticeStripe
from orchestration.cli import app
from tests.stripe.client import client_of, is_replayed, item

ROOT = Path(__file__).resolve().parents[2]


def ask(url, told=None, method=None, **headers):
    data = None if told is None else json.dumps(told).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 (ours, on loopback)
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return answer.read().decode(), answer.headers


def control(practice, name, told=None, method=None):
    return json.loads(ask(f"{practice.url}/_practice/{name}", told, method)[0])


def test_everything_is_there_again_after_a_restart(tmp_path):
    path = tmp_path / "practice.jsonl"
    with PracticeStripe(state=path, now=1_790_000_000) as practice:
        practice.add_customer("cus_acme")
        client = client_of(practice)
        kept, gone = item(client, "cus_acme", "k1"), item(client, "cus_acme")
        client.v1.invoice_items.delete(gone.id)
        draft = client.v1.invoices.create({"customer": "cus_acme", "auto_advance": True})
        practice.faults.add(Fault("error_later", seconds=7200))
        with pytest.raises(stripe.APIError):
            item(client, "cus_acme", "k2", amount=1)
        before = practice.state()
    with PracticeStripe(state=path, now=1_790_000_000) as practice:
        assert practice.state() == before
        client = client_of(practice)
        assert is_replayed(again := item(client, "cus_acme", "k1"))
        assert again.id == kept.id
        assert item(client, "cus_acme").id not in (kept.id, gone.id)
        practice.clock.advance(7200)
        assert sorted(row["amount"] for row in practice.items()) == [1, 1234, 1234]
        assert client.v1.invoices.retrieve(draft.id).status == "paid"


def test_a_torn_last_line_is_cut_off_and_any_other_file_refused(tmp_path):
    path = tmp_path / "practice.jsonl"
    with PracticeStripe(state=path) as practice:
        practice.add_customer("cus_acme")
        practice.add_customer("cus_other")
    whole = path.read_bytes()
    for cut in (1, 20, len(whole.splitlines()[1])):
        path.write_bytes(whole[:-cut])
        with PracticeStripe(state=path) as practice:
            assert [row["id"] for row in practice.state()["test"]["customer"]] == ["cus_acme"]
            practice.add_customer("cus_next")
        with PracticeStripe(state=path) as practice:
            assert [row["id"] for row in practice.state()["test"]["customer"]] == ["cus_acme", "cus_next"]
    path.write_text("something else\n")
    with pytest.raises(Refusal, match="is not the state"):
        PracticeStripe(state=path).start()


def test_two_do_not_share_a_file(tmp_path):
    path = tmp_path / "practice.jsonl"
    with PracticeStripe(state=path), pytest.raises(Refusal, match="another practice Stripe"):
        PracticeStripe(state=path).start()
    with PracticeStripe(state=path):
        pass


def test_the_command_keeps_what_arrived_through_kill_9(tmp_path):
    """The real process, killed while ten threads send; what was answered is there, once."""
    path = tmp_path / "practice.jsonl"
    command = [sys.executable, "-m", "orchestration.cli", "practice", "--port", "0", "--json", "--state", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        ask(f"{url}/_practice/customers", {"id": "cus_acme", "name": "Acme"})
        client = stripe.StripeClient("sk_test_x", base_addresses={"api": url}, max_network_retries=0)
        answered: list[str] = []

        def send(n: int) -> None:
            try:
                answered.append(item(client, "cus_acme", f"k{n}").id)
            except stripe.APIConnectionError:
                return
            if n == 60:
                process.send_signal(signal.SIGKILL)

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(send, range(200)))
    assert process.returncode == -signal.SIGKILL
    assert 20 < len(answered) < 200
    with PracticeStripe(state=path) as practice:
        ids = [row["id"] for row in practice.items("cus_acme")]
        assert set(answered) <= set(ids)
        assert len(ids) == len(set(ids)) <= len(answered) + 10
        for n in range(200):
            item(client_of(practice), "cus_acme", f"k{n}")
        assert len(practice.items("cus_acme")) == 200


def test_the_command_names_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = CliRunner().invoke(app, ["practice", "--port", str(taken.getsockname()[1])])
    assert answer.exit_code == 1
    assert "name another port" in answer.output


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    answer = CliRunner().invoke(app, ["practice", "--port", "0", "--state", str(tmp_path / "file" / "state")])
    assert answer.exit_code == 1
    assert "file/state: can't be kept there" in answer.output


def test_other_processes_can_do_what_a_test_can(practice, client):
    assert control(practice, "customers", {"id": "cus_acme", "name": "Acme"})["name"] == "Acme"
    assert control(practice, "customers", {"id": "cus_acme", "name": "Other"})["name"] == "Acme"
    assert control(practice, "faults", {"kind": "drop", "path": "/v1/invoiceitems"})[0]["kind"] == "drop"
    with pytest.raises(stripe.APIConnectionError):
        item(client, "cus_acme", "k")
    control(practice, "faults", [{"kind": "error"}, {"kind": "reset"}])
    assert control(practice, "faults", method="DELETE") is None
    assert control(practice, "faults") == []
    now = control(practice, "clock")["now"]
    assert control(practice, "clock", {"advance": 3600})["now"] == practice.clock.now() == now + 3600
    assert control(practice, "clock", {"set": now + 7200})["now"] == now + 7200
    assert control(practice, "settings", {"latency_ms": 1})["latency_ms"] == practice.settings.latency_ms == 1
    assert [row["amount"] for row in control(practice, "state")["test"]["invoiceitem"]] == [1234]
    (call,) = control(practice, "calls")
    assert (call["key"], call["status"], call["faults"], call["customer"]) == ("k", None, ["drop"], "cus_acme")
    assert call["headers"]["stripe-version"] == "2026-10-28.endive"
    assert call["made"] == practice.items()[0]["id"]
    assert control(practice, "calls?after=1") == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("clock", {"advance": -1}),
        ("clock", {"back": 1}),
        ("faults", {"kind": "gremlin"}),
        ("faults", {"kind": "drop", "colour": "red"}),
        ("faults", {"kind": "drop", "after": "1"}),
        ("faults", [1]),
        ("settings", {"colour": "red"}),
        ("settings", {"latency_ms": "1"}),
        ("customers", {"name": "no id"}),
    ],
)
def test_control_refuses_what_it_does_not_know(practice, name, told):
    with pytest.raises(urllib.error.HTTPError) as refused:
        control(practice, name, told)
    refused.value.close()
    assert refused.value.code == 400


def test_nobody_else_is_let_in(practice):
    assert practice.url.startswith("http://127.0.0.1:")
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        for path in ("/", "/_practice/state", "/v1/customers"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                ask(practice.url + path, **headers)
            refused.value.close()
            assert refused.value.code == 403
    assert practice.calls == []
    outside = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {
        "127.0.0.1"
    }
    for address in outside:
        with pytest.raises(OSError), socket.create_connection((address, practice.port), timeout=1):
            pass


def test_the_page_shows_what_arrived_and_asks_for_nothing(practice, client):
    assert "Nothing has arrived yet" in ask(practice.url)[0]
    meter = {"default_aggregation": {"formula": "sum"}, "display_name": "GB", "event_name": "gb_seconds"}
    client.v1.billing.meters.create(meter)
    practice.add_customer("cus_acme", "Acme <& Sons>")
    item(client, "cus_acme", amount=123_456, description="Overage <script>")
    item(client, "cus_acme", amount=-1000, currency="jpy")
    client.v1.invoices.create({"customer": "cus_acme", "currency": "usd", "pending_invoice_items_behavior": "include"})
    told = {"event_name": "gb_seconds", "payload": {"stripe_customer_id": "cus_acme", "value": "5"}}
    client.v1.billing.meter_events.create(told)
    page, headers = ask(practice.url)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    for text in (
        "1,234.56 USD",
        "−1,000 JPY",
        "Acme &lt;&amp; Sons&gt;",
        "Overage &lt;script&gt;",
        "draft",
        "pending",
        "gb_seconds",
    ):
        assert text in page
    assert "<script" not in page
    assert "http" not in page.replace(practice.url, "")


def test_curl_can_ask_with_the_key_as_its_user(practice, acme):
    secret = base64.b64encode(b"sk_test_x:").decode()
    answer, _ = ask(f"{practice.url}/v1/customers/{acme}", Authorization=f"Basic {secret}")
    assert json.loads(answer)["id"] == acme
    for wrong in ({}, {"Authorization": "Basic !"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(f"{practice.url}/v1/customers", **wrong)
        refused.value.close()
        assert refused.value.code == 401
    assert secret not in repr(practice.calls)


def test_half_a_request_is_no_request(practice, client, acme):
    """A sender killed while it writes has asked for nothing."""
    head = "POST /v1/invoiceitems HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer sk_test_x\r\n"
    body = f"customer={acme}&currency=usd&amount=12345"
    with socket.create_connection(("127.0.0.1", practice.port), timeout=5) as connection:
        connection.sendall(f"{head.format(practice.port)}Content-Length: {len(body)}\r\n\r\n{body[:-2]}".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    assert practice.items() == [] == practice.calls


def test_a_request_without_a_length_is_refused(practice):
    with socket.create_connection(("127.0.0.1", practice.port), timeout=5) as connection:
        connection.sendall(f"POST /v1/customers HTTP/1.1\r\nHost: 127.0.0.1:{practice.port}\r\n".encode())
        connection.sendall(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 411")


def test_stopping_ends_what_hangs(practice, acme):
    practice.faults.add(Fault("hang", times=None))
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(item, client_of(practice), acme) for _ in range(3)]
        while len(practice.calls) < 3:
            time.sleep(0.005)
        practice.stop()
        # Sooner than by the client's own patience, which is longer.
        assert all(isinstance(it.exception(60), stripe.APIConnectionError) for it in waiting)


def test_an_answer_comes_in_one_piece(practice, acme):
    """Head and body sent apart would each wait for an acknowledgement, 40 ms a call."""
    asked = (
        f"GET /v1/customers/{acme} HTTP/1.1\r\nHost: 127.0.0.1:{practice.port}\r\n"
        "Authorization: Bearer sk_test_x\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", practice.port), timeout=5) as connection:
        for _ in range(20):
            connection.sendall(asked.encode())
            _, _, body = connection.recv(1 << 16).partition(b"\r\n\r\n")
            assert json.loads(body)["id"] == acme
