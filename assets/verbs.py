"""The verbs of a night as Dagster assets: what goes into the models, and what is done with what comes out.

Thin on purpose: each asks a room to do its work and shows what it did.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb

from assets import announce, books, events, inputs, metrics, parity, post, publish, report, shown
from assets.catalogue import write_catalogue, write_months
from assets.core.catalogue.models import Catalogue
from assets.core.page import counted
from assets.gate import docs
from assets.gate.asset import gate, gate_specs
from assets.gate.tables import TONIGHT, ensure_gate
from assets.landing import Landed, ensure_tables, land
from assets.night import Night
from assets.progress import tell, warn
from assets.push import Waiting, push, reconcile
from assets.push.client import refuse_wrong_key
from assets.push.outbox import Clock, ensure_outbox
from assets.read_once import catalogue_of, still_holds
from assets.reader import PUBLISHED
from assets.tighten import tighten

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RETRY_SECONDS = 300  # long enough for a network to come back; the push has tried for a while by itself
POOL = "warehouse"  # one writer: steps that open the warehouse wait for each other also where runs are distributed


def take_in(con: duckdb.DuckDBPyConnection, workspace: Path, as_of: datetime) -> Catalogue:
    """Check the catalogue and account files whole, then put them into the warehouse; the first thing a night does."""
    books.ensure_books(con)
    ensure_outbox(con)
    ensure_tables(con)
    ensure_gate(con)
    books.remember_stops(con)
    books.refuse_going_back(books.last_as_of(con), as_of)
    loaded = catalogue_of(con, workspace, as_of)
    events.refuse_doubling(con, loaded)
    refuse_wrong_key(loaded.settings)
    inputs.remember(con, workspace, as_of)
    write_catalogue(con, loaded, as_of)
    books.ensure_closed_prices(con)
    return loaded


def bring_in(
    con: duckdb.DuckDBPyConnection, workspace: Path, as_of: datetime, spark: Callable[[], SparkSession] | None = None
) -> Landed:
    """Land what is new below raw/; on Spark where the workspace says so and there is a way to it."""
    loaded = catalogue_of(con, workspace, as_of)
    reader = None
    if spark and loaded.settings.engine == "spark":
        from assets.spark import landing

        reader = landing.reader(spark())
    result = land(con, workspace, loaded.sources, loaded.weights, as_of, reader)
    write_months(con, loaded)
    return result


# Dagster still calls backfill policies a beta; whether its warning or its API changes first, the pin decides.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=dg.BetaWarning)


def catalogue(night: Night) -> dg.MaterializeResult[None]:
    """What is sold and who buys: the files of catalog/ and accounts/, checked whole before anything is written."""
    with night.connect() as con:
        loaded = take_in(con, night.root, night.clock)
        periods = shown.one(con, "SELECT count(*) FROM catalog.periods")
    for warning in loaded.warnings:
        warn("catalogue", warning)
    counts = {
        "plans": len(loaded.plans),
        "meters": len(loaded.meters),
        "sources": len(loaded.sources),
        "accounts": len(loaded.accounts),
        "open_periods": periods,
    }
    said = ", ".join(counted(count, name.replace("_", " ").removesuffix("s")) for name, count in counts.items())
    tell("catalogue", said, **counts)
    return dg.MaterializeResult(metadata={**counts, "warnings": shown.listed(loaded.warnings)})


def landed(night: Night) -> dg.MaterializeResult[None]:
    """New raw files, read exactly: every row of theirs as the usages it stands for, or with the reason why not."""
    with night.connect() as con:
        result = bring_in(con, night.root, night.clock, night.spark)
        metadata = shown.batch(con)
    for warning in result.warnings:
        warn("file_without_source", warning)
    counts = {"files": len(result.files), "rows": result.rows, "ignored": result.ignored, "usages": result.usages}
    came = f"{counted(result.rows, 'row')} of {counted(len(result.files), 'new file')}"
    tell(
        "landed",
        f"{came} came to {counted(result.usages, 'usage')}; "
        f"{result.ignored} ignored, {counted(result.read_again, 'held row')} read again",
        **counts,
        read_again=result.read_again,
    )
    return dg.MaterializeResult(
        metadata={**counts, "read_again": result.read_again, "dagster/row_count": result.usages, **metadata}
    )


def posted(night: Night) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Tonight entered into the books, in one transaction: usage, closes, lines, credit, rows held."""
    with night.connect() as con:
        decisions = parity.refuse_unclean(con, night.clock, night.force)
        counts = post.post(con, night.root, night.clock, decisions)
        still_holds(con, night.root, night.clock)
        shown.weigh(con)
        metadata = shown.books(con) | shown.billed(con)
        absent = shown.found(con, shown.ABSENT)
        wrong = {check: shown.found(con, query) for check, query in shown.AFTERWARDS.items()}
    tell(
        "posted",
        f"{counted(counts['usages'], 'usage')}, {counted(counts['held'], 'row')} held, "
        f"{counted(counts['closed_periods'], 'period')} closed, {counted(counts['lines'], 'line')}",
        **counts,
    )
    for decision in decisions:
        tell(decision.decision, decision.because, **decision.detail)
    yield dg.MaterializeResult(metadata={**counts, **metadata})
    for check, rows in wrong.items():
        yield dg.AssetCheckResult(check_name=check, passed=not rows, metadata=shown.rows(rows))
    yield dg.AssetCheckResult(
        check_name="the_last_closed_day_is_present",
        passed=not absent,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=shown.rows(absent),
    )
    failed = [f"check {check} failed; nothing was published. Rows:\n{it.table}" for check, it in wrong.items() if it]
    if failed:
        raise dg.Failure("\n".join(failed), allow_retries=False)


