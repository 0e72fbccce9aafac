"""The models of a night on Spark: what they read goes there, the same SQL runs there, and what they made comes back.

Only what is laid out as tables comes back; views over it are made here, and so are the gate's checks, the data tests
and everything after them. From then on nobody can tell which engine it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg

from assets import limits
from assets.night import Night
from assets.spark import lake
from assets.spark.tables import from_spark, into_spark
from orchestration import dbt

# Where rows of the ledger are reckoned with. The rest are small tables over what these made.
FOLDERS = ("ledger", "rating", "lines", "parity", "events")


def build(night: Night) -> list[Any]:
    """Run every model and its tests, those that grow with usage on Spark; dbt's results, node by node."""
    room = night.root / "warehouse" / "spark"
    tables = _tables()
    spark = night.spark()
    try:
        with night.connect() as con:
            into_spark(spark, con, room / "in", [name for name in _sources() if name != lake.LEDGER])
            lake.bring_up_to_date(con, night.root)
            lake.into_spark(spark, con, night.root)
        spark.sql("DROP DATABASE IF EXISTS night CASCADE")
        shutil.rmtree(room / "out", ignore_errors=True)  # of a night that was killed
        spark.sql(f"CREATE DATABASE night LOCATION '{(room / 'out').resolve().as_uri()}'")
        with _exact():
            folders = [f"fqn:tallyhouse.{folder}.*" for folder in FOLDERS]
            made = list(dbt.invoke(night.root, "run", "--select", *folders, target="spark"))
        done = {it.node.name for it in made if it.status == "success"}
        with night.connect() as con:
            came = {f"night.{name}": columns for name, columns in tables.items() if name in done}
            from_spark(spark, con, came)
    finally:
        for moved in ("in", "out"):
            shutil.rmtree(room / moved, ignore_errors=True)
    _refuse_broken(night, made)
    ours = ("config.materialized:view", "resource_type:test", "fqn:tallyhouse.gate.*")
    here = ("--exclude-resource-type", "unit_test", "--select", *ours)
    seen = list(dbt.invoke(night.root, "build", *here))
    return _in_order({it.node.unique_id: it for it in (*made, *seen)})


def _in_order(results: dict[str, Any]) -> list[Any]:
    """Each model after those it reads, as Dagster wants to hear of them, whichever engine it was made on."""
    reads = {key: [on for on in it.node.depends_on.nodes if on in results] for key, it in results.items()}
    return [results[key] for key in TopologicalSorter(reads).static_order()]


def _refuse_broken(night: Night, made: list[Any]) -> None:
    """What overflowed is looked for in what came back, as it is where the models run here."""
    for it in (it for it in made if it.status == "error"):
        with night.connect() as con:
            limits.refuse_overflow(con, str(it.message))
        raise dg.Failure(f"model {it.node.name} failed on Spark: {it.message}", allow_retries=False)
    if missing := sorted({node["name"] for node in _models()} - {it.node.name for it in made}):
        raise dg.Failure(f"Spark was not asked for {', '.join(missing)}", allow_retries=False)


def _tables() -> dict[str, dict[str, str]]:
    """The columns of every model that is made there and is a table here, with their types."""
    return {
        node["name"]: {column["name"]: column["data_type"] for column in node["columns"].values()}
        for node in _models()
        if node["config"]["materialized"] == "table"
    }


def _sources() -> list[str]:
    """What the models that run there read of the warehouse."""
    ids = {source for node in _models() for source in node["depends_on"]["nodes"] if source.startswith("source.")}
    found = [_manifest()["sources"][source] for source in sorted(ids)]
    return [f"{source['schema']}.{source['name']}" for source in found]


def _models() -> Iterator[dict[str, Any]]:
    for node in _manifest()["nodes"].values():
        if node["resource_type"] == "model" and Path(node["original_file_path"]).parent.name in FOLDERS:
            yield node


@cache
def _manifest() -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(dbt.manifest_files()[1].read_text())
    return manifest


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
