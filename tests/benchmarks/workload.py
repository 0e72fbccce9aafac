"""A month of usage, the same for the same arguments: as raw files below a workspace, or put straight into its books.

Accounts are skewed by Zipf's law. One usage in two hundred is up to three days late. Of the files, one row in a hundred
is there twice, word for word, in the same file or in the next day's. `bad` of them, if asked for, are rows to be held:
an instant that is none, a value that is absent, an account nobody knows.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from assets import warehouse
from assets.verbs import bring_in, take_in
from tests.benchmarks.companies import Company, workspace

DAYS = 31
BEGUN = datetime(2026, 5, 1, 5, tzinfo=UTC)
CLOSING = datetime(2026, 6, 3, 2, tzinfo=UTC)  # May is over in every zone, and the last of its files have come


@dataclass(frozen=True, slots=True)
class Month:
    """So many usages of a company, spread evenly over the days of May."""

    company: Company
    usages: int
    seed: int = 1
    bad: float = 0.0
    days: int = DAYS


def write(root: Path, month: Month) -> None:
    """A workspace with a month's raw files, and the rules as tables for those who bill by a query."""
    prepare(root, month.company)
    with duckdb.connect() as con:
        for day in range(month.days):
            write_day(con, root, month, day)


def prepare(root: Path, company: Company) -> None:
    """The workspace and the rules, without any usage."""
    company.write(workspace(root))
    _write_rules(root / "rules", company)


def write_day(con: duckdb.DuckDBPyConnection, root: Path, month: Month, day: int, is_alone: bool = False) -> None:
    """What arrives on one day; alone, it repeats only rows of its own."""
    folder = workspace(root) / "raw" / "usage"
    folder.mkdir(exist_ok=True)
    parts = [f"SELECT {_LINE} AS line FROM ({_drawn(month, day)})"]
    copies = "copy_of = 0" if is_alone or day == month.days - 1 else "copy_of = 0 AND i % 2 = 0"
    parts.append(f"SELECT {_LINE} FROM ({_drawn(month, day)}) WHERE {copies}")
    if day and not is_alone:
        parts.append(f"SELECT {_LINE} FROM ({_drawn(month, day - 1)}) WHERE copy_of = 0 AND i % 2 = 1")
    con.execute(f"""
        COPY ({" UNION ALL ".join(parts)}) TO '{folder / f"2026-05-{day + 1:02}.ndjson.gz"}'
        (FORMAT csv, HEADER false, QUOTE '', DELIMITER '\x01', COMPRESSION gzip)""")


def enter(root: Path, month: Month, landed_by: datetime) -> None:
    """The catalogue taken in and the usages in the books, as if nights had landed them day by day until `landed_by`."""
    place = workspace(root)
    month.company.write(place)
    with warehouse.connect(place) as con:
        take_in(con, place, BEGUN)
        for day in range(month.days):
            con.execute(_entered(month, day))
        con.execute("""
            INSERT INTO books.nights SELECT DISTINCT entered_at, NULL::TIMESTAMP, 35 * 86400000000 FROM books.ledger;
            INSERT INTO books.received BY NAME
            SELECT entered_at AS received_at, source, raw_file, occurred_at::DATE AS day, meter, count(*) AS usages,
                   coalesce(sum(quantity), 0) AS quantity, coalesce(sum(cost), 0) AS cost
            FROM books.ledger GROUP BY ALL;
            INSERT INTO landing.files BY NAME
            SELECT raw_file, source, count(*) AS rows, 0 AS ignored, count(*) AS accepted, 0 AS bytes,
                   sha256(raw_file) AS sha256, 'ndjson' AS format, max(landed_at) AS landed_at
            FROM books.ledger GROUP BY ALL""")
        take_in(con, place, landed_by)
        bring_in(con, place, landed_by)


