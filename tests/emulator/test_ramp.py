from __future__ import annotations

from headway.emulator.ramp import Ramp


def admit(ramp: Ramp, number: int, start: float, every: float) -> int:
    let_in = 0
    for place in range(number):
        if ramp.wait_s(start + place * every) == 0.0:
            ramp.admit(start + place * every)
            let_in += 1
    return let_in


def test_a_cold_start_gets_the_floor_and_no_more() -> None:
    assert admit(Ramp(2.0, 10, 60.0), 50, 0.0, 0.1) == 10


def test_a_minute_may_grow_by_the_factor_over_the_one_before() -> None:
    ramp = Ramp(2.0, 10, 60.0)
    assert admit(ramp, 10, 0.0, 6.0) == 10
    assert admit(ramp, 200, 60.0, 0.3) in range(18, 22)


def test_the_wait_it_names_is_enough() -> None:
    ramp = Ramp(1.5, 5, 60.0)
    admit(ramp, 5, 0.0, 1.0)
    wait_s = ramp.wait_s(5.0)
    assert 0.0 < wait_s <= 60.0
    assert ramp.wait_s(5.0 + wait_s) == 0.0


def test_it_forgets_what_is_long_past_and_goes_on_counting() -> None:
    ramp = Ramp(1.0, 1e9, 1.0)
    assert admit(ramp, 5_000, 0.0, 0.01) == 5_000
    assert len(ramp._times) < 2_000
