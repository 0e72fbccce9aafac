"""The night as one job, and when it runs."""

from __future__ import annotations

import dagster as dg

from assets.night import HOUR, partitions

nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    description="Land, compute, check, post, publish, push, report: one night, the same as `tallyhouse nightly`.",
    executor_def=dg.in_process_executor,
)


@dg.schedule(job=nightly, cron_schedule=f"0 {HOUR} * * *", execution_timezone="UTC")
def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The night of the day it ticks in; its as_of is the tick, so a late start bills the same night."""
    day = context.scheduled_execution_time.strftime(partitions.fmt)
    return dg.RunRequest(run_key=day, partition_key=day)
