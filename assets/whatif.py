"""What if the plans had been others: every period rated again under another plans.yaml, by the night's own models.

Nothing is written. Usage keeps its payer and subscription, periods their bounds, terms and baseline; only the price
list is another: the file's version in force when the period begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import duckdb

from assets import warehouse
from assets.books import closed_periods
from assets.catalogue import write_catalogue
from assets.core.catalogue.loading import load
from assets.core.catalogue.problems import sentence, shown
from assets.core.instants import format_instant
from assets.core.page import counted
from assets.core.refusal import Refusal
from assets.rerate import Models, lay_out, make, rows

By: TypeAlias = Literal["account", "period"]

# What of the catalogue says what things cost; all else stays as the last night read it.
PRICES = ("plans", "plan_versions", "charges", "segments")


@dataclass(frozen=True, slots=True)
class Difference:
    """What an account, or one period of it, owes in the books and would owe under the other plans."""

    account_id: str
    subscription_id: str | None
    period_start: datetime | None
    currency: str
    periods: int
    now_minor: int
    under_minor: int

    @property
    def minor(self) -> int:
        return self.under_minor - self.now_minor


@dataclass(frozen=True, slots=True)
class WhatIf:
    file: str
    as_of: datetime
    book: str
    by: By
    differences: tuple[Difference, ...]
    totals: tuple[Difference, ...]  # by currency
    warnings: tuple[str, ...]


def what_if(workspace: Path, plans_file: Path, models: Models, by: By = "account") -> WhatIf:
    """Rate every period of the book anew under the plans of another file, and hold it against what the books owe."""
    with warehouse.beside(workspace) as con:
        as_of, book = _last_night(con, workspace)
        con.execute("CREATE SCHEMA books; CREATE VIEW books.closes AS FROM warehouse.books.closes")
        loaded = load(workspace, closed_periods(con), as_of, plans_file)
        write_catalogue(con, loaded, as_of, only=PRICES)
        con.execute("CREATE TEMP TABLE slices AS " + _SLICES)
        _refuse_unpriced(con, str(plans_file))
        settings = "SELECT * REPLACE (? AS catalog_id) FROM warehouse.catalog.settings"
        repriced = _REPRICED, [loaded.catalog_id]
        lay_out(con, {"catalog.settings": (settings, [loaded.catalog_id])}, repriced)
        make(con, models, "int_charges__owed")
        con.execute("CREATE TEMP TABLE compared AS " + _COMPARED)
        return WhatIf(
            str(plans_file),
            as_of,
            book,
            by,
            tuple(_differences(con, ["account_id", *(["subscription_id", "period_start"] if by == "period" else [])])),
            tuple(_differences(con, [])),
            tuple(_uncharged(con, str(plans_file))),
        )


def _last_night(con: duckdb.DuckDBPyConnection, workspace: Path) -> tuple[datetime, str]:
    """The night that the open periods stand at; refused while one has begun and is not in the books."""
    (night,) = rows(
        con,
        """SELECT s.as_of, s.book, (SELECT max(as_of) FROM warehouse.books.runs WHERE outcome = 'done') AS done,
                  EXISTS (FROM warehouse.landing.batch) AS is_landed
        FROM warehouse.catalog.settings s""",
    )
    as_of: datetime = night["as_of"].replace(tzinfo=UTC)
    if night["as_of"] != night["done"] or night["is_landed"]:
        raise Refusal(
            f"The night of {format_instant(as_of)} is not in the books of {workspace} yet; run it to its end first."
        )
    return as_of, night["book"]


# Every period of the book: closed ones as their close froze them, open ones as the last night cut them.
_SLICES = """
    SELECT s.* EXCLUDE (book), true AS is_closed
    FROM warehouse.books.close_slices s SEMI JOIN warehouse.catalog.settings USING (book)
    UNION ALL BY NAME
    SELECT s.* EXCLUDE (is_closing)
    FROM warehouse.night.int_periods__cuts s, warehouse.catalog.settings
    WHERE NOT s.is_closed AND NOT s.is_closing AND s.period_start <= as_of"""

_VERSIONS = """
    LEFT JOIN catalog.plan_versions v
        ON s.plan = v.plan AND s.period_start >= v.version_from
            AND s.period_start < coalesce(v.version_to, TIMESTAMP 'infinity')"""

_REPRICED = f"""
    SELECT s.* REPLACE (
               ? AS catalog_id, v.version_from AS version_from, v.included AS included,
               v.refresh_allowance AS refresh_allowance, v.is_overage AS is_overage,
               v.threshold AS threshold, v.minimum AS minimum),
           false AS is_closing
    FROM slices s {_VERSIONS}"""


def _refuse_unpriced(con: duckdb.DuckDBPyConnection, file: str) -> None:
    """Name every plan of a period that the file can't price."""
    found = rows(
        con,
        f"""
        SELECT s.plan, p.plan IS NULL AS is_missing,
               any_value(p.currency) AS priced_in, any_value(s.currency) AS billed_in,
               count(DISTINCT (s.subscription_id, s.period_start)) AS periods, min(s.period_start) AS first_start
        FROM slices s LEFT JOIN catalog.plans p ON s.plan = p.plan {_VERSIONS}
        WHERE v.plan IS NULL OR (p.currency IS NOT NULL AND p.currency <> s.currency)
        GROUP BY s.plan, is_missing, p.currency <> s.currency ORDER BY s.plan""",
    )
    problems = []
    for it in found:
        start = format_instant(it["first_start"].replace(tzinfo=UTC))
        whose = f"{counted(it['periods'], 'period')} stood under it, the first from {start} on"
        if it["is_missing"]:
            problems.append(
                sentence(f"{file}:", f"the plan {shown(it['plan'])} is missing, and {whose}", "add the plan")
            )
        elif it["priced_in"] not in (None, it["billed_in"]):
            wrong = f"plans.{it['plan']} is for {it['priced_in']}, and {whose}, billed in {it['billed_in']}"
            problems.append(sentence(f"{file}:", wrong, "take the currency out, or write the one they were billed in"))
        else:
            first = "where a period" if it["periods"] == 1 else f"where the first of {it['periods']} periods"
            wrong = f"plans.{it['plan']} has no version in force at {start}, {first} under it begins"
            problems.append(sentence(f"{file}:", wrong, "begin one by then"))
    if problems:
        raise Refusal(problems)


