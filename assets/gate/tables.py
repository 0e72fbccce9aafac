"""The tables of the schema `gate`: what every night's checks found, and what the gate remembers of nights before.

They are no part of the books: nothing is billed from them. A night looked at again replaces what was found in it; what
is remembered is entered by `post` with the night itself, so that a night that was stopped is no history of anything.
"""

from __future__ import annotations

import duckdb

from assets.warehouse import ensure

TABLES = {
    # One row per check and night that was looked at, also where the gate stopped it.
    "gate.checks": """
        as_of TIMESTAMP NOT NULL, check_name VARCHAR NOT NULL, suite VARCHAR NOT NULL, kind VARCHAR NOT NULL,
        severity VARCHAR NOT NULL, outcome VARCHAR NOT NULL, verdict VARCHAR NOT NULL, about VARCHAR NOT NULL,
        detail VARCHAR, because VARCHAR, rows_found BIGINT NOT NULL, at_stake JSON NOT NULL,
        PRIMARY KEY (as_of, check_name)""",
    # Every row that a check found.
    "gate.check_rows": """
        as_of TIMESTAMP NOT NULL, check_name VARCHAR NOT NULL, row_no BIGINT NOT NULL, found JSON NOT NULL,
        currency VARCHAR, at_stake DECIMAL(38, 12)""",
    # One row per night that was looked at: how it went, and what it would have billed.
    "gate.nights": """
        as_of TIMESTAMP PRIMARY KEY, verdict VARCHAR NOT NULL, lines BIGINT NOT NULL, money JSON NOT NULL,
        last_posted TIMESTAMP, report VARCHAR""",
    # What came in, by the hour of its age.
    "gate.usage_seen": """
        as_of TIMESTAMP NOT NULL, landed_at TIMESTAMP NOT NULL, source VARCHAR NOT NULL, meter VARCHAR,
        currency VARCHAR, fate VARCHAR NOT NULL, age_hours INTEGER, usages BIGINT NOT NULL, negatives BIGINT NOT NULL,
        quantity DECIMAL(38, 9), cost DECIMAL(38, 15), amount DECIMAL(38, 18)""",
    # What each open period stood at; of the last weeks.
    "gate.periods_seen": """
        as_of TIMESTAMP NOT NULL, book VARCHAR NOT NULL, subscription_id VARCHAR NOT NULL, account_id VARCHAR NOT NULL,
        period_start TIMESTAMP NOT NULL, period_end TIMESTAMP NOT NULL, plan VARCHAR, seats BIGINT,
        version_from TIMESTAMP, price_list VARCHAR, currency VARCHAR NOT NULL,
        included DECIMAL(38, 18) NOT NULL, baseline DECIMAL(38, 18) NOT NULL,
        gross DECIMAL(38, 18) NOT NULL, owed DECIMAL(38, 18) NOT NULL, billed_minor BIGINT NOT NULL""",
    # Credit granted to each account.
    "gate.credits_seen": """
        as_of TIMESTAMP NOT NULL, account_id VARCHAR NOT NULL, currency VARCHAR NOT NULL, grants BIGINT NOT NULL,
        granted_minor BIGINT NOT NULL""",
}

# What the checks look at, laid out from the models night.gate_*.
TONIGHT = ("usage", "deliveries", "sources", "fates", "periods", "lines", "bills", "credits", "sums")


def ensure_gate(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that are not there yet."""
    ensure(con, TABLES)


def lay_out(con: duckdb.DuckDBPyConnection) -> None:
    """Tonight's figures as tables: each is reckoned once, however many checks read it."""
    for name in TONIGHT:
        con.execute(f"CREATE OR REPLACE TABLE gate.{name} AS FROM night.gate_{name}")
