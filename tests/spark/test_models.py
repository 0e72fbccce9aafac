"""The models on Spark make what they make on DuckDB: row for row and digit for digit, night by night.

One workspace is played by default, since a night takes Spark half a minute; SPARK=all plays every golden one and one
that is random, SPARK_SEEDS=20 twenty of those.
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

ALL = os.environ.get("SPARK") == "all"
FEW = ["percentage-with-min-and-max-per-event"]
SMALL = Size(accounts=3, events=40, nights=2, days=40)


def golden() -> list[str]:
    everything = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
    return everything if ALL else FEW


def seeds() -> range:
    return range(3, 3 + int(os.environ.get("SPARK_SEEDS", str(int(ALL)))))


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
