"""Processes that are to die fork from one server, which has loaded the libraries once and opened nothing.

There is one such server for a test process, so all that anyone who forks from it needs is named here.
"""

from __future__ import annotations

import multiprocessing

FORKING = multiprocessing.get_context("forkserver")
# The last two are what a night would otherwise load when it first hands rows to DuckDB.
FORKING.set_forkserver_preload(["tests.nights", "tests.stripe.pushing", "pandas", "pyarrow.compute"])
