"""Rules of growth, once the provider has said that ours was too steep."""

from __future__ import annotations

import pytest

from headway.core.ramp import Ramp


def steady(ramp: Ramp, *, rate: float, seconds: float, start: float = 0.0) -> float:
    """Start calls at an even rate; returns when."""
    now = start
    for number in range(int(rate * seconds)):
        now = start + number / rate
        ramp.start(now)
    return now


def starts(ramp: Ramp, now: float, until: float) -> int:
    """How many calls can start in that time, each as soon as it may."""
    count = 0
    while (now := now + ramp.wait(now)) < until:
        ramp.start(now)
        count += 1
    return count


def test_nothing_is_held_back_as_long_as_nothing_bit() -> None:
    ramp = Ramp()
    for _ in range(1000):
        assert ramp.wait(1.0) == 0.0
        ramp.start(1.0)


def test_after_a_bite_calls_go_on_at_about_half_the_rate_that_bit() -> None:
    ramp = Ramp()
    now = steady(ramp, rate=10.0, seconds=60.0)
    ramp.bite(now)
    assert starts(ramp, now, now + 10.0) == pytest.approx(50, rel=0.2)


def test_then_the_rate_grows_by_about_half_each_minute() -> None:
    ramp = Ramp()
    now = steady(ramp, rate=10.0, seconds=60.0)
    ramp.bite(now)
    first = starts(ramp, now, now + 60.0)
    second = starts(ramp, now + 60.0, now + 120.0)
    assert second == pytest.approx(1.5 * first, rel=0.1)


def test_bites_that_come_together_count_once() -> None:
    once, often = Ramp(), Ramp()
    for ramp in (once, often):
        ramp.bite(steady(ramp, rate=10.0, seconds=30.0))
    for _ in range(10):
        often.bite(30.2)
    assert often.wait(30.2) == pytest.approx(once.wait(30.2))


def test_each_later_bite_slows_down_further() -> None:
    ramp = Ramp()
    now = steady(ramp, rate=10.0, seconds=30.0)
    ramp.bite(now)
    first = starts(ramp, now, now + 10.0)
    ramp.bite(now + 10.0)
    assert starts(ramp, now + 10.0, now + 20.0) < 0.75 * first


def test_however_often_it_bites_calls_go_on() -> None:
    ramp = Ramp()
    for minute in range(20):
        ramp.start(60.0 * minute)
        ramp.bite(60.0 * minute)
    assert ramp.wait(60.0 * 19) <= 10.0


def test_a_bite_is_forgotten_after_a_while() -> None:
    ramp = Ramp()
    ramp.bite(steady(ramp, rate=1.0, seconds=10.0))
    assert ramp.wait(10.0) > 0.0
    ramp.start(10_000.0)
    assert ramp.wait(10_000.0) == 0.0
