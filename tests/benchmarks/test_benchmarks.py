"""The benchmark at a small size: everybody bills the same files to the same cent, and the page tells what was found."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from assets.core.refusal import Refusal
from tests import nights
from tests.benchmarks import companies, ours, page, peers, ratios, workload
from tests.benchmarks.measure import ROOT, Failed, measured
from tests.benchmarks.peers import postgres

pytestmark = pytest.mark.xdist_group("benchmarks")  # its month is billed once
USAGES = 20_000


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small month, landed and billed by us."""
    root = tmp_path_factory.mktemp("month")
    workload.write(root, workload.Month(companies.metered(accounts=300), USAGES))
    nights.run_night(companies.workspace(root), ours.AFTER_MAY)
    return root


def published(root: Path) -> Path:
    return companies.workspace(root) / "published" / "tallyhouse.duckdb"


def bill(name: str, root: Path, result: Path, **environment: str) -> None:
    """In a process of its own, as in earnest: engines keep threads, and one of them handlers of signals."""
    if why := peers.why_not(name):
        pytest.skip(why)
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.peers", name, str(root), str(result)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=True,
    )


def test_the_month_has_what_there_is_to_bill(billed: Path) -> None:
    def found(query: str) -> list[int]:
        with duckdb.connect(str(published(billed)), read_only=True) as con:
            (row,) = con.execute(query).fetchall()
        return [int(it) for it in row]

    charges, lines = found("SELECT count(DISTINCT charge), count(*) FROM billing.invoice_items")
    assert charges == 1 + 3 * 5  # overage, and five metered charges of three plans
    assert lines > 300
    accepted, repeated, held = found("SELECT sum(accepted), sum(duplicate), sum(quarantined) FROM billing.files")
    assert (accepted, held) == (USAGES, 0)
    assert USAGES // 120 < repeated < USAGES // 80
    (late,) = found(
        "SELECT count(*) FROM billing.ledger WHERE occurred_at::DATE < regexp_extract(raw_file, '2[^.]*')::DATE"
    )
    assert USAGES // 300 < late < USAGES // 150


@pytest.mark.parametrize("name", ["by hand", "clickhouse", "polars"])
def test_a_peer_bills_the_same_cents(name: str, billed: Path, tmp_path: Path) -> None:
    bill(name, billed, tmp_path / "lines.csv")
    assert peers.differences(tmp_path / "lines.csv", published(billed)) == []


@pytest.fixture(scope="module")
def reach() -> Iterator[str]:
    if why := postgres.why_not():
        pytest.skip(why)
    with postgres.server() as (reach, _):
        yield reach


def test_postgres_bills_the_same_cents(reach: str, billed: Path, tmp_path: Path) -> None:
    for name in ("postgres insert", "postgres by subscription", "postgres by one query"):
        bill(name, billed, tmp_path / f"{name}.csv", TALLYHOUSE_BENCH_POSTGRES=reach)
    for name in ("postgres by subscription", "postgres by one query"):
        assert peers.differences(tmp_path / f"{name}.csv", published(billed)) == []


def test_a_cent_too_many_is_noticed(billed: Path, tmp_path: Path) -> None:
    bill("by hand", billed, tmp_path / "lines.csv")
    header, first, *rest = (tmp_path / "lines.csv").read_text().splitlines()
    subscription, charge, cents = first.split(",")
    wrong = [header, f"{subscription},{charge},{int(cents) + 1}", *rest[1:], ""]
    (tmp_path / "wrong.csv").write_text("\n".join(wrong))
    left_out = rest[0].split(",")
    found = peers.differences(tmp_path / "wrong.csv", published(billed))
    assert sorted(found, key=str) == sorted(
        [(subscription, charge, int(cents) + 1, int(cents)), (left_out[0], left_out[1], None, int(left_out[2]))],
        key=str,
    )


def test_the_same_month_is_the_same_to_the_byte(tmp_path: Path) -> None:
    def digest(name: str, seed: int) -> str:
        workload.write(tmp_path / name, workload.Month(companies.metered(accounts=5), 500, seed=seed, days=2))
        found = hashlib.sha256()
        for file in sorted((tmp_path / name).rglob("*.*")):
            found.update(file.read_bytes())
        return found.hexdigest()

    assert digest("one", 1) == digest("again", 1) != digest("other", 2)


