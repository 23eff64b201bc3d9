"""Rules of how limits are charged over the life of a call, against shadows that know the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.bucket import Bucket
from headway.core.call import Reading, Unit
from headway.core.limit import Limit
from headway.core.meter import Hold, Mark, OutputMeter, StartMeter
from world import Tank

BURST = 10_000.0
RATE = 1000.0  # tokens a second


def input_meter(burst: float | None = BURST) -> StartMeter:
    return StartMeter(Limit(Unit.INPUT_TOKENS, RATE * 60.0, burst=burst), 0.0)


def output_meter(burst: float | None = BURST) -> OutputMeter:
    return OutputMeter(Limit(Unit.OUTPUT_TOKENS, RATE * 60.0, burst=burst), 0.0)


def opened(meter: StartMeter | OutputMeter, now: float = 1000.0) -> float:
    """Open all buckets of a meter and fill them; returns when."""
    for bucket in meter.buckets:
        bucket.unlock()
        bucket.refill(now)
    return now


def refused(meter: StartMeter | OutputMeter, mark: Mark, retry_after_s: float, now: float) -> None:
    """The provider refused this call, without headers."""
    meter.void(mark)
    meter.refuse(mark, None, 0.0, retry_after_s, now)


# --- settling is exact --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """One call: after which gap it is taken, what is expected and what it takes, and which of those in flight ends then."""

    gap_s: float
    expected: float
    actual: float
    ends: int


TAKEN = st.builds(
    Taken,
    gap_s=st.floats(0.0, 2.0),
    expected=st.floats(0.0, 500.0),
    actual=st.floats(0.0, 500.0),
    ends=st.integers(0, 5),
)


@given(st.lists(TAKEN, max_size=40))
def test_once_all_is_settled_the_input_meter_holds_what_a_bucket_charged_with_the_truth_holds(
    calls: list[Taken],
) -> None:
    """A deep bucket, that never runs full, so that every correction counts in full whenever it comes."""
    meter = input_meter(1e9)
    now = opened(meter)
    meter.bucket.charge(1e8, now)
    shadow, flying = 1e9 - 1e8, list[tuple[Mark, float]]()
    for call in calls:
        now += call.gap_s
        shadow += call.gap_s * RATE - call.actual
        flying.append((meter.take(Hold(call.expected, 1.0), now), call.actual))
        if call.ends < len(flying):
            mark, actual = flying.pop(call.ends)
            meter.settle(mark, actual)
    for mark, actual in flying:
        meter.settle(mark, actual)
    meter.bucket.refill(now)
    assert meter.bucket.content == pytest.approx(shadow, abs=1.0)
    assert meter.in_flight == pytest.approx(0.0, abs=1e-6)


@given(st.lists(TAKEN, max_size=40), st.floats(0.0, 1.0))
def test_once_all_is_settled_every_mirror_of_output_holds_what_the_truth_leaves(
    calls: list[Taken], seen: float
) -> None:
    """Whatever was promised, reserved, or seen of production on the way."""
    meter = output_meter(1e9)
    now = opened(meter)
    for bucket in meter.buckets:
        bucket.charge(1e8, now)
    shadow, flying = 1e9 - 1e8, list[tuple[Mark, float]]()
    for call in calls:
        now += call.gap_s
        shadow += call.gap_s * RATE - call.actual
        mark = meter.take(Hold(call.expected, 1.0, 1000.0), now)
        meter.produce(mark, seen * call.actual, Hold(call.expected / 2, 4.0, 1000.0), now)
        flying.append((mark, call.actual))
        if call.ends < len(flying):
            mark, actual = flying.pop(call.ends)
            meter.settle(mark, actual)
    for mark, actual in flying:
        meter.settle(mark, actual)
    for bucket in meter.buckets:
        bucket.refill(now)
        assert bucket.content == pytest.approx(shadow, abs=1.0)
    assert meter.in_flight == pytest.approx(0.0, abs=1e-6)


@given(st.lists(TAKEN, max_size=40))
def test_what_is_given_back_never_makes_more_than_a_full_bucket(calls: list[Taken]) -> None:
    meters = (input_meter(), output_meter())
    now = max(opened(meter) for meter in meters)
    for call in calls:
        now += call.gap_s
        for meter in meters:
            mark = meter.take(Hold(call.expected, 1.0, 500.0), now)
            meter.settle(mark, call.actual)
            for bucket in meter.buckets:
                assert bucket.content <= BURST + 1e-6


def test_a_call_that_overtakes_its_expectation_is_charged_for_it() -> None:
    meter = input_meter()
    now = opened(meter)
    meter.settle(meter.take(Hold(100.0), now), 9000.0)
    assert meter.bucket.content == pytest.approx(1000.0)


def test_a_call_that_was_never_admitted_leaves_no_trace() -> None:
    for meter in (input_meter(), output_meter()):
        now = opened(meter)
        before = [bucket.content for bucket in meter.buckets]
        meter.void(meter.take(Hold(100.0, 1.0, 1000.0), now))
        assert [bucket.content for bucket in meter.buckets] == pytest.approx(before)
        assert meter.in_flight == 0.0


def test_output_counted_by_us_beyond_what_the_reply_says_is_given_back() -> None:
    meter = output_meter()
    now = opened(meter)
    mark = meter.take(Hold(100.0, 1.0, 1000.0), now)
    meter.produce(mark, 150.0, Hold(160.0, 1.0, 1000.0), now)
    meter.settle(mark, 120.0)
    for bucket in meter.buckets:
        assert bucket.content == pytest.approx(BURST - 120.0)


# --- what may go --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meter", [input_meter(), output_meter()])
def test_a_meter_that_is_full_lets_a_call_go_and_one_in_debt_lets_none(
    meter: StartMeter | OutputMeter,
) -> None:
    now = opened(meter)
    assert meter.wait(Hold(100.0, 0.0, 1000.0), now) == 0.0
    meter.settle(meter.take(Hold(100.0, 0.0, 1000.0), now), BURST + 5000.0)
    wait_s = meter.wait(Hold(100.0, 0.0, 1000.0), now)
    assert wait_s >= 5.0
    assert meter.wait(Hold(100.0, 0.0, 1000.0), now + wait_s) == pytest.approx(0.0, abs=1e-6)


def test_less_certain_calls_keep_more_back() -> None:
    sure, unsure = input_meter(), input_meter()
    for meter, variance in ((sure, 0.0), (unsure, 500.0**2)):
        now = opened(meter)
        for _ in range(16):
            meter.take(Hold(500.0, variance), now)
    assert unsure.wait(Hold(1000.0), 1000.0) > sure.wait(Hold(1000.0), 1000.0)


def test_what_is_kept_back_grows_with_the_root_of_the_calls_and_not_with_their_number() -> None:
    """Hold for the sum, not the sum of the holds: of 60 calls, each 300 off, the sum is 2,300 off and not 18,000."""
    meter = output_meter(20_000.0)
    now = opened(meter)
    for _ in range(60):
        meter.confirm(meter.take(Hold(200.0, 300.0**2, 1000.0), now), now)
    assert meter.pace.content == pytest.approx(8000.0)
    assert meter.wait(Hold(5000.0, 0.0, 5000.0), now) == 0.0
    assert meter.wait(Hold(7000.0, 0.0, 7000.0), now) > 0.0


def test_max_tokens_costs_nothing_where_output_is_charged_as_produced() -> None:
    meter = output_meter()
    now = opened(meter)
    for _ in range(10):
        mark = meter.take(Hold(100.0, 0.0, 100.0), now)
        meter.confirm(mark, now)
        meter.settle(mark, 0.0)
    assert not meter.is_reserved
    assert meter.wait(Hold(100.0, 0.0, 9_000_000.0), now) == 0.0


def test_output_is_paced_by_what_is_promised_although_it_comes_late() -> None:
    meter = output_meter()
    now = opened(meter)
    for _ in range(20):
        meter.confirm(meter.take(Hold(500.0, 0.0, 500.0), now), now)
    assert meter.wait(Hold(500.0, 0.0, 500.0), now) == pytest.approx(0.5, abs=0.2)


def test_output_that_is_longer_than_promised_stops_new_calls_while_it_is_being_produced() -> None:
    meter = output_meter()
    now = opened(meter)
    mark = meter.take(Hold(100.0, 0.0, 20_000.0), now)
    meter.produce(mark, 12_000.0, Hold(12_500.0, 0.0, 20_000.0), now)
    assert meter.wait(Hold(10.0, 0.0, 100.0), now) >= 2.0


# --- what headers and refusals teach ------------------------------------------------------------------------------


def test_a_header_that_shows_less_lowers_the_meter() -> None:
    meter = input_meter()
    now = opened(meter)
    mark = meter.take(Hold(100.0), now)
    meter.read(mark, Reading(Unit.INPUT_TOKENS, RATE * 60.0, 3000.0, 500.0))
    assert meter.bucket.content <= 4500.0
    assert meter.wait(Hold(8000.0), now) > 3.0


def test_a_header_without_a_figure_teaches_nothing() -> None:
    for meter in (input_meter(), output_meter()):
        now = opened(meter)
        mark = meter.take(Hold(100.0), now)
        before = [bucket.content for bucket in meter.buckets]
        meter.read(mark, Reading(Unit.INPUT_TOKENS, RATE * 60.0, None))
        assert [bucket.content for bucket in meter.buckets] == before


def test_a_refusal_makes_the_next_call_wait_what_the_provider_said() -> None:
    for meter in (input_meter(), output_meter()):
        now = opened(meter)
        mark = meter.take(Hold(100.0), now)
        refused(meter, mark, 7.0, now)
        assert meter.wait(Hold(100.0), now) >= 7.0
        assert meter.wait(Hold(100.0), now + 9.0) <= 1.0


def test_debt_of_calls_in_flight_that_were_underestimated_is_not_a_smaller_bucket() -> None:
    meter = input_meter()
    now = opened(meter)
    marks = [meter.take(Hold(900.0, 900.0**2), now) for _ in range(11)]
    refused(meter, marks.pop(), 3.0, now)
    assert meter.bucket.capacity == BURST


Charging = Literal["produced", "reserved"]


def served(
    charging: Charging, calls: int, *, burst_s: float = 30.0, most: float = 1024.0, seconds: float = 2.0
) -> OutputMeter:
    """A meter that sent calls to a provider that charges so: every half second one of 100 tokens, over `seconds`."""
    meter = output_meter(RATE * burst_s)
    tank = Tank(RATE, RATE * burst_s)
    now = opened(meter)
    tank.advance(now)
    ending: list[tuple[float, Mark]] = []
    for _ in range(calls):
        now += 0.5
        while ending and ending[0][0] <= now:
            meter.settle(ending.pop(0)[1], 100.0)
        tank.advance(now)
        if charging == "reserved":
            tank.take(most)
            tank.later(now + seconds, amount=100.0 - most)
        else:
            tank.later(now, drain=100.0 / seconds)
            tank.later(now + seconds, drain=-100.0 / seconds)
        mark = meter.take(Hold(100.0, 50.0**2, most), now)
        shown = round(max(tank.level, 0.0) / 1000.0) * 1000.0
        meter.read(mark, Reading(Unit.OUTPUT_TOKENS, RATE * 60.0, shown, 500.0))
        meter.confirm(mark, now)
        ending.append((now + seconds, mark))
    return meter


def test_a_provider_that_reserves_max_tokens_is_found_out() -> None:
    assert served("reserved", 40).is_reserved


@pytest.mark.parametrize("most", [100.0, 1024.0, 64_000.0])
def test_a_provider_that_charges_what_is_produced_is_believed(most: float) -> None:
    assert not served("produced", 80, most=most).is_reserved


def test_one_odd_header_does_not_change_the_belief() -> None:
    meter = served("produced", 40)
    mark = meter.take(Hold(100.0, 0.0, 1024.0), 2000.0)
    meter.read(mark, Reading(Unit.OUTPUT_TOKENS, RATE * 60.0, RATE * 30.0 - 1000.0, 500.0))
    assert not meter.is_reserved


def test_where_output_is_reserved_calls_wait_for_their_max_tokens() -> None:
    meter = served("reserved", 40, burst_s=30.0)
    now = 2000.0
    for bucket in meter.buckets:
        bucket.refill(now)
    assert meter.wait(Hold(100.0, 0.0, 1024.0), now) == 0.0
    for _ in range(40):
        if meter.wait(Hold(100.0, 0.0, 1024.0), now) > 0.0:
            break
        meter.take(Hold(100.0, 0.0, 1024.0), now)
    assert meter.in_flight <= RATE * 30.0 / 1024.0 * 100.0 + 800.0


def test_taking_over_a_call_admitted_before_the_limit_was_known_charges_it_at_its_end_only() -> None:
    meter = input_meter()
    opened(meter)
    before = meter.bucket.content
    mark = meter.adopt(Hold(500.0, 1.0))
    assert meter.in_flight == 500.0
    assert meter.bucket.content == before
    meter.settle(mark, 500.0)
    assert meter.in_flight == 0.0
    assert meter.bucket.content == pytest.approx(before)


def test_the_bucket_of_a_meter_is_one_of_its_buckets() -> None:
    for meter in (input_meter(), output_meter()):
        assert isinstance(meter.level, Bucket)
        assert meter.level in meter.buckets