def published(night: Night) -> dg.MaterializeResult[None]:
    """The file that readers open, replaced whole, and the same tables as CSV and Parquet."""
    with night.connect() as con:
        rows = publish.publish(con, night.root)
        metadata = shown.published(con) | shown.unbilled(con)
    docs.publish(night.root)
    file = night.root / PUBLISHED
    tell("published", str(file), **rows)
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(file), "dagster/row_count": sum(rows.values()), **rows, **metadata}
    )


def pushed(night: Night, wall_clock: dg.ResourceParam[Clock]) -> dg.MaterializeResult[None]:
    """Lines of the live book at Stripe, each exactly once; then what became of them, for readers too."""
    with night.connect() as con:
        loaded = catalogue_of(con, night.root, night.clock)
        try:
            counts = push(con, night.root, loaded, night.clock, wall_clock, is_confirmed=night.yes)
        except Waiting as waiting:
            if waiting.may_pass and night.retries:
                raise dg.RetryRequested(max_retries=night.retries, seconds_to_wait=RETRY_SECONDS) from waiting
            raise
        metadata = shown.pushed(con)
    standing = {"sent": 0, "pending": 0, "parked": 0} | counts
    return dg.MaterializeResult(metadata={**standing, **metadata})


def reconciled(
    night: Night, wall_clock: dg.ResourceParam[Clock]
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """The books against what Stripe lists, both ways: whoever something was sent to, has something open, or differs."""
    with night.connect() as con:
        loaded = catalogue_of(con, night.root, night.clock)
        result = reconcile.run(con, night.root, loaded, wall_clock, is_asked=False)
        differences = shown.one(con, "SELECT count(*) FROM billing.reconciliation")
        metadata = shown.reconciled(con)
    counts = {"customers": result.customers if result else 0, "reads": result.reads if result else 0}
    yield dg.MaterializeResult(metadata={**counts, "differences": differences, **metadata})
    left = len(result.why_not) if result else 0
    yield dg.AssetCheckResult(
        check_name="stripe_agrees_with_the_books",
        passed=not (differences or left),
        severity=dg.AssetCheckSeverity.ERROR if differences else dg.AssetCheckSeverity.WARN,
        metadata={"differences": differences, "not_compared": left},
    )
    if differences:
        raise Waiting(
            f"{counted(differences, 'difference')} between the books and Stripe; the night is in the books. See "
            "billing.reconciliation, or run `tallyhouse reconcile`."
        )


def announced(night: Night) -> dg.MaterializeResult[None]:
    """What happened, told to whoever listens (TALLYHOUSE_POSTHOG_KEY), every event once; to nobody by default."""
    with night.connect() as con:
        done = announce.tell_posthog(con, night.clock)
    told: dict[str, Any] = {"sent": done.sent, "waiting": done.waiting} if done else {"sent": 0, "waiting": 0}
    return dg.MaterializeResult(metadata={"listener": "PostHog" if done else "nobody", **told})


def reported(night: Night) -> dg.MaterializeResult[None]:
    """The night told on a page to be read, printed or sent, and each closed month that it touched."""
    pages = report.write(night.root)
    own = report.page_of(night.root, night.clock)
    tell("reported", str(own), pages=len(pages))
    tighten(night.root)  # the money has gone its way, and nothing that costs time is left
    return dg.MaterializeResult(
        metadata={
            "page": dg.MetadataValue.path(own),
            "index": dg.MetadataValue.path(report.folder(night.root) / "index.html"),
            "pages": len(pages),
        }
    )


def measured(night: Night) -> dg.MaterializeResult[None]:
    """What a monitor reads, in OpenMetrics' text; written too when a step before has failed."""
    with night.connect() as con:
        file = metrics.write(con, night.root)
    return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(file)})


