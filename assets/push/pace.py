"""How fast Stripe is asked: at most so many requests a second from all workers together, and slower when it says so.

This is the one place that looks at a running clock, and only to wait: what is sent never depends on it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

RATE = 20  # requests a second; Stripe takes 25 for one kind of request unless it says otherwise

_SLOWEST = 16  # times the usual gap
_RECOVERY = 0.9


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call without an answer is made again at once, and how long that waits: longer each time."""

    unknown: int = 4
    busy: int = 8
    first: float = 0.25
    longest: float = 8.0

    def pause(self, number: int, of: str) -> float:
        """Seconds before the try after `number`; spread by a hash, so that workers do not come back together."""
        spread = hashlib.sha256(f"{of}|{number}".encode()).digest()[0] / 255
        return float(min(self.first * 2 ** (number - 1), self.longest) * (0.5 + spread / 2))


@dataclass
class Pace:
    """Lets one request through after another, a gap apart: never a burst, so no second sees more than `rate`."""

    rate: float = RATE
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _next: float = 0.0
    _slowness: float = 1.0

    def wait(self) -> None:
        while True:
            with self._lock:
                now = self.clock()
                if now >= self._next:
                    self._next = now + self._slowness / self.rate
                    return
                pause = self._next - now
            self.sleep(pause)

    def slow(self, pause: float) -> None:
        """Stripe's limiter spoke: everybody waits a moment and goes on more slowly."""
        with self._lock:
            self._slowness = min(self._slowness * 2, _SLOWEST)
            self._next = max(self._next, self.clock() + pause)

    def recover(self) -> None:
        """A request went well: back towards the usual gap."""
        with self._lock:
            self._slowness = max(self._slowness * _RECOVERY, 1.0)
