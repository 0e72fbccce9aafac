"""Laws of the two ledgers of control on random workspaces, after every night: all that came in has one fate, counted
again by the reference's readers; and no line keeps or gives away more than rounding must."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets import publish, warehouse
from tests.nights import Tables, run_night
from tests.property.generate import Size, generate
from tests.property.seeds import seeds
from tests.reference.catalogue import Catalogue, read_catalogue
from tests.reference.exact import minor_unit
from tests.reference.reading import files_below, matches, read_row, rows_of

pytestmark = pytest.mark.xdist_group("ledgers_laws")  # its workspaces are made once

SMALL = Size(accounts=4, events=60, nights=4, days=60)
ENTERED = ("billed", "free", "pre_cutover", "expired")
READ_BADLY = ("malformed", "missing_field", "bad_timestamp", "bad_number", "precision")

Bucket = tuple[date | None, str | None, str]  # day, meter, measure
Sums = dict[Bucket, Fraction]  # of what is not there: 0


@dataclass(frozen=True)
class Night:
    workspace: Path
    tables: Tables
    held_badly: Sums  # what was kept of rows that can't be read whole
    owed: dict[tuple[str, datetime, str], Decimal]  # by charge of a closed period, exactly


@pytest.fixture(scope="module", params=seeds([6]), ids=lambda seed: f"seed-{seed}")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Night]:
    """Every night of a workspace, the last one done twice and its files delivered again."""
    folder = tmp_path_factory.mktemp("ledgers")
    script = generate(request.param, folder / "generated", size=SMALL).script
    workspace = folder / "workspace"
    found = []
    for number in range(1, len(script.nights) + 1):
        run_night(workspace, script.before(number, workspace), is_published=False)
        found.append(looked_at(workspace))
    run_night(workspace, script.nights[-1], is_published=False)
    assert looked_at(workspace).tables == found[-1].tables
    for name, content in script.arrivals[-2].items():
        if name.startswith("raw/"):
            path = workspace / name
            path.with_name(f"again-{path.name}").write_bytes(content)
    run_night(workspace, script.nights[-1], is_published=False)
    return [*found, looked_at(workspace)]


def looked_at(workspace: Path) -> Night:
    """What a reader would see, and two things from behind it."""
    with warehouse.connect(workspace) as con:
        tables = {
            name: rows_as_dicts(con, f"FROM billing.{name} ORDER BY {order}") for name, order in publish.TABLES.items()
        }
        held = con.execute(
            "SELECT CAST(occurred_at AS DATE), meter, held.quantity, held.cost FROM books.held "
            f"JOIN books.quarantine USING (source, raw_file, raw_line) WHERE reason IN {READ_BADLY}"
        ).fetchall()
        owed = con.execute(
            "SELECT subscription_id, period_start, charge, owed FROM books.charges "
            "SEMI JOIN catalog.settings USING (book)"
        ).fetchall()
    held_badly = no_sums()
    for day, meter, quantity, cost in held:
        add(held_badly, day, meter, quantity, cost)
    charges = {(one, start.replace(tzinfo=UTC), charge): amount for one, start, charge, amount in owed}
    return Night(workspace, tables, held_badly, charges)


def rows_as_dicts(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    rows = con.execute(query)
    columns = [column[0] for column in rows.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]


def no_sums() -> Sums:
    return defaultdict(Fraction)


def add(sums: Sums, day: date | None, meter: str | None, quantity: Any, cost: Any) -> None:
    sums[day, meter, "usages"] += 1
    sums[day, meter, "quantity"] += Fraction(quantity or 0)
    sums[day, meter, "cost"] += Fraction(cost or 0)


def column(night: Night, *names: str) -> Sums:
    """Columns of the ledger of leaks, added up, where they are not zero."""
    found = no_sums()
    for row in night.tables["leak_ledger"]:
        found[row["day"], row["meter"], row["measure"]] += sum((Fraction(row[name]) for name in names), Fraction())
    return nonzero(found)


def nonzero(sums: Sums) -> Sums:
    return {bucket: amount for bucket, amount in sums.items() if amount}


# --- leaks ---------------------------------------------------------------------------------------------------------


def test_nothing_is_over(story: list[Night]) -> None:
    for night in story:
        assert column(night, "difference") == {}
        assert column(night, "received") == column(night, *ENTERED, "held", "duplicate", "ignored")
    last = story[-1]
    fates = {fate for fate in (*ENTERED, "held", "duplicate", "ignored") if column(last, fate)}
    assert fates >= {"billed", "held", "duplicate"}, "a workspace in which little happens shows little"


def test_what_was_received_is_what_the_files_say(story: list[Night]) -> None:
    """Read again from the files, by readers that share nothing with the night's."""
    night = story[-1]
    said: Sums = defaultdict(Fraction, night.held_badly)
    catalogue = read_catalogue(night.workspace)
    raw = night.workspace / "raw"
    for name in files_below(raw):
        for source in catalogue.sources.values():
            if not matches(source.files, name):
                continue
            for row in rows_of(raw / name, name, source, datetime.max.replace(tzinfo=UTC)):
                reading = read_row(row, source, catalogue)
                if reading.ignored:
                    said[None, None, "usages"] += 1
                for usage in reading.usages:
                    assert reading.occurred_at is not None
                    add(said, reading.occurred_at.date(), usage.meter, usage.quantity, usage.cost)
    assert column(night, "received") == nonzero(said)


