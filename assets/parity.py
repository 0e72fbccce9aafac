"""Parity: whether two counts of the same usage agree, and whether the switch from one biller to the other is exact.

The arithmetic is in models/parity; here it becomes sentences: the warnings of a night, the verdict that lets the live
book begin or not, and the answer for any past hour, which is the same SQL over the ledger as it stood after some night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from assets import rerate, warehouse
from assets.books import Decision, closed_periods, last_night
from assets.catalogue import write_catalogue
from assets.core.catalogue.loading import load
from assets.core.catalogue.models import Catalogue
from assets.core.instants import format_instant
from assets.core.page import counted, plain
from assets.core.reasons import RETRIED
from assets.core.refusal import Refusal

Row = dict[str, Any]

# Which hours models/parity look at; and all that they reckon there, and readers see of it.
SCOPE = "int_parity__scope"
MODELS = ("int_parity__hours", "int_parity__totals", "int_parity__seam", "parity", "parity_hours")

HOUR = timedelta(hours=1)

# What a part of the seam (int_parity__seam) that is not billed exactly once is, and what to do.
SEAMS = {
    "both_from_on": "of the reference lie at bill_from or later and are billed by both sides;"
    " stop the old side there, or move bill_from",
    "both_by_baseline": "before bill_from are in a baseline that this side bills, and the reference counts them too;"
    " take the baseline out, or move bill_from to where its period begins",
    "neither": "before bill_from lie in hours of an account that the reference does not know, and are billed by neither"
    " side; have the old side bill them, or move bill_from",
    "neither_expired": "from bill_from on landed after their period's late window, or in no period, and are billed by"
    " neither side; bill them by hand, or move bill_from",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether this side can take over at bill_from, and why not."""

    as_of: datetime
    bill_from: datetime | None
    blocks: list[str]  # a sentence each; none is clean
    comparisons: list[Row]
    seam: list[Row]

    @property
    def is_clean(self) -> bool:
        return not self.blocks