# What all nights have left behind; the models read it, and posted alone writes it. In a group of its own, so that the
# graph of groups has no way back: tonight begins with it, and ends with what is posted.
nights_before = dg.AssetSpec(
    "books",
    group_name="nights_before",
    kinds={"duckdb"},
    owners=["team:billing"],
    description="The system of record: ledger, quarantine, closes, lines and credits of all nights before.",
)


def make_assets(
    partitions: dg.PartitionsDefinition[str] | None, blocking: frozenset[str] | None = None
) -> list[dg.AssetsDefinition]:
    """The verbs as assets, in the order of the story; a night of a day that Dagster does not know has no partition."""
    looked_at = [*publish.TABLES, *(f"gate_{name}" for name in TONIGHT)]
    asset = partial(dg.asset, partitions_def=partitions, pool=POOL, owners=["team:billing"], **one_by_one(partitions))
    checks = [
        dg.AssetCheckSpec(
            "every_row_is_accounted_for",
            asset="posted",
            blocking=True,
            description="Of every file, rows = accepted + duplicate + ignored + quarantined, counted where they ended.",
        ),
        dg.AssetCheckSpec(
            "nothing_has_leaked",
            asset="posted",
            blocking=True,
            description="Of every day and meter, what was received is in the books with one fate, to the last digit.",
        ),
        dg.AssetCheckSpec(
            "the_last_closed_day_is_present",
            asset="posted",
            description="Every source that had usage in the week before has some on the last whole day; it warns.",
        ),
    ]
    agrees = [
        dg.AssetCheckSpec(
            "stripe_agrees_with_the_books",
            asset="reconciled",
            blocking=True,
            description="All that was sent is at Stripe, once and as it was sent, and nothing else of ours is.",
        )
    ]
    return [
        asset(group_name="raw", kinds={"yaml", "csv", "duckdb"})(catalogue),
        asset(group_name="raw", kinds={"duckdb"}, deps=["catalogue"])(landed),
        asset(group_name="gate", kinds={"duckdb"}, deps=looked_at, check_specs=gate_specs(blocking))(gate),
        asset(group_name="books", kinds={"duckdb"}, deps=["gate"], check_specs=checks)(posted),
        asset(group_name="published", kinds={"duckdb", "parquet", "csv"}, deps=["posted"])(published),
        asset(group_name="stripe", kinds={"stripe"}, deps=["published"])(pushed),
        asset(group_name="stripe", kinds={"stripe", "duckdb"}, deps=["pushed"], check_specs=agrees)(reconciled),
        asset(group_name="reports", kinds={"duckdb"}, deps=["reconciled"])(announced),
        asset(group_name="reports", kinds={"html"}, deps=["announced"])(reported),
        asset(group_name="reports", kinds={"duckdb"}, deps=["reported"])(measured),
    ]


def one_by_one(partitions: dg.PartitionsDefinition[str] | None) -> dict[str, Any]:
    """Every night is a run of its own, also in a backfill: the books go forward one night at a time."""
    return {"backfill_policy": dg.BackfillPolicy.multi_run(1)} if partitions else {}