def test_fates_are_those_of_the_published_tables(story: list[Night]) -> None:
    for night in story:
        catalogue = read_catalogue(night.workspace)
        counted: defaultdict[str, Sums] = defaultdict(no_sums)
        for row in night.tables["ledger"]:
            add(
                counted[fate_of(row, catalogue)],
                row["occurred_at"].astimezone(UTC).date(),
                row["meter"],
                row["quantity"],
                0,
            )
        for fate in ENTERED:
            found = {key: amount for key, amount in column(night, fate).items() if key[2] != "cost"}
            assert found == nonzero(counted[fate]), fate
        ignored = sum(row["ignored"] for row in night.tables["files"])
        assert column(night, "ignored") == nonzero({(None, None, "usages"): Fraction(ignored)})
        held = sum(amount for (_, _, measure), amount in column(night, "held").items() if measure == "usages")
        assert held >= len(night.tables["quarantine"])
        assert bool(held) == bool(night.tables["quarantine"])


def fate_of(row: dict[str, Any], catalogue: Catalogue) -> str:
    if row["state"] != "billable":
        return str(row["state"])
    if row["plan"] is None:
        return "free"
    charges = catalogue.plans[row["plan"]].version_at(row["period_start"]).charges
    return "billed" if row["meter"] in {charge.meter for charge in charges} else "free"


# --- rounding ------------------------------------------------------------------------------------------------------


def chains(night: Night) -> Iterator[tuple[tuple[str, datetime, str], list[dict[str, Any]]]]:
    """The lines of each charge, in their order."""
    found: defaultdict[tuple[str, datetime, str], list[dict[str, Any]]] = defaultdict(list)
    for row in night.tables["rounding_ledger"]:
        found[row["subscription_id"], row["period_start"], row["charge"]].append(row)
    yield from found.items()


def test_every_line_is_its_parts(story: list[Night]) -> None:
    for night in story:
        amounts = {row["line_id"]: row for row in night.tables["invoice_items"]}
        assert amounts.keys() == {row["line_id"] for row in night.tables["rounding_ledger"]}
        for (_, _, charge), lines in chains(night):
            assert [row["line_no"] for row in lines] == list(range(1, len(lines) + 1))
            billed = Fraction(0)
            for row in lines:
                item = amounts[row["line_id"]]
                assert Fraction(row["rounded"]) == Fraction(item["amount_minor"], minor_unit(row["currency"])[0])
                assert Fraction(row["exact"]) == Fraction(row["rounded"]) + Fraction(row["residue"])
                if charge.startswith("credit:"):
                    assert (row["owed"], row["billed_before"], row["residue"]) == (None, None, 0)
                    continue
                assert Fraction(row["billed_before"]) == billed
                assert Fraction(row["exact"]) == Fraction(row["owed"]) - billed
                billed += Fraction(row["rounded"])
                assert unbilled(row["owed"], billed, row["currency"]) <= Fraction(1, 2)


def unbilled(owed: Decimal, billed: Fraction, currency: str) -> Fraction:
    """What is owed and not billed, in steps that Stripe takes."""
    per_unit, step = minor_unit(currency)
    return abs(Fraction(owed) - billed) * per_unit / step


def test_the_residue_of_a_closed_charge_is_what_it_owes_and_was_not_billed(story: list[Night]) -> None:
    compared = 0
    for night in story:
        lines_of = dict(chains(night))
        currencies = {(row["subscription_id"], row["period_start"]): row["currency"] for row in night.tables["periods"]}
        for key, owed in night.owed.items():
            lines = lines_of.get(key, [])
            billed = sum((Fraction(row["rounded"]) for row in lines), Fraction(0))
            assert unbilled(owed, billed, currencies[key[:2]]) <= Fraction(1, 2)
            if lines and lines[-1]["owed"] == owed:  # or what came late was too little for a line
                assert Fraction(lines[-1]["residue"]) == Fraction(owed) - billed
                compared += 1
    assert compared
