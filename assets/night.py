"""The night as Dagster's resource: which workspace, which business clock, and that nobody else works in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
from pydantic import PrivateAttr

from assets import warehouse
from assets.core.instants import parse_instant

# The hour of the schedule: an hour after midnight periods have ended, and their grace (1 h by default) has passed.
HOUR = 2

partitions = dg.DailyPartitionsDefinition(start_date="2020-01-01", timezone="UTC", end_offset=1)


class Night(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One run over one workspace. `as_of` is the only clock there is; without it, a partition's day at 02:00 UTC."""

    workspace: str
    as_of: str | None = None
    force: bool = False  # go live although parity is not clean
    yes: bool = False  # the first lines may go to Stripe

    _clock: datetime = PrivateAttr()

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
        with warehouse.only_run(self.root, self._clock):
            yield self

    @property
    def root(self) -> Path:
        return Path(self.workspace).resolve()

    @property
    def clock(self) -> datetime:
        return self._clock

    def connect(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return warehouse.connect(self.root)
