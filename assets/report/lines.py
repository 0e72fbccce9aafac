"""The lines of a report: what they are for, whom they bill, by which plan, and what rounding left over.

It works on what its page is about, told by three temporary relations: `closed` (periods), `made` (lines) and `used` (usage).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import duckdb

from assets.core.numbers import round_minor
from assets.core.page import from_minor
from assets.report import forms
from assets.report.grid import Cell, Column, Grid, Group, Row, bars, simple
from assets.report.published import MOST
from assets.rerate import Row as Fields
from assets.rerate import rows

CHARGES = {
    "overage": "Usage above what is included",
    "minimum": "Up to the plan's minimum",
    "credit": "Credit",
}
# Lines in words, and credit as one: there may be as many grants as accounts.
KIND = "CASE WHEN starts_with(charge, 'credit:') THEN 'credit' ELSE charge END"


def charge_words(charge: str) -> str:
    """What a line is for."""
    if charge.startswith("credit:"):
        return f"Credit {charge.removeprefix('credit:')}"
    return CHARGES.get(charge) or charge.removeprefix("metered:").partition(":")[2] or charge


def by_currency(found: Iterable[Fields]) -> Iterator[tuple[str, list[Fields]]]:
    for currency, group in groupby(found, key=lambda it: it["currency"]):
        yield str(currency), list(group)


def totals(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    """What the lines come to, by currency, credit taken off."""
    return con.execute("""
        SELECT currency, sum(amount_minor)::BIGINT FROM made GROUP BY currency ORDER BY currency""").fetchall()


def mode(con: duckdb.DuckDBPyConnection) -> str:
    """That all of this is shadow, where it is."""
    shadow = con.execute("SELECT 1 FROM invoice_items WHERE state = 'shadow' LIMIT 1").fetchone()
    return " · shadow: lines are complete, and never sent" if shadow else ""


def lines_by_charge(con: duckdb.DuckDBPyConnection) -> Grid:
    """What was billed, by what it is for and why."""
    found = rows(
        con,
        f"""
        SELECT currency, CASE WHEN starts_with(charge, 'metered:') THEN split_part(charge, ':', 3) ELSE {KIND} END AS kind,
               count(*) AS lines, sum(amount_minor)::BIGINT AS total,
               coalesce(sum(amount_minor) FILTER (reason = 'threshold'), 0)::BIGINT AS threshold,
               coalesce(sum(amount_minor) FILTER (reason = 'close'), 0)::BIGINT AS close,
               coalesce(sum(amount_minor) FILTER (reason = 'adjustment'), 0)::BIGINT AS adjustment
        FROM made GROUP BY currency, kind
        ORDER BY currency, kind = 'credit', kind <> 'overage', kind = 'minimum', total DESC, kind""",
    )
    sums = ("threshold", "close", "adjustment", "total")
    groups = []
    for currency, lines in by_currency(found):
        body = [
            Row(
                f"{currency}|{it['kind']}",
                [charge_words(str(it["kind"])), forms.count(it["lines"]), *_minors(it, sums, currency)],
            )
            for it in lines
        ]
        whole = {name: sum(it[name] for it in lines) for name in (*sums, "lines")}
        total = [f"Total {currency}", forms.count(whole["lines"]), *_minors(whole, sums[:-1], currency)]
        total.append(forms.minor(whole["total"], currency))
        groups.append(Group(currency, [*body, Row(f"{currency}|", total, is_total=True)]))
    columns = [Column("kind", "For"), Column("lines", "Lines", "number")]
    return Grid("lines", [*columns, *(Column(name, name.capitalize(), "number") for name in sums)], groups)


def _minors(it: dict[str, Any], names: Iterable[str], currency: str) -> list[str | Cell]:
    return [forms.minor(it[name], currency) if it[name] else Cell("–", tone="dim") for name in names]


def by_plan(con: duckdb.DuckDBPyConnection) -> Grid:
    """What was billed, by the plan in force last in the period, credit taken off."""
    found = rows(
        con,
        """
        SELECT made.currency, coalesce(dated.plan, 'no period any more') AS plan, count(*) AS lines,
               count(DISTINCT made.account_id) AS accounts, sum(amount_minor)::BIGINT AS total
        FROM made LEFT JOIN dated USING (subscription_id, period_start)
        GROUP BY made.currency, dated.plan ORDER BY made.currency, total DESC, plan""",
    )
    groups = []
    for currency, plans in by_currency(found):
        amounts = [from_minor(it["total"], currency) for it in plans]
        body = [
            Row(
                f"{currency}|{it['plan']}",
                [
                    it["plan"],
                    forms.count(it["accounts"]),
                    forms.count(it["lines"]),
                    bar,
                    forms.minor(it["total"], currency),
                ],
            )
            for it, bar in zip(plans, bars(amounts), strict=True)
        ]
        groups.append(Group(currency, body))
    columns = [Column("plan", "Plan"), Column("accounts", "Accounts", "number"), Column("lines", "Lines", "number")]
    return Grid("plans", [*columns, Column("bar", "", "bar"), Column("total", "Billed", "number")], groups)


def by_account(con: duckdb.DuckDBPyConnection, most: int = MOST) -> Grid:
    """Who was billed most, and how much all the others together."""
    found = rows(
        con,
        """
        WITH sums AS (
            SELECT currency, account_id, count(*) AS lines, sum(amount_minor)::BIGINT AS total
            FROM made GROUP BY currency, account_id
        )
        SELECT sums.*, coalesce(name, account_id) AS name, count(*) OVER by_currency AS accounts,
               sum(total) OVER by_currency::BIGINT AS whole, sum(lines) OVER by_currency::BIGINT AS all_lines
        FROM sums LEFT JOIN (SELECT account_id, name FROM accounts) AS named USING (account_id)
        WINDOW by_currency AS (PARTITION BY currency)
        QUALIFY row_number() OVER (PARTITION BY currency ORDER BY abs(total) DESC, account_id) <= ?
        ORDER BY currency, total DESC, account_id""",
        [most],
    )
    groups = []
    for currency, accounts in by_currency(found):
        amounts = [from_minor(it["total"], currency) for it in accounts]
        body = [
            Row(
                f"{currency}|{it['account_id']}",
                [named(it), forms.count(it["lines"]), bar, forms.minor(it["total"], currency)],
            )
            for it, bar in zip(accounts, bars(amounts), strict=True)
        ]
        first = accounts[0]
        rest = first["accounts"] - len(accounts)
        if rest:
            left = first["whole"] - sum(it["total"] for it in accounts)
            lines = first["all_lines"] - sum(it["lines"] for it in accounts)
            label = Cell(f"and {forms.count(rest)} more", tone="dim")
            body.append(Row(f"{currency}|more", [label, forms.count(lines), "", forms.minor(left, currency)]))
        total = [f"Total {currency}", forms.count(first["all_lines"]), "", forms.minor(first["whole"], currency)]
        groups.append(Group(currency, [*body, Row(f"{currency}|", total, is_total=True)]))
    columns = [Column("account", "Account"), Column("lines", "Lines", "number"), Column("bar", "", "bar")]
    return Grid("accounts", [*columns, Column("total", "Billed", "number")], groups)


def named(it: Fields) -> Cell:
    return Cell(it["name"], note=it["account_id"] if it["name"] != it["account_id"] else "")


def line_list(con: duckdb.DuckDBPyConnection, name: str, where: str, most: int = MOST) -> Grid:
    """Lines one by one, the largest first."""
    found = rows(
        con,
        f"""
        SELECT made.*, coalesce(named.name, made.account_id) AS name, coalesce(named.timezone, 'UTC') AS zone,
               count(*) OVER (PARTITION BY made.currency) AS lines,
               sum(amount_minor) OVER (PARTITION BY made.currency)::BIGINT AS whole
        FROM made LEFT JOIN (SELECT account_id, name, timezone FROM accounts) AS named USING (account_id)
        WHERE {where}
        QUALIFY row_number() OVER (PARTITION BY made.currency ORDER BY abs(amount_minor) DESC, line_id) <= ?
        ORDER BY made.currency, abs(amount_minor) DESC, line_id""",
        [most],
    )
    groups = []
    for currency, lines in by_currency(found):
        body = [
            Row(
                it["line_id"],
                [
                    named(it),
                    forms.span(it["period_start"], it["period_end"], it["zone"]),
                    charge_words(it["charge"]),
                    it["reason"],
                    forms.minor(it["amount_minor"], currency),
                ],
            )
            for it in lines
        ]
        rest = lines[0]["lines"] - len(lines)
        total = Row(f"{currency}|", [f"Total {currency}", "", "", "", forms.minor(lines[0]["whole"], currency)], True)
        groups.append(Group(currency, [*body, total], f"and {forms.count(rest)} more" if rest else ""))
    columns = [
        Column("account", "Account"),
        Column("period", "Period", "date"),
        Column("charge", "For"),
        Column("reason", "Why"),
    ]
    return Grid(name, [*columns, Column("amount", "Amount", "number")], groups)


def rounding(con: duckdb.DuckDBPyConnection) -> Grid:
    """What rounding left over: less than a cent a line, and handed to the next line of its charge."""
    found = rows(
        con,
        """
        SELECT ledger.currency, count(*) AS lines, sum(exact) AS exact, sum(rounded) AS rounded, sum(residue) AS residue,
               max(abs(residue)) AS largest
        FROM rounding_ledger AS ledger SEMI JOIN made USING (line_id)
        GROUP BY ledger.currency ORDER BY ledger.currency""",
    )
    columns = [Column("currency", ""), Column("lines", "Lines", "number"), Column("exact", "Exact", "number")]
    columns += [Column("rounded", "Billed", "number"), Column("residue", "Residue", "number")]
    columns += [Column("largest", "Largest of a line", "number")]
    return simple(
        "rounding",
        columns,
        (
            Row(
                it["currency"],
                [
                    it["currency"],
                    forms.count(it["lines"]),
                    forms.quantity(it["exact"]),
                    forms.minor(round_minor(it["rounded"], it["currency"]), it["currency"]),
                    forms.quantity(it["residue"]),
                    forms.quantity(it["largest"]),
                ],
            )
            for it in found
        ),
    )
