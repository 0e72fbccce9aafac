"""The Spark that a night runs on: a session inside this process, or the cluster behind SPARK_REMOTE (Spark Connect).

Either way the engine is set the same: ANSI rules, so that nothing overflows in silence; UTC, and instants without a
zone, as the warehouse keeps them.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from assets.core.refusal import Refusal
from assets.spark.java import java_home
from assets.spark.tables import SETTINGS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What both kinds of session can still be told when they stand.
RULES = SETTINGS | {"spark.sql.execution.arrow.pyspark.enabled": "true"}
MEMORY = "2g"
_PORT = 15002  # of a Spark Connect address that names none
_PATIENCE = 20  # seconds


@contextmanager
def session(scratch: Path) -> Iterator[SparkSession]:
    """The session of this process; whoever opens it first ends it. `scratch` is for what Spark leaves lying about."""
    spark, is_ours = _current(), False
    if spark is None:
        spark, is_ours = _opened(scratch), True
    for name, value in RULES.items():
        spark.conf.set(name, value)
    try:
        yield spark
    finally:
        if is_ours:
            spark.stop()


def remote() -> str | None:
    """Where the cluster listens, if there is one."""
    return os.environ.get("SPARK_REMOTE") or None


def _current() -> SparkSession | None:
    sql = sys.modules.get("pyspark.sql")
    return sql.SparkSession.getActiveSession() if sql else None


def _opened(scratch: Path) -> SparkSession:
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise Refusal(
            "engine: spark needs pyspark, which is not installed here: install tallyhouse[spark], "
            "or set engine: duckdb in catalog/workspace.yaml."
        ) from None
    where = remote()
    if where:
        _refuse_silence(where)
        return SparkSession.builder.remote(where).getOrCreate()
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ["JAVA_HOME"] = str(java_home(scratch))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.appName("tallyhouse")
    for name, value in _settings(scratch).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _refuse_silence(where: str) -> None:
    """Spark's own client would knock for ten minutes. What follows the host may be a secret and is not repeated."""
    address = urlsplit(where)
    shown = f"{address.scheme}://{address.hostname}:{address.port or _PORT}"
    try:
        if address.scheme != "sc" or not address.hostname:
            raise OSError("it is no address such as sc://host:15002")
        socket.create_connection((address.hostname, address.port or _PORT), timeout=_PATIENCE).close()
    except OSError as failure:
        why = " ".join(str(failure.strerror or failure).split())
        raise Refusal(
            f"No Spark answers at {shown}, where SPARK_REMOTE points ({why}): start it, or correct the address."
        ) from failure


def _settings(scratch: Path) -> dict[str, str]:
    """A Spark of one process: no page, no metastore, nobody else's address, a task for every core."""
    cores = str(os.cpu_count() or 1)
    return RULES | {
        "spark.master": f"local[{cores}]",
        "spark.driver.memory": os.environ.get("TALLYHOUSE_SPARK_MEMORY", MEMORY),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(scratch / "tables"),
        "spark.local.dir": str(scratch / "spill"),
        "spark.sql.shuffle.partitions": cores,
        "spark.default.parallelism": cores,
    }
