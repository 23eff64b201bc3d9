"""Rules of the mirror of one bucket, and properties against a shadow that only adds up."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.bucket import Bucket
from headway.core.call import Unit
from headway.core.limit import Limit

AMOUNTS = st.floats(0.0, 500.0)
GAPS = st.floats(0.0, 30.0)


def bucket(amount: float = 600.0, *, burst: float | None = None, guard_s: float = 0.05) -> Bucket:
    """A bucket that refills by 10 a second, unless told otherwise."""
    return Bucket(Limit(Unit.INPUT_TOKENS, amount, burst=burst), 0.0, guard_s=guard_s)


def full(burst: float) -> Bucket:
    """A bucket of known burst that is open and full."""
    made = bucket(burst=burst)
    made.unlock()
    made.refill(1000.0)
    return made


def test_a_full_bucket_lets_its_burst_go_at_once() -> None:
    full_one = full(100.0)
    assert full_one.wait(100.0, 1000.0) == 0.0
    full_one.charge(100.0, 1000.0)
    assert full_one.wait(1.0, 1000.0) > 0.0


def test_the_wait_is_exact_and_enough() -> None:
    one = full(100.0)
    one.charge(100.0, 1000.0)
    wait_s = one.wait(30.0, 1000.0)
    assert wait_s == pytest.approx(3.0 + one.guard_s)
    assert one.wait(30.0, 1000.0 + wait_s - 0.01) > 0.0
    assert one.wait(30.0, 1000.0 + wait_s) == 0.0


def test_a_call_larger_than_the_bucket_goes_when_it_is_full_and_leaves_debt() -> None:
    one = full(100.0)
    assert one.wait(250.0, 1000.0) == 0.0
    one.charge(250.0, 1000.0)
    assert one.content == pytest.approx(-150.0)
    assert one.wait(10.0, 1000.0) == pytest.approx(16.0 + one.guard_s)


def test_a_bucket_of_known_burst_starts_locked_and_is_unlocked_by_what_the_provider_confirms() -> None:
    one = bucket(burst=100.0)
    one.refill(50.0)
    one.charge(10.0, 50.0)
    assert one.wait(10.0, 50.0) > 0.0
    one.confirm(10.0, 60.0)
    assert one.wait(10.0, 60.0) == 0.0
    assert one.content == pytest.approx(100.0)


def test_slow_start_unlocks_no_more_than_what_a_confirmed_call_took() -> None:
    one, now = bucket(burst=100.0), 0.0
    for took in (5.0, 10.0, 20.0):
        before, now = one.open_capacity, now + 10.0
        one.confirm(took, now)
        assert before < one.open_capacity <= before + took


def test_all_of_the_burst_is_unlocked_in_the_end_and_no_more() -> None:
    one = bucket(burst=100.0)
    for second in range(100):
        one.confirm(1000.0, float(second))
    assert one.open_capacity == pytest.approx(100.0)
    assert one.spare == 0.0


def test_confirmations_that_come_together_do_not_unlock_all_at_once() -> None:
    """An end of the bucket that nobody expected is then met by few calls, not by all."""
    one = bucket(60_000.0, burst=50_000.0)
    for _ in range(100):
        one.confirm(500.0, 10.0)
    assert one.open_capacity < 25_000.0


def test_a_clock_that_goes_back_moves_nothing() -> None:
    one = full(100.0)
    one.charge(100.0, 1000.0)
    one.refill(1005.0)
    before = (one.level, one.spare, one.content)
    one.refill(900.0)
    assert (one.level, one.spare, one.content) == before
    one.refill(1005.0)
    assert (one.level, one.spare, one.content) == before


def test_a_refusal_names_the_level() -> None:
    """`retry-after` of 7 s at 10 a second for a call of 20: there are 20 - 70 = 50 less than nothing."""
    one = full(100.0)
    one.refuse(20.0, 7.0, 1000.0)
    assert one.content == pytest.approx(-50.0)
    assert one.wait(20.0, 1000.0) == pytest.approx(7.0 + one.guard_s)


def test_a_refusal_never_raises_the_level() -> None:
    one = full(100.0)
    one.charge(300.0, 1000.0)
    one.refuse(20.0, 1.0, 1000.0)
    assert one.content == pytest.approx(-200.0)


def test_a_refusal_locks_what_was_spare() -> None:
    one = bucket(burst=100.0)
    one.refuse(10.0, 1.0, 0.0)
    assert one.spare == 0.0
    assert one.content <= 0.0


def test_a_reading_lower_than_rounding_explains_lowers_at_once() -> None:
    one = full(100.0)
    then = one.charge(0.0, 1000.0)
    one.read(then, 40.0, rounding=5.0, below=5.0, above=5.0)
    assert one.content == pytest.approx(45.0)


def test_a_reading_within_rounding_changes_nothing() -> None:
    one = full(100.0)
    then = one.charge(10.0, 1000.0)
    one.read(then, 86.0, rounding=5.0, below=5.0, above=5.0)
    assert one.content == pytest.approx(90.0)


def test_a_reading_raises_only_beyond_its_rounding_and_only_what_is_not_usable_yet() -> None:
    one = full(100.0)
    then = one.charge(60.0, 1000.0)
    level = one.level
    one.read(then, 80.0, rounding=5.0, below=5.0, above=5.0)
    assert one.content == pytest.approx(75.0)
    assert one.level == pytest.approx(level)


def test_a_reading_is_compared_with_what_was_believed_when_its_call_was_admitted() -> None:
    """What was sent since is not what the header shows, and is not corrected by it."""
    one = full(100.0)
    then = one.charge(10.0, 1000.0)
    one.charge(50.0, 1000.0)
    one.read(then, 90.0, rounding=0.0, below=0.0, above=0.0)
    assert one.content == pytest.approx(40.0)


def test_a_reading_that_forgives_a_debt_does_not_open_more_than_the_bucket_holds() -> None:
    one = full(100.0)
    then = one.charge(300.0, 1000.0)
    one.read(then, 0.0, rounding=0.0, below=0.0, above=0.0)
    now, sent = 1030.0, []  # by then it is full
    for _ in range(20):
        now += one.wait(20.0, now)
        one.charge(20.0, now)
        one.confirm(20.0, now)
        sent.append(Sent(now, 20.0))
    assert most_over(sent, 100.0, one.rate) <= 1e-6


def test_two_readings_of_the_same_surprise_correct_once() -> None:
    one = full(100.0)
    first, second = one.charge(10.0, 1000.0), one.charge(10.0, 1000.0)
    one.read(first, 60.0, rounding=0.0, below=0.0, above=0.0)
    one.read(second, 50.0, rounding=0.0, below=0.0, above=0.0)
    assert one.content == pytest.approx(50.0)


def test_an_unknown_bucket_is_believed_to_hold_what_it_has_shown() -> None:
    one = bucket()
    then = one.charge(0.0, 0.0)
    one.read(then, 70.0, rounding=5.0, below=0.0, above=0.0)
    assert one.capacity == pytest.approx(65.0)
    one.read(then, 30.0, rounding=5.0, below=0.0, above=0.0)
    assert one.capacity == pytest.approx(65.0)


def test_an_unknown_bucket_is_never_believed_to_hold_more_than_a_period() -> None:
    one = bucket(600.0)
    one.read(one.charge(0.0, 0.0), 50_000.0, rounding=0.0, below=0.0, above=0.0)
    assert one.capacity <= 600.0
    assert one.content <= 600.0


def test_assuming_opens_a_modest_burst_only_where_nothing_is_known() -> None:
    unknown, told = bucket(), bucket(burst=100.0)
    unknown.assume()
    told.assume()
    assert 0.0 < unknown.capacity <= 600.0 / 60.0 * 10.0
    assert told.capacity == 100.0
    before = unknown.capacity
    unknown.assume()
    assert unknown.capacity == before


def test_a_sure_belief_that_was_wrong_teaches_a_smaller_capacity() -> None:
    one = full(100.0)
    then = one.charge(60.0, 1000.0)
    one.shrink(then, 0.0)
    assert one.capacity == pytest.approx(60.0)
    one.read(0.0, 100.0, rounding=0.0, below=0.0, above=0.0)
    assert one.capacity == pytest.approx(60.0)


def test_a_header_that_showed_room_beside_a_refusal_teaches_by_how_much_headers_overstate() -> None:
    """A header showed 400 while a call of 20 was told to wait 11 s at 10 a second: there was 300 to 320 less."""
    one = bucket(600.0)
    one.unlock()
    one.overstate(400.0, 0.0, 20.0, 11.0)
    one.refuse(20.0, 11.0, 0.0)
    one.read(one.charge(0.0, 20.0), 600.0, rounding=0.0, below=0.0, above=0.0)
    assert one.content <= 120.0


def test_a_guard_that_is_widened_keeps_its_distance_and_has_an_end() -> None:
    one = full(100.0)
    one.charge(100.0, 1000.0)
    before = one.wait(10.0, 1000.0)
    for second in range(20):
        one.widen(1000.0 + second / 2)
    assert before < one.guard_s + 1.0
    assert one.wait(10.0, 1000.0) == pytest.approx(1.0 + one.guard_s)
    assert one.guard_s <= 1.0


def test_refusals_that_come_together_widen_the_guard_once() -> None:
    one = full(100.0)
    one.widen(1000.0)
    guard_s = one.guard_s
    for _ in range(5):
        one.widen(1000.5)
    assert one.guard_s == guard_s


@pytest.mark.parametrize(("amount", "rate"), [(300.0, 5.0), (1200.0, 20.0)])
def test_a_resized_bucket_refills_at_its_new_rate_from_the_moment_it_was_told(
    amount: float, rate: float
) -> None:
    one = full(100.0)
    one.charge(200.0, 1000.0)
    one.resize(Limit(Unit.INPUT_TOKENS, amount, burst=100.0), 1004.0)
    assert one.content == pytest.approx(-60.0)
    one.refill(1008.0)
    assert one.content == pytest.approx(-60.0 + 4.0 * rate)


def test_a_bucket_resized_to_less_holds_no_more_than_the_new_burst() -> None:
    one = full(100.0)
    one.resize(Limit(Unit.INPUT_TOKENS, 300.0, burst=50.0), 1000.0)
    assert one.content <= 50.0


# --- properties ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """One admission: when, and how much."""

    at: float
    amount: float


def admit(one: Bucket, asks: list[tuple[float, float, bool]]) -> list[Sent]:
    """Ask for each amount after a gap, wait as long as told, charge, and confirm some."""
    now, sent = 0.0, []
    for gap, amount, confirmed in asks:
        now += gap
        now += one.wait(amount, now)
        while (more := one.wait(amount, now)) > 0.0:
            now += more
        one.charge(amount, now)
        sent.append(Sent(now, amount))
        if confirmed:
            one.confirm(amount, now)
    return sent


def most_over(sent: list[Sent], burst: float, rate: float) -> float:
    """By how much any window took more than `burst + rate x window`; a call larger than the bucket counts as a full one."""
    worst = -burst
    for first in range(len(sent)):
        total = 0.0
        for last in range(first, len(sent)):
            allowed = burst + rate * (sent[last].at - sent[first].at)
            worst = max(worst, total + min(sent[last].amount, burst) - allowed)
            total += sent[last].amount
    return worst


@given(st.floats(1.0, 300.0), st.lists(st.tuples(GAPS, AMOUNTS, st.booleans()), max_size=30))
def test_no_window_takes_more_than_burst_and_refill(
    burst: float, asks: list[tuple[float, float, bool]]
) -> None:
    one = bucket(burst=burst)
    assert most_over(admit(one, asks), burst, one.rate) <= 1e-6


@given(st.lists(st.tuples(GAPS, AMOUNTS), max_size=30))
def test_an_unknown_bucket_admits_no_more_than_its_refill_until_a_reading_shows_more(
    asks: list[tuple[float, float]],
) -> None:
    one = bucket()
    sent = admit(one, [(gap, amount, True) for gap, amount in asks])
    assert most_over(sent, 0.0, one.rate) <= 1e-6


@given(
    st.sampled_from([None, 5.0, 100.0]),
    st.lists(
        st.one_of(
            st.tuples(st.just("pass"), GAPS),
            st.tuples(st.just("charge"), AMOUNTS),
            st.tuples(st.just("shift"), st.floats(-300.0, 300.0)),
            st.tuples(st.just("confirm"), AMOUNTS),
            st.tuples(st.just("read"), st.floats(0.0, 1500.0)),
            st.tuples(st.just("refuse"), st.floats(0.0, 60.0)),
            st.tuples(st.just("assume"), st.just(0.0)),
            st.tuples(st.just("give"), AMOUNTS),
            st.tuples(st.just("widen"), st.just(0.0)),
            st.tuples(st.just("unlock"), st.just(0.0)),
        ),
        max_size=40,
    ),
)
def test_nothing_makes_a_bucket_hold_more_than_its_capacity(
    burst: float | None, acts: list[tuple[str, float]]
) -> None:
    """What is believed to be there is at most the capacity, and that at most the burst or one period's amount.

    What may be used at once is at most what is open, and the distance that is kept.
    """
    one, now = bucket(burst=burst), 0.0
    then = one.charge(0.0, now)
    for act, amount in acts:
        match act:
            case "pass":
                now += amount
                one.refill(now)
            case "charge":
                then = one.charge(amount, now)
            case "shift":
                one.shift(amount)
            case "confirm":
                one.confirm(amount, now)
            case "read":
                one.read(then, amount, rounding=10.0, below=10.0, above=10.0, gain=0.1)
            case "refuse":
                one.refuse(50.0, amount, now)
            case "assume":
                one.assume()
            case "give":
                one.give(amount)
            case "widen":
                one.widen(now)
            case "unlock":
                one.unlock()
        assert one.content <= one.capacity + 1e-6
        assert one.spare >= -1e-6
        assert one.level <= one.open_capacity + one.rate * one.guard_s + 1e-6
        assert one.capacity <= (burst or one.limit.amount)


@given(st.lists(st.tuples(st.floats(-100.0, 100.0), GAPS), max_size=30))
def test_time_only_adds_and_never_faster_than_the_rate(steps: list[tuple[float, float]]) -> None:
    """A clock that jumps both ways gives what the time between its highest marks gives, no more."""
    one = full(100.0)
    one.charge(100.0, 1000.0)
    highest, clock = 1000.0, 1000.0
    for jump, gap in steps:
        clock += jump + gap
        highest = max(highest, clock)
        before = one.level
        one.refill(clock)
        assert one.level >= before
        assert one.content <= (highest - 1000.0) * one.rate + 1e-6


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=20))
def test_a_late_correction_leaves_what_an_early_one_would_have(pairs: list[tuple[float, float]]) -> None:
    """Charging an estimate and shifting by its error is charging the truth, as long as no bucket runs full."""
    late, early = full(1e6), full(1e6)
    for estimate, actual in pairs:
        late.charge(estimate + 1000.0, 1000.0)
        early.charge(actual + 1000.0, 1000.0)
        late.shift(estimate - actual)
    assert late.content == pytest.approx(early.content, abs=1e-3)
