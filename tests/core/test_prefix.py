"""Rules of warming a shared prompt-cache prefix once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Estimate
from headway.core.prefix import LIFE_S, Prefixes


def test_siblings_wait_from_the_first_call_until_its_reply_has_started() -> None:
    prefixes = Prefixes()
    assert not prefixes.is_warming("p", 0.0)
    prefixes.go("p", "first", 0.0)
    assert prefixes.is_warming("p", 1.0)
    assert not prefixes.is_warm("p", 1.0)
    prefixes.started("p", 2.0)
    assert not prefixes.is_warming("p", 2.0)
    assert prefixes.is_warm("p", 2.0)


def test_calls_without_a_prefix_wait_for_nobody() -> None:
    prefixes = Prefixes()
    prefixes.go("", "first", 0.0)
    assert not prefixes.is_warming("", 0.0)
    prefixes.started("", 0.0)
    assert not prefixes.is_warm("", 0.0)


def test_one_prefix_says_nothing_about_another() -> None:
    prefixes = Prefixes()
    prefixes.go("p", "first", 0.0)
    assert not prefixes.is_warming("q", 0.0)
    prefixes.started("p", 1.0)
    assert not prefixes.is_warm("q", 1.0)


def test_if_the_first_call_fails_another_may_try() -> None:
    prefixes = Prefixes()
    prefixes.go("p", "first", 0.0)
    prefixes.failed("p", "first")
    assert not prefixes.is_warming("p", 0.0)
    prefixes.go("p", "second", 0.0)
    assert prefixes.is_warming("p", 0.0)


def test_a_sibling_that_fails_does_not_end_the_wait_for_the_first() -> None:
    prefixes = Prefixes()
    prefixes.go("p", "first", 0.0)
    prefixes.go("p", "second", 0.0)
    prefixes.failed("p", "second")
    assert prefixes.is_warming("p", 0.0)


def test_an_entry_lives_a_little_less_than_five_minutes_from_its_last_use() -> None:
    prefixes = Prefixes()
    prefixes.started("p", 0.0)
    assert prefixes.is_warm("p", 280.0)
    assert not prefixes.is_warm("p", 300.0)
    prefixes.started("p", 280.0)
    assert prefixes.is_warm("p", 560.0)
    assert not prefixes.is_warm("p", 581.0)


def test_an_entry_that_has_gone_cold_is_warmed_by_one_call_again() -> None:
    prefixes = Prefixes()
    prefixes.started("p", 0.0)
    prefixes.go("p", "later", 400.0)
    assert prefixes.is_warming("p", 400.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["go", "started", "failed", "pass"]),
            st.sampled_from("pq"),
            st.sampled_from("123"),
        ),
        max_size=60,
    )
)
def test_a_prefix_is_warm_or_being_warmed_by_one_call_or_neither(acts: list[tuple[str, str, str]]) -> None:
    prefixes, now = Prefixes(), 0.0
    warm_at: dict[str, float] = {}
    first: dict[str, str] = {}
    for act, prefix, call_id in acts:
        now += 50.0 if act == "pass" else 1.0
        is_warm = prefix in warm_at and now < warm_at[prefix] + 290.0
        match act:
            case "go":
                prefixes.go(prefix, call_id, now)
                if not is_warm:
                    first.setdefault(prefix, call_id)
            case "started":
                prefixes.started(prefix, now)
                first.pop(prefix, None)
                warm_at[prefix] = now
            case "failed":
                prefixes.failed(prefix, call_id)
                if first.get(prefix) == call_id:
                    del first[prefix]
        is_warm = prefix in warm_at and now < warm_at[prefix] + 290.0
        assert prefixes.is_warm(prefix, now) == is_warm
        assert prefixes.is_warming(prefix, now) == (prefix in first and not is_warm)


# --- who waits for whom -------------------------------------------------------------------------------------------


def estimate(prefix: str = "p", cacheable: float = 5000.0) -> Estimate:
    return Estimate(6000.0, 100, cacheable_tokens=cacheable, prefix=prefix)


def test_siblings_of_a_call_that_warms_are_held_for_a_minute_at_most() -> None:
    prefixes = Prefixes()
    assert prefixes.held_until(estimate(), 0.0) is None
    prefixes.go("p", "first", 10.0)
    assert prefixes.held_until(estimate(), 11.0) == 70.0
    assert prefixes.held_until(estimate(), 69.9) == 70.0
    assert prefixes.held_until(estimate(), 70.0) is None


def test_nobody_is_held_once_the_prefix_is_warm_or_the_call_that_warms_it_has_failed() -> None:
    prefixes = Prefixes()
    prefixes.go("p", "first", 0.0)
    prefixes.go("q", "second", 0.0)
    prefixes.started("p", 1.0)
    assert prefixes.held_until(estimate(), 1.0) is None
    assert not prefixes.failed("q", "first")
    assert prefixes.held_until(estimate("q"), 1.0) is not None
    assert prefixes.failed("q", "second")
    assert prefixes.held_until(estimate("q"), 1.0) is None


def test_a_short_prefix_is_not_worth_waiting_for() -> None:
    prefixes = Prefixes()
    prefixes.go("p", "first", 0.0)
    assert prefixes.held_until(estimate(cacheable=1023.0), 0.0) is None
    assert prefixes.held_until(estimate(cacheable=1024.0), 0.0) is not None


def test_a_call_reads_the_longest_entry_that_is_warm() -> None:
    prefixes = Prefixes()
    asked = Estimate(1000.0, 10, readable=(("long", 900.0), ("middle", 600.0), ("short", 300.0)))
    assert prefixes.reads(asked, 0.0) == 0.0
    prefixes.started("short", 0.0)
    prefixes.started("middle", 0.0)
    assert prefixes.reads(asked, 1.0) == 600.0
    assert prefixes.reads(asked, LIFE_S + 1.0) == 0.0
