"""What proves a report: where every row ended, what is held and why, that nothing leaked, that both counts agree."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import groupby
from typing import Any

import duckdb
from markupsafe import Markup

from assets.core.reasons import RETRIED
from assets.report import forms, svg
from assets.report.grid import Cell, Column, Grid, Group, Row, simple
from assets.report.lines import by_currency
from assets.report.published import MOST, one
from assets.rerate import rows

ENDS = {"accepted": "use", "duplicate": "same", "ignored": "rest", "quarantined": "held"}
REASONS = {
    "malformed": "cannot be read",
    "missing_field": "a field is missing",
    "bad_timestamp": "the time cannot be read",
    "bad_number": "a number cannot be read",
    "precision": "more digits than are kept",
    "future": "from the future",
    "unknown_meter": "meters.yaml does not list it",
    "unknown_account": "nobody knows the account",
    "no_payer": "nobody pays for it",
    "key_conflict": "says something else than the row before under the same key",
}
LONGEST_TEXT = 220


def _note(reason: str) -> str:
    return REASONS.get(reason, "") + ("; tried again every night" if reason in RETRIED else "")


def files(con: duckdb.DuckDBPyConnection, where: str, values: list[object], most: int = MOST) -> Grid:
    """Files and where their rows ended; of each, rows = accepted + duplicate + ignored + held."""
    counts = ("rows", *ENDS)
    window = ", ".join(f"sum({name}) OVER ()::BIGINT AS all_{name}" for name in counts)
    found = rows(
        con,
        f"""
        SELECT *, count(*) OVER () AS files, {window} FROM files WHERE {where}
        QUALIFY row_number() OVER (ORDER BY rows DESC NULLS LAST, raw_file, source) <= ?
        ORDER BY source NULLS LAST, raw_file""",
        [*values, most],
    )
    body = [
        Row(
            f"{it['raw_file']}|{it['source'] or ''}",
            [
                Cell(it["raw_file"], note=it["source"] or "no source matches it"),
                *(_count(it[name], name) for name in counts),
            ],
        )
        for it in found
    ]
    if not found:
        return simple("files", [], [])
    first = found[0]
    body.append(Row("", ["All files", *(_count(first[f"all_{name}"], name) for name in counts)], is_total=True))
    titles = {
        "rows": "Rows",
        "accepted": "Accepted",
        "duplicate": "Duplicate",
        "ignored": "Ignored",
        "quarantined": "Held",
    }
    columns = [Column("file", "File"), *(Column(name, titles[name], "number") for name in counts)]
    rest = first["files"] - len(found)
    return simple("files", columns, body, more=f"and {forms.count(rest)} more" if rest else "")


def _count(number: int | None, name: str) -> Cell:
    if not number:
        return Cell("–", tone="dim")
    return Cell(forms.count(number), tone="warn" if name == "quarantined" else "")


def ends(con: duckdb.DuckDBPyConnection, where: str, values: list[object]) -> tuple[Markup, list[tuple[str, str, str]]]:
    """Rows by where they ended, as one bar, and its legend: tone, label, count."""
    sums = ", ".join(f"coalesce(sum({name}), 0)::BIGINT AS {name}" for name in ENDS)
    it = one(con, f"SELECT {sums} FROM files WHERE {where}", values)
    parts = [svg.Part("held" if name == "quarantined" else name, it[name], tone) for name, tone in ENDS.items()]
    return svg.stacked(parts), [(part.tone, part.label, forms.count(part.amount)) for part in parts]


def held(con: duckdb.DuckDBPyConnection, as_of: object) -> Grid:
    """Rows held by reason: all that wait, those of tonight, and the money that could be read of them."""
    found = rows(
        con,
        """
        SELECT reason, count(*) AS rows, count(*) FILTER (first_seen = ?) AS tonight, sum(cost) AS cost,
               count(cost) AS with_cost, min(first_seen) AS since, any_value(detail ORDER BY first_seen DESC, raw_file, raw_line)
                   AS detail
        FROM quarantine GROUP BY reason ORDER BY tonight DESC, rows DESC, reason""",
        [as_of],
    )
    body = [
        Row(
            it["reason"],
            [
                Cell(it["reason"], note=_note(it["reason"])),
                Cell(forms.count(it["tonight"]), tone="warn") if it["tonight"] else Cell("–", tone="dim"),
                forms.count(it["rows"]),
                forms.quantity(it["cost"]) if it["with_cost"] else Cell("–", tone="dim"),
                forms.day(it["since"].date()),
            ],
        )
        for it in found
    ]
    if found:
        costs = [it["cost"] for it in found if it["with_cost"]]
        total = [
            "All reasons",
            forms.count(sum(it["tonight"] for it in found)),
            forms.count(sum(it["rows"] for it in found)),
            forms.quantity(sum(costs, Decimal())) if costs else "–",
            "",
        ]
        body.append(Row("", total, is_total=True))
    columns = [Column("reason", "Reason"), Column("tonight", "New", "number"), Column("rows", "All held", "number")]
    return simple("held", [*columns, Column("cost", "Cost at stake", "number"), Column("since", "Since", "date")], body)


def held_rows(con: duckdb.DuckDBPyConnection, as_of: object, most: int = 6) -> Grid:
    """A few rows of every reason as they came, tonight's first."""
    found = rows(
        con,
        """
        SELECT *, count(*) OVER (PARTITION BY reason) AS rows, row_number() OVER by_reason AS place
        FROM quarantine
        WINDOW by_reason AS (PARTITION BY reason ORDER BY first_seen DESC, raw_file, raw_line)
        QUALIFY place <= 2 ORDER BY first_seen = ? DESC, place, reason, raw_file, raw_line LIMIT ?""",
        [as_of, most],
    )
    body = []
    for it in found:
        text = it["raw_text"] or ""
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]}…"
        where = Cell(f"{it['raw_file']}:{it['raw_line']}", note=it["detail"] or "")
        body.append(Row(f"{it['raw_file']}|{it['raw_line']}", [it["reason"], where, Cell(text)]))
    columns = [Column("reason", "Reason"), Column("row", "Row", "long"), Column("text", "As it came", "mono")]
    return simple("held-rows", columns, body)


