"""A Spark Connect server of our own, as a cluster would run one: another process, reached over a socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark

from assets.spark.java import java_home
from tests.spark import QUICK, QUICK_JAVA

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
PATIENCE = 600  # seconds until it listens; it is not waited for once it has ended, and a busy machine takes a while


@contextmanager
def server(at: Path) -> Iterator[str]:
    """The address of a server that ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "spark.master": "local[2]",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(at / "tables"),
        "spark.local.dir": str(at / "spill"),
        **QUICK,
    }
    environment = {
        **os.environ,
        "JAVA_HOME": str(java_home(at)),
        "JAVA_TOOL_OPTIONS": QUICK_JAVA,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    log = at / "server.log"
    with log.open("w") as output:
        running = subprocess.Popen(
            [submit, *options, "--class", SERVER, "spark-internal"],
            cwd=at,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(running, port, log)
        yield f"sc://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(PATIENCE)


def _wait(running: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and running.poll() is None:
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"no Spark Connect server within {PATIENCE} s:\n{log.read_text()}")
