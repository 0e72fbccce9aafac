"""Where the night finds its workspace when it is started from the UI or the schedule."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.night import Night
from orchestration.settings import wall_clock


def resources() -> dict[str, Any]:
    return {"night": Night(workspace=dg.EnvVar("TALLYHOUSE_WORKSPACE"), retries=3), "wall_clock": wall_clock}
