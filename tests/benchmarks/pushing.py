"""How long a push takes against what its rate allows: lines of many customers, a Stripe that answers after a while.

    python -m tests.benchmarks.pushing [--lines 10000] [--rate 20] [--latency 50] [--collect pending]

The practice Stripe runs in a process of its own. Read the ratio: 1.0 is the rate itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assets import push, warehouse
from assets.books import closed_periods
from assets.core.catalogue.loading import load
from tests import nights
from tests.golden.case import catalogue_files, raw_files

AS_OF = datetime(2026, 6, 1, 1, tzinfo=UTC)
CHARGES = 10


@dataclass(frozen=True, slots=True)
class Pushed:
    lines: int
    rate: int
    calls: int
    wall: float
    busy: float

    @property
    def ratio(self) -> float:
        """Against what so many calls take at that rate."""
        return self.wall * self.rate / self.calls


def workspace(root: Path, lines: int, rate: int, collect: str) -> list[str]:
    """A workspace that has just billed so many lines; its customers."""
    accounts = lines // CHARGES
    meters = {f"m{n}": {"aggregate": "sum"} for n in range(CHARGES)}
    source = {"files": "ev/*.ndjson", "format": "ndjson", "identity": ["id"], "occurred_at": "t", "account": "acct"}
    emits = [{"meter": meter, "quantity": "v", "when": {"m": meter}} for meter in meters]
    entry = {
        "workspace": {
            "bill_from": "2026-01-01T00:00:00Z",
            "stripe": {"mode": "live", "key": "test", "rate": str(rate), "collect": collect},
        },
        "meters": meters,
        "sources": {"ev": {**source, "emits": emits}},
        "plan": {"charges": [{"meter": meter, "model": "per_unit", "price": "0.01"} for meter in meters]},
        "accounts": "\n".join(f"a{n},organization,A,USD,UTC,cus_{n}" for n in range(accounts)),
        "subscriptions": "\n".join(
            f"s{n},a{n},pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z," for n in range(accounts)
        ),
        "usage": "\n".join(
            f"u{n}-{m} 2026-05-02T00:00:00Z m{m} {n + m + 1} a{n}" for n in range(accounts) for m in range(CHARGES)
        ),
    }
    for name, content in {**catalogue_files(entry), **{f"raw/{k}": v for k, v in raw_files(entry).items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    nights.run_night(root, AS_OF)
    return [f"cus_{n}" for n in range(accounts)]


def told(url: str, way: str, body: Any) -> None:
    request = urllib.request.Request(f"{url}/_practice/{way}", json.dumps(body).encode(), method="POST")  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        answer.read()


def contest(lines: int, rate: int, latency: int, collect: str) -> Pushed:
    """Bill so many lines and push them to a practice Stripe in a process of its own."""
    practice = [sys.executable, "-m", "orchestration.cli", "practice", "--port", "0", "--json"]
    with (
        tempfile.TemporaryDirectory() as directory,
        subprocess.Popen(practice, stdout=subprocess.PIPE, text=True) as stripe,
    ):
        try:
            assert stripe.stdout is not None
            url = json.loads(stripe.stdout.readline())["url"]
            root = Path(directory)
            for customer in workspace(root, lines, rate, collect):
                told(url, "customers", {"id": customer})
            told(url, "settings", {"latency_ms": latency})
            os.environ.update(STRIPE_API_KEY="sk_test_practice", TALLYHOUSE_STRIPE_API_BASE=url)
            return measure(root, lines, rate, url)
        finally:
            stripe.terminate()


def measure(root: Path, lines: int, rate: int, url: str) -> Pushed:
    with warehouse.connect(root) as con:
        catalogue = load(root, closed_periods(con), AS_OF)
        started, worked = time.perf_counter(), time.process_time()
        counts = push.push(con, root, catalogue, AS_OF, lambda: datetime.now(UTC), is_confirmed=True)
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
    with urllib.request.urlopen(f"{url}/_practice/calls") as answer:  # noqa: S310
        calls = json.loads(answer.read())
    assert counts == {"sent": lines, "pending": 0, "parked": 0}, counts
    return Pushed(lines, rate, len(calls), seconds, worked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=20, help="requests a second, as in workspace.yaml")
    parser.add_argument("--latency", type=int, default=50, help="milliseconds until Stripe answers")
    parser.add_argument("--collect", choices=("pending", "invoice"), default="pending")
    parser.add_argument("--json", action="store_true", help="for a program")
    asked = parser.parse_args()
    found = contest(asked.lines, asked.rate, asked.latency, asked.collect)
    if asked.json:
        print(json.dumps({"event": "pushed", **asdict(found), "ratio": found.ratio}))
        return
    print(f"{found.lines:,} lines in {found.calls:,} requests: {found.wall:.1f} s, of which {found.busy:.1f} s of work")
    print(f"at {found.rate} a second they could take {found.calls / found.rate:.1f} s: {found.ratio:.2f} times that")


if __name__ == "__main__":
    main()
