"""What a monitor reads after every run: warehouse/metrics.prom in OpenMetrics' text, each value read from a table.

Nothing is counted in memory, so a killed run loses no count and a repeated one adds none: a counter is the number of
rows of a table that only ever grows, everything else is a gauge. The file is replaced by a rename.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import duckdb


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one name: the last column of `sql` is the value, the columns before it are labels."""

    kind: Literal["counter", "gauge"]
    help: str
    sql: str


def _seconds(microseconds: str) -> str:
    return f"({microseconds})::DECIMAL(20, 0) * 0.000001::DECIMAL(6, 6)"


# One pass over the ledger for all that is asked of it below.
_ENTERED = """
    CREATE OR REPLACE TEMP TABLE entered AS
    SELECT source, count(*) AS usages, max(occurred_at) AS newest,
           count(*) FILTER (occurred_at >= today - INTERVAL 1 DAY AND occurred_at < today) AS last_closed_day
    FROM books.ledger, (SELECT date_trunc('day', max(as_of)) AS today FROM books.runs)
    GROUP BY source"""

UNBILLED = """
    SELECT currency, sum(owed - billed_minor::DECIMAL(38, 0) * CASE exponent
        WHEN 0 THEN 1 WHEN 3 THEN 0.001::DECIMAL(3, 3) ELSE 0.01::DECIMAL(3, 3) END)
    FROM billing.periods JOIN catalog.currencies USING (currency)
    WHERE state = 'open' GROUP BY currency ORDER BY currency"""

_JUDGED = "SELECT max(as_of) FROM gate.nights"

