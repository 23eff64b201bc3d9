"""Rules of what calls are expected to take, on fixed seeds where chance is part of the rule."""

from __future__ import annotations

from itertools import pairwise
from math import log, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Estimate
from headway.core.forecast import Forecast, Lengths, Ratio
from world import a_call

MOST = 8192


def lognormal(random: Random, median: float, sigma: float) -> float:
    return max(random.lognormvariate(log(median), sigma), 1.0)


def learn(lengths: Lengths, tokens: float, most: float = MOST) -> None:
    """One call, of which only the end is seen."""
    took = min(tokens, most)
    lengths.grow(0.0, took)
    lengths.end(took, cut_off=tokens >= most)


def taught(*tokens: float, most: float = MOST) -> Lengths:
    made = Lengths()
    for each in tokens:
        learn(made, each, most)
    return made


def watched(tokens: list[float], *, until: float) -> Lengths:
    """Calls that all start at once, at one speed: what has been learnt when the longest have got to `until` tokens."""
    lengths = Lengths()
    for each in tokens:
        produced = 0.0
        while produced < min(each, until):
            now = min(produced + 32.0, each, until)
            lengths.grow(produced, now)
            produced = now
        if produced == each:
            lengths.end(each, cut_off=False)
    return lengths


# --- before anything is known -------------------------------------------------------------------------------------


def test_before_any_reply_a_call_is_expected_to_be_like_those_of_production_services() -> None:
    guess = Lengths().expect(MOST)
    assert 200.0 <= guess.mean <= 700.0
    assert 100.0 <= sqrt(guess.variance) <= 1500.0


def test_a_call_is_expected_to_take_no_more_than_its_max_tokens() -> None:
    for most in (1, 5, 16, 100, 1000):
        assert 0.0 < Lengths().expect(most).mean <= most


def test_more_is_expected_of_a_call_that_may_take_more() -> None:
    means = [Lengths().expect(most).mean for most in (1, 10, 16, 100, 1000, 10_000, 100_000, 1_000_000)]
    assert means == sorted(means)


# --- what replies teach -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("median", "sigma"), [(30.0, 0.3), (120.0, 0.8), (300.0, 0.7), (1500.0, 0.5), (400.0, 1.2)]
)
def test_the_mean_is_learnt(median: float, sigma: float) -> None:
    """To 8 %, or 4 tokens: the prior still counts as a few long calls among 500."""
    random, lengths, total = Random(1), Lengths(), 0.0
    for _ in range(500):
        tokens = min(lognormal(random, median, sigma), MOST)
        learn(lengths, tokens)
        total += tokens
    assert lengths.expect(MOST).mean == pytest.approx(total / 500, rel=0.08, abs=4.0)


def test_the_variance_is_learnt() -> None:
    random, lengths, seen = Random(2), Lengths(), []
    for _ in range(1000):
        tokens = min(lognormal(random, 300.0, 0.7), MOST)
        learn(lengths, tokens)
        seen.append(tokens)
    mean = sum(seen) / 1000
    deviation = sqrt(sum((tokens - mean) ** 2 for tokens in seen) / 1000)
    assert sqrt(lengths.expect(MOST).variance) == pytest.approx(deviation, rel=0.15)


def test_a_few_replies_move_the_guess_and_many_settle_it() -> None:
    few, many = taught(*[2000.0] * 4), taught(*[2000.0] * 200)
    assert Lengths().expect(MOST).mean < few.expect(MOST).mean < 2400.0
    assert many.expect(MOST).mean == pytest.approx(2000.0, rel=0.15)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("until", [180.0, 360.0, 720.0])
def test_calls_that_still_run_do_not_bias_the_mean(until: float, seed: int) -> None:
    """The short replies come back first: on their own they would say much less than the truth.

    The mean is right as far as any call has got. What comes beyond is nobody's knowledge, and is guessed rather high.
    """
    random = Random(seed)
    tokens = [lognormal(random, 300.0, 0.7) for _ in range(400)]
    over = [each for each in tokens if each <= until]
    true, seen = sum(tokens) / 400, sum(min(each, until) for each in tokens) / 400
    lengths = watched(tokens, until=until)
    assert sum(over) / len(over) < 0.85 * true
    assert lengths.expect(until).mean == pytest.approx(seen, rel=0.05)
    assert 0.95 * true <= lengths.expect(MOST).mean <= (1.4 if until > 700.0 else 1.75) * true


