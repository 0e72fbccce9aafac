"""One night, started from Python: the same job that the schedule and the UI start."""

from __future__ import annotations

import os
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from assets import warehouse
from assets.books import closed_periods, last_as_of, refuse_going_back
from assets.core.catalogue.loading import load
from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from orchestration.settings import dagster_home


def night(workspace: Path, as_of: datetime, force: bool = False) -> None:
    """Run the night of `as_of` to its end; raises Refusal for what a person can mend, anything else for a failure.

    With `force` the live book begins although parity is not clean.
    """
    if not workspace.is_dir():
        raise Refusal(f"There is no workspace at {workspace}; give the directory that holds catalog/ and accounts/.")
    try:
        _night(workspace, as_of, force)
    except Exception as failure:
        from assets.notify import tell_of

        tell_of(workspace, as_of, failure)
        raise


def _night(workspace: Path, as_of: datetime, force: bool) -> None:
    _refuse_early(workspace, as_of)
    os.environ["TALLYHOUSE_WORKSPACE"] = str(workspace)
    dagster_home(workspace)

    import dagster as dg

    config: dict[str, Any] = {
        "resources": {
            "night": {"config": {"workspace": str(workspace), "as_of": format_instant(as_of), "force": force}}
        },
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    try:
        with dg.DagsterInstance.get() as instance:
            partition = _partition(as_of)
            _nightly(partition is not None).execute_in_process(
                run_config=config,
                instance=instance,
                partition_key=partition,
                tags={"tallyhouse/as_of": format_instant(as_of)},
            )
    except dg.DagsterError as failure:
        # What the resource refuses (another run is at work), Dagster wraps; what an asset refuses, it does not.
        if isinstance(failure.__cause__, Refusal):
            raise failure.__cause__ from None
        raise


def _refuse_early(workspace: Path, as_of: datetime) -> None:
    """What the night would refuse anyway, said before anything is written and before Dagster is imported."""
    with warehouse.peek(workspace) as con:
        refuse_going_back(last_as_of(con) if con else None, as_of)
        sources = load(workspace, closed_periods(con) if con else [], as_of).sources
        if con is None and warehouse.path(workspace).exists():
            return  # a run is at work, and will be named by whoever asks for the lock

        from assets.landing.look import look_through
        from assets.landing.survey import known_files

        known = known_files(con) if con else {}
    look_through(workspace, sources, known)


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
