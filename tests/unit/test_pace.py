"""No second sees more requests than the rate, and all slow down when Stripe's limiter speaks."""

from __future__ import annotations

from collections import Counter

import pytest

from assets.push.pace import Pace, Patience


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def paced(rate: float) -> tuple[Pace, Time]:
    time = Time()
    return Pace(rate, clock=lambda: time.now, sleep=time.sleep), time


@pytest.mark.parametrize("rate", [1, 7, 20, 250])
def test_no_second_sees_more_than_the_rate(rate: int) -> None:
    pace, time = paced(rate)
    passed = []
    for number in range(rate * 5):
        if number == rate * 2:
            time.now += 10  # idle for a while: nothing is saved up for a burst
        pace.wait()
        passed.append(time.now)
    for start in passed:
        assert sum(1 for at in passed if start <= at < start + 1 - 1e-6) <= rate
    seconds = Counter(int(at) for at in passed)
    assert max(seconds.values()) >= rate - 1, "slower than it may be"


def test_the_limiter_slows_everybody_and_calls_that_go_well_speed_up_again() -> None:
    pace, time = paced(10)
    pace.wait()
    pace.slow(3.0)
    before = time.now
    pace.wait()
    assert time.now - before >= 3.0 - 1e-6
    before = time.now
    pace.wait()
    assert time.now - before == pytest.approx(0.2)
    for _ in range(20):
        pace.recover()
    pace.wait()
    before = time.now
    pace.wait()
    assert time.now - before == pytest.approx(0.1)


def test_pauses_grow_and_spread_and_are_the_same_each_time() -> None:
    patience = Patience(first=1.0, longest=8.0)
    pauses = [patience.pause(number, "a") for number in range(1, 7)]
    assert pauses == [patience.pause(number, "a") for number in range(1, 7)]
    for pause, most in zip(pauses, (1, 2, 4, 8, 8, 8), strict=True):
        assert most / 2 <= pause <= most
    assert patience.pause(1, "a") != patience.pause(1, "b")
