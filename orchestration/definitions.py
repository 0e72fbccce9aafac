"""What exists, named one by one. Importing this does nothing; Dagster calls `tallyhouse` when it loads the location."""

from __future__ import annotations

import dagster as dg


@dg.definitions
def tallyhouse() -> dg.Definitions:
    from assets.night import partitions

    return define(partitions)


def define(partitions: dg.PartitionsDefinition[str] | None) -> dg.Definitions:
    """Everything there is; without partitions, for a night of a day that Dagster does not know (yet)."""
    import json

    from assets import verbs
    from orchestration import dbt, jobs, model_assets, news, resources, sensors

    models = model_assets.make_models(json.loads(dbt.manifest_files()[1].read_text()), partitions)
    return dg.Definitions(
        assets=[verbs.system_of_record, *verbs.make_assets(partitions), models],
        jobs=[jobs.nightly],
        schedules=[jobs.every_night] if partitions else [],
        sensors=[sensors.new_raw_files, news.tell_people_of_failures] if partitions else [],
        resources=resources.resources(),
        executor=dg.in_process_executor,
    )