def test_calls_that_still_run_steadily_do_not_bias_the_mean() -> None:
    """Sixty calls in flight all the time, each replaced when it ends: the usual state of a job."""
    random, lengths, true, speed = Random(4), Lengths(), 383.0, 12.0
    flying: list[list[float]] = []
    for _ in range(400):
        while len(flying) < 60:
            flying.append([0.0, lognormal(random, 300.0, 0.7)])
        for call in flying:
            now = min(call[0] + speed, call[1])
            lengths.grow(call[0], now)
            call[0] = now
            if now == call[1]:
                lengths.end(now, cut_off=False)
        flying = [call for call in flying if call[0] < call[1]]
    assert lengths.calls > 500
    assert lengths.expect(MOST).mean == pytest.approx(true, rel=0.08)


def test_a_call_cut_off_by_its_max_tokens_would_have_gone_on() -> None:
    """Half of the calls are longer than they may be: what a call without that cut would take is not learnt from the cut."""
    random, lengths = Random(5), Lengths()
    for _ in range(500):
        learn(lengths, lognormal(random, 300.0, 0.7), most=300.0)
    assert lengths.expect(300.0).mean == pytest.approx(242.0, rel=0.08)
    assert lengths.expect(MOST).mean > 330.0


def test_calls_of_which_only_the_end_is_seen_teach_the_same() -> None:
    """A reply that does not stream shows nothing until it is over."""
    at_once, slowly, random = Lengths(), Lengths(), Random(6)
    for _ in range(200):
        tokens = lognormal(random, 200.0, 0.8)
        learn(at_once, tokens)
        produced = 0.0
        while produced < tokens:
            now = min(produced + 7.0, tokens)
            slowly.grow(produced, now)
            produced = now
        slowly.end(tokens, cut_off=False)
    assert slowly.expect(MOST).mean == pytest.approx(at_once.expect(MOST).mean, rel=0.02)


# --- given what is there already ----------------------------------------------------------------------------------


def test_a_call_takes_at_least_what_it_has_produced() -> None:
    lengths = taught(*[100.0] * 50)
    for produced in (1.0, 50.0, 99.0, 150.0, 5000.0):
        assert lengths.expect(MOST, produced).mean >= produced


def test_a_call_that_has_produced_all_it_may_is_certain() -> None:
    guess = Lengths().expect(100, 100.0)
    assert (guess.mean, guess.variance) == (100.0, 0.0)
    assert Lengths().expect(100, 120.0).mean == 120.0


def test_the_longer_a_call_has_run_the_more_it_is_expected_to_take() -> None:
    random, lengths = Random(8), Lengths()
    for _ in range(300):
        learn(lengths, lognormal(random, 200.0, 1.0))
    means = [lengths.expect(MOST, float(produced)).mean for produced in range(0, 2000, 50)]
    assert all(after >= before - 1.0 for before, after in pairwise(means))


def test_new_kinds_start_from_what_their_owner_has_learnt() -> None:
    parent = taught(*[3000.0] * 100)
    assert Lengths(parent).expect(MOST).mean == pytest.approx(parent.expect(MOST).mean, rel=0.05)


def test_a_kind_that_differs_from_its_owner_is_believed_once_it_has_enough_calls() -> None:
    parent = taught(*[3000.0] * 200)
    kind = Lengths(parent)
    for _ in range(200):
        learn(kind, 50.0)
    assert kind.expect(MOST).mean < 200.0
    assert kind.taught >= 200


@given(
    st.lists(st.tuples(st.floats(0.0, 20_000.0), st.integers(1, 10_000)), max_size=40),
    st.lists(st.integers(1, 200_000), min_size=2, max_size=6),
    st.floats(0.0, 300_000.0),
)
def test_whatever_was_learnt_guesses_are_sane(
    calls: list[tuple[float, int]], mosts: list[int], produced: float
) -> None:
    """Between what is there and what may be, with a variance that the range allows, and monotone in what may be.

    Lengths are told apart by steps of 16 tokens at first, then of a quarter.
    """
    lengths = Lengths()
    for tokens, most in calls:
        learn(lengths, tokens, most)
    means = []
    for most in sorted(mosts):
        guess = lengths.expect(most, produced)
        assert guess.mean >= min(produced, guess.mean) >= 0.0
        assert produced * 0.999999 <= guess.mean <= max(most, produced) * 1.000001
        assert 0.0 <= guess.variance <= max(most - produced, 0.26 * produced, 16.0) ** 2 / 4 * 1.02
        means.append(guess.mean)
    assert all(after >= before * 0.999999 for before, after in pairwise(means))


