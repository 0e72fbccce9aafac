"""What the environment and the command line say, read in one place."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from assets.core.instants import parse_instant
from assets.core.refusal import Refusal

# No library here may tell its makers that it runs. They look at their environment when they are imported.
for silence, value in {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(silence, value)

# As it was told to this process, before any workspace's own was set.
_DAGSTER_HOME = os.environ.get("DAGSTER_HOME")

DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {pools: {default_limit: 1, granularity: run}}
event_log_storage: {module: orchestration.event_log, class: EventLog, config: {base_dir: {env: DAGSTER_HOME}}}
"""


# A tag of runs that the command line has started, which tells of them itself, also where none came to be.
TOLD_BY, COMMAND_LINE = "tallyhouse/told_by", "command line"


def wall_clock() -> datetime:
    """The one place that reads the time of day: the as_of of a night that was given none, the ages of Stripe's keys."""
    told = os.environ.get("TALLYHOUSE_NOW")
    if not told:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        return parse_instant(told)
    except ValueError as error:
        raise Refusal(f"TALLYHOUSE_NOW: {error}; write it like 2026-06-01T01:00:00Z, or leave it out.") from None


def dagster_home(workspace: Path) -> Path:
    """Where Dagster keeps the history of runs: in the workspace, unless DAGSTER_HOME says elsewhere."""
    home = Path(_DAGSTER_HOME) if _DAGSTER_HOME else workspace / "warehouse" / "dagster"
    for place in (workspace, home):
        if unfit := sorted(set("*?[]") & set(str(place))):
            raise Refusal(
                f"{place}: Dagster and Great Expectations take {' and '.join(unfit)} in a path for something else; "
                "give the directory another name."
            )
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(DAGSTER_YAML)
    os.environ["DAGSTER_HOME"] = str(home)
    return home
