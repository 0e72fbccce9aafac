"""One night on both engines: the same sources, the same models, and every table they make held against the other's.

In the tests' Spark a table is a view of its session over rows in memory, so that a night takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from assets.spark.tables import carried_column, columns_of, restored_column, sources
from orchestration import dbt
from tests.nights import ONLY_JUDGED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What only the gate asks, it asks of what came back.
ON_DUCKDB = {f"night.{name}" for name in (*ONLY_JUDGED, "gate_standing")}
_MAKES = re.compile(r"CREATE OR REPLACE (?P<kind>table|view) (?P<name>[\w.]+) AS (?P<query>.*)", re.DOTALL)


def differences(spark: SparkSession, con: duckdb.DuckDBPyConnection) -> list[str]:
    """What Spark makes otherwise of the sources of a warehouse whose models DuckDB has made."""
    return [sentence for name, rows in _made_on(spark, con) if (sentence := _difference(con, name, rows))]


def _made_on(spark: SparkSession, con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, pa.Table]]:
    """Every model as Spark makes it, each of those before it."""
    made = [match for model in dbt.compiled_models("spark").values() if (match := _MAKES.fullmatch(model))]
    names = sources(con)
    for name in names:
        _keep(spark, name, _rows(con, name))
    flat = re.compile(rf"\b({'|'.join([*names, *(match['name'] for match in made)])})\b(?!\.)")
    for match in made:
        if match["name"] not in ON_DUCKDB:
            rows = spark.sql(flat.sub(lambda it: _view(it[0]), match["query"])).toArrow()
            _keep(spark, match["name"], rows)
            yield match["name"], rows


def _view(name: str) -> str:
    return name.replace(".", "__")


def _keep(spark: SparkSession, name: str, rows: pa.Table) -> None:
    spark.createDataFrame(rows).createOrReplaceTempView(_view(name))


def _rows(con: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
    carried = ", ".join(carried_column(*it) for it in columns_of(con, name).items())
    return con.sql(f"SELECT {carried} FROM {name}").to_arrow_table()


def _difference(con: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> str | None:
    columns = columns_of(con, name)
    con.register("on_spark", rows)
    there = f"SELECT {', '.join(restored_column(*it) for it in columns.items())} FROM on_spark"
    try:
        found = con.execute(f"""
            SELECT * FROM (
                SELECT 'DuckDB' AS only_on, * FROM (FROM {name} EXCEPT ALL ({there}))
                UNION ALL SELECT 'Spark', * FROM (({there}) EXCEPT ALL FROM {name}))
            ORDER BY ALL LIMIT 6""")
        named = [column for column, *_ in found.description or ()]
        told = [dict(zip(named, row, strict=True)) for row in found.fetchall()]
    finally:
        con.unregister("on_spark")
    return f"{name}:\n" + "\n".join(f"    {row}" for row in told) if told else None
