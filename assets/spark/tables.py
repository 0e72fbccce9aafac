"""Tables on their way to Spark and back: the same rows in the same types, whichever engine reckons with them.

Spark has no integers of 128 bits. Signed ones go as DECIMAL(38, 0), which holds all that models reckon with; the
unsigned halves of keys go as sixteen bytes, which sort and join as the numbers do. DuckDB's infinity is the largest
instant that either engine can write down, and needs no care.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame, SparkSession

#: What the models read, schema by schema.
SOURCES = ("catalog", "landing", "books", "gate")

#: A session in which the models mean what they mean in DuckDB: what overflows fails, no digit of a decimal is dropped
#: to make room, and an instant is UTC without a zone. dbt-spark turns ANSI rules off before every statement; whoever
#: runs it has to take that back, or what overflows is null.
SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.legacy.decimal.retainFractionDigitsOnTruncate": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    # A group of rows that mix keys is walked to its end, however many they are.
    "spark.sql.cteRecursionLevelLimit": "-1",
    "spark.sql.cteRecursionRowLimit": "-1",
}

_TYPES = {
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "BINARY",
    "INTEGER": "INT",
    "VARCHAR": "STRING",
    "JSON": "STRING",
    "TIMESTAMP": "TIMESTAMP_NTZ",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_LTZ",
}


def into_spark(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, at: Path, names: Iterable[str] | None = None
) -> None:
    """Give Spark the tables of the models' sources, or those named; their rows go as Parquet below `at`."""
    for schema in SOURCES:
        spark.sql(f"CREATE DATABASE IF NOT EXISTS {schema}")
    for name in sources(con) if names is None else names:
        columns = columns_of(con, name)
        file = at / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        carried = ", ".join(carried_column(column, kind) for column, kind in columns.items())
        con.execute(f"COPY (SELECT {carried} FROM {name}) TO '{file}' (FORMAT parquet)")
        declared = ", ".join(f"`{column}` {spark_type(kind)}" for column, kind in columns.items())
        spark.sql(f"DROP TABLE IF EXISTS {name}")
        spark.sql(f"CREATE TABLE {name} ({declared}) USING parquet LOCATION '{file.resolve().as_uri()}'")


def from_spark(spark: SparkSession, con: duckdb.DuckDBPyConnection, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Bring tables back in the types of their contracts: {"night.int_lines__new": {"line_id": "varchar", …}}.

    They are Parquet where Spark laid them out, and are read from there.
    """
    for name, columns in tables.items():
        schema, _, _ = name.partition(".")
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        restored = ", ".join(restored_column(column, kind) for column, kind in columns.items())
        con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT {restored} FROM {_files(spark.table(name))}")


def _files(table: DataFrame) -> str:
    """What holds a table's rows, for DuckDB."""
    paths = [unquote(urlsplit(file).path) for file in table.inputFiles()]
    if paths:
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in sorted(paths))
        return f"read_parquet([{listed}])"
    nothing = ", ".join(f'NULL AS "{column}"' for column in table.columns)
    return f"(SELECT {nothing} LIMIT 0)"


def spark_type(kind: str) -> str:
    """DuckDB's type as Spark calls it."""
    return _TYPES.get(kind.upper(), kind)


def restored_column(column: str, kind: str) -> str:
    """A column that came from Spark as a DuckDB expression, in its DuckDB type."""
    # The literal of the whole number that the sixteen bytes are.
    value = f"""('0x' || hex("{column}"))""" if kind.upper() == "UHUGEINT" else f'"{column}"'
    return f'CAST({value} AS {kind}) AS "{column}"'


def sources(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables of a warehouse that models read."""
    tables = con.execute(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
        " WHERE database_name = current_database() AND list_contains(?, schema_name) ORDER BY ALL",
        [list(SOURCES)],
    )
    return [name for (name,) in tables.fetchall()]


def columns_of(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    return {column: kind for column, kind, *_ in con.execute(f"DESCRIBE {name}").fetchall()}


def carried_column(column: str, kind: str) -> str:
    """A DuckDB column as the expression that takes it to Spark."""
    match kind:
        case "HUGEINT":
            return f'CAST("{column}" AS DECIMAL(38, 0)) AS "{column}"'
        case "UHUGEINT":
            return f"""unhex(format('{{:032x}}', "{column}")) AS "{column}\""""
        case "JSON":
            return f'CAST("{column}" AS VARCHAR) AS "{column}"'
        case _:
            return f'"{column}"'