def leaks(con: duckdb.DuckDBPyConnection, where: str = "true", values: list[object] | None = None) -> Grid:
    """All that was ever received against where it has ended: usages, quantities and money, with the difference."""
    fates = ("received", "billed", "free", "held", "duplicate", "ignored", "pre_cutover", "expired", "difference")
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in fates)
    found = rows(
        con,
        f"SELECT measure, {sums} FROM leak_ledger WHERE {where} GROUP BY measure ORDER BY measure DESC",
        values or [],
    )
    columns = [Column("fate", ""), *(Column(it["measure"], it["measure"].capitalize(), "number") for it in found)]
    labels = {
        "received": "Received",
        "billed": "Counted by a charge",
        "free": "Counted by none",
        "pre_cutover": "Before bill_from",
    }
    body = []
    for name in fates:
        cells: list[Any] = [labels.get(name, name.replace("_", " ").capitalize())]
        for it in found:
            value = it[name]
            tone: Any = ("good" if not value else "bad") if name == "difference" else "" if value else "dim"
            cells.append(Cell(forms.quantity(value) if value or name == "difference" else "–", tone=tone))
        body.append(Row(name, cells, is_total=name == "difference"))
    return simple("leaks", columns, body)


def parity(con: duckdb.DuckDBPyConnection, most: int = MOST) -> Grid:
    """Two counts of the same usage, over the last week: how far apart, and in how many hours it alarms."""
    found = rows(
        con,
        """
        SELECT comparison, unit, count(*) AS hours, sum(reference) AS reference, sum(candidate) AS candidate,
               sum(difference) AS difference, sum(accounts_flagged)::BIGINT AS flagged,
               count(*) FILTER (is_alarming) AS alarming, count(*) FILTER (is_alert) AS alerts
        FROM parity GROUP BY comparison, unit ORDER BY comparison, unit LIMIT ?""",
        [most],
    )
    body = [
        Row(
            f"{it['comparison']}|{it['unit'] or ''}",
            [
                Cell(it["comparison"], note=it["unit"] or ""),
                forms.count(it["hours"]),
                forms.quantity(it["reference"]),
                forms.quantity(it["candidate"]),
                forms.quantity(it["difference"]),
                forms.share(it["difference"], it["reference"]),
                forms.count(it["flagged"]),
                Cell(forms.count(it["alarming"]), tone="bad" if it["alerts"] else "warn" if it["alarming"] else "good"),
            ],
        )
        for it in found
    ]
    columns = [Column("comparison", "Comparison"), Column("hours", "Hours", "number")]
    columns += [Column("reference", "Reference", "number"), Column("candidate", "Candidate", "number")]
    columns += [Column("difference", "Difference", "number"), Column("part", "", "number")]
    columns += [Column("flagged", "Account-hours flagged", "number"), Column("alarming", "Hours alarming", "number")]
    return simple("parity", columns, body)


SUITES = {
    "models": "the rules of the models",
    "landed": "what came in",
    "billed": "what would be billed",
    "own": "the workspace's own",
    "books": "the books once posted",
}