def alerts(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The alerts that tonight knows of, as warnings: one for each comparison, with its latest."""
    found = rerate.rows(
        con,
        """
        SELECT t.comparison, count(DISTINCT t.hour_start) AS alerts, max(t.hour_start) AS latest,
               max_by(t.accounts, t.hour_start) AS accounts
        FROM night.int_parity__scope s
        JOIN (
            SELECT comparison, hour_start, sum(accounts_alarming) AS accounts FROM night.int_parity__totals
            WHERE is_alert GROUP BY ALL
        ) t ON t.comparison = s.comparison AND t.hour_start >= s.watched_from
        GROUP BY ALL ORDER BY ALL""",
    )
    return [
        f"parity {it['comparison']}: {counted(it['alerts'], 'alert')}, the latest at {_at(it['latest'])} with"
        f" {counted(it['accounts'], 'account')} too far apart; see tallyhouse parity --at {_at(it['latest'])}."
        for it in found
    ]


def refuse_unclean(con: duckdb.DuckDBPyConnection, as_of: datetime, force: bool) -> list[Decision]:
    """Before the live book begins: refuse the night whose parity is not clean, or say what is decided by it.

    Nothing to decide in shadow mode, without parity.yaml, and once the live book has begun.
    """
    (is_going_live,) = _one(con, "SELECT coalesce(bool_or(is_going_live), false) FROM night.int_parity__scope")
    (is_decided,) = _one(
        con,
        "SELECT count(*) > 0 FROM books.decisions WHERE decision = 'go_live' AND as_of = ?",
        [as_of.replace(tzinfo=None)],
    )
    if not is_going_live or is_decided:
        return []
    found = verdict(con)
    if found.blocks and not force:
        last = "Parity is not clean, so the live book does not begin: mend this, turn back to shadow, or run the night"
        raise Refusal([*found.blocks, f"{last} with --force, which is recorded."])
    because = (
        f"forced, while {counted(len(found.blocks), 'reason')} stood against it" if found.blocks else "parity is clean"
    )
    detail = {
        "bill_from": found.bill_from and format_instant(found.bill_from),
        "forced": bool(found.blocks),
        "blocks": found.blocks,
        "comparisons": [it["comparison"] for it in found.comparisons],
    }
    return [Decision("go_live", "live", because, as_of, detail)]


def verdict(con: duckdb.DuckDBPyConnection) -> Verdict:
    """The verdict over what models/parity have reckoned with the live book about to begin."""
    as_of, bill_from = _one(con, "SELECT as_of, bill_from FROM catalog.settings")
    comparisons, seam = rerate.rows(con, _COMPARISONS), rerate.rows(con, _SEAM)
    blocks = []
    if not comparisons:
        blocks.append("Nothing is compared: write catalog/parity.yaml.")
    if bill_from is None:
        blocks.append("There is no bill_from to begin at: give --bill-from, or write it in catalog/workspace.yaml.")
    elif bill_from != bill_from.replace(minute=0, second=0, microsecond=0):
        blocks.append(f"bill_from {_at(bill_from)} lies within an hour, which can't be cut: choose a whole hour.")
    for it in comparisons:
        blocks += _unclean(it)
    for part in seam:
        if part["part"] in SEAMS:
            blocks.append(_unproven(part))
    return Verdict(_utc(as_of), bill_from and _utc(bill_from), blocks, comparisons, seam)


# Each comparison where it must be clean: what it saw there, and what speaks against it.
_COMPARISONS = """
    SELECT s.comparison, s.clean_from, s.clean_until, s.candidate_meter, s.reference_meter,
           coalesce(h.reference_usages, 0) AS reference_usages, coalesce(h.candidate_usages, 0) AS candidate_usages,
           coalesce(h.accounts, 0) AS accounts, coalesce(h.drifting, 0) AS account_hours_drifting,
           coalesce(h.one_sided, 0) AS accounts_one_sided, h.an_account, h.one_sided_at,
           coalesce(t.alerts, 0) AS alerts, t.first_alert_at, coalesce(t.is_last_alarming, false) AS is_last_alarming,
           b.begins_at AS reference_begins_at,
           EXISTS (FROM catalog.charges c WHERE c.meter = s.candidate_meter) AS is_charged,
           (SELECT any_value(c.aggregate) FROM catalog.charges c, catalog.settings t
            WHERE c.meter = s.candidate_meter AND t.push = 'meter_events'
              AND c.aggregate NOT IN ('sum', 'count', 'cost')) AS not_sent,
           EXISTS (FROM catalog.charges c WHERE c.meter = s.reference_meter AND c.aggregate = 'time_weighted')
               AS is_reference_level_charged
    FROM night.int_parity__scope s
    LEFT JOIN (
        SELECT h.comparison, sum(h.reference_usages)::BIGINT AS reference_usages,
               sum(h.candidate_usages)::BIGINT AS candidate_usages, count(DISTINCT h.account_id) AS accounts,
               count(*) FILTER (h.is_drifting) AS drifting,
               count(DISTINCT h.account_id) FILTER (h.is_one_sided) AS one_sided,
               min(h.hour_start) FILTER (h.is_one_sided) AS one_sided_at,
               min_by(h.account_id, (h.hour_start, h.account_id)) FILTER (h.is_one_sided) AS an_account
        FROM night.int_parity__hours h JOIN night.int_parity__scope s USING (comparison)
        WHERE h.hour_start >= s.clean_from AND h.hour_start < s.clean_until GROUP BY h.comparison
    ) h USING (comparison)
    LEFT JOIN (
        SELECT t.comparison, count(DISTINCT t.hour_start) FILTER (t.is_alert) AS alerts,
               min(t.hour_start) FILTER (t.is_alert) AS first_alert_at,
               bool_or(t.is_alarming) FILTER (t.hour_start = s.clean_until - to_hours(1)) AS is_last_alarming
        FROM night.int_parity__totals t JOIN night.int_parity__scope s USING (comparison)
        WHERE t.hour_start >= s.clean_from AND t.hour_start < s.clean_until GROUP BY t.comparison
    ) t USING (comparison)
    LEFT JOIN (
        SELECT comparison, date_trunc('hour', min(first_at)) AS begins_at FROM night.int_parity__seam
        WHERE side = 'reference' GROUP BY comparison
    ) b USING (comparison)
    ORDER BY s.comparison"""

_SEAM = """
    SELECT comparison, side, part, unit, usages, account_hours, accounts, an_account, first_at, last_at,
           units, per, digits, amount AS money, currency
    FROM night.int_parity__seam ORDER BY comparison, side DESC, part, currency"""


def _unclean(it: Row) -> Iterator[str]:
    """What blocks in the hours that must be clean."""
    name, start, end = it["comparison"], it["clean_from"], it["clean_until"]
    window = f"in the {(end - start) // HOUR} h to {_at(end)}"
    if not it["reference_usages"]:
        yield f"{name}: the reference has no usage {window}, so nothing is proven; land it, or move bill_from."
    elif it["reference_begins_at"] is not None and it["reference_begins_at"] > start:
        yield f"{name}: the reference begins at {_at(it['reference_begins_at'])}, so not all {window} is proven; wait."
    if it["alerts"]:
        first = _at(it["first_alert_at"])
        count = counted(it["alerts"], "alert")
        yield f"{name}: {count} {window}, the first at {first}; see tallyhouse parity --at {first}."
    elif it["is_last_alarming"]:
        hour = _at(end - HOUR)
        yield f"{name}: the last hour, {hour}, alarms, and no later one clears it; see tallyhouse parity --at {hour}."
    if it["accounts_one_sided"] and it["reference_usages"]:
        first = _at(it["one_sided_at"])
        whose = f"{counted(it['accounts_one_sided'], 'account')} (first {it['an_account']} at {first})"
        yield f"{name}: one side alone knows usage of {whose} {window}; see tallyhouse parity --at {first}."
    if not it["is_charged"]:
        yield f"{name}: no plan charges {it['candidate_meter']}, so this side bills nothing of it; add a charge."
    if it["not_sent"]:
        meter = f"{it['candidate_meter']} is {it['not_sent']}, of which no meter events are sent (stripe.push)"
        yield f"{name}: {meter}, so this side bills nothing of it; push invoice_items."
    if it["is_reference_level_charged"]:
        meter = it["reference_meter"]
        wrong = f"a plan charges {meter}, a level that the reference moves too"
        yield f"{name}: {wrong}; give the reference a meter of its own."


def _unproven(it: Row) -> str:
    what = f"{plain(_shown(it))} {it['unit']}, first at {_at(it['first_at'])}, of {it['an_account']} for one"
    return f"{it['comparison']}: {counted(it['usages'], 'row')} ({what}) {SEAMS[it['part']]}."


# --- asked again ---------------------------------------------------------------------------------------------------


@contextmanager
def asked_again(
    workspace: Path,
    statements: Mapping[str, str],
    as_of: datetime | None = None,
    at: datetime | None = None,
    bill_from: datetime | None = None,
    is_going_live: bool = False,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Catalogue, datetime]]:
    """The parity models over the ledger as it stood after a night (the last, unless told), in memory.

    `at` looks at one hour; `is_going_live` has the live book begin at `bill_from`, or at the workspace's own.
    `statements` are the compiled models.
    """
    with warehouse.peek(workspace) as con:
        last = last_night(con) if con else None
        if con is None or last is None:
            raise Refusal(f"{workspace} has no night to ask, or one is at work; run one first, or wait for its end.")
        night = as_of or last
        if night > last:
            raise Refusal(f"--as-of {format_instant(night)} lies after the last night, {format_instant(last)}.")
        if at is not None and (hour := at.replace(minute=0, second=0, microsecond=0)) + HOUR > night:
            raise Refusal(f"The hour from {format_instant(hour)} had not ended at {format_instant(night)}.")
        loaded = load(workspace, closed_periods(con), night)
        if not loaded.comparisons:
            raise Refusal(
                f"{workspace} compares nothing; write catalog/parity.yaml, which names two counts of a usage."
            )
        if bill_from is not None:
            loaded = replace(loaded, settings=replace(loaded.settings, bill_from=bill_from))
        with warehouse.beside(workspace) as again:
            write_catalogue(again, loaded, night, only=("settings", "parity", "accounts", "charges"))
            _stand_in(again, night)
            rerate.make(again, statements, SCOPE)
            _look_at(again, at, is_going_live)
            rerate.make(again, statements, *MODELS)
            yield again, loaded, night


def _stand_in(con: duckdb.DuckDBPyConnection, night: datetime) -> None:
    """What the parity models read: the ledger as that night left it; periods as the last night reckoned them."""
    until = night.replace(tzinfo=None).isoformat()
    instead: dict[str, rerate.Relation] = {
        "books.ledger": f"FROM warehouse.books.ledger WHERE entered_at <= TIMESTAMP '{until}'",
        # Whether the live book has begun is not asked.
        **rerate.without_rows("books.closes", "books.lines", "books.decisions"),
    }
    rerate.lay_out(con, instead, "FROM warehouse.night.int_periods__cuts")


def _look_at(con: duckdb.DuckDBPyConnection, at: datetime | None, is_going_live: bool) -> None:
    con.execute("UPDATE night.int_parity__scope SET is_going_live = ?", [is_going_live])
    if is_going_live:
        con.execute("UPDATE night.int_parity__scope SET from_at = least(from_at, clean_from)")
    if at is not None:
        con.execute(
            """UPDATE night.int_parity__scope SET from_at = date_trunc('hour', ?::TIMESTAMP),
            until_at = date_trunc('hour', ?::TIMESTAMP) + to_hours(1)""",
            [at.replace(tzinfo=None)] * 2,
        )


def hours(con: duckdb.DuckDBPyConnection) -> tuple[list[Row], list[Row]]:
    """What was asked for: the totals of each hour, and the accounts in it that are flagged."""
    return (
        rerate.rows(con, "FROM billing.parity ORDER BY comparison, hour_start, unit"),
        rerate.rows(con, "FROM billing.parity_hours ORDER BY comparison, hour_start, abs(difference) DESC, account_id"),
    )


def held(con: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> list[str]:
    """Rows that wait in quarantine and may still land on either side of the seam."""
    sides = [(it.name, side) for it in catalogue.comparisons.values() for side in (it.reference, it.candidate)]
    notes = []
    for source, reason, rows in con.execute(
        """SELECT source, reason, count(*) FROM books.quarantine
        WHERE list_contains(?, reason) GROUP BY ALL ORDER BY ALL""",
        [list(RETRIED)],
    ).fetchall():
        emitted = {emit.meter for emit in catalogue.sources[source].emits} if source in catalogue.sources else set()
        names = sorted({name for name, side in sides if side.source in (None, source) and side.meter in emitted})
        if names:
            whose = ", ".join(names)
            notes.append(f"{whose}: {counted(rows, 'row')} of {source} held as {reason} may still land on either side.")
    return notes


def facts(it: Row) -> Row:
    """A row as a program reads it: instants as text, numbers without binary floating point, counts in what is sold."""
    row = {key: value for key, value in it.items() if key not in ("units", "per", "digits")}
    if "units" in it:
        row["quantity"] = _shown(it)
    return {key: _fact(value) for key, value in row.items()}


def _fact(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value if value.tzinfo else _utc(value))
    return plain(value) if isinstance(value, Decimal) else value


def _shown(it: Row) -> Decimal:
    """Common units as what is sold, cut to twelve digits."""
    whole = abs(it["units"]) * 10**12 // (it["per"] * 10 ** it["digits"])
    return Decimal(whole if it["units"] >= 0 else -whole).scaleb(-12)


def _one(con: duckdb.DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> tuple[Any, ...]:
    row = con.execute(sql, values or []).fetchone()
    assert row is not None
    return row


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


def _at(at: datetime) -> str:
    return format_instant(_utc(at))
