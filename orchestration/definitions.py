"""What exists, named one by one. Importing this does nothing; Dagster calls `tallyhouse` when it loads the location."""

from __future__ import annotations

import dagster as dg


@dg.definitions
def tallyhouse() -> dg.Definitions:
    """As the UI and the schedule see it: the days of the workspace's nights, and which of its checks stop one."""
    import os
    from pathlib import Path

    from assets.gate.asset import blocking
    from assets.night import days_of, partitions

    told = os.environ.get("TALLYHOUSE_WORKSPACE")
    return define(days_of(Path(told)), blocking(Path(told))) if told else define(partitions)


def define(partitions: dg.PartitionsDefinition[str] | None, blocking: frozenset[str] | None = None) -> dg.Definitions:
    """Everything there is; without partitions, for a night of a day that Dagster does not know (yet)."""
    import json

    from assets import verbs
    from orchestration import dbt, jobs, model_assets, news, resources, sensors

    models = model_assets.make_models(json.loads(dbt.manifest_files()[1].read_text()), partitions)
    return dg.Definitions(
        assets=[verbs.nights_before, *verbs.make_assets(partitions, blocking), models],
        jobs=[jobs.nightly],
        schedules=[jobs.every_night] if partitions else [],
        sensors=[sensors.new_raw_files, news.tell_people_of_failures] if partitions else [],
        resources=resources.resources(),
        executor=dg.in_process_executor,
    )
