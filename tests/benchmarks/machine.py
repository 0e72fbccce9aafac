"""The machine a run was made on and the versions that took part; nothing that tells whose it is."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.peers import postgres

_ENGINES = {"DuckDB": "duckdb", "Polars": "polars", "chdb (ClickHouse)": "chdb"}


def described() -> dict[str, str]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return {
        "Processor": f"{_cores()} cores{_processor()}",
        "Memory": f"{memory:.0f} GiB",
        "System": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{name: found for name, package in _ENGINES.items() if (found := _version(package))},
        **({"PostgreSQL": found} if (found := _postgres()) else {}),
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return f" of {found[1]}" if found else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _postgres() -> str | None:
    if postgres.why_not():
        return None
    program = [f"{postgres.binaries()}/postgres", "--version"]
    said = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    return said.removeprefix("postgres (PostgreSQL) ").split()[0]
