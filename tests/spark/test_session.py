"""The engine as nights find it: exact, in UTC, and on whatever Java there is."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assets.spark.java import java_home

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.xdist_group("spark")  # where the one JVM is


def test_instants_have_no_zone_and_decimals_keep_their_digits(spark: SparkSession) -> None:
    (row,) = spark.sql(
        "SELECT timestamp '2026-03-29 02:30:00.000001' AS at, 12345678901234567890.000000001 AS amount"
    ).collect()
    assert row["at"] == datetime.fromisoformat("2026-03-29T02:30:00.000001")
    assert row["amount"] == Decimal("12345678901234567890.000000001")


def test_an_overflow_is_an_error(spark: SparkSession) -> None:
    from pyspark.errors import ArithmeticException

    with pytest.raises(ArithmeticException):
        spark.sql("SELECT 9223372036854775807 + id FROM range(1, 2)").collect()


def test_a_cluster_that_does_not_answer_is_refused_in_one_sentence(tmp_path: Path) -> None:
    opening = "import pathlib, sys, assets.spark.session as s; s.session(pathlib.Path(sys.argv[1])).__enter__()"
    done = subprocess.run(
        [sys.executable, "-c", opening, tmp_path],
        env={
            **os.environ,
            "SPARK_REMOTE": "sc://127.0.0.1:1/;token=secret",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "assets.core.refusal.Refusal: No Spark answers at sc://127.0.0.1:1, where SPARK_REMOTE points"
    )
    assert "secret" not in last


def test_the_java_that_comes_with_pip_starts_without_the_module_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    java = java_home(tmp_path) / "bin" / "java"
    assert tmp_path in java.parents, "the machine's Java was taken"
    asked = [str(java), "--add-modules=jdk.incubator.vector", "-version"]
    done = subprocess.run(asked, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert 'version "21.' in done.stderr


def test_a_java_that_spark_does_not_take_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in (("old", "11.0.2"), ("fit", "17.0.9")):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "java").touch(mode=0o755)
        (tmp_path / name / "release").write_text(f'JAVA_VERSION="{version}"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(tmp_path / "fit" / "bin"))
    assert java_home(tmp_path / "scratch") == tmp_path / "fit"
