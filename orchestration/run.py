"""One night, started from Python: the same job that the schedule and the UI start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets import events, warehouse
from assets.books import last_as_of, last_night, refuse_going_back
from assets.core.catalogue.models import Catalogue
from assets.core.failure import is_stopped
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.push.client import refuse_wrong_key
from assets.read_once import catalogue_of
from orchestration.settings import COMMAND_LINE, TOLD_BY, dagster_home, wall_clock

if TYPE_CHECKING:
    import duckdb


def night(workspace: Path, as_of: datetime, force: bool = False, yes: bool = False) -> None:
    """Run the night of `as_of` to its end; raises Refusal for what a person can mend, anything else for a failure.

    With `force` the live book begins although parity is not clean; with `yes` its first lines go to Stripe.
    """
    if not workspace.is_dir():
        raise warehouse.nowhere(workspace)
    try:
        _night(workspace, as_of, force, yes)
    except Exception as failure:
        if not is_stopped(failure):
            from assets.notify import tell_of

            tell_of(workspace, as_of, failure)
        raise


def _night(workspace: Path, as_of: datetime, force: bool, yes: bool) -> None:
    _refuse_early(workspace, as_of)
    os.environ["TALLYHOUSE_WORKSPACE"] = str(workspace)
    dagster_home(workspace)

    import dagster as dg

    told = {"workspace": str(workspace), "as_of": format_instant(as_of), "force": force, "yes": yes, "retries": 0}
    config: dict[str, Any] = {
        "resources": {"night": {"config": told}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    try:
        with dg.DagsterInstance.get() as instance:
            partition = _partition(as_of)
            done = _nightly(partition is not None).execute_in_process(
                run_config=config,
                instance=instance,
                partition_key=partition,
                tags={"tallyhouse/as_of": format_instant(as_of), TOLD_BY: COMMAND_LINE},
            )
        # Dagster calls it a success when a step waits for what never came.
        if skipped := sorted(event.step_key or "" for event in done.all_events if event.is_step_skipped):
            raise RuntimeError(f"the night has ended without {', '.join(skipped)}, and nobody said why")
    except dg.DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    except dg.DagsterError as failure:
        # What the resource refuses (another run is at work), Dagster wraps; what an asset refuses, it does not.
        if isinstance(failure.__cause__, Refusal):
            raise failure.__cause__ from None
        raise


def push(workspace: Path, yes: bool = False, ask: Callable[[str], bool] | None = None) -> None:
    """Bring to Stripe what waits, without a night; `ask` asks whoever is there, before the first lines go."""
    from assets import push as pushing

    with _after_its_night(workspace, "push") as (con, catalogue, as_of):
        pushing.push(con, workspace, catalogue, as_of, wall_clock, is_confirmed=yes, ask=ask, is_asked=True)


def reconcile(workspace: Path, is_all: bool = False) -> bool:
    """Compare the books with Stripe, without a night; whether they agree, as far as they could be compared."""
    from assets.push import reconcile as reconciling

    with _after_its_night(workspace, "reconciliation") as (con, catalogue, _):
        result = reconciling.run(con, workspace, catalogue, wall_clock, is_all)
        return result is None or not (result.why_not or reconciling.has_differences(con))


@contextmanager
def _after_its_night(workspace: Path, act: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, Catalogue, datetime]]:
    """The books of the last night, for an act of their own; the files as they are now."""
    if not warehouse.path(workspace).exists():
        raise Refusal(f"{workspace} has no books yet; run its first night with `tallyhouse nightly`.")
    with warehouse.only_run(workspace, wall_clock(), act), warehouse.connect(workspace) as con:
        as_of = last_night(con)
        if as_of is None:
            raise Refusal(f"{workspace} has no night in its books yet; run one with `tallyhouse nightly`.")
        yield con, catalogue_of(con, workspace, as_of), as_of


def _refuse_early(workspace: Path, as_of: datetime) -> None:
    """What the night would refuse anyway, said before anything is written and before Dagster is imported."""
    warehouse.memory_limit()
    with warehouse.peek(workspace) as con:
        refuse_going_back(last_as_of(con) if con else None, as_of)
        loaded = catalogue_of(con, workspace, as_of)
        if con:
            events.refuse_doubling(con, loaded)
        refuse_wrong_key(loaded.settings)
        if con is None and warehouse.path(workspace).exists():
            return  # a run is at work, and will be named by whoever asks for the lock

        from assets.landing.look import look_through
        from assets.landing.survey import known_files

        known = known_files(con) if con else {}
    look_through(workspace, loaded.sources, known)


def _partition(as_of: datetime) -> str | None:
    """The night's day, where Dagster has that day: it knows none beyond tomorrow, but as_of may be any instant."""
    from assets.night import partitions

    day = as_of.strftime(partitions.fmt)
    return day if partitions.has_partition_key(day) else None


@cache
def _nightly(is_partitioned: bool) -> Any:
    from assets.night import partitions
    from orchestration.definitions import define

    return define(partitions if is_partitioned else None).resolve_job_def("nightly")
