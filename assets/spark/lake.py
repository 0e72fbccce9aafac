"""The ledger as Parquet, by day and by the hash of the account: what a cluster reads, and never all of it anew.

The books stay the record. Before a night's models run, the rows of posted nights that the lake does not hold yet are
written there, a file for each night, day and bucket. `_nights.json` is replaced once all files of its nights are there:
killed before that, the next run writes the same files again. A night posted in two turns is written again whole.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from assets.spark.tables import carried_column, columns_of, spark_type
from assets.warehouse import text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LEDGER = "books.ledger"
# So many tasks may share a day's usage. Another number means laying out the lake anew: take the folder away.
BUCKETS = 16


def bucket(account: str) -> str:
    """SQL, for every engine that has SHA-256: which bucket an account's rows are in."""
    return f"CAST(CAST('0x' || substr(sha256({account}), 1, 7) AS BIGINT) % {BUCKETS} AS INTEGER)"


def folder(workspace: Path) -> Path:
    return workspace / "warehouse" / "lake" / "ledger"


def bring_up_to_date(con: duckdb.DuckDBPyConnection, workspace: Path) -> int:
    """Write what the books hold and the lake does not; how many nights that was."""
    kept = folder(workspace) / "_nights.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    held: dict[str, int] = json.loads(kept.read_text()) if kept.exists() else {}
    counted = con.execute(f"SELECT CAST(entered_at AS VARCHAR), count(*) FROM {LEDGER} GROUP BY ALL ORDER BY ALL")
    posted = dict(counted.fetchall())
    new = [night for night, rows in posted.items() if held.get(night) != rows]
    for night in new:
        _write(con, kept.parent, night)
    if new:
        part = kept.with_name(f".nights.{os.getpid()}")
        part.write_text(json.dumps(posted, indent=1))
        os.replace(part, kept)
    return len(new)


def _write(con: duckdb.DuckDBPyConnection, at: Path, night: str) -> None:
    columns = ", ".join(carried_column(column, kind) for column, kind in columns_of(con, LEDGER).items())
    name = "night-" + "".join(sign for sign in night if sign.isdigit())
    for file in at.glob(f"day=*/bucket=*/{name}-*.parquet"):  # of a run that was killed, or of the night's first turn
        file.unlink()
    con.execute(f"""
        COPY (
            SELECT {columns}, CAST(occurred_at AS DATE) AS day, {bucket("account_id")} AS bucket
            FROM {LEDGER} WHERE entered_at = TIMESTAMP {text(night)}
            ORDER BY day, bucket, account_id, occurred_at
        ) TO {text(at)} (
            FORMAT parquet, PARTITION_BY (day, bucket), FILENAME_PATTERN '{name}-{{i}}', OVERWRITE_OR_IGNORE)""")


def into_spark(spark: SparkSession, con: duckdb.DuckDBPyConnection, workspace: Path) -> None:
    """The lake as Spark's books.ledger."""
    declared = ", ".join(f"`{column}` {spark_type(kind)}" for column, kind in columns_of(con, LEDGER).items())
    spark.sql(f"DROP TABLE IF EXISTS {LEDGER}")
    spark.sql(
        f"CREATE TABLE {LEDGER} ({declared}, day DATE, bucket INT) USING parquet PARTITIONED BY (day, bucket) "
        f"LOCATION '{folder(workspace).resolve().as_uri()}'"
    )
    spark.sql(f"MSCK REPAIR TABLE {LEDGER}")
