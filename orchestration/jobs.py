"""The night as one job, and when it runs."""

from __future__ import annotations

import dagster as dg

from assets import announce, metrics, report
from assets.night import HOUR, Night, partitions
from assets.reader import PUBLISHED


@dg.failure_hook(required_resource_keys={"night"})
def measure_all_the_same(context: dg.HookContext) -> None:
    """A night that was stopped is measured and told of too: whoever is paged looks at what stands in the tables now."""
    night: Night = context.resources.night
    with night.connect() as con:
        metrics.write(con, night.root)
        announce.tell_posthog(con, night.clock)
    if (night.root / PUBLISHED).exists():
        report.write(night.root)  # it may have stopped on its way to Stripe, when there was something to report


nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    description="Land, compute, check, post, publish, push, report: one night, the same as `tallyhouse nightly`.",
    executor_def=dg.in_process_executor,
    hooks={measure_all_the_same},
)


@dg.schedule(job=nightly, cron_schedule=f"0 {HOUR} * * *", execution_timezone="UTC")
def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The night of the day it ticks in; its as_of is the tick, so a late start bills the same night."""
    day = context.scheduled_execution_time.strftime(partitions.fmt)
    return dg.RunRequest(run_key=day, partition_key=day)
