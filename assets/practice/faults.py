"""What can go wrong on the way to Stripe and back, scripted: which call, at which moment, and what the caller sees.

| kind | stage | what happens |
| --- | --- | --- |
| reset | arrival | the connection is reset, nothing is done |
| hang | arrival | silence for `seconds` (0: for good), then the connection closes, nothing is done |
| unauthorized, forbidden | arrival | 401, 403 |
| limited | arrival | 429 of a rate limiter, with its `reason` in Stripe-Rate-Limited-Reason |
| in_use | arrival | 409 idempotency_key_in_use |
| unavailable | arrival | `status` 502, 503 (default) or 504 of a gateway, nothing is done |
| lock_timeout | execution | 429 lock_timeout, nothing is done; kept under the key if `saved` |
| error | execution | 500 (or `status`), nothing is done; kept under the key unless `saved` is false |
| error_made | execution | 500 although the work is done; kept likewise |
| error_later | execution | 500, kept; the work is done `seconds` later by the virtual clock |
| refuse | execution | 400 (or `status`) with `code` and `message`; kept |
| slow | execution | `seconds` more until the work is done, while its key is in use |
| drop | answer | the work is done, the connection closes without an answer |
| hang_made | answer | the work is done, then silence for `seconds` |
| unavailable_made | answer | the work is done, a gateway answers `status` |

What is done at the stages arrival and answer is never kept under the key; the work's own answer is.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass
from typing import Literal

Stage = Literal["arrival", "execution", "answer"]
STAGES: dict[str, Stage] = {
    **dict.fromkeys(("reset", "hang", "unauthorized", "forbidden", "limited", "in_use", "unavailable"), "arrival"),
    **dict.fromkeys(("lock_timeout", "error", "error_made", "error_later", "refuse", "slow"), "execution"),
    **dict.fromkeys(("drop", "hang_made", "unavailable_made"), "answer"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of trouble and the calls it meets: those that match all of method, path, customer and key.

    Of these it lets `after` pass, then meets `times` (None: all that follow), each with `probability`, drawn by `seed`.
    A call replayed from its key is not executed, so no fault of the stage execution meets it.
    """

    kind: str
    method: str | None = None
    path: str | None = None  # a regular expression for the whole path
    customer: str | None = None
    key: str | None = None  # a regular expression for the whole idempotency key
    after: int = 0
    times: int | None = 1
    probability: float = 1.0
    seed: int = 0
    seconds: float = 0.0
    status: int | None = None
    saved: bool = True
    reason: str = "endpoint-rate"
    code: str | None = None
    message: str = "The practice Stripe was asked to refuse this."

    def __post_init__(self) -> None:
        if self.kind not in STAGES:
            raise ValueError(f"{self.kind!r} is no fault; there are {', '.join(STAGES)}")

    def concerns(self, method: str, path: str, customer: str | None, key: str | None) -> bool:
        return (
            self.method in (None, method)
            and (self.path is None or re.fullmatch(self.path, path) is not None)
            and self.customer in (None, customer)
            and (self.key is None or (key is not None and re.fullmatch(self.key, key) is not None))
        )


class Faults:
    """The faults that are to come, first come first met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[tuple[Fault, list[int]]] = []  # with [calls seen, calls met]

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._armed += [(fault, [0, 0]) for fault in faults]

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    def pending(self) -> list[Fault]:
        """Those that may still meet a call."""
        with self._lock:
            return [fault for fault, (_, met) in self._armed if fault.times is None or met < fault.times]

    def take(self, stage: Stage, method: str, path: str, customer: str | None, key: str | None) -> Fault | None:
        """The fault that meets this call at this stage. Each that looks at a call counts it, met or not."""
        found = None
        with self._lock:
            for fault, counts in self._armed:
                if STAGES[fault.kind] != stage or not fault.concerns(method, path, customer, key):
                    continue
                counts[0] += 1
                if found or counts[0] <= fault.after or (fault.times is not None and counts[1] >= fault.times):
                    continue
                if fault.probability < 1 and _draw(fault.seed, counts[0]) >= fault.probability:
                    continue
                counts[1] += 1
                found = fault
        return found


def _draw(seed: int, n: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}:{n}".encode()).digest()[:6]) / 2**48