# --- input --------------------------------------------------------------------------------------------------------


def test_before_any_reply_estimates_of_input_are_taken_as_they_are() -> None:
    assert Ratio().value == 1.0
    assert Ratio().error(0.1) == pytest.approx(0.1)


def test_a_constant_bias_of_estimates_is_learnt() -> None:
    ratio, random = Ratio(), Random(9)
    for _ in range(100):
        estimated = random.uniform(50.0, 5000.0)
        ratio.learn(estimated, 1.3 * estimated)
    assert ratio.value == pytest.approx(1.3, rel=0.03)


def test_the_error_of_estimates_is_learnt() -> None:
    careless, random = Ratio(), Random(10)
    exact = Ratio()
    for _ in range(300):
        estimated = random.uniform(50.0, 5000.0)
        careless.learn(estimated, estimated * random.gauss(1.0, 0.3))
        exact.learn(estimated, estimated)
    assert careless.error(0.1) == pytest.approx(0.3, rel=0.25)
    assert exact.error(0.1) < 0.05


def test_what_says_nothing_teaches_nothing() -> None:
    ratio = Ratio()
    ratio.learn(0.0, 100.0)
    ratio.learn(100.0, 0.0)
    assert ratio.value == 1.0


def test_a_change_of_bias_is_followed() -> None:
    ratio = Ratio()
    for _ in range(500):
        ratio.learn(100.0, 100.0)
    for _ in range(500):
        ratio.learn(100.0, 200.0)
    assert ratio.value == pytest.approx(2.0, rel=0.05)


# --- kinds --------------------------------------------------------------------------------------------------------


def test_calls_of_one_size_and_owner_are_of_one_kind() -> None:
    forecast = Forecast()
    assert forecast.lengths(a_call("1", job="j")) is forecast.lengths(a_call("2", job="j"))


def test_models_owners_and_sizes_are_told_apart() -> None:
    forecast = Forecast()
    calls = (
        a_call(job="j"),
        a_call(job="k"),
        a_call(tenant="t"),
        a_call(job="j", model="other"),
        a_call(job="j", estimate=Estimate(50_000.0, 1000)),
        a_call(job="j", estimate=Estimate(100.0, 64_000)),
    )
    assert len({id(forecast.lengths(call)) for call in calls}) == len(calls)


def test_input_is_corrected_by_model_and_owner() -> None:
    forecast = Forecast()
    forecast.ratio(a_call(job="j")).learn(100.0, 200.0)
    assert forecast.ratio(a_call("2", job="j")).value > 1.0
    assert forecast.ratio(a_call(job="k")).value == 1.0
    assert forecast.ratio(a_call(job="j", model="other")).value == 1.0


def test_what_is_kept_of_kinds_has_an_end() -> None:
    """Owners may be as many as there are users of a gateway."""
    forecast = Forecast()
    first = a_call(job="first")
    learn(forecast.lengths(first), 500.0)
    for number in range(5000):
        forecast.lengths(a_call(job=f"{number}"))
    assert forecast.lengths(first) is forecast.lengths(first)


def test_what_is_expected_of_a_call_that_has_not_begun_follows_what_is_learnt() -> None:
    lengths = Lengths()
    before = lengths.expect(4096)
    for _ in range(100):
        lengths.grow(0.0, 2000.0)
        lengths.end(2000.0, cut_off=False)
    assert lengths.expect(4096).mean > 2.0 * before.mean


def test_what_is_expected_is_kept_for_a_bounded_number_of_ceilings() -> None:
    lengths = Lengths()
    expected = {most: lengths.expect(most) for most in range(1, 501)}
    assert len(lengths._whole) <= 64
    assert all(lengths.expect(most) == guess for most, guess in expected.items())


def test_names_that_come_from_outside_do_not_fill_the_memory() -> None:
    forecast = Forecast()
    for number in range(5000):
        forecast.ratio(a_call(tenant=f"t{number}")).learn(100, 200)
    assert len(forecast._owners) <= 2000
    assert forecast.ratio(a_call(tenant="t4999")).value > 1.0
