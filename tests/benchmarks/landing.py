"""How long landing takes against the floor: decompressing the same files and counting their lines.

    python -m tests.benchmarks.landing [--rows 10000000] [--files 31] [--rounds 3] [--directory DIR]

The two run in turn, each in a process of its own. Read the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from assets.core.catalogue.models import Emit, OccurredAt, Source
from assets.landing import land

SOURCE = Source(
    name="calls",
    files="calls/*.ndjson.gz",
    format="ndjson",
    where={"type": ("usage",)},
    identity=("id",),
    occurred_at=OccurredAt("ts"),
    account="org",
    actor="payload.user",
    context={"model": "payload.model"},
    emits=(Emit("model_cost", None, "payload.cost", {}),),
)


def generate(raw: Path, rows: int, files: int) -> None:
    """Daily files of a month's calls, the same for the same arguments."""
    (raw / "calls").mkdir(parents=True)
    with duckdb.connect() as con:
        for day in range(files):
            first, last = rows * day // files, rows * (day + 1) // files
            con.execute(f"""
                COPY (
                    SELECT '{{"id":"' || md5(i::VARCHAR) || '","type":"usage","ts":"2026-05-'
                        || lpad((1 + {day} % 31)::VARCHAR, 2, '0') || 'T' || lpad((i % 24)::VARCHAR, 2, '0')
                        || ':' || lpad((i % 59)::VARCHAR, 2, '0') || ':20.' || lpad((i % 997)::VARCHAR, 3, '0')
                        || 'Z","org":"org_' || (i * 7919 % 20000) || '","attempt":' || (1 + i % 3)
                        || ',"payload":{{"user":"user_' || (i * 104729 % 60000) || '","cost":0.'
                        || lpad((i * 7 % 10000000)::VARCHAR, 9, '0') || ',"model":"model-' || (i % 7)
                        || '","tokens":' || (i % 5000) || '}}}}' AS line
                    FROM range({first}, {last}) AS series(i)
                ) TO '{raw / "calls" / f"2026-05-{day + 1:02}.ndjson.gz"}'
                (FORMAT csv, HEADER false, QUOTE '', DELIMITER '\x01', COMPRESSION gzip)
            """)


def floor(workspace: Path) -> None:
    names = sorted(str(path) for path in (workspace / "raw" / "calls").iterdir())
    with subprocess.Popen(["gzip", "-dc", *names], stdout=subprocess.PIPE) as unpack:
        subprocess.run(["wc", "-l"], stdin=unpack.stdout, stdout=subprocess.DEVNULL, check=True)


def landing(workspace: Path) -> None:
    warehouse = workspace / "warehouse" / "tallyhouse.duckdb"
    warehouse.parent.mkdir(exist_ok=True)
    warehouse.unlink(missing_ok=True)
    with duckdb.connect(str(warehouse)) as con:
        land(con, workspace, {SOURCE.name: SOURCE}, {}, datetime(2026, 6, 1, tzinfo=UTC))


CONTESTANTS: dict[str, Callable[[Path], None]] = {"floor": floor, "landing": landing}


def measured(name: str, workspace: Path) -> tuple[float, int]:
    """Seconds and peak memory in MB of one contestant, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.landing", "--only", name, "--directory", str(workspace)],
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def once(name: str, workspace: Path) -> None:
    started = time.perf_counter()
    CONTESTANTS[name](workspace)
    seconds = time.perf_counter() - started
    whose = resource.RUSAGE_CHILDREN if name == "floor" else resource.RUSAGE_SELF
    print(json.dumps([seconds, resource.getrusage(whose).ru_maxrss // 1024]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=31, help="daily gzip files to spread them over")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where the files are made (default: a temporary directory)")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        once(asked.only, asked.directory)
        return
    with tempfile.TemporaryDirectory(dir=asked.directory) as directory:
        workspace = Path(directory)
        print(f"generating {asked.rows:,} rows in {asked.files} files", flush=True)
        generate(workspace / "raw", asked.rows, asked.files)
        rounds = [[measured(name, workspace) for name in CONTESTANTS] for _ in range(asked.rounds)]
    for name, found in zip(CONTESTANTS, zip(*rounds, strict=True), strict=True):
        seconds = statistics.median(second for second, _ in found)
        print(f"{name:8} {seconds:8.2f} s (median of {asked.rounds})   peak {max(mb for _, mb in found):6,} MB")
    print(f"landing takes {statistics.median(own[0] / base[0] for base, own in rounds):.2f} times the floor")


if __name__ == "__main__":
    main()
