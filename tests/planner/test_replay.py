"""Traffic that is replayed: what would have waited, what it would have cost, and what if."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from headway.errors import ConfigError, InputError
from headway.planner import replay_source
from headway.planner.replay import LimitUse, Outcome, Replay, replay
from planner.replays import OPUS, a_ledger, replayed

HAIKU = {"model_asked": "claude-haiku-4-5", "pool": "anthropic/haiku-4.5"}
SLOW = "requests=60/min"


def steady(count: int, every_s: float = 1.0, **columns: Any) -> list[dict[str, Any]]:
    return [{"at": number * every_s, **columns} for number in range(count)]


def use_of(outcome: Outcome, unit: str, pool: str = "anthropic/opus-4") -> LimitUse:
    return next(each for each in outcome.limits if (each.pool, each.unit) == (pool, unit))


def only_what_if(made: Replay) -> Outcome:
    (outcome,) = made.what_ifs
    return outcome


def test_traffic_within_its_limits_waits_for_nothing(tmp_path: Path) -> None:
    made = replayed(a_ledger(tmp_path / "l", steady(60)), limits="requests=600/min", burst="5s")
    base = made.baseline
    assert (base.calls, base.answered, base.waits.waited, base.refusals) == (60, 60, 0, 0)
    assert base.nanousd == 60 * 1_750_000
    assert made.span_s == pytest.approx(61.0)


def test_a_crowd_waits_for_the_limit_that_binds_and_as_long_as_it_refills(tmp_path: Path) -> None:
    """65 calls at once at one a second, and a bucket that holds five: the last waits a minute."""
    base = replayed(a_ledger(tmp_path / "l", steady(65, 0.0)), limits=SLOW, burst="5s").baseline
    assert base.waits.most_s == pytest.approx(60.0, abs=1.5)
    assert base.waits.p50_s == pytest.approx(28.0, abs=1.5)
    assert base.refusals == 0
    assert use_of(base, "requests").bound_s == pytest.approx(60.0, abs=2.0)
    assert base.ends_s == pytest.approx(62.0, abs=2.0)


def test_without_headway_the_same_crowd_is_refused_and_part_of_it_fails(tmp_path: Path) -> None:
    base = replayed(a_ledger(tmp_path / "l", steady(61, 0.0)), limits=SLOW, burst="requests=1").baseline
    assert base.failed == 0
    assert base.unpaced is not None
    assert base.unpaced.failed > 30
    assert base.unpaced.refusals > 2 * base.unpaced.failed
    assert base.unpaced.attempts == base.unpaced.refusals + 61 - base.unpaced.failed


def test_more_quota_waits_less_and_costs_the_same(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "l", steady(61, 0.0))
    made = replayed(path, "limits=requests=600/min and burst=1s", limits=SLOW, burst="1s")
    assert only_what_if(made).waits.most_s < 0.2 * made.baseline.waits.most_s
    assert only_what_if(made).nanousd == made.baseline.nanousd


def test_a_tier_is_that_of_the_catalog(tmp_path: Path) -> None:
    made = replayed(a_ledger(tmp_path / "l", steady(5)), "tier=tier-2", tier="tier-1")
    assert use_of(made.baseline, "requests").amount == 50
    assert use_of(only_what_if(made), "requests").amount == 1000


def test_where_nobody_says_the_limits_the_lowest_tier_that_fits_is_assumed_and_said(tmp_path: Path) -> None:
    little = replayed(a_ledger(tmp_path / "little", steady(30, 2.0))).baseline
    assert use_of(little, "requests").amount == 50
    assert dict(little.sources)["anthropic/opus-4"].startswith("assumed: tier-1")
    much = replayed(a_ledger(tmp_path / "much", steady(300, 0.2))).baseline
    assert use_of(much, "requests").amount == 1000


def test_what_has_no_limits_waits_for_nothing(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "l", steady(200, 0.0, pool="elsewhere/x", model_asked="some-model"))
    base = replayed(path).baseline
    assert base.waits.waited == 0
    assert dict(base.sources)["elsewhere/x"].startswith("none known")


def test_what_draws_on_no_limit_is_counted_and_not_paced(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "l", [*steady(50, 0.0, pool="", cost_nanousd=0), *steady(5)])
    base = replayed(path, limits=SLOW, burst="5s").baseline
    assert (base.calls, base.off_limits, base.waits.waited) == (55, 50, 0)


def test_twice_the_load_is_twice_the_calls_and_money_and_longer_waits(tmp_path: Path) -> None:
    made = replayed(
        a_ledger(tmp_path / "l", steady(600, 1.1)), "load=2x", "load=0.5", limits=SLOW, burst="5s"
    )
    double, half = made.what_ifs
    assert double.calls == 1200
    assert double.nanousd == 2 * made.baseline.nanousd
    assert double.waits.p90_s > made.baseline.waits.p90_s + 60.0
    assert half.calls == pytest.approx(300, rel=0.2)


def test_a_budget_refuses_what_is_beyond_it_and_says_what_that_is_worth(tmp_path: Path) -> None:
    rows = [*steady(100, 10.0, tenant="x"), *steady(100, 10.0, tenant="y")]
    made = replayed(a_ledger(tmp_path / "l", rows), "budget tenant=x 0.035usd/day", limits="requests=6k/min")
    found = only_what_if(made)
    assert found.refused_by_budget == pytest.approx(80, abs=6)
    assert found.nanousd + found.refused_nanousd == made.baseline.nanousd
    assert {each.tenant: each.calls for each in found.groups}["y"] == 100


def test_a_budget_of_a_day_begins_anew_each_day(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "l", steady(200, 1000.0))  # two days and a bit
    found = only_what_if(replayed(path, "budget 10 requests/day", limits="requests=6k/min"))
    assert found.calls - found.refused_by_budget == 10 * len(
        {(1_790_000_000 + n * 1000) // 86_400 for n in range(200)}
    )


def test_a_class_above_goes_first_and_a_larger_weight_goes_oftener(tmp_path: Path) -> None:
    rows = [*steady(60, 0.0, tenant="x"), *steady(60, 0.0, tenant="y")]
    path = a_ledger(tmp_path / "l", rows)
    made = replayed(path, "class tenant=x bulk", "weight tenant=x 4", limits=SLOW, burst="1s")
    waits = [
        {each.tenant: each.p50_s for each in outcome.groups} for outcome in (made.baseline, *made.what_ifs)
    ]
    assert waits[0]["x"] == pytest.approx(waits[0]["y"], rel=0.1)
    assert waits[1]["x"] > 2.5 * waits[1]["y"]
    assert waits[2]["x"] < 0.7 * waits[2]["y"]


def test_what_is_dropped_is_gone_and_what_goes_to_the_batch_api_is_off_the_limits_at_half_the_price(
    tmp_path: Path,
) -> None:
    path = a_ledger(tmp_path / "l", [*steady(60, 0.0, job="nightly", **{"class": "bulk"}), *steady(30)])
    made = replayed(path, "drop job=nightly", "batch job=night*", limits=SLOW, burst="1s")
    dropped, batched = made.what_ifs
    assert (dropped.calls, dropped.dropped) == (30, 60)
    assert dropped.nanousd == 30 * 1_750_000
    assert (batched.calls, batched.batched, batched.off_limits) == (90, 60, 60)
    assert batched.waits.most_s < 5.0 < made.baseline.waits.most_s
    assert batched.nanousd == 30 * 1_750_000 + 60 * 875_000


def test_another_model_has_its_own_pool_and_price_and_tokens(tmp_path: Path) -> None:
    """Opus 4.5 costs $5 / $25; Sonnet 5.5 $2 / $10, and counts 1.3 times the tokens for the same text."""
    made = replayed(a_ledger(tmp_path / "l", steady(40)), f"model={OPUS}:claude-sonnet-5-5", tier="start")
    found = only_what_if(made)
    assert found.nanousd == 40 * (130 * 2_000 + 65 * 10_000)
    assert use_of(found, "requests", "anthropic/sonnet-5.5").mean > 0.0
    assert use_of(found, "requests").mean == 0.0


def test_who_may_not_wait_is_refused_instead(tmp_path: Path) -> None:
    made = replayed(a_ledger(tmp_path / "l", steady(61, 0.0)), "max_wait=10s", limits=SLOW, burst="1s")
    found = only_what_if(made)
    assert found.refused_to_wait == pytest.approx(50, abs=3)
    assert found.waits.most_s <= 10.5


def test_a_bound_on_calls_in_flight_is_what_they_wait_for(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "l", steady(20, 0.0))
    found = only_what_if(replayed(path, "concurrency=2", limits="requests=6k/min", burst="60s"))
    assert found.waits.most_s == pytest.approx(18.0, abs=1.0)
    ((pool, _, bound_s),) = found.bound
    assert pool == "anthropic/opus-4"
    assert bound_s == pytest.approx(18.0, abs=1.0)


def test_a_refused_session_goes_on_and_so_does_one_that_failed(tmp_path: Path) -> None:
    rows = steady(50, 5.0, session="s")
    found = only_what_if(replayed(a_ledger(tmp_path / "l", rows), "budget 5 requests", limits=SLOW))
    assert (found.calls, found.refused_by_budget) == (50, 45)


def test_reads_from_the_cache_are_free_of_the_limit_and_counted_by_a_budget_of_tokens(tmp_path: Path) -> None:
    cached = {"cache_read_tokens": 100_000, "estimated_input_tokens": 100_100}
    path = a_ledger(tmp_path / "l", steady(60, 1.0, **cached))
    limits = "input_tokens=30k/min"
    made = replayed(path, "budget 1m tokens", limits=limits, burst="5s")
    assert made.baseline.waits.waited == 0
    assert use_of(made.baseline, "input_tokens").mean == pytest.approx(0.2, rel=0.1)
    assert only_what_if(made).refused_by_budget == pytest.approx(50, abs=2)


def test_a_scenario_that_would_never_end_stops_and_says_so_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_source, "BACKLOG", 500)
    path = a_ledger(tmp_path / "l", steady(12_500, 0.05))
    made = replayed(path, "limits=requests=1/min", "load=0.5", limits="requests=6k/min", burst="5s")
    stopped, fine = made.what_ifs
    assert "500 calls waited" in stopped.stopped
    assert not made.baseline.stopped
    assert not fine.stopped
    assert fine.calls > 5000


def test_the_same_replay_is_the_same(tmp_path: Path) -> None:
    draws = random.Random(5)
    rows = [
        {"at": draws.uniform(0, 300), "session": draws.choice(["", "a", "b"]), "tenant": draws.choice("xyz")}
        for _ in range(500)
    ]
    path = a_ledger(tmp_path / "l", rows)
    assert replayed(path, "load=1.5x", limits=SLOW) == replayed(path, "load=1.5x", limits=SLOW)


def test_how_far_it_is_can_be_shown(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    from headway.config import Config

    path = a_ledger(tmp_path / "l", steady(5000, 0.1))
    replay(
        path,
        0,
        ["tier=tier-4"],
        config=Config(tier="tier-4"),
        tell=lambda what, share: told.append((what, share)),
    )
    assert {what for what, _ in told} == {
        "as it was", "as it was, without headway", "tier=tier-4", "tier=tier-4, without headway",
    }  # fmt: skip
    assert all(0.0 <= share <= 1.1 for _, share in told)


def test_what_cannot_be_replayed_is_said_before_anything_runs(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "l", steady(5))
    with pytest.raises(InputError, match="nothing is called 'teir'"):
        replayed(path, "teir=x")
    with pytest.raises(ConfigError, match="unknown tier"):
        replayed(path, tier="tier-99")
