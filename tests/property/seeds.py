"""Which generated workspaces a test plays: a few by default, as many as asked for.

SEEDS=200 plays the first two hundred, SEEDS=17 with a dash (17-17, 100-150) those named: a failure says its seed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence


def seeds(few: Sequence[int]) -> Sequence[int]:
    told = os.environ.get("SEEDS")
    if not told:
        return few
    first, dash, last = told.partition("-")
    return range(int(first), int(last) + 1) if dash else range(1, int(first) + 1)
