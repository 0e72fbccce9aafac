"""The models on Spark make what they make on DuckDB: row for row and digit for digit, night by night.

Few workspaces that leave no construct out are played by default; SPARK=all plays every golden one, SPARK_SEEDS=20 the
first twenty random ones.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests import nights
from tests.golden.case import GOLDEN, Script, read_cases
from tests.property.generate import Size, generate
from tests.spark.both import differences

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.xdist_group("spark")  # where the one JVM is

FEW = [
    "duplicates-and-conflicts",
    "credits-meet-threshold-and-adjustment",
    "level-change-that-lands-late",
    "percentage-with-min-and-max-per-event",
]
SMALL = Size(accounts=3, events=40, nights=2, days=40)


def golden() -> list[str]:
    everything = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
    return everything if os.environ.get("SPARK") == "all" else FEW


def seeds() -> range:
    return range(3, 3 + int(os.environ.get("SPARK_SEEDS", "1")))


def play(spark: SparkSession, script: Script, workspace: Path) -> None:
    for number in range(1, len(script.nights) + 1):
        found: list[str] = []

        def look(con: duckdb.DuckDBPyConnection, found: list[str] = found) -> None:
            found += differences(spark, con)

        nights.run_night(workspace, script.before(number, workspace), is_published=False, look=look)
        assert not found, "\n".join([f"night {number}:", *found])


@pytest.mark.parametrize("name", golden())
def test_golden_nights_are_the_same_on_both(name: str, spark: SparkSession, tmp_path: Path) -> None:
    for number, case in enumerate(read_cases(GOLDEN / f"{name}.yaml")):
        play(spark, case.script, tmp_path / str(number))


@pytest.mark.parametrize("seed", seeds())
def test_random_nights_are_the_same_on_both(seed: int, spark: SparkSession, tmp_path: Path) -> None:
    play(spark, generate(seed, tmp_path / "generated", size=SMALL).script, tmp_path / "workspace")
