"""What findings mean for the night: recorded with all their rows, and judged.

Recording is one transaction, and looking again replaces what was found before: a night done again says the same, once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb

from assets.core.page import plain
from assets.gate.findings import Finding
from assets.warehouse import transaction

ACCEPT = "accept_check"  # of books.decisions

Money = dict[str, str]  # currency -> exact


@dataclass(frozen=True, slots=True)
class Judged:
    """A night as the gate sees it."""

    as_of: datetime
    verdict: str
    lines: int
    money: Money
    last_posted: datetime | None
    report: str | None
    checks: tuple[dict[str, Any], ...]  # as in gate.checks

    @property
    def is_stopped(self) -> bool:
        return self.verdict == "stops"

    def of(self, *verdicts: str) -> list[dict[str, Any]]:
        return [check for check in self.checks if check["verdict"] in verdicts]


def nights_known(con: duckdb.DuckDBPyConnection, as_of: datetime) -> int:
    """How many nights before this one are in the books."""
    row = con.execute("SELECT count(*) FROM books.runs WHERE as_of < ?", [_naive(as_of)]).fetchone()
    return int(row[0]) if row else 0


def judge(
    con: duckdb.DuckDBPyConnection,
    as_of: datetime,
    findings: Sequence[Finding],
    is_first: bool,
    has_lines: bool = True,
    report: str | None = None,
) -> Judged:
    """Record what was found, and say what it means; the first findings of a night replace all that it had."""
    accepted = _accepted(con, as_of)
    with transaction(con):
        if is_first:
            for table in ("checks", "check_rows", "nights"):
                con.execute(f"DELETE FROM gate.{table} WHERE as_of = ?", [_naive(as_of)])
        for one in findings:
            _record(con, as_of, one, accepted.get(one.check))
        _sum_up(con, as_of, has_lines, report)
    judged = look_again(con, as_of)
    assert judged is not None
    return judged


def _accepted(con: duckdb.DuckDBPyConnection, as_of: datetime) -> dict[str, str]:
    rows = con.execute(
        "SELECT subject, because FROM books.decisions WHERE decision = ? AND as_of = ?", [ACCEPT, _naive(as_of)]
    )
    return dict(rows.fetchall())


def _verdict(one: Finding, is_accepted: bool) -> str:
    if one.outcome == "raised":  # nobody knows what it would have found
        return "stops"
    if one.outcome != "failed":
        return "passes"
    if one.severity == "warn":
        return "warns"
    return "accepted" if is_accepted and one.kind != "structure" else "stops"


def _record(con: duckdb.DuckDBPyConnection, as_of: datetime, one: Finding, accepted: str | None) -> None:
    verdict = _verdict(one, accepted is not None)
    rows, money = _keep_rows(con, as_of, one) if one.query else (0, {})
    because = accepted if verdict == "accepted" else one.because
    con.execute(
        "INSERT OR REPLACE INTO gate.checks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_naive(as_of), one.check, one.suite, one.kind, one.severity, one.outcome, verdict, one.about, one.detail,
         because, rows, json.dumps(money)],
    )  # fmt: skip


def _keep_rows(con: duckdb.DuckDBPyConnection, as_of: datetime, one: Finding) -> tuple[int, Money]:
    """All rows that a check found into gate.check_rows, without a look at them here; how many, and their money."""
    described = con.execute(f"DESCRIBE {one.query}").fetchall()
    kinds = {name: kind for name, kind, *_ in described}
    money = f'"{one.money}"::DECIMAL(38, 12)' if _is_number(kinds.get(one.money)) else "NULL::DECIMAL(38, 12)"
    currency = f'"{one.currency}"::VARCHAR' if one.currency in kinds else "NULL::VARCHAR"
    con.execute(
        f"""
        INSERT INTO gate.check_rows
        SELECT $as_of, $name, row_number() OVER (ORDER BY abs(at_stake) DESC NULLS LAST, row::VARCHAR),
            row, currency, at_stake
        FROM (SELECT to_json(found) AS row, {currency} AS currency, {money} AS at_stake FROM ({one.query}) AS found)""",
        {"as_of": _naive(as_of), "name": one.check},
    )
    sums = con.execute(
        """
        SELECT coalesce(currency, ''), count(*), sum(at_stake) FROM gate.check_rows
        WHERE as_of = ? AND check_name = ? GROUP BY ALL ORDER BY ALL""",
        [_naive(as_of), one.check],
    ).fetchall()
    total = sum(rows for _, rows, _ in sums)
    return total, {name: plain(Decimal(amount)) for name, _, amount in sums if amount is not None}


def _is_number(kind: str | None) -> bool:
    return kind is not None and kind.startswith(("DECIMAL", "BIGINT", "INTEGER", "HUGEINT", "SMALLINT", "TINYINT"))


def _sum_up(con: duckdb.DuckDBPyConnection, as_of: datetime, has_lines: bool, report: str | None) -> None:
    lines = con.execute(
        "SELECT currency, count(*), sum(at_stake) FROM night.gate_lines GROUP BY ALL ORDER BY ALL"
    ).fetchall() if has_lines else []  # fmt: skip
    con.execute(
        """
        INSERT OR REPLACE INTO gate.nights
        SELECT $as_of,
            CASE WHEN bool_or(verdict = 'stops') THEN 'stops'
                WHEN bool_or(verdict = 'warns') THEN 'warns' ELSE 'passes' END,
            $lines, $money, (SELECT max(as_of) FROM books.runs WHERE as_of < $as_of AND outcome = 'done'), $report
        FROM gate.checks WHERE as_of = $as_of""",
        {
            "as_of": _naive(as_of),
            "lines": sum(count for _, count, _ in lines),
            "money": json.dumps({currency: plain(amount) for currency, _, amount in lines}),
            "report": report,
        },
    )


def look_again(con: duckdb.DuckDBPyConnection, as_of: datetime | None = None) -> Judged | None:
    """The gate of a night, or of the last that was looked at, from the tables alone."""
    night = con.execute(
        "SELECT * FROM gate.nights WHERE as_of = coalesce(?, as_of) ORDER BY as_of DESC LIMIT 1",
        [None if as_of is None else _naive(as_of)],
    ).fetchone()
    if night is None:
        return None
    at, verdict, lines, money, last_posted, report = night
    rows = con.execute("FROM gate.checks WHERE as_of = ? ORDER BY rowid", [at])
    names = [column[0] for column in rows.description or ()]
    checks = tuple(_read(dict(zip(names, row, strict=True))) for row in rows.fetchall())
    return Judged(
        as_of=at.replace(tzinfo=UTC),
        verdict=verdict,
        lines=lines,
        money=json.loads(money),
        last_posted=last_posted and last_posted.replace(tzinfo=UTC),
        report=report,
        checks=checks,
    )


def _read(check: Mapping[str, Any]) -> dict[str, Any]:
    return {**check, "at_stake": json.loads(check["at_stake"])}


def rows_of(
    con: duckdb.DuckDBPyConnection, as_of: datetime, check: str, most: int | None = None
) -> list[dict[str, Any]]:
    """The rows a check found, the most money first."""
    limit = "" if most is None else f"LIMIT {most}"
    found = con.execute(
        f"SELECT found FROM gate.check_rows WHERE as_of = ? AND check_name = ? ORDER BY row_no {limit}",
        [_naive(as_of), check],
    )
    return [json.loads(row, parse_float=Decimal) for (row,) in found.fetchall()]


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)
