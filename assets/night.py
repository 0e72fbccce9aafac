"""The night as Dagster's resource: which workspace, which business clock, and that nobody else works in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
from pydantic import PrivateAttr

from assets import reader, warehouse
from assets.core.instants import format_instant, parse_instant
from assets.core.refusal import Refusal
from assets.post import run_id
from assets.progress import Listener, about

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The hour of the schedule: an hour after midnight periods have ended, and their grace (1 h by default) has passed.
HOUR = 2

# The first day that a night can be launched for from the UI, where there is none in the books yet.
EARLIEST = "2020-01-01"


def days(since: str) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(start_date=since, timezone="UTC", end_offset=1)


partitions = days(EARLIEST)


def days_of(workspace: Path) -> dg.DailyPartitionsDefinition:
    """The days that may have a night: from the first one in the books on, and any where there is none yet.

    Nights only go forward, so a day before the first has none and never gets one: it would only be shown as missing.
    """
    try:
        with reader.opened(workspace) as con:
            (first,) = con.execute("SELECT min(as_of)::DATE::VARCHAR FROM runs").fetchall()[0]
    except (Refusal, duckdb.Error):  # nothing is published, or nothing that can be read
        return partitions
    return days(max(first or EARLIEST, EARLIEST))


def _logged(context: dg.InitResourceContext) -> Listener | None:
    """What a night says stands in Dagster's log of the run too, where nobody sits at a prompt."""
    log = context.log
    if log is None:
        return None

    def say(step: str, sentence: str, _: dict[str, Any]) -> None:
        (log.warning if step == "warning" else log.info)(f"{step}: {sentence}")

    return say


class Night(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One run over one workspace. `as_of` is the only clock there is; without it, a partition's day at 02:00 UTC."""

    workspace: str
    as_of: str | None = None
    force: bool = False  # go live although parity is not clean
    yes: bool = False  # the first lines may go to Stripe
    retries: int = 0  # of a push that Stripe could not be reached for; whoever sits at a prompt is told at once

    _clock: datetime = PrivateAttr()
    _opened: ExitStack = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Night]:
        run = context.run
        day = run.tags.get("dagster/partition") if run else None
        if self.as_of:
            self._clock = parse_instant(self.as_of)
        elif day:
            self._clock = datetime.fromisoformat(day).replace(hour=HOUR, tzinfo=UTC)
        else:
            raise dg.DagsterInvalidInvocationError("A night needs a day: launch a partition, or give as_of.")
        with (
            warehouse.only_run(self.root, self._clock),
            about(_logged(context), **self._ids()),
            ExitStack() as self._opened,
        ):
            yield self

    def _ids(self) -> dict[str, str]:
        return {"run_id": run_id(self._clock), "as_of": format_instant(self._clock)}

    @property
    def root(self) -> Path:
        return Path(self.workspace).resolve()

    @property
    def clock(self) -> datetime:
        return self._clock

    def connect(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return warehouse.connect(self.root)

    def spark(self) -> SparkSession:
        """The engine of a night past one machine: opened by the first step that asks, ended with the night."""
        from assets.spark.session import session

        return self._opened.enter_context(session(self.root / "warehouse" / "spark"))
