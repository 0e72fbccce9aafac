"""What the Dagster UI shows of a night: the rows, the money, the quarantine, as small tables and charts in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import duckdb

from assets.core.instants import format_instant
from assets.core.numbers import round_minor
from assets.metrics import UNBILLED

# What is checked once a night is posted, on the tables as they stand then: what is wrong, and nothing where all is well.
# Accepted rows are counted as the night posts them; the other ends are counted here, where the rows are.
AFTERWARDS = {
    "every_row_is_accounted_for": """
        SELECT raw_file, source, rows, accepted, duplicate, ignored, quarantined FROM billing.files
        WHERE source IS NOT NULL AND rows <> accepted + duplicate + ignored + quarantined
        ORDER BY raw_file, source""",
    "nothing_has_leaked": "FROM night.leaks WHERE difference <> 0 ORDER BY day, meter, measure",
}

# Sources with usage in the week before the last whole UTC day, and none on it.
ABSENT = """
    WITH night AS (SELECT date_trunc('day', as_of) AS today FROM catalog.settings)
    SELECT source, max(occurred_at) AS newest_usage, any_value(today)::DATE - 1 AS absent_day
    FROM books.ledger, night WHERE occurred_at < today AND occurred_at >= today - INTERVAL 8 DAY
    GROUP BY source HAVING max(occurred_at) < any_value(today) - INTERVAL 1 DAY ORDER BY source"""

_BARS = "▁▂▃▄▅▆▇█"

Metadata = dict[str, Any]


def one(con: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = con.execute(sql).fetchone()
    assert row is not None
    return row[0]


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found: how many rows, and the first of them as a table."""

    count: int
    table: str | None

    def __bool__(self) -> bool:
        return self.count > 0


def found(con: duckdb.DuckDBPyConnection, sql: str, most: int = 20) -> Found:
    count = one(con, f"SELECT count(*) FROM ({sql})")
    return Found(count, table(con, f"{sql} LIMIT {most}") if count else None)


def rows(found: Found) -> Metadata:
    """The result of a check: a number to plot over nights, and the rows where there are any."""
    return {"rows_found": found.count, **({"rows": dg.MetadataValue.md(found.table)} if found.table else {})}


