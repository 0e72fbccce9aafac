"""The verbs of a night as Dagster assets: what goes into the models, and what is done with what comes out.

Thin on purpose: each asks a room to do its work and shows what it did.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import dagster as dg
import duckdb

from assets import books, post, publish
from assets.catalogue import closed_periods, last_as_of, write_catalogue, write_months
from assets.core.catalogue.loading import load
from assets.core.catalogue.models import Catalogue
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.landing import Landed, ensure_tables, land
from assets.night import Night, partitions
from assets.progress import tell

POOL = "warehouse"  # one writer: steps that open the warehouse wait for each other also where runs are distributed


def take_in(con: duckdb.DuckDBPyConnection, workspace: Path, as_of: datetime) -> Catalogue:
    """Check the catalogue and account files whole, then put them into the warehouse; the first thing a night does."""
    books.ensure_books(con)
    ensure_tables(con)
    last = last_as_of(con)
    if last and as_of < last:
        raise Refusal(
            f"as_of {format_instant(as_of)} lies before the last run's {format_instant(last)}; "
            "nights go forward only: give a later --as-of."
        )
    loaded = load(workspace, closed_periods(con), as_of)
    write_catalogue(con, loaded, as_of)
    books.ensure_closed_prices(con)
    return loaded


def bring_in(con: duckdb.DuckDBPyConnection, workspace: Path, as_of: datetime) -> Landed:
    """Land what is new below raw/."""
    loaded = load(workspace, closed_periods(con), as_of)
    result = land(con, workspace, loaded.sources, loaded.weights, as_of)
    write_months(con, loaded)
    return result


@dg.asset(group_name="raw", kinds={"yaml", "csv", "duckdb"}, partitions_def=partitions, pool=POOL)
def catalogue(night: Night) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What is sold and who buys: the files of catalog/ and accounts/, checked whole before anything is written."""
    with night.connect() as con:
        loaded = take_in(con, night.root, night.clock)
    for warning in loaded.warnings:
        tell("warning", warning)
    tell(
        "catalogue",
        f"{len(loaded.plans)} plans, {len(loaded.meters)} meters, {len(loaded.sources)} sources, "
        f"{len(loaded.accounts)} accounts",
        warnings=len(loaded.warnings),
    )
    return dg.MaterializeResult(
        metadata={
            "plans": len(loaded.plans),
            "meters": len(loaded.meters),
            "sources": len(loaded.sources),
            "accounts": len(loaded.accounts),
            "warnings": dg.MetadataValue.md("\n".join(f"- {w}" for w in loaded.warnings) or "none"),
        }
    )


@dg.asset(group_name="raw", kinds={"duckdb"}, deps=[catalogue], partitions_def=partitions, pool=POOL)
def landed(night: Night) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """New raw files, read exactly: every row of theirs as the usages it stands for, or with the reason why not."""
    with night.connect() as con:
        result = bring_in(con, night.root, night.clock)
    for warning in result.warnings:
        tell("warning", warning)
    tell("landed", f"{result.rows} rows of {len(result.files)} files", rows=result.rows, files=len(result.files))
    return dg.MaterializeResult(metadata={"dagster/row_count": result.rows, "files": len(result.files)})


@dg.asset(
    group_name="books",
    kinds={"duckdb"},
    deps=["invoice_items", "periods", "charges", "daily_refresh", "credits", "ledger", "quarantine", "files", "runs"],
    partitions_def=partitions,
    pool=POOL,
)
def posted(night: Night) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Tonight entered into the books, in one transaction: usage, closes, lines, credit, rows held."""
    with night.connect() as con:
        counts = post.post(con, night.root, night.clock)
    tell("posted", f"{counts['usages']} usages, {counts['closed_periods']} periods closed, {counts['lines']} lines", **counts)
    return dg.MaterializeResult(metadata=dict(counts))


@dg.asset(group_name="published", kinds={"duckdb", "parquet", "csv"}, deps=[posted], partitions_def=partitions, pool=POOL)
def published(night: Night) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The file that readers open, replaced whole, and the same tables as CSV and Parquet."""
    with night.connect() as con:
        rows = publish.publish(con, night.root)
    tell("published", str(night.root / "published" / "tallyhouse.duckdb"), **rows)
    return dg.MaterializeResult(metadata={**rows, "dagster/row_count": sum(rows.values())})