def checks(con: duckdb.DuckDBPyConnection, as_of: object) -> Grid:
    """How many checks of each kind passed before anything was published, and how many only warned."""
    found = rows(
        con,
        """
        SELECT suite, count(*) AS checks, count(*) FILTER (verdict = 'passes' AND outcome = 'passed') AS passed,
               count(*) FILTER (verdict = 'warns') AS warned, count(*) FILTER (verdict = 'accepted') AS accepted,
               count(*) FILTER (outcome = 'waiting') AS waiting, count(*) FILTER (outcome = 'off') AS off
        FROM checks WHERE as_of = ? GROUP BY suite ORDER BY suite""",
        [as_of],
    )
    names = ("checks", "passed", "warned", "accepted", "waiting", "off")

    def shown(name: str, number: int) -> Cell:
        tone: Any = "warn" if number and name in ("warned", "accepted") else "" if number else "dim"
        return Cell(forms.count(number) if number else "–", tone=tone)

    body = [
        Row(
            it["suite"],
            [Cell(it["suite"], note=SUITES.get(it["suite"], "")), *(shown(name, it[name]) for name in names)],
        )
        for it in found
    ]
    if found:
        whole = [shown(name, sum(it[name] for it in found)) for name in names]
        body.append(Row("", ["All checks", *whole], is_total=True))
    return simple(
        "checks", [Column("suite", "Of"), *(Column(name, name.capitalize(), "number") for name in names)], body
    )


def check_findings(con: duckdb.DuckDBPyConnection, as_of: object, most: int = MOST) -> Grid:
    """The checks that found something, with the money their rows are about."""
    found = rows(
        con,
        """
        SELECT check_name, about, coalesce(because, detail) AS found, verdict, rows_found, at_stake,
               count(*) OVER () AS checks
        FROM checks WHERE as_of = ? AND outcome IN ('failed', 'raised') ORDER BY verdict, check_name LIMIT ?""",
        [as_of, most],
    )
    body = []
    for it in found:
        stakes = sorted(json.loads(it["at_stake"] or "{}").items())
        amounts = " · ".join(f"{forms.money(Decimal(amount))} {currency}" for currency, amount in stakes)
        name = Cell(it["check_name"], note=it["about"] or "")
        tone: Any = "bad" if it["verdict"] == "stops" else "warn"
        cells = [name, Cell(it["verdict"], note=it["found"] or "", tone=tone)]
        body.append(
            Row(it["check_name"], [*cells, forms.count(it["rows_found"] or 0), amounts or Cell("–", tone="dim")])
        )
    rest = found[0]["checks"] - len(found) if found else 0
    columns = [Column("check", "Check", "long"), Column("verdict", "Verdict", "long"), Column("rows", "Rows", "number")]
    more = f"and {forms.count(rest)} more" if rest else ""
    return simple("check-findings", [*columns, Column("at_stake", "At stake", "number")], body, more=more)


STATES = {
    "shadow": "complete, and never sent",
    "pending": "to be sent",
    "sent": "at Stripe",
    "parked": "waits until someone mends something",
}


def pushed(con: duckdb.DuckDBPyConnection) -> Grid:
    """Where the lines are on their way to Stripe."""
    found = rows(
        con,
        """
        SELECT currency, state, count(*) AS lines, count(stripe_id) AS known, sum(amount_minor)::BIGINT AS total
        FROM made GROUP BY currency, state ORDER BY currency, state""",
    )
    groups = [
        Group(
            currency,
            [
                Row(
                    f"{currency}|{it['state']}",
                    [
                        Cell(
                            it["state"],
                            note=STATES.get(it["state"], ""),
                            tone="warn" if it["state"] == "parked" else "",
                        ),
                        forms.count(it["lines"]),
                        forms.count(it["known"]) if it["known"] else Cell("–", tone="dim"),
                        forms.minor(it["total"], currency),
                    ],
                )
                for it in states
            ],
        )
        for currency, states in by_currency(found)
    ]
    columns = [
        Column("state", "State"),
        Column("lines", "Lines", "number"),
        Column("known", "With a Stripe id", "number"),
    ]
    return Grid("pushed", [*columns, Column("total", "Amount", "number")], groups)


def parked(con: duckdb.DuckDBPyConnection, most: int = MOST) -> Grid:
    """Lines that wait for somebody, and what for."""
    found = rows(
        con,
        """
        SELECT state_reason, currency, count(*) AS lines, sum(amount_minor)::BIGINT AS total,
               min(account_id) AS account_id
        FROM invoice_items WHERE state = 'parked' GROUP BY ALL ORDER BY currency, lines DESC, state_reason LIMIT ?""",
        [most],
    )
    groups = []
    for currency, group in groupby(found, key=lambda it: it["currency"]):
        body = [
            Row(
                f"{currency}|{it['state_reason']}",
                [
                    it["state_reason"] or "",
                    it["account_id"],
                    forms.count(it["lines"]),
                    forms.minor(it["total"], currency),
                ],
            )
            for it in group
        ]
        groups.append(Group(currency, body))
    columns = [Column("why", "Why"), Column("account", "Such as"), Column("lines", "Lines", "number")]
    return Grid("parked", [*columns, Column("total", "Amount", "number")], groups)
