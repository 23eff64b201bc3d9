"""The beginning and the end of a job, with what is between by the pace of the beginning, are as good as all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headway.config import Config
from headway.core.call import Identity, Unit
from headway.jobs.index import Checked
from headway.ledger.price import Prices
from headway.planner.plan import Doubt, plan
from headway.planner.replies import ASSUMED_DOUBT, stated
from headway.planner.scene import ASSUMED_BURST_S, play, span_for
from headway.planner.trial import Span
from planner.jobs import line, mixed, params, read, scene

WHOLE = Span(10**9, 1)
LIMITS = {
    "output": "requests=4000,input_tokens=2m,output_tokens=400k",
    "input": "requests=4000,input_tokens=300k,output_tokens=2m",
    "requests": "requests=600,input_tokens=2m,output_tokens=2m",
    "tiny": "requests=50,input_tokens=30k,output_tokens=8k",
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_extended_run_agrees_with_a_whole_one_within_one_percent(name: str, tmp_path: Path) -> None:
    lines = 5_000
    made = scene(tmp_path / "job.jsonl", mixed(lines), Config(limits=LIMITS[name]))
    span = span_for(made)
    assert span.first + span.last < lines / 2
    whole, bill = play(made, WHOLE, Prices())
    some, some_bill = play(made, span, Prices())
    assert whole.simulated == lines
    assert some.simulated < lines / 2
    assert some.ends_s == pytest.approx(whole.ends_s, rel=0.01)
    assert bill.total is not None
    assert some_bill.total == pytest.approx(bill.total, rel=0.01)
    for key, need in whole.needs.items():
        assert some.needs[key] == pytest.approx(need, rel=0.01)


def test_with_few_calls_at_once_latency_sets_the_pace(tmp_path: Path) -> None:
    made = scene(tmp_path / "job.jsonl", mixed(5_000), Config(limits=LIMITS["output"], concurrency=4))
    whole, some = play(made, WHOLE, Prices())[0], play(made, span_for(made), Prices())[0]
    assert some.ends_s == pytest.approx(whole.ends_s, rel=0.02)
    assert some.in_flight == (4, 4)
    assert some.pace > 1.5


def test_the_time_is_the_fluid_bound_and_what_start_and_end_take(tmp_path: Path) -> None:
    made = scene(tmp_path / "job.jsonl", mixed(5_000), Config(limits=LIMITS["output"]))
    course = play(made, span_for(made), Prices())[0]
    need = course.needs["anthropic/sonnet-4", Unit.OUTPUT_TOKENS]
    bound = (need - 400_000 / 60 * ASSUMED_BURST_S) / (400_000 / 60)
    assert bound < course.admitted_s < 1.03 * bound
    assert max(course.waited, key=lambda name: course.waited[name]) == ("anthropic/sonnet-4", "output_tokens")
    assert sum(course.waited.values()) <= 1.0
    assert course.refused == 0


def test_a_marked_beginning_is_written_once_and_read_by_all_others(tmp_path: Path) -> None:
    system = [{"type": "text", "text": "rule " * 4_000, "cache_control": {"type": "ephemeral"}}]
    lines = [line(f"n{number}", params(f"Q {number}?", system=system)) for number in range(400)]
    plain = [line(f"n{number}", params(f"Q {number}?", system="rule " * 4_000)) for number in range(400)]
    config = Config(limits="requests=1000,input_tokens=500k,output_tokens=400k")
    cached, bill = play(scene(tmp_path / "c.jsonl", lines, config), WHOLE, Prices())
    whole, dear = play(scene(tmp_path / "p.jsonl", plain, config), WHOLE, Prices())
    assert cached.simulated == whole.simulated == 400
    assert cached.ends_s < whole.ends_s / 3
    assert bill.input is not None
    assert dear.input is not None
    assert bill.input < dear.input / 5


def test_many_marked_beginnings_all_come_through(tmp_path: Path) -> None:
    def of(number: int) -> bytes:
        text = f"Manual {number % 40}. " + "rule " * 3_000
        system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
        return line(f"n{number}", params(f"Q {number}?", system=system))

    made = scene(tmp_path / "job.jsonl", map(of, range(400)), Config(limits=LIMITS["output"]))
    assert play(made, WHOLE, Prices())[0].simulated == 400


def test_pools_do_not_hold_each_other_up(tmp_path: Path) -> None:
    small = [line(f"o{number}", params(model="claude-opus-4-8")) for number in range(300)]
    config = Config(
        limits="requests=4000,input_tokens=2m,output_tokens=2m",
        pool_limits={"anthropic/sonnet-4": "requests=60"},
    )
    alone = scene(tmp_path / "a.jsonl", mixed(300), config)
    both = scene(tmp_path / "b.jsonl", [*mixed(300), *small], config)
    assert play(both, WHOLE, Prices())[0].admitted_s == pytest.approx(
        play(alone, WHOLE, Prices())[0].admitted_s, rel=0.03
    )


def test_doubt_makes_the_range_and_knowledge_narrows_it(tmp_path: Path) -> None:
    made = scene(tmp_path / "job.jsonl", mixed(4_000), Config(limits=LIMITS["output"], burst="5s"))
    wide = plan(made, Doubt(ASSUMED_DOUBT, 0.06, 0.3), Prices())
    narrow = plan(made, Doubt(0.02, 0.01, 0.05), Prices())
    for each in (wide, narrow):
        assert each.seconds.p10 <= each.seconds.p50 <= each.seconds.p90
        assert each.nanousd is not None
        assert each.nanousd[0] <= each.nanousd[1] <= each.nanousd[2]
    assert narrow.seconds.p50 == wide.seconds.p50
    assert wide.seconds.p90 > 1.5 * wide.seconds.p50
    assert narrow.seconds.p90 < 1.2 * narrow.seconds.p50


def test_a_model_without_a_price_has_no_cost_and_is_named(tmp_path: Path) -> None:
    made = scene(tmp_path / "job.jsonl", mixed(20), Config(limits=LIMITS["tiny"]))
    check = read(tmp_path / "job.jsonl", mixed(20)).check

    def nobody(data: bytes, number: int) -> Checked:
        return replace(check(data, number), identity=Identity("anthropic/sonnet-4", "nobody-1"))

    found = plan(replace(made, sizes=made.sizes.checked_by(nobody)), Doubt(0.1, 0.1, 0.1), Prices())
    assert found.nanousd is None
    assert found.unpriced == ("nobody-1",)


def test_of_several_pools_none_holds_calls_back_for_more_than_the_whole_time(tmp_path: Path) -> None:
    models = ("claude-opus-4-8", "claude-haiku-4-5", "claude-sonnet-4-5")
    lines = [line(f"n{number}", params("word " * 60, model=models[number % 3])) for number in range(600)]
    course = play(scene(tmp_path / "job.jsonl", lines, Config(tier="tier-1")), WHOLE, Prices())[0]
    pools = {pool for pool, _ in course.waited}
    assert len(pools) == 3
    for pool in pools:
        assert 0.3 < sum(share for (name, _), share in course.waited.items() if name == pool) <= 1.001


def test_a_single_call_is_the_middle_one(tmp_path: Path) -> None:
    course = play(scene(tmp_path / "job.jsonl", mixed(1), Config(tier="tier-1")), WHOLE, Prices())[0]
    need = course.needs["anthropic/sonnet-4", Unit.OUTPUT_TOKENS]
    assert need == pytest.approx(stated("200").length(2048, 0.5, 1.0), abs=1)
