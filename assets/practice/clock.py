"""The time Stripe goes by: stands where a test put it, or runs with the machine's, moved on as told."""

from __future__ import annotations

import time


class Clock:
    def __init__(self, now: int | None = None) -> None:
        self._standing = now is not None
        self._base = now or 0  # where it stands, or how far it is ahead of the machine's

    def now(self) -> int:
        return self._base if self._standing else int(time.time()) + self._base

    def advance(self, seconds: int) -> int:
        if seconds < 0:
            raise ValueError("a clock only moves on; advance it by 0 seconds or more")
        self._base += seconds
        return self.now()

    def set(self, instant: int) -> int:
        """To an instant not before the present one."""
        return self.advance(instant - self.now())
