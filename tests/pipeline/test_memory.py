"""A night that is larger than its memory: it spills to disk and ends, and bills what it bills with room to spare."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from assets import warehouse
from orchestration.run import night
from tests import nights

pytestmark = pytest.mark.xdist_group("jobs")  # where Dagster and dbt are loaded once

ROWS = 300_000
LIMIT = "150MB"
AS_OF = datetime(2026, 6, 3, 2, tzinfo=UTC)  # May closes

CATALOGUE = {
    "catalog/workspace.yaml": "currency: USD\n",
    "catalog/sources.yaml": """
        sources:
          calls: {files: calls/*.ndjson, format: ndjson, identity: [id], occurred_at: ts, account: org,
                  emits: [{meter: model_cost, cost: cost}]}""",
    "catalog/meters.yaml": "meters: {model_cost: {aggregate: cost}}",
    "catalog/plans.yaml": """
        plans:
          pro:
            priority: 1
            versions:
              - {from: 2026-01-01T00:00:00Z, included: 0.10, daily_refresh: {basis: 1.00, rate: 0.01}, overage: true,
                 charges: [{meter: model_cost, pooled: true}]}""",
}
ACCOUNTS = 200


def given(workspace: Path) -> None:
    """A month of calls in one file, a hundredth of them twice."""
    owners = [f"org_{number},organization,Org,USD,UTC,cus_{number}" for number in range(ACCOUNTS)]
    terms = [f"sub_{number},org_{number},pro,1,month,{{0}},{{0}}," for number in range(ACCOUNTS)]
    start = "2026-05-01T00:00:00Z"
    header = "account_id,entity_type,name,currency,timezone,stripe_customer_id"
    terms_header = "subscription_id,account_id,plan,seats,interval,anchor_at,starts_at,ends_at"
    files = {
        **CATALOGUE,
        "accounts/accounts.csv": "\n".join([header, *owners, ""]),
        "accounts/subscriptions.csv": "\n".join([terms_header, *(line.format(start) for line in terms), ""]),
    }
    for name, text in files.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text)
    (workspace / "raw" / "calls").mkdir(parents=True)
    with duckdb.connect() as con:
        con.execute(f"""
            COPY (
                SELECT md5(call::VARCHAR) AS id, 'org_' || call * 7919 % {ACCOUNTS} AS org,
                       strftime(TIMESTAMP '2026-05-02' + to_seconds(call * 2500000 // {ROWS}),
                                '%Y-%m-%dT%H:%M:%SZ') AS ts,
                       '0.0' || lpad((call % 977)::VARCHAR, 5, '0') AS cost
                FROM (SELECT i - if(i % 100 = 99, 1, 0) AS call FROM range({ROWS}) AS series(i))
            ) TO '{workspace / "raw" / "calls" / "may.ndjson"}' (FORMAT json)""")


class Watch:
    """The most that lay in the directory for what does not fit, seen from outside."""

    def __init__(self, spill: Path) -> None:
        self.spill, self.most = spill, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self.over.wait(0.01):
            self.most = max(self.most, sum(file.stat().st_size for file in self.spill.glob("*") if file.exists()))

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("roomy")
    given(workspace)
    nights.run_night(workspace, AS_OF)
    return workspace


def test_it_spills_and_ends(roomy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(tmp_path)
    monkeypatch.setenv("TALLYHOUSE_MEMORY", LIMIT)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with Watch(Path(warehouse.settings(tmp_path)["temp_directory"])) as watch:
        night(tmp_path, AS_OF)  # the job itself: its steps open the warehouse one after the other, dbt many times
    assert watch.most > 10_000_000, "hardly anything was spilled: the night fits into its memory"
    ours, theirs = lines(tmp_path), lines(roomy)
    assert ours == theirs
    assert len(ours) > ACCOUNTS // 2


def lines(workspace: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(workspace / "published" / "tallyhouse.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM billing.ledger").fetchall() == [(ROWS - ROWS // 100,)]
        return con.execute("FROM billing.invoice_items ORDER BY line_id").fetchall()