def _uncharged(con: duckdb.DuckDBPyConnection, file: str) -> Iterator[str]:
    """The meters that are charged now and would not be."""
    meters = con.execute(
        "SELECT meter FROM warehouse.catalog.charges EXCEPT SELECT meter FROM catalog.charges ORDER BY ALL"
    )
    for (meter,) in meters.fetchall():
        yield sentence(f"{file}:", f"no plan charges {meter}, which is charged now", "its usage would owe nothing")


# What the books owe: of a closed period the lines, which add up to its rounded totals; of an open one what the last
# night reckoned.
_COMPARED = """
    WITH periods AS (
        SELECT DISTINCT subscription_id, period_start, account_id, currency, is_closed FROM slices
    ),
    owed_now AS (
        SELECT l.subscription_id, l.period_start, sum(l.amount_minor) AS minor
        FROM warehouse.books.lines l SEMI JOIN warehouse.catalog.settings USING (book)
        SEMI JOIN (FROM periods WHERE is_closed) p
            ON (l.subscription_id, l.period_start) = (p.subscription_id, p.period_start)
        WHERE l.grant_id IS NULL
        GROUP BY ALL
        UNION ALL
        SELECT o.subscription_id, o.period_start, sum(o.owed_minor)
        FROM warehouse.night.int_charges__owed o
        SEMI JOIN (FROM periods WHERE NOT is_closed) p
            ON (o.subscription_id, o.period_start) = (p.subscription_id, p.period_start)
        GROUP BY ALL
    ),
    owed_under AS (
        SELECT subscription_id, period_start, sum(owed_minor) AS minor FROM night.int_charges__owed GROUP BY ALL
    )
    SELECT p.*, coalesce(n.minor, 0)::BIGINT AS now_minor, coalesce(u.minor, 0)::BIGINT AS under_minor
    FROM periods p
    LEFT JOIN owed_now n ON (p.subscription_id, p.period_start) = (n.subscription_id, n.period_start)
    LEFT JOIN owed_under u ON (p.subscription_id, p.period_start) = (u.subscription_id, u.period_start)"""


def _differences(con: duckdb.DuckDBPyConnection, grain: Sequence[str]) -> Iterator[Difference]:
    keys = ["currency", *grain]
    found = rows(
        con,
        f"""SELECT {", ".join(keys)}, count(*) AS periods, sum(now_minor)::BIGINT AS now_minor,
                   sum(under_minor)::BIGINT AS under_minor
        FROM compared GROUP BY ALL ORDER BY {", ".join(keys)}""",
    )
    for it in found:
        start = it.get("period_start")
        yield Difference(
            it.get("account_id", ""),
            it.get("subscription_id"),
            start.replace(tzinfo=UTC) if start else None,
            it["currency"],
            it["periods"],
            it["now_minor"],
            it["under_minor"],
        )
