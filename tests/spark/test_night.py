"""Whole nights of a workspace that says `engine: spark`: their books are those of the same nights on DuckDB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from assets import warehouse
from assets.core.instants import format_instant
from assets.spark import lake
from assets.spark.tables import restored_column
from orchestration import run
from tests import nights
from tests.golden.case import catalogue_files, raw_files
from tests.spark.connect import server
from tests.sql.test_dbt_units import NIGHTS, WORKSPACE, write

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.xdist_group("spark")  # where the one JVM is

SETTINGS = "catalog/workspace.yaml"
LATER = ("raw/ev/2.ndjson", "raw/old/1.ndjson")


def workspace(root: Path, engine: str) -> Path:
    """The first night done, on DuckDB, and what the second will find."""
    files = catalogue_files(WORKSPACE) | {f"raw/{name}": content for name, content in raw_files(WORKSPACE).items()}
    later = {name: files.pop(name) for name in LATER}
    write(root, files)
    nights.run_night(root, NIGHTS[0], is_published=False)
    with (root / SETTINGS).open("a") as settings:
        settings.write(f"\nengine: {engine}\n")
    write(root, later)
    return root


@pytest.fixture(scope="module")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = workspace(tmp_path_factory.mktemp("duckdb"), "duckdb")
    nights.run_night(root, NIGHTS[1], is_checked=True)
    return root


def published(root: Path) -> nights.Tables:
    """What readers see but what only a whole job leaves: the gate's own notes."""
    return {name: rows for name, rows in nights.published(root).items() if name not in ("checks", "gate_nights")}


def books(root: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the books and of the night, whatever the order of columns, but the files that say which engine."""
    with duckdb.connect(str(warehouse.path(root)), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        tables = con.execute("""
            SELECT schema_name || '.' || table_name, string_agg(format('"{}"', column_name), ', ' ORDER BY column_name)
            FROM duckdb_columns() JOIN duckdb_tables() USING (schema_name, table_name)
            WHERE schema_name = 'books' OR (schema_name = 'night' AND starts_with(table_name, 'int_'))
            GROUP BY ALL ORDER BY ALL""").fetchall()
        return {
            name: con.execute(f"SELECT {columns} FROM {name} ORDER BY ALL").fetchall()
            for name, columns in tables
            if name not in ("books.inputs", "books.input_texts")
        }


def test_a_night_on_spark_leaves_the_books_of_a_night_on_duckdb(
    spark: SparkSession, on_duckdb: Path, tmp_path: Path
) -> None:
    root = workspace(tmp_path, "spark")
    run.night(root, NIGHTS[1])
    assert published(root) == published(on_duckdb)
    assert books(root) == books(on_duckdb)
    with warehouse.connect(root) as con:  # the lake holds what the night found in the books, to the last digit
        columns = {name: kind for name, kind, *_ in con.execute("DESCRIBE books.ledger").fetchall()}
        restored = ", ".join(restored_column(*column) for column in columns.items())
        files = f"read_parquet('{lake.folder(root)}/*/*/*.parquet', hive_partitioning = true)"
        found = con.execute(f"SELECT {restored} FROM {files} ORDER BY ALL").fetchall()
        first = NIGHTS[0].replace(tzinfo=None)
        posted = con.execute("FROM books.ledger WHERE entered_at = $1 ORDER BY ALL", [first]).fetchall()
    assert found == posted


@pytest.mark.skipif(os.environ.get("SPARK") != "all", reason="minutes: SPARK=all plays a night over Spark Connect")
def test_a_night_over_spark_connect_does_too(on_duckdb: Path, tmp_path: Path) -> None:
    root = workspace(tmp_path / "workspace", "spark")
    (tmp_path / "cluster").mkdir()
    with server(tmp_path / "cluster") as address:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "orchestration.cli",
                "nightly",
                "--workspace",
                root,
                "--as-of",
                format_instant(NIGHTS[1]),
            ],
            env={**os.environ, "SPARK_REMOTE": address, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert published(root) == published(on_duckdb)
    assert books(root) == books(on_duckdb)