FAMILIES = {
    # The night.
    "night_begun_timestamp_seconds": Family(
        "gauge",
        "The as_of of the last night that was begun.",
        f"SELECT {_seconds('epoch_us(as_of)')} FROM catalog.settings",
    ),
    "night_posted_timestamp_seconds": Family(
        "gauge",
        "The as_of of the last night in the books; behind night_begun while a night is at work or was stopped.",
        f"SELECT {_seconds('epoch_us(max(as_of))')} FROM books.runs",
    ),
    "nights": Family("counter", "Nights in the books.", "SELECT count(*) FROM books.runs"),
    "batch_usages": Family(
        "gauge", "Usages that have landed and wait to be posted.", "SELECT count(*) FROM landing.batch"
    ),
    # Rows, from the door to the ledger.
    "rows": Family(
        "counter",
        "Raw rows by where they ended for good.",
        """
        SELECT source, unnest(['accepted', 'duplicate', 'ignored']) AS "end",
               unnest([sum(accepted), sum(duplicate), sum(ignored)])
        FROM billing.files WHERE source IS NOT NULL GROUP BY source ORDER BY ALL""",
    ),
    "usages": Family(
        "counter",
        "Usages in the ledger.",
        "SELECT source, usages FROM entered ORDER BY source",
    ),
    "quarantine_rows": Family(
        "gauge",
        "Raw rows held, by reason.",
        "SELECT source, reason, count(*) FROM books.quarantine GROUP BY ALL ORDER BY ALL",
    ),
    "quarantine_cost": Family(
        "gauge",
        "Money of the rows held, where it could be read, in the currencies of their accounts.",
        "SELECT source, reason, coalesce(sum(cost), 0) FROM books.quarantine GROUP BY ALL ORDER BY ALL",
    ),
    "quarantine_oldest_timestamp_seconds": Family(
        "gauge",
        "When the oldest row held was first seen.",
        f"""
        SELECT source, reason, {_seconds("epoch_us(min(first_seen))")}
        FROM books.quarantine GROUP BY ALL ORDER BY ALL""",
    ),
    "files_without_source": Family(
        "gauge",
        "Files below raw/ that no source matches, so that nothing of them was read.",
        "SELECT count(*) FROM landing.files WHERE source IS NULL",
    ),
    # How far behind the logs are.
    "newest_usage_timestamp_seconds": Family(
        "gauge",
        "When the newest usage of a source occurred.",
        f"SELECT source, {_seconds('epoch_us(newest)')} FROM entered ORDER BY source",
    ),
    "lag_seconds": Family(
        "gauge",
        "From a source's newest usage to the last night's as_of.",
        f"""
        SELECT source, {_seconds("epoch_us((SELECT max(as_of) FROM books.runs)) - epoch_us(newest)")}
        FROM entered ORDER BY source""",
    ),
    "last_closed_day_usages": Family(
        "gauge",
        "Usages of the last whole UTC day before the last night, by source; 0 where the day's log has not come.",
        "SELECT source, last_closed_day FROM entered ORDER BY source",
    ),
    # Money.
    "unbilled": Family(
        "gauge",
        "What open periods owe and has not been billed yet, in currency units.",
        UNBILLED,
    ),
    "periods_open": Family(
        "gauge", "Billing periods begun and not closed.", "SELECT count(*) FROM billing.periods WHERE state = 'open'"
    ),
    "periods_closed": Family(
        "counter", "Billing periods closed.", "SELECT book, count(*) FROM books.closes GROUP BY book ORDER BY book"
    ),
    "lines_created": Family(
        "counter",
        "Lines billed, credits among them.",
        "SELECT book, reason, count(*) FROM books.lines GROUP BY ALL ORDER BY ALL",
    ),
    "lines": Family(
        "gauge",
        "Lines of the current book by state; parked ones wait for someone to mend something.",
        "SELECT state, count(*) FROM billing.invoice_items GROUP BY ALL ORDER BY ALL",
    ),
    "lines_amount_minor": Family(
        "gauge",
        "The amounts of lines by state, in minor units.",
        "SELECT state, currency, sum(amount_minor) FROM billing.invoice_items GROUP BY ALL ORDER BY ALL",
    ),
    # The gate, by the last night that it judged.
    "gate_stopped": Family(
        "gauge",
        "1 while the last night was stopped by its checks.",
        "SELECT (verdict = 'stops')::INT FROM gate.nights ORDER BY as_of DESC LIMIT 1",
    ),
    "gate_checks": Family(
        "gauge",
        "Checks by what they meant for the night.",
        f"SELECT suite, verdict, count(*) FROM gate.checks WHERE as_of = ({_JUDGED}) GROUP BY ALL ORDER BY ALL",
    ),
    "gate_money": Family(
        "gauge",
        "What the night would bill, or has billed, in currency units.",
        f"""
        SELECT currency, (money ->> currency)::DECIMAL(38, 12) FROM (
            SELECT money, unnest(json_keys(money)) AS currency FROM gate.nights WHERE as_of = ({_JUDGED}))
        ORDER BY currency""",
    ),
    # Two counts of the same usage.
    "parity_hours": Family(
        "gauge",
        "Hours of the last week that were compared, by how they came out.",
        """
        SELECT comparison, if(is_alert, 'alert', if(is_alarming, 'alarming', 'in_order')) AS state, count(*)
        FROM billing.parity GROUP BY ALL ORDER BY ALL""",
    ),
    "parity_accounts_flagged": Family(
        "gauge",
        "Accounts and hours of the last week that are too far apart.",
        "SELECT comparison, sum(accounts_flagged) FROM billing.parity GROUP BY ALL ORDER BY ALL",
    ),
}


def write(con: duckdb.DuckDBPyConnection, workspace: Path) -> Path:
    """Put warehouse/metrics.prom in the place of the old one."""
    target = workspace / "warehouse" / "metrics.prom"
    fresh = target.with_name(".metrics.prom.tmp")
    fresh.write_text("".join(lines(con)), encoding="utf-8")
    os.replace(fresh, target)
    return target


def lines(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    with suppress(duckdb.CatalogException):
        con.execute(_ENTERED)
    for name, family in FAMILIES.items():
        full = f"tallyhouse_{name}"
        yield f"# TYPE {full} {family.kind}\n"
        if name.endswith("_seconds"):
            yield f"# UNIT {full} seconds\n"
        yield f"# HELP {full} {family.help}\n"
        try:
            found = con.execute(family.sql)
        except duckdb.CatalogException:  # a first night that failed before its models has no views of them
            continue
        labels = [column[0] for column in found.description or ()][:-1]
        for *values, number in found.fetchall():
            if number is not None:
                sample = full + ("_total" if family.kind == "counter" else "")
                yield f"{sample}{_labels(dict(zip(labels, values, strict=True)))} {_number(number)}\n"
    yield "# EOF\n"


def _labels(labels: Mapping[str, Any]) -> str:
    pairs = ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: Any) -> str:
    """Every digit of an exact number."""
    text = f"{Decimal(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