def table(con: duckdb.DuckDBPyConnection, sql: str, is_turned: bool = False) -> str | None:
    """A query's rows as a Markdown table, or its columns as rows where they are many; None where there are none."""
    cursor = con.execute(sql)
    columns: tuple[Any, ...] = tuple(column[0] for column in cursor.description or ())
    rows = cursor.fetchall()
    if not rows:
        return None
    if is_turned:
        columns, *rows = zip(columns, *rows, strict=True)
    numbers = [all(isinstance(row[at], int | Decimal | None) for row in rows) for at in range(len(columns))]
    rule = ["---:" if is_number else "---" for is_number in numbers]
    lines = [columns, rule, *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def chart(con: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    """A query's (label, number) rows as a line of bars with its ends named."""
    rows = con.execute(sql).fetchall()
    if not rows:
        return None
    numbers = [Decimal(number) for _, number in rows]
    least, most = min(*numbers, Decimal(0)), max(*numbers, Decimal(0))
    span = most - least or Decimal(1)
    bars = "".join(_BARS[int((number - least) / span * (len(_BARS) - 1))] for number in numbers)
    return f"`{bars}`  {_cell(rows[0][0])} to {_cell(rows[-1][0])}, at most {_cell(max(numbers).normalize())} a day"


def listed(items: Iterable[str]) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.md("\n".join(f"- {item}" for item in items) or "none")


def levels_below_zero(con: duckdb.DuckDBPyConnection, most: int = 20) -> list[str]:
    """A sentence for each level that is negative for a while, of those that changes landed for tonight."""
    found = con.execute(
        """
        WITH touched AS (
            SELECT DISTINCT account_id, meter FROM night.int_ledger__new
            SEMI JOIN (SELECT meter FROM catalog.meters WHERE aggregate = 'time_weighted') USING (meter)
        ), levels AS (
            SELECT account_id, meter, occurred_at,
                sum(sum(quantity)) OVER (PARTITION BY account_id, meter ORDER BY occurred_at) AS level
            FROM night.int_ledger__entries SEMI JOIN touched USING (account_id, meter)
            GROUP BY account_id, meter, occurred_at
        )
        SELECT account_id, meter, min(occurred_at), min(level) FROM levels WHERE level < 0
        GROUP BY account_id, meter ORDER BY account_id, meter""",
    ).fetchall()
    sentences = [
        f"account {account!r}: its level of {meter} is below zero from {format_instant(since.replace(tzinfo=UTC))} on, "
        f"down to {_cell(level)}, and counts as 0 while it is; look for a change that is missing or came under two identities."
        for account, meter, since, level in found[:most]
    ]
    rest = len(found) - most
    return [*sentences, f"{rest} more accounts have a level below zero."] if rest > 0 else sentences


def check_rows(con: duckdb.DuckDBPyConnection, as_of: datetime, check: str) -> str | None:
    """The first rows that a check found."""
    return table(
        con,
        f"""SELECT row_no, currency, at_stake, found FROM gate.check_rows
        WHERE as_of = TIMESTAMP '{as_of:%Y-%m-%d %H:%M:%S.%f}' AND check_name = '{check}' ORDER BY row_no LIMIT 20""",
    )


def row_counts(con: duckdb.DuckDBPyConnection, models: list[str]) -> dict[str, Metadata]:
    """The rows of each model that is a table; views cost what is behind them and are counted once published."""
    tables = con.execute(
        "SELECT table_name, estimated_size FROM duckdb_tables() WHERE schema_name = 'night' AND list_contains(?, table_name)",
        [models],
    ).fetchall()
    counts: dict[str, Metadata] = {model: {} for model in models}
    return counts | {name: {"dagster/row_count": size} for name, size in tables}


def batch(con: duckdb.DuckDBPyConnection) -> Metadata:
    """What tonight's files hold."""
    return _markdown(
        {
            "by_meter": table(
                con,
                """SELECT meter, count(*) AS usages, sum(quantity) AS quantity, sum(cost) AS cost FROM landing.batch
                WHERE emit_no >= 0 AND reason IS NULL GROUP BY meter ORDER BY meter""",
            ),
            "by_day": chart(
                con,
                """FROM (
                    SELECT occurred_at::DATE AS day, count(*) FROM landing.batch WHERE occurred_at IS NOT NULL
                    GROUP BY day ORDER BY day DESC LIMIT 92)
                ORDER BY day""",
            ),
            "could_not_be_read": table(
                con,
                """SELECT reason, count(*) AS rows, min(detail) AS for_example FROM landing.batch
                WHERE reason IS NOT NULL GROUP BY reason ORDER BY rows DESC""",
            ),
        }
    )


def weigh(con: duckdb.DuckDBPyConnection) -> None:
    """The ledger of leaks as it stands after posting: one pass over the ledger for all that is asked of it, and readers."""
    con.execute("CREATE OR REPLACE TABLE night.leaks AS FROM billing.leak_ledger")


def books(con: duckdb.DuckDBPyConnection) -> Metadata:
    """What tonight means in rows and money, and where all that was ever received has ended."""
    return _markdown(
        {
            "leak_ledger": table(
                con,
                """SELECT measure, sum(COLUMNS(* EXCLUDE (day, meter, measure))) FROM night.leaks
                GROUP BY measure ORDER BY measure DESC""",
                is_turned=True,
            ),
            "quarantine_by_reason": table(
                con,
                """SELECT reason, count(*) AS rows, sum(cost) AS cost, min(first_seen)::DATE AS since FROM books.quarantine
                GROUP BY reason ORDER BY rows DESC, reason""",
            ),
            "lines_tonight": table(
                con,
                """SELECT reason, currency, count(*) AS lines, sum(amount_minor) AS amount_minor
                FROM books.lines SEMI JOIN catalog.settings s ON lines.book = s.book AND created_as_of = s.as_of
                GROUP BY reason, currency ORDER BY reason, currency""",
            ),
        }
    )


def billed(con: duckdb.DuckDBPyConnection) -> Metadata:
    """Tonight's lines in money: a number for each currency, so that the UI plots it over nights."""
    found = con.execute(
        """SELECT currency, sum(amount_minor)::BIGINT FROM books.lines
        SEMI JOIN catalog.settings s ON lines.book = s.book AND created_as_of = s.as_of GROUP BY currency ORDER BY currency"""
    )
    return _by_currency(con, "billed_minor", found.fetchall())


def unbilled(con: duckdb.DuckDBPyConnection) -> Metadata:
    """What open periods owe beyond what was billed for them, likewise, to the unit that Stripe would take."""
    found = con.execute(UNBILLED).fetchall()
    return _by_currency(con, "unbilled_minor", [(currency, round_minor(owed, currency)) for currency, owed in found])


def _by_currency(con: duckdb.DuckDBPyConnection, name: str, found: list[tuple[str, int]]) -> Metadata:
    """A number for every currency that an account has: a night without any is a point of the plot too."""
    known = con.execute("SELECT DISTINCT currency, 0 FROM catalog.accounts ORDER BY currency").fetchall()
    return {f"{name}_{currency.lower()}": amount for currency, amount in (dict(known) | dict(found)).items()}


def published(con: duckdb.DuckDBPyConnection) -> Metadata:
    """What readers find."""
    return _markdown(
        {
            "money_by_currency": table(
                con,
                """SELECT currency, state, count(*) AS periods, sum(usage) AS usage, sum(refresh) AS refresh,
                sum(overage) AS overage, sum(owed) AS owed, sum(billed_minor) AS billed_minor
                FROM billing.periods GROUP BY ALL ORDER BY ALL""",
                is_turned=True,
            ),
        }
    )


def pushed(con: duckdb.DuckDBPyConnection) -> Metadata:
    """Where the lines stand."""
    return _markdown(
        {
            "lines_by_state": table(
                con,
                """SELECT state, currency, count(*) AS lines, sum(amount_minor) AS amount_minor
                FROM billing.invoice_items GROUP BY ALL ORDER BY ALL""",
            ),
            "what_waits": table(
                con,
                """SELECT state_reason, count(*) AS lines, min(account_id) AS for_example
                FROM billing.invoice_items WHERE state IN ('pending', 'parked') GROUP BY ALL ORDER BY lines DESC LIMIT 20""",
            ),
        }
    )


def reconciled(con: duckdb.DuckDBPyConnection) -> Metadata:
    """What differs."""
    return _markdown(
        {
            "differences_by_kind": table(
                con,
                """SELECT kind, currency, count(*) AS differences, sum(amount_minor) AS amount_minor
                FROM billing.reconciliation GROUP BY ALL ORDER BY ALL""",
            )
        }
    )


def _markdown(parts: dict[str, str | None]) -> Metadata:
    return {name: dg.MetadataValue.md(text or "none") for name, text in parts.items()}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        # Narrow, for a glance; what six digits would make nothing of is shown as it is.
        text = f"{round(value, 6) or value:,f}" if isinstance(value, Decimal) else f"{value:,}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):  # as the warehouse keeps it, in UTC
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return str(value).replace("|", "\\|")[:120]
