"""A sensor that tells of nights that ended badly, where Dagster's daemon has started them."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from assets.notify import news_of, tell_people
from orchestration.settings import COMMAND_LINE, TOLD_BY


@dg.run_failure_sensor(
    name="tell_people",
    description="Tells whoever catalog/checks.yaml names of a night that was stopped or failed.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
)
def tell_people_of_failures(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    run = context.dagster_run
    if run.tags.get(TOLD_BY) == COMMAND_LINE:
        return dg.SkipReason("the command line has told of it")
    errors = [
        event.step_failure_data.error for event in context.get_step_failure_events() if event.step_failure_data.error
    ]
    inner = [error.cause or error for error in errors]
    is_stop = any(error.cls_name == "Stopped" for error in inner)
    text = "\n".join(error.message for error in inner) or context.failure_event.message or "It says no more."
    night = run.tags.get("dagster/partition", run.run_id)
    for problem in tell_people(Path(os.environ["TALLYHOUSE_WORKSPACE"]).resolve(), news_of(night, is_stop, text)):
        context.log.warning(problem)
    return None
