"""The report of an account's period, for the customer who asks why: what was used, day by day, and how each charge adds up.

It holds that account's data and nobody else's. The arithmetic is the explanation's own: reckoned anew from the ledger by
the models of the night, and held against the parts it is made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from urllib.parse import quote

import duckdb

from assets.core.catalogue.problems import shown, suggestion
from assets.core.numbers import added
from assets.core.page import Table
from assets.core.refusal import Refusal
from assets.explain import words
from assets.explain.metered import Metered
from assets.explain.standing import Charges, period_of, standing
from assets.report import bridge, days, forms, grid, lines, usage
from assets.report.grid import Cell, Column, Grid, Group, Row, simple
from assets.report.page import Item, Note, Report, Section, Tile
from assets.report.published import USED, nights, one
from assets.rerate import Models, rows
from assets.rerate import Row as Fields

REASONS = {
    "threshold": "within the period, once so much was unbilled",
    "close": "at the close of the period",
    "adjustment": "a correction after the close",
}
MOST_LINES = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the page is about: an account, some of its periods, and how they are called."""

    account_id: str
    label: str
    periods: Sequence[Fields]

    @property
    def zone(self) -> str:
        return str(self.periods[0]["zone"])

    @property
    def is_open(self) -> bool:
        return any(it["state"] == "open" for it in self.periods)


def find(con: duckdb.DuckDBPyConnection, account_id: str, period: str | None) -> Wanted:
    """The account's periods of a month, or the one of a day; without either, of the last month that has a closed one."""
    found = rows(con, "FROM dated WHERE account_id = ? ORDER BY period_start, subscription_id", [account_id])
    if not found:
        names = [name for (name,) in con.execute("SELECT DISTINCT account_id FROM periods ORDER BY 1").fetchall()]
        advice = suggestion(account_id, names[:1000], "see account_id in billing.periods")
        raise Refusal(f"No period of an account {shown(account_id)} is published; {advice}")
    if period is None:
        closed = [it["month"] for it in found if it["state"] == "closed"]
        period = f"{max(closed) if closed else max(it['month'] for it in found):%Y-%m}"
    if re.fullmatch(r"\d{4}-\d\d", period):
        chosen = [it for it in found if f"{it['month']:%Y-%m}" == period]
    elif re.fullmatch(r"\d{4}-\d\d-\d\d", period):
        chosen = [it for it in found if _covers(it, period)]
    else:
        raise Refusal(f"{period!r} is neither a month such as 2026-05 nor a day such as 2026-05-14.")
    if not chosen:
        months = list(dict.fromkeys(f"{it['month']:%Y-%m}" for it in found))
        raise Refusal(f"Account {account_id} has no period of {period}; it has some of {', '.join(months[-12:])}.")
    return Wanted(account_id, period, chosen)


def _covers(period: Fields, day: str) -> bool:
    """Whether any of the day, on the account's calendar, is in the period."""
    first, last = forms.local_days(period["period_start"], period["period_end"], period["zone"])
    return first.isoformat() <= day <= last.isoformat()


def file_name(wanted: Wanted) -> str:
    return f"account-{quote(wanted.account_id, safe='')}-{wanted.label}.html"


def scope(con: duckdb.DuckDBPyConnection, wanted: Wanted) -> None:
    """Nothing of anybody else is in reach from here on."""
    keys = [{"id": it["subscription_id"], "start": it["period_start"]} for it in wanted.periods]
    con.execute(
        """CREATE OR REPLACE TEMP TABLE mine AS
        SELECT key.id AS subscription_id, key.start AS period_start
        FROM (SELECT unnest(?::STRUCT(id VARCHAR, start TIMESTAMPTZ)[]) AS key)""",
        [keys],
    )
    within = "SEMI JOIN mine USING (subscription_id, period_start) WHERE account_id = $1"
    account = [wanted.account_id]
    con.execute(f"CREATE OR REPLACE TEMP TABLE closed AS FROM dated {within} AND state = 'closed'", account)
    con.execute(f"CREATE OR REPLACE TEMP TABLE open AS FROM dated {within} AND state = 'open'", account)
    con.execute(f"CREATE OR REPLACE TEMP TABLE made AS FROM invoice_items {within}", account)
    con.execute(f"CREATE OR REPLACE TEMP TABLE used AS {USED} {within}", account)


def report(con: duckdb.DuckDBPyConnection, workspace: Path, wanted: Wanted, models: Models) -> Report:
    scope(con, wanted)
    as_of = nights(con)[-1]
    account = one(
        con,
        "SELECT any_value(name) AS name, any_value(currency) AS currency FROM accounts WHERE account_id = ?",
        [wanted.account_id],
    )
    charges = [(it, _standing(workspace, models, it, as_of)) for it in wanted.periods]
    spans = [forms.span(it["period_start"], it["period_end"], it["zone"]) for it in wanted.periods]
    return Report(
        kind="account",
        title=account["name"] or wanted.account_id,
        eyebrow=f"Usage and charges, {forms.listed(list(dict.fromkeys(spans)))}",
        headline=_headline(con, wanted),
        facts=list(_facts(wanted, as_of)),
        tiles=list(_tiles(con, wanted)),
        sections=[section for section in _sections(con, wanted, charges) if section.shown or section.level == 2],
        closing=(
            "What was billed is shown as billed. In the tables above the arithmetic, other amounts are rounded to two decimals "
            "for show; the arithmetic itself has every digit, and nothing is rounded before the last step. "
            f"Times are those of {wanted.zone}."
        ),
    )