def test_rows_to_be_held_are_held(tmp_path: Path) -> None:
    workload.write(tmp_path, workload.Month(companies.metered(accounts=20, meters=3), 2_000, bad=0.1, days=2))
    nights.run_night(companies.workspace(tmp_path), ours.AFTER_MAY)
    with duckdb.connect(str(published(tmp_path)), read_only=True) as con:
        reasons = dict(con.execute("SELECT reason, count(*) FROM billing.quarantine GROUP BY ALL").fetchall())
    assert set(reasons) == {"bad_timestamp", "missing_field", "unknown_account"}
    assert 100 < sum(reasons.values()) < 300


def test_what_a_command_costs_is_that_of_all_it_starts() -> None:
    child = "import time; held = b'1' * 80_000_000; time.sleep(1)"
    cost = measured(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"]
    )
    assert cost.wall > 1
    assert 80 < cost.peak_mb < 300
    with pytest.raises(Failed, match="ended with 3: why"):
        measured([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"])


def cost(wall: float, busy: float) -> dict[str, object]:
    return {"wall": wall, "busy": busy, "peak_mb": 2048, "steps": {"landed": 1.0, "published": wall / 4}, "said": {}}


RESULTS = {
    "machine": {"Processor": "2 cores", "Memory": "24 GiB"},
    "month 10000000": {
        "usages": 10_000_000,
        "accounts": 20_000,
        "lines": 7,
        "left_out": ["polars: ended"],
        "bytes": {"warehouse": 90, "parquet": 60, "raw": 50, "published file": 10, "exports": 20},
        "costs": {
            "floor": [cost(2, 1), cost(4, 1), cost(9, 1)],
            "landing": [cost(3, 2), cost(10, 2), cost(9, 2)],
            "night": [cost(40, 30)] * 3,
            "by hand": [cost(4, 4)] * 3,
        },
    },
    "history": {"new": 1_000_000, "costs": {"1000000": [cost(10, 10)], "30000000": [cost(12, 13)]}},
    "curves": {
        "usual": 100,
        "most": 1000,
        "accounts": 20,
        "curves": {
            "usages": [[10, cost(1, 2)], [1000, cost(30, 40)]],
            "held": [[0.001, cost(1, 2)], [0.5, cost(2, 3)]],
        },
    },
}


def test_ratios_are_medians_of_rounds_with_their_goals() -> None:
    found = {it.what: it for it in ratios.all_of(RESULTS)}
    landing = found["10 M: landing / decompress and count"]
    assert (landing.by_clock, landing.by_processor, landing.is_met) == (1.5, 2.0, True)  # of 1.5, 2.5 and 1
    assert found["10 M: whole night / one DuckDB query by hand"].is_met is False
    assert found["a night of 1 M on 30 M / on 1 M"].by_clock == pytest.approx(1.2)
    assert found["10 M: publishing / whole night"].by_clock == pytest.approx(0.25)


def test_the_page_is_whole_in_itself_and_the_table_finds_its_place(tmp_path: Path) -> None:
    file = page.write(tmp_path / "bench.html", RESULTS, "2026-11-28")
    text = file.read_text()
    assert "<script" not in text
    assert "https://" not in text
    assert text.count('<svg class="chart half"') == 6
    assert "polars: ended" in text

    readme, table = tmp_path / "README.md", page.markdown(RESULTS, "2026-11-28")
    readme.write_text("# Ours\n")
    with pytest.raises(Refusal, match="has no place for the table"):
        page.into_readme(readme, table)
    readme.write_text("before\n<!-- make bench: begin -->\nold\n<!-- make bench: end -->\nafter\n")
    page.into_readme(readme, table)
    page.into_readme(readme, table)
    assert readme.read_text() == f"before\n<!-- make bench: begin -->\n{table}<!-- make bench: end -->\nafter\n"
    assert "| 10 M: whole night / one DuckDB query by hand | 10.00 × | 7.50 × | ≤ 3 × (missed) |" in table
