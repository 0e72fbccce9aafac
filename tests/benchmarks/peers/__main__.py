"""One peer bills a workload: python -m tests.benchmarks.peers NAME ROOT RESULT.csv"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.peers import bill

if __name__ == "__main__":
    bill(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
