"""The models of a night on Spark: what they read goes there, the same SQL runs there, and what they made comes back.

Only what is laid out as tables comes back; views over it are made here, and so are the gate's checks, the data tests
and everything after them. From then on nobody can tell which engine it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assets.night import Night
from assets.spark import lake
from assets.spark.tables import from_spark, into_spark, sources
from orchestration import dbt

# Where rows of the ledger are reckoned with. The rest are small tables over what these made.
FOLDERS = ("ledger", "rating", "lines", "parity", "events")


def build(night: Night) -> list[Any]:
    """Run every model and its tests, those that grow with usage on Spark; dbt's results, node by node."""
    at = night.root / "warehouse" / "spark" / "moved"
    spark = night.spark()
    try:
        with night.connect() as con:
            into_spark(spark, con, at / "in", [name for name in sources(con) if name != lake.LEDGER])
            lake.bring_up_to_date(con, night.root)
            lake.into_spark(spark, con, night.root)
        with _exact():
            made = list(
                dbt.invoke(night.root, "run", "--select", *(f"path:models/{it}" for it in FOLDERS), target="spark")
            )
        tables = _contracts()
        done = {
            f"night.{it.node.name}": tables[it.node.name]
            for it in made
            if it.status == "success" and it.node.name in tables
        }
        with night.connect() as con:
            from_spark(spark, con, at / "out", done)
    finally:
        shutil.rmtree(at, ignore_errors=True)
    if any(it.status != "success" for it in made):
        return made
    seen = dbt.invoke(
        night.root,
        "build",
        "--exclude-resource-type",
        "unit_test",
        "--select",
        "config.materialized:view",
        "resource_type:test",
    )
    on_both = {it.node.unique_id for it in seen}
    return [*(it for it in made if it.node.unique_id not in on_both), *seen]


def _contracts() -> dict[str, dict[str, str]]:
    """The columns of every model that is a table here, with their types."""
    manifest = json.loads(dbt.manifest_files()[1].read_text())
    return {
        node["name"]: {column["name"]: column["data_type"] for column in node["columns"].values()}
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["materialized"] == "table"
    }


@contextmanager
def _exact() -> Iterator[None]:
    """dbt-spark turns ANSI rules off before each statement, and then what overflows is null: turn them on again."""
    from dbt.adapters.spark import session

    class Exact(session.Connection):
        def cursor(self) -> session.Cursor:
            return session.Cursor(
                server_side_parameters=self.server_side_parameters | {"spark.sql.ansi.enabled": "true"}
            )

    before, session.Connection = session.Connection, Exact  # type: ignore[misc]
    try:
        yield
    finally:
        session.Connection = before  # type: ignore[misc]