def _drawn(month: Month, day: int) -> str:
    """A day's usages, in the order of their instants but for those that are late."""
    first, last = month.usages * day // month.days, month.usages * (day + 1) // month.days
    meters, shares = month.company.meters, 0
    lots, amounts = [], []
    for name, it in meters.items():
        shares += it.share
        lots.append(f"WHEN lot < {shares} THEN '{name}'")
        amounts.append(f"WHEN '{name}' THEN {it.amount}")
    costs = ", ".join(f"'{name}'" for name, it in meters.items() if it.is_cost)
    starts = ", ".join(f"TIMESTAMP '{start[:-1]}'" for start in month.company.starts)
    seed, step = month.seed, 86_400_000_000 // max(last - first, 1)
    return f"""
        WITH drawn AS (
            SELECT i, hash(i, {seed}, 1) % {shares} AS lot, (hash(i, {seed}, 2) >> 1)::BIGINT AS dice,
                   least(floor(pow({month.company.accounts}, hash(i, {seed}, 3) / 18446744073709551616))::BIGINT - 1,
                         {month.company.accounts - 1}) AS owner,
                   ((i - {first}) * {step} + hash(i, {seed}, 4) % {step})::BIGINT AS time_of_day,
                   hash(i, {seed}, 5) % 60000 AS lateness, hash(i, {seed}, 6) % 100 AS copy_of,
                   if(hash(i, {seed}, 7) % 1000000 < {int(month.bad * 1_000_000)}, 1 + i % 3, 0) AS flaw
            FROM range({first}, {last}) AS usages(i)
        ), placed AS (
            SELECT *, CASE {" ".join(lots)} END AS meter,
                   [{starts}][1 + owner % {len(month.company.starts)}] + to_days({day})
                   + to_microseconds(time_of_day) AS nominal_at
            FROM drawn
        )
        SELECT *, md5('{seed}-' || i) AS id, meter IN ({costs}) AS is_cost,
               nominal_at - to_days(if(lateness < 300, least(1 + lateness % 3, {day}), 0)::INTEGER) AS occurred_at,
               CAST(CASE meter {" ".join(amounts)} END AS DECIMAL(18, 6)) AS amount, {day} AS day,
               i - {first} + 1 AS line_no
        FROM placed"""


_LINE = """
    '{"id":"' || id || '","type":"usage","ts":"'
    || if(flaw = 1, 'yesterday', strftime(occurred_at, '%Y-%m-%dT%H:%M:%S.%fZ'))
    || '","org":"' || if(flaw = 3, 'nobody', format('org_{:05}', owner)) || '","meter":"' || meter
    || if(flaw = 2, '"', '","value":' || amount)
    || ',"payload":{"user":"' || format('user_{:05}_{}', owner, dice % 7) || '","model":"model-' || dice % 5 || '"}}'"""


def _entered(month: Month, day: int) -> str:
    """A day's usages as a night would have entered them, in the order that int_ledger__new lays them down in."""
    return f"""
        INSERT INTO books.ledger BY NAME
        SELECT md5_number(id)::UHUGEINT AS key_hi, md5_number('low' || id)::UHUGEINT AS key_lo,
               'usage' AS source, meter, format('org_{{:05}}', owner) AS account_id,
               format('sub_{{:05}}', owner) AS subscription_id, true AS is_account_named,
               format('user_{{:05}}_{{}}', owner, dice % 7) AS actor, occurred_at,
               date_trunc('day', nominal_at) + INTERVAL 26 HOUR AS landed_at, landed_at AS entered_at,
               CAST(if(is_cost, NULL, amount) AS DECIMAL(38, 9)) AS quantity,
               CAST(if(is_cost, amount, NULL) AS DECIMAL(38, 15)) AS cost,
               '{{"model": "model-' || dice % 5 || '"}}' AS context,
               format('usage/2026-05-{{:02}}.ndjson.gz', day + 1) AS raw_file, line_no AS raw_line, 0 AS emit_no
        FROM ({_drawn(month, day)}) ORDER BY meter, occurred_at"""


def _write_rules(folder: Path, company: Company) -> None:
    """Prices and plans in whole millionths of a dollar, for arithmetic on integers alone."""
    folder.mkdir(parents=True, exist_ok=True)
    endless = 1 << 62
    with (folder / "plans.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["plan", "included_micro", "allowance_micro"])
        rows.writerows([it.name, it.included * 10_000, it.basis * 100] for it in company.plans)
    with (folder / "prices.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["plan", "meter", "is_pooled", "unit_micro", "bound_micro", "beyond_micro", "flat_micro"])
        for plan in company.plans:
            for meter, price in plan.prices.items():
                bound = endless if price.bound is None else price.bound * 1_000_000
                rows.writerow([plan.name, meter, price.is_pooled, price.unit, bound, price.beyond, price.flat])
