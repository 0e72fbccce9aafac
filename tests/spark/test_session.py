"""The engine as nights find it: exact, in UTC, and on whatever Java there is."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

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
