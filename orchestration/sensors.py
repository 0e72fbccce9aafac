"""A night as soon as logs arrive: asked for once what is new below raw/ has stopped growing."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import dagster as dg

from assets.core.instants import format_instant
from assets.night import partitions
from orchestration.jobs import nightly
from orchestration.settings import wall_clock


@dg.sensor(job=nightly, minimum_interval_seconds=60, description="A night for files that no night has read yet.")
def new_raw_files(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """The cursor says which new files were seen last, and which were asked for: never twice, nor while they grow."""
    from assets import warehouse
    from assets.landing.survey import known_files

    workspace = Path(os.environ["TALLYHOUSE_WORKSPACE"]).resolve()
    with warehouse.peek(workspace) as con:
        if con is None and warehouse.path(workspace).exists():
            return dg.SkipReason("A night is at work.")
        new = _new_files(workspace / "raw", set(known_files(con)) if con else set())
    if not new:
        return dg.SkipReason("Nothing is new below raw/.")
    cursor = json.loads(context.cursor or "{}")
    digest = hashlib.sha256(json.dumps(new).encode()).hexdigest()[:16]
    if cursor.get("asked") == digest:
        return dg.SkipReason(
            f"A night was asked for with {'this 1 file' if len(new) == 1 else f'these {len(new)} files'}."
        )
    if cursor.get("seen") != digest:
        context.update_cursor(json.dumps({**cursor, "seen": digest}))
        return dg.SkipReason(
            "1 file is new; a night reads it once it has stopped growing."
            if len(new) == 1
            else f"{len(new)} files are new; a night reads them once they have stopped growing."
        )
    context.update_cursor(json.dumps({"seen": digest, "asked": digest}))
    as_of = wall_clock()
    day = as_of.strftime(partitions.fmt)
    return dg.RunRequest(
        run_key=f"raw-{digest}",
        partition_key=day,
        run_config={"resources": {"night": {"config": {"workspace": str(workspace), "as_of": format_instant(as_of)}}}},
        tags={"tallyhouse/as_of": format_instant(as_of)},
    )


def _new_files(raw: Path, known: set[str]) -> list[tuple[str, int, int]]:
    from assets.landing.survey import files_below, stat_of

    stats = [(name, stat_of(raw / name)) for name in files_below(raw) if name not in known]
    return [(name, stat.bytes, stat.mtime_ns) for name, stat in stats]