def _standing(workspace: Path, models: Models, it: Fields, as_of: datetime) -> Charges:
    start, end, night = (
        at.astimezone(UTC).replace(tzinfo=None) for at in (it["period_start"], it["period_end"], as_of)
    )
    period = period_of(it["account_id"], it["subscription_id"], start, end, it["currency"], night)
    return standing(workspace, models, period, it["state"] == "open")


def _headline(con: duckdb.DuckDBPyConnection, wanted: Wanted) -> str:
    found = rows(
        con,
        """
        SELECT currency, sum(amount_minor)::BIGINT AS total,
               coalesce(sum(amount_minor) FILTER (reason <> 'adjustment' AND NOT starts_with(charge, 'credit:')), 0)::BIGINT AS charged,
               coalesce(sum(amount_minor) FILTER (reason = 'adjustment' AND NOT starts_with(charge, 'credit:')), 0)::BIGINT AS adjusted,
               coalesce(sum(amount_minor) FILTER (starts_with(charge, 'credit:')), 0)::BIGINT AS credit
        FROM made GROUP BY currency ORDER BY currency""",
    )
    said: list[str] = []
    for it in found:
        currency = it["currency"]
        parts = [f"{forms.minor(it['charged'], currency)} of charges"]
        parts += [f"{forms.minor(it['adjusted'], currency)} of later corrections"] if it["adjusted"] else []
        parts += [f"{forms.minor(it['credit'], currency)} of credit"] if it["credit"] else []
        what = f": {forms.listed(parts)}" if len(parts) > 1 else ""
        said.append(f"{forms.minor(it['total'], currency)} {currency} is billed{what}.")
    owing = rows(con, "SELECT currency, sum(owed) AS owed FROM open GROUP BY currency ORDER BY currency")
    owed = [f"{forms.money(it['owed'])} {it['currency']} is owed so far, and the period is still open." for it in owing]
    return " ".join([*(said or ([] if owed else ["Nothing is billed."])), *owed])


def _facts(wanted: Wanted, as_of: datetime) -> Iterator[tuple[str, str]]:
    yield "Account", wanted.account_id
    yield "Plan", forms.listed(list(dict.fromkeys(it["plan"] for it in wanted.periods)))
    closes = [forms.day(forms.local(it["closed_at"], wanted.zone)) for it in wanted.periods if it["closed_at"]]
    state = [f"closed on {forms.listed(list(dict.fromkeys(closes)))}"] if closes else []
    yield "State", ", ".join([*state, *(["open"] if wanted.is_open else [])])
    yield "As of", forms.instant(as_of, wanted.zone)


def _tiles(con: duckdb.DuckDBPyConnection, wanted: Wanted) -> Iterator[Tile]:
    for currency, total in lines.totals(con):
        yield Tile(f"billed-{currency}", f"Billed, {currency}", forms.minor(total, currency), "credit taken off")
    for currency in dict.fromkeys(it["currency"] for it in wanted.periods):
        periods = [it for it in wanted.periods if it["currency"] == currency]
        raw = added(amount for it in periods for amount in (it["baseline"], it["usage"]))
        yield Tile(f"usage-{currency}", f"Pooled usage, {currency}", forms.money(raw))
        yield Tile(f"refresh-{currency}", "Given back daily", forms.money(added(it["refresh"] for it in periods)))
        yield Tile(f"included-{currency}", "Included", forms.money(added(it["included"] for it in periods)))


def _sections(
    con: duckdb.DuckDBPyConnection, wanted: Wanted, charges: Sequence[tuple[Fields, Charges]]
) -> Iterator[Section]:
    bridges = [*bridge.bridges(con, "Billed"), *bridge.open_bridges(con, "open")]
    yield Section("bridge", "How it adds up", "", bridges)
    lines = _lines(con, wanted)
    nothing = "Nothing was billed for this so far." if lines.is_empty else ""
    yield Section("lines", "What was billed", nothing, [lines, _credits(con, wanted)])
    courses: list[Item] = [
        *days.windows(con, wanted.zone),
        days.by_meter(con, wanted.zone),
        days.every_day(con, wanted.zone),
    ]
    yield Section(
        "usage",
        "What was used",
        "Pooled usage draws on the daily refresh and on what is included; the rest is priced over the whole period.",
        [*courses, *_left_out(con)],
    )
    late = usage.late(con, is_named=False)
    if not late.is_empty:
        lede = "What arrived once the period was closed; each difference is a line of its own."
        yield Section("late", "Late corrections", lede, [late])
    yield Section("arithmetic", "How each charge is reckoned", _now(charges))
    for number, (period, stands) in enumerate(charges):
        yield from _arithmetic(con, wanted, number, period, stands)


