"""What exists, named one by one. Importing this does nothing; Dagster calls `tallyhouse` when it loads the location."""

from __future__ import annotations

import dagster as dg


@dg.definitions
def tallyhouse() -> dg.Definitions:
    import json

    from assets import verbs
    from orchestration import dbt, jobs, resources

    models = dbt.make_models(json.loads(dbt.manifest_files()[1].read_text()))
    return dg.Definitions(
        assets=[verbs.catalogue, verbs.landed, models, verbs.posted, verbs.published],
        jobs=[jobs.nightly],
        schedules=[jobs.every_night],
        resources=resources.resources(),
        executor=dg.in_process_executor,
    )
