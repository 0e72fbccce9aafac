"""One Spark for all tests of this folder: a JVM takes seconds to start and half a gigabyte to hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from assets.spark.session import session
from tests.spark import QUICK, QUICK_JAVA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session that nights of this process use too. Modules that ask for it are of the xdist group "spark"."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # a second worker with a JVM of its own: the group does not hold
        (tmp_path_factory.getbasetemp().parent / "the-one-spark").touch(exist_ok=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", QUICK_JAVA)
        with session(tmp_path_factory.mktemp("spark")) as opened:
            for name, value in QUICK.items():
                opened.conf.set(name, value)
            yield opened