def _now(charges: Sequence[tuple[Fields, Charges]]) -> str:
    is_late = any(period["state"] == "closed" for period, _ in charges)
    return "To the last digit" + (", with everything that has arrived since the close." if is_late else ", so far.")


def _left_out(con: duckdb.DuckDBPyConnection) -> list[Grid | Note]:
    kept = usage.not_billed(con)
    return [] if kept.is_empty else [Note("Kept, and not billed:"), kept]


def _arithmetic(
    con: duckdb.DuckDBPyConnection, wanted: Wanted, number: int, period: Fields, stands: Charges
) -> Iterator[Section]:
    currency = period["currency"]
    at = partial(forms.instant, zone=wanted.zone)
    whose = (
        f", {forms.span(period['period_start'], period['period_end'], period['zone'])}"
        if len(wanted.periods) > 1
        else ""
    )
    idle = []
    for charge, facts in stands.items():
        if isinstance(facts, Metered) and not facts.rows and not facts.owed:
            idle.append(facts.meter)
            continue
        blocks: list[Grid | Note] = []
        for place, block in enumerate(words.arithmetic(facts, currency, at)):
            name = f"{number}-{charge}-{place}"
            blocks.append(grid.of_table(name, block) if isinstance(block, Table) else Note(block.text))
        blocks.append(_billed(con, f"{number}-{charge}", period, charge, facts.owed))
        title = lines.charge_words(charge)
        yield Section(f"charge-{number}-{quote(charge, safe='')}", f"{title}{whose}", "", blocks, level=3)
    if idle:
        yield Section(
            f"idle-{number}", f"Not used{whose}", "", [Note(f"{forms.listed(idle)}: nothing used, nothing owed.")], 3
        )


def _billed(con: duckdb.DuckDBPyConnection, name: str, period: Fields, charge: str, owed: Decimal) -> Grid:
    """The last step of a charge: rounded once, less what was billed before; the lines of it add up to what is rounded."""
    currency = period["currency"]
    found = rows(
        con,
        """SELECT * FROM made WHERE subscription_id = ? AND period_start = ? AND charge = ?
        ORDER BY created_as_of, line_id""",
        [period["subscription_id"], period["period_start"], charge],
    )
    body = [Row("owed", ["owed", forms.exact(owed)])]
    body += [
        Row(
            it["line_id"],
            [
                f"{REASONS[it['reason']]}, {forms.day(forms.local(it['created_as_of'], period['zone']))}",
                forms.minor(it["amount_minor"], currency),
            ],
        )
        for it in found
    ]
    billed = sum(it["amount_minor"] for it in found)
    body.append(Row("billed", [f"billed in all, {currency}", forms.minor(billed, currency)], is_total=True))
    caption = "What was billed for it" if found else "Nothing was billed for it"
    return simple(
        f"{name}-billed", [Column("what", ""), Column("amount", "", "number")], body if found else body[:1], caption
    )


def _lines(con: duckdb.DuckDBPyConnection, wanted: Wanted) -> Grid:
    found = rows(con, "FROM made ORDER BY currency, created_as_of, starts_with(charge, 'credit:'), charge, line_id")
    groups = []
    for currency, made in lines.by_currency(found):
        body = [
            Row(
                it["line_id"],
                [
                    forms.day(forms.local(it["created_as_of"], wanted.zone)),
                    Cell(lines.charge_words(it["charge"]), note=REASONS[it["reason"]]),
                    forms.minor(it["amount_minor"], currency),
                ],
            )
            for it in made[:MOST_LINES]
        ]
        total = sum(it["amount_minor"] for it in made)
        body.append(Row(f"{currency}|", [f"Total {currency}", "", forms.minor(total, currency)], is_total=True))
        rest = len(made) - MOST_LINES
        groups.append(Group("", body, f"and {forms.count(rest)} more" if rest > 0 else ""))
    return Grid(
        "lines", [Column("day", "Date", "date"), Column("charge", "For"), Column("amount", "Amount", "number")], groups
    )


def _credits(con: duckdb.DuckDBPyConnection, wanted: Wanted) -> Grid:
    """What the account's credit did for these lines, with the balance that is left."""
    found = rows(
        con,
        """
        SELECT credits.*, made.currency FROM credits JOIN made USING (line_id)
        WHERE credits.account_id = ? ORDER BY credits."at", credits.grant_id, movement_no""",
        [wanted.account_id],
    )
    body = [
        Row(
            f"{it['grant_id']}|{it['movement_no']}",
            [
                it["grant_id"],
                forms.day(forms.local(it["at"], wanted.zone)),
                *(
                    forms.minor(it[name], it["currency"])
                    for name in ("balance_before", "amount_minor", "balance_after")
                ),
            ],
        )
        for it in found
    ]
    columns = [
        Column("grant", "Credit"),
        Column("day", "Used on", "date"),
        Column("before", "Balance before", "number"),
    ]
    columns += [Column("used", "Used", "number"), Column("after", "Balance after", "number")]
    return simple("credits", columns, body, "Credit used")
