"""The month's lines in PostgreSQL, the way metering services keep usage: every event is inserted unless its key is
there, and a bill is a query for each subscription. For comparison, the same table billed by one query over the whole.

The server is one of our own: a cluster in a temporary directory, reached by a socket in it, gone when the benchmark
ends.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROWS = 1_000  # of an insert
_TABLE = """
    CREATE TABLE usages (id text PRIMARY KEY, ts timestamptz NOT NULL, org text NOT NULL, meter text NOT NULL,
                         value numeric(18, 6) NOT NULL);
    CREATE INDEX ON usages (org, ts);
    CREATE TABLE subscriptions (subscription_id text PRIMARY KEY, account_id text, plan text, seats bigint,
                                "interval" text, anchor_at text, starts_at text, ends_at text);
    CREATE TABLE plans (plan text PRIMARY KEY, included_micro numeric, allowance_micro numeric);
    CREATE TABLE prices (plan text, meter text, is_pooled boolean, unit_micro numeric, bound_micro numeric,
                         beyond_micro numeric, flat_micro numeric, PRIMARY KEY (plan, meter))"""
_LINES = """
    WITH priced AS (
        SELECT s.subscription_id, s.plan, s.seats, u.meter, (u.ts AT TIME ZONE 'UTC')::date AS day,
               u.value * 1000000 AS micro, p.is_pooled, p.unit_micro, p.bound_micro, p.beyond_micro, p.flat_micro
        FROM usages AS u
        JOIN subscriptions AS s ON u.org = s.account_id
        JOIN prices AS p ON s.plan = p.plan AND u.meter = p.meter
        WHERE u.ts >= '2026-05-01T00:00Z' AND u.ts < '2026-06-01T00:00Z' {only}
    ), windows AS (
        SELECT subscription_id, plan, seats, day, sum(micro * unit_micro) AS pico
        FROM priced WHERE is_pooled GROUP BY subscription_id, plan, seats, day
    ), metered AS (
        SELECT subscription_id, plan, meter, sum(micro) AS micro, unit_micro, bound_micro, beyond_micro, flat_micro
        FROM priced WHERE NOT is_pooled
        GROUP BY subscription_id, plan, meter, unit_micro, bound_micro, beyond_micro, flat_micro
    ), owed AS (
        SELECT subscription_id, 'overage' AS charge,
               sum(pico) - sum(least(pico, allowance_micro * 1000000 * seats))
                   - max(included_micro * 1000000 * seats) AS pico
        FROM windows JOIN plans USING (plan) GROUP BY subscription_id
        UNION ALL
        SELECT subscription_id, 'metered:' || plan || ':' || meter,
               least(micro, bound_micro) * unit_micro + CASE WHEN micro > bound_micro
                   THEN (micro - bound_micro) * beyond_micro + flat_micro * 1000000 ELSE 0 END
        FROM metered
    )
    SELECT subscription_id, charge, div(pico + 5000000000, 10000000000)::bigint AS amount_minor
    FROM owed WHERE pico >= 5000000000"""


def binaries() -> Path | None:
    """Where this machine keeps PostgreSQL's own programs."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: float(it.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    found = [*homes, *([Path(on_path).parent] if on_path else [])]
    return next((it for it in found if (it / "initdb").exists() and (it / "pg_ctl").exists()), None)


def why_not() -> str | None:
    """What is missing to measure against PostgreSQL, as a sentence; None if nothing is."""
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return "PostgreSQL is left out: psycopg2 is not installed (make bench does it)."
    if binaries() is None:
        return "PostgreSQL is left out: its server is not installed (Debian's package postgresql)."
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL is left out: its server refuses to run as root, and setpriv is not here to start it."
    return None


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """A cluster of our own: how to reach it, and its process."""
    home = binaries()
    assert home is not None
    with tempfile.TemporaryDirectory(prefix="tallyhouse-postgres-", dir="/tmp") as directory:
        data, as_other = Path(directory) / "data", _as_other(Path(directory))
        initdb = [str(home / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "--locale=C", "-E", "UTF8"]
        subprocess.run([*as_other, *initdb], stdout=subprocess.DEVNULL, check=True, cwd=directory)
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c shared_buffers=1GB -c work_mem=256MB"
        options += " -c max_wal_size=8GB"
        control = [*as_other, str(home / "pg_ctl"), "-D", str(data), "-w", "-s"]
        subprocess.run([*control, "-l", f"{directory}/log", "-o", options, "start"], check=True, cwd=directory)
        try:
            yield f"host={directory} user=bench dbname=postgres", int((data / "postmaster.pid").read_text().split()[0])
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd=directory)


def _as_other(directory: Path) -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as nobody, in a directory that is nobody's."""
    if os.geteuid() != 0:
        return []
    os.chown(directory, 65534, 65534)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def insert(files: dict[str, str], result: Path) -> None:
    """Every event into the table, a thousand in a statement, each committed."""
    import psycopg2
    from psycopg2.extras import execute_values

    with psycopg2.connect(os.environ["TALLYHOUSE_BENCH_POSTGRES"]) as con, con.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        cursor.execute(_TABLE)
        for table in ("subscriptions", "plans", "prices"):
            with Path(files[table]).open() as file:
                cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv, HEADER)", file)
        con.commit()
        statement = "INSERT INTO usages VALUES %s ON CONFLICT (id) DO NOTHING"
        for name in sorted(Path(files["raw"]).parent.glob("*")):
            with gzip.open(name, "rt") as lines:
                batch = []
                for line in lines:
                    it = json.loads(line, parse_float=str)
                    if it["type"] == "usage":
                        batch.append((it["id"], it["ts"], it["org"], it["meter"], it["value"]))
                    if len(batch) == _ROWS:
                        execute_values(cursor, statement, batch, page_size=_ROWS)
                        con.commit()
                        batch = []
                if batch:
                    execute_values(cursor, statement, batch, page_size=_ROWS)
                    con.commit()
    with psycopg2.connect(os.environ["TALLYHOUSE_BENCH_POSTGRES"]) as con:
        con.autocommit = True
        con.cursor().execute("ANALYZE")


def by_subscription(files: dict[str, str], result: Path) -> None:
    """A bill is a query for each subscription."""
    _bill(result, _LINES.format(only="AND s.subscription_id = %s"), each=True)


def by_one_query(files: dict[str, str], result: Path) -> None:
    """All bills at once."""
    _bill(result, _LINES.format(only=""), each=False)


def _bill(result: Path, query: str, each: bool) -> None:
    import psycopg2

    reach = os.environ["TALLYHOUSE_BENCH_POSTGRES"]
    with psycopg2.connect(reach) as con, con.cursor() as cursor, result.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["subscription_id", "charge", "amount_minor"])
        cursor.execute("SELECT subscription_id FROM subscriptions ORDER BY 1")
        for (subscription_id,) in cursor.fetchall() if each else [(None,)]:
            cursor.execute(query, [subscription_id] if each else None)
            rows.writerows(cursor)
