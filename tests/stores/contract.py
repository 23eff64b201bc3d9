"""What every implementation of `core.ports.Store` promises. A test module inherits `StoreContract` and gives the store.

Only the port is used: what is held is seen in `levels`, what may go in the answers of `take`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.core.bucket import Lesson
from headway.core.call import Reading, Unit
from headway.core.limit import Limit
from headway.core.meter import Hold
from headway.core.ports import Level, Short, Store

LIMITS = (
    Limit(Unit.REQUESTS, 60.0, burst=10.0),
    Limit(Unit.INPUT_TOKENS, 60_000.0, burst=10_000.0),
    Limit(Unit.OUTPUT_TOKENS, 60_000.0, burst=10_000.0),
)
POOL = "pool"
START = 1000.0
NEAR = 100.0  # a store may keep a little back, or ahead: a tenth of a second of refill


def holds(
    *, input_tokens: float = 100.0, output_tokens: float = 100.0, most: float = 100.0
) -> dict[Unit, Hold]:
    return {
        Unit.REQUESTS: Hold(1.0),
        Unit.INPUT_TOKENS: Hold(input_tokens),
        Unit.OUTPUT_TOKENS: Hold(output_tokens, 0.0, most),
        Unit.TOKENS: Hold(input_tokens + output_tokens),
    }


def used(*, input_tokens: float = 100.0, output_tokens: float = 100.0) -> dict[Unit, float]:
    return {
        Unit.REQUESTS: 1.0,
        Unit.INPUT_TOKENS: input_tokens,
        Unit.OUTPUT_TOKENS: output_tokens,
        Unit.TOKENS: input_tokens + output_tokens,
    }


def level(store: Store, unit: Unit, now: float, pool: str = POOL) -> Level:
    return next(each for each in store.levels(pool, now) if each.limit.unit is unit)


def snapshot(store: Store, now: float, pool: str = POOL) -> list[tuple[Unit, float, float]]:
    """What each limit holds, and what is held by calls in flight; rounded, because stores may count in other ways."""
    return [
        (each.limit.unit, round(each.content, 3), round(each.in_flight, 3))
        for each in store.levels(pool, now)
    ]


def opened(store: Store, each: float, drawn: float) -> float:
    """Confirm calls of `each` tokens until all of the bucket is open, fill it, and draw so much; returns when."""
    now = START
    for number in range(40):
        now += 30.0
        assert (
            store.take(f"open{number}", POOL, holds(input_tokens=each, output_tokens=each, most=each), now)
            is None
        )
        store.confirm(f"open{number}", now)
        store.give_back(f"open{number}", used(input_tokens=each, output_tokens=each), now)
    now += 1e4
    assert store.take("drawn", POOL, holds(), now) is None
    store.give_back("drawn", used(input_tokens=drawn, output_tokens=drawn), now)
    return now


class StoreContract:
    """Inherit, and give `make`."""

    @pytest.fixture
    def make(self) -> Callable[[], Store]:
        """Makes an empty store each time it is called."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, make: Callable[[], Store]) -> Store:
        """A store that knows the limits of one pool since long before START."""
        made = make()
        made.set_limits(POOL, LIMITS, 0.0)
        return made

    # --- limits ---------------------------------------------------------------------------------------------------

    def test_a_pool_nobody_told_of_has_no_limits_and_lets_every_call_go(
        self, make: Callable[[], Store]
    ) -> None:
        store = make()
        assert store.limits(POOL) == ()
        assert store.levels(POOL, START) == ()
        assert all(store.take(f"{number}", POOL, holds(), START) is None for number in range(100))

    def test_limits_are_kept_as_they_were_told(self, store: Store) -> None:
        assert set(store.limits(POOL)) == set(LIMITS)
        assert store.limits("other") == ()

    def test_a_limit_told_again_changes_and_others_stay(self, store: Store) -> None:
        tighter = Limit(Unit.REQUESTS, 30.0, burst=5.0)
        store.set_limits(POOL, (tighter,), START)
        assert set(store.limits(POOL)) == {tighter, *LIMITS[1:]}
        assert level(store, Unit.REQUESTS, START).content <= 5.0

    def test_a_full_bucket_holds_its_burst_and_no_more_however_long_nothing_happens(
        self, store: Store
    ) -> None:
        for limit in LIMITS:
            seen = level(store, limit.unit, START + 1e6)
            assert seen.content == pytest.approx(limit.burst)
            assert seen.capacity == pytest.approx(limit.burst)
            assert seen.in_flight == 0.0

    # --- take -----------------------------------------------------------------------------------------------------

    def test_what_is_taken_is_held_on_every_limit(self, store: Store) -> None:
        assert store.take("t", POOL, holds(input_tokens=300.0, output_tokens=200.0), START) is None
        assert level(store, Unit.REQUESTS, START).in_flight == pytest.approx(1.0)
        assert level(store, Unit.INPUT_TOKENS, START).in_flight == pytest.approx(300.0)
        assert level(store, Unit.INPUT_TOKENS, START).content == pytest.approx(9700.0, abs=NEAR)
        assert level(store, Unit.OUTPUT_TOKENS, START).in_flight == pytest.approx(200.0)
        assert level(store, Unit.OUTPUT_TOKENS, START).content == pytest.approx(9800.0, abs=NEAR)

    def test_a_call_that_is_short_of_one_limit_takes_of_none(self, store: Store) -> None:
        assert store.take("large", POOL, holds(input_tokens=9000.0), START) is None
        before = snapshot(store, START)
        short = store.take("t", POOL, holds(input_tokens=9000.0), START)
        assert isinstance(short, Short)
        assert snapshot(store, START) == before

    def test_what_is_short_names_the_limit_its_level_and_how_long_it_takes(self, store: Store) -> None:
        store.take("large", POOL, holds(input_tokens=13_000.0), START)
        short = store.take("t", POOL, holds(), START)
        assert short is not None
        assert short.limit == LIMITS[1]
        assert short.level == pytest.approx(-3000.0, abs=NEAR)
        assert short.wait_s >= 3.0
        assert store.take("t", POOL, holds(), START + short.wait_s + 1e-6) is None

    def test_the_limit_that_takes_longest_is_the_one_that_is_named(self, store: Store) -> None:
        store.take("large", POOL, holds(input_tokens=12_000.0, output_tokens=30_000.0, most=30_000.0), START)
        short = store.take("t", POOL, holds(), START)
        assert short is not None
        assert short.limit.unit is Unit.OUTPUT_TOKENS

    def test_taking_again_with_the_same_ticket_takes_once(self, store: Store) -> None:
        assert store.take("t", POOL, holds(), START) is None
        before = snapshot(store, START)
        assert store.take("t", POOL, holds(), START) is None
        assert snapshot(store, START) == before

    def test_pools_know_nothing_of_each_other(self, store: Store) -> None:
        store.set_limits("other", LIMITS, 0.0)
        before = snapshot(store, START, "other")
        store.take("t", POOL, holds(input_tokens=20_000.0), START)
        assert snapshot(store, START, "other") == before
        assert store.take("o", "other", holds(), START) is None

    # --- giving back ----------------------------------------------------------------------------------------------

    def test_what_is_given_back_is_charged_with_what_it_took(self, store: Store) -> None:
        store.take("t", POOL, holds(input_tokens=500.0, output_tokens=500.0, most=1000.0), START)
        store.confirm("t", START)
        store.give_back("t", used(input_tokens=200.0, output_tokens=700.0), START)
        assert level(store, Unit.INPUT_TOKENS, START).content == pytest.approx(9800.0, abs=NEAR)
        assert level(store, Unit.OUTPUT_TOKENS, START).content == pytest.approx(9300.0, abs=NEAR)
        assert all(each.in_flight == pytest.approx(0.0) for each in store.levels(POOL, START))

    def test_giving_back_twice_is_giving_back_once(self, store: Store) -> None:
        store.take("t", POOL, holds(), START)
        store.give_back("t", used(input_tokens=5000.0), START)
        before = snapshot(store, START)
        store.give_back("t", used(input_tokens=5000.0), START)
        store.refuse("t", Unit.REQUESTS, 50.0, (), START)
        assert snapshot(store, START) == before

    def test_a_ticket_nobody_took_changes_nothing(self, store: Store) -> None:
        before = snapshot(store, START)
        store.confirm("never", START)
        store.assume("never")
        store.read("never", (Reading(Unit.INPUT_TOKENS, 60_000.0, 0.0),), START)
        store.produce("never", 100.0, Hold(100.0), START)
        store.refuse("never", None, 50.0, (), START)
        store.give_back("never", used(), START)
        assert snapshot(store, START) == before
        assert store.take("t", POOL, holds(), START) is None

    def test_time_pays_debt_back(self, store: Store) -> None:
        store.take("t", POOL, holds(), START)
        store.give_back("t", used(input_tokens=20_000.0), START)
        assert level(store, Unit.INPUT_TOKENS, START).content == pytest.approx(-10_000.0, abs=NEAR)
        assert level(store, Unit.INPUT_TOKENS, START + 5.0).content == pytest.approx(-5000.0, abs=NEAR)

    # --- what replies teach ---------------------------------------------------------------------------------------

    def test_headers_that_show_less_make_calls_wait(self, store: Store) -> None:
        store.take("t", POOL, holds(), START)
        store.read("t", (Reading(Unit.INPUT_TOKENS, 60_000.0, 0.0, 0.0),), START)
        store.give_back("t", used(), START)
        assert level(store, Unit.INPUT_TOKENS, START).content < 1000.0

    def test_headers_teach_limits_nobody_told(self, make: Callable[[], Store]) -> None:
        store = make()
        store.take("t", POOL, holds(), START)
        store.take("beside", POOL, holds(input_tokens=300.0), START)
        store.read("t", (Reading(Unit.INPUT_TOKENS, 60_000.0, 4000.0, 500.0),), START + 1.0)
        (limit,) = store.limits(POOL)
        assert (limit.unit, limit.amount, limit.period_s, limit.given) == (
            Unit.INPUT_TOKENS,
            60_000.0,
            60.0,
            False,
        )
        seen = level(store, Unit.INPUT_TOKENS, START + 1.0)
        assert seen.content <= 4600.0
        assert seen.in_flight == pytest.approx(400.0)
        store.give_back("t", used(), START + 2.0)
        store.give_back("beside", used(), START + 2.0)
        assert level(store, Unit.INPUT_TOKENS, START + 2.0).in_flight == pytest.approx(0.0)

    def test_headers_without_figures_teach_nothing(self, store: Store) -> None:
        store.take("t", POOL, holds(), START)
        before = snapshot(store, START)
        store.read("t", (Reading(Unit.INPUT_TOKENS, None, None), Reading(Unit.TOKENS, None, 500.0)), START)
        assert snapshot(store, START) == before
        assert set(store.limits(POOL)) == set(LIMITS)

    @pytest.mark.parametrize(("shown", "kept"), [(30_000.0, 30_000.0), (90_000.0, 60_000.0)])
    def test_headers_tighten_a_limit_that_is_yours_and_never_widen_it(
        self, make: Callable[[], Store], shown: float, kept: float
    ) -> None:
        store = make()
        store.set_limits(POOL, (Limit(Unit.INPUT_TOKENS, 60_000.0, given=True),), 0.0)
        store.take("t", POOL, holds(), START)
        store.read("t", (Reading(Unit.INPUT_TOKENS, shown, shown / 2),), START)
        (limit,) = store.limits(POOL)
        assert limit.amount == kept

    def test_headers_change_a_limit_that_is_the_providers_both_ways(self, make: Callable[[], Store]) -> None:
        store = make()
        store.set_limits(POOL, (Limit(Unit.INPUT_TOKENS, 60_000.0),), 0.0)
        for number, shown in enumerate((30_000.0, 90_000.0)):
            store.take(f"{number}", POOL, holds(), START + 100.0 * number)
            store.read(f"{number}", (Reading(Unit.INPUT_TOKENS, shown, 1000.0),), START + 100.0 * number)
            assert store.limits(POOL)[0].amount == shown

    def test_a_limit_of_yours_stays_yours_when_the_provider_tightens_it(
        self, make: Callable[[], Store]
    ) -> None:
        """Else the next header, which shows the provider's own limit raised again, would widen it beyond what you allowed."""
        store = make()
        store.set_limits(POOL, (Limit(Unit.INPUT_TOKENS, 60_000.0, given=True),), 0.0)
        for number, shown in enumerate((30_000.0, 90_000.0)):
            store.take(f"{number}", POOL, holds(), START + 100.0 * number)
            store.read(f"{number}", (Reading(Unit.INPUT_TOKENS, shown, 1000.0),), START + 100.0 * number)
        assert store.limits(POOL)[0].amount <= 60_000.0

    @pytest.mark.parametrize("known", [True, False])
    def test_a_header_that_shows_a_limit_of_nothing_changes_nothing(
        self, make: Callable[[], Store], known: bool
    ) -> None:
        """Headers show 0 for what is not provisioned; there is no pacing by that, and no division by it."""
        store = make()
        if known:
            store.set_limits(POOL, LIMITS, 0.0)
        store.take("t", POOL, holds(), START)
        before = store.limits(POOL)
        store.read("t", [Reading(unit, 0.0, 0.0) for unit in Unit], START)
        assert store.limits(POOL) == before
        assert store.take("u", POOL, holds(), START + 60.0) is None

    def test_a_refusal_makes_calls_wait_what_the_provider_said_and_gives_the_ticket_back(
        self, store: Store
    ) -> None:
        store.take("t", POOL, holds(), START)
        store.refuse("t", Unit.INPUT_TOKENS, 20.0, (), START)
        assert all(each.in_flight == pytest.approx(0.0) for each in store.levels(POOL, START))
        short = store.take("u", POOL, holds(), START)
        assert short is not None
        assert short.limit.unit is Unit.INPUT_TOKENS
        assert short.wait_s >= 20.0
        before = snapshot(store, START)
        store.give_back("t", used(), START)
        assert snapshot(store, START) == before

    def test_a_refusal_takes_nothing_of_the_other_limits(self, store: Store) -> None:
        before = level(store, Unit.OUTPUT_TOKENS, START).content
        store.take("t", POOL, holds(), START)
        store.refuse("t", Unit.INPUT_TOKENS, 20.0, (), START)
        assert level(store, Unit.OUTPUT_TOKENS, START).content == pytest.approx(before)
        assert level(store, Unit.REQUESTS, START).content == pytest.approx(10.0)

    @pytest.mark.parametrize("unit", [None, Unit.TOKENS])
    def test_a_refusal_by_a_limit_nobody_knows_makes_calls_wait_all_the_same(
        self, store: Store, unit: Unit | None
    ) -> None:
        store.take("t", POOL, holds(), START)
        store.refuse("t", unit, 20.0, (), START)
        short = store.take("u", POOL, holds(), START)
        assert short is not None
        assert short.wait_s >= 20.0

    def test_output_that_is_produced_beyond_its_hold_makes_calls_wait_before_its_end(
        self, store: Store
    ) -> None:
        store.take("t", POOL, holds(most=50_000.0), START)
        store.confirm("t", START)
        store.produce("t", 15_000.0, Hold(16_000.0, 0.0, 50_000.0), START)
        short = store.take("u", POOL, holds(), START)
        assert short is not None
        assert short.limit.unit is Unit.OUTPUT_TOKENS
        store.give_back("t", used(output_tokens=15_000.0), START)
        assert level(store, Unit.OUTPUT_TOKENS, START).content == pytest.approx(-5000.0, abs=NEAR)

    def test_supposing_a_burst_opens_a_bucket_nobody_tells_about(self, make: Callable[[], Store]) -> None:
        store = make()
        store.set_limits(POOL, (Limit(Unit.REQUESTS, 600.0),), 0.0)
        assert level(store, Unit.REQUESTS, START).capacity is None
        store.take("t", POOL, holds(), START)
        store.assume("t")
        capacity = level(store, Unit.REQUESTS, START).capacity
        assert capacity is not None
        assert 0.0 < capacity <= 100.0

    # --- what is kept for the next run ----------------------------------------------------------------------------

    def test_a_pool_that_was_never_refused_has_no_lessons(self, store: Store) -> None:
        assert store.lessons(POOL) == {}
        assert store.lessons("other") == {}

    def test_what_an_earlier_run_was_taught_is_where_this_one_starts(self, make: Callable[[], Store]) -> None:
        store = make()
        taught = {Unit.INPUT_TOKENS: Lesson(60_000.0, 2000.0, 500.0)}
        store.teach(POOL, taught)
        store.set_limits(POOL, (Limit(Unit.INPUT_TOKENS, 60_000.0),), 0.0)
        assert level(store, Unit.INPUT_TOKENS, START).capacity == pytest.approx(2000.0)
        assert store.lessons(POOL) == taught

    def test_a_lesson_about_another_limit_is_forgotten(self, make: Callable[[], Store]) -> None:
        store = make()
        store.teach(POOL, {Unit.INPUT_TOKENS: Lesson(30_000.0, 2000.0, 500.0)})
        store.set_limits(POOL, (Limit(Unit.INPUT_TOKENS, 60_000.0),), 0.0)
        assert store.lessons(POOL) == {}

    # --- properties -----------------------------------------------------------------------------------------------

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(
            st.tuples(
                st.floats(0.0, 3.0),
                st.floats(0.0, 2000.0),
                st.floats(0.0, 2000.0),
                st.integers(0, 5),
                st.sampled_from(["take", "take", "give_back", "give_back", "refuse", "again"]),
            ),
            max_size=40,
        )
    )
    def test_no_sequence_leaves_anything_held_or_makes_a_bucket_hold_more_than_it_can(
        self, make: Callable[[], Store], steps: list[tuple[float, float, float, int, str]]
    ) -> None:
        store, now, flying, over = make(), START, list[str](), list[str]()
        store.set_limits(POOL, LIMITS, 0.0)
        for number, (gap, expected, actual, pick, act) in enumerate(steps):
            now += gap
            if act == "take":
                most = max(expected, actual)
                if (
                    store.take(
                        f"{number}",
                        POOL,
                        holds(input_tokens=expected, output_tokens=expected, most=most),
                        now,
                    )
                    is None
                ):
                    store.confirm(f"{number}", now)
                    flying.append(f"{number}")
            elif act == "again" and over:
                store.give_back(over[pick % len(over)], used(input_tokens=actual), now)
            elif flying:
                ticket = flying.pop(pick % len(flying))
                over.append(ticket)
                if act == "refuse":
                    store.refuse(ticket, list(Unit)[pick % 4], gap, (), now)
                else:
                    store.give_back(ticket, used(input_tokens=actual, output_tokens=actual), now)
            seen = {each.limit.unit: each for each in store.levels(POOL, now)}
            assert seen[Unit.REQUESTS].in_flight == pytest.approx(len(flying), abs=1e-3)
            assert all(each.content <= (each.limit.burst or 0.0) + 1e-3 for each in seen.values())
        for ticket in flying:
            store.give_back(ticket, used(), now)
        assert all(each.in_flight == pytest.approx(0.0, abs=1e-3) for each in store.levels(POOL, now))

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        calls=st.lists(
            st.tuples(st.floats(0.0, 500.0), st.floats(0.0, 500.0), st.integers(0, 5)), max_size=40
        )
    )
    def test_once_all_is_given_back_a_pool_holds_what_the_truth_leaves(
        self, make: Callable[[], Store], calls: list[tuple[float, float, int]]
    ) -> None:
        """Against a shadow that knows nothing of holds. The buckets are too large to be full or empty."""
        store, flying = make(), list[tuple[str, float]]()
        store.set_limits(
            POOL, (Limit(Unit.INPUT_TOKENS, 6e7, burst=2e7), Limit(Unit.OUTPUT_TOKENS, 6e7, burst=2e7)), 0.0
        )
        now = opened(store, 2e6, 1e7)
        shadow = {seen.limit.unit: seen.content for seen in store.levels(POOL, now)}
        assert all(content == pytest.approx(1e7, rel=0.05) for content in shadow.values())
        total = 0.0
        for number, (expected, actual, pick) in enumerate(calls):
            now += 0.01
            total += 1e4 - actual
            held = holds(input_tokens=expected, output_tokens=expected, most=1000.0)
            assert store.take(f"{number}", POOL, held, now) is None
            flying.append((f"{number}", actual))
            if pick < len(flying):
                ticket, took = flying.pop(pick)
                store.give_back(ticket, used(input_tokens=took, output_tokens=took), now)
        for ticket, took in flying:
            store.give_back(ticket, used(input_tokens=took, output_tokens=took), now)
        for seen in store.levels(POOL, now):
            assert seen.content == pytest.approx(shadow[seen.limit.unit] + total, abs=1.0)
            assert seen.in_flight == pytest.approx(0.0, abs=1e-3)
