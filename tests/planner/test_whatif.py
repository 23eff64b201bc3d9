"""What-ifs: each changes one thing, and its time and money are those of the changed job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from headway.config import Config
from headway.ledger.price import Prices
from headway.planner.arrivals import arrivals_of
from headway.planner.beginnings import Shared
from headway.planner.plan import Doubt, Plan, plan
from headway.planner.reading import first_text
from headway.planner.shape import shape_of
from headway.planner.sizes import Sizes
from headway.planner.whatif import Material, WhatIf, what_ifs
from headway.providers.anthropic import Anthropic
from planner.jobs import line, mixed, params, read, scene

DOUBT = Doubt(0.1, 0.05, 0.1)


def changes(path: Path, lines: Sequence[bytes], config: Config) -> tuple[Plan, dict[str, WhatIf]]:
    made = scene(path, lines, config)
    found = read(path, lines)

    def beginnings(least: int) -> Sequence[Shared]:
        def text_of(number: int) -> str:
            return first_text(found.check(found.index.read(number), 1).line.request["messages"][0]["content"])

        return found.glance.beginnings.shared(least, text_of)

    made = replace(made, shape=shape_of(found.index, found.check), sizes=Sizes(found.index, found.check))
    material = Material(Anthropic(), found.check, beginnings)
    base = plan(made, DOUBT, Prices())
    return base, {each.name: each for each in what_ifs(made, base, material, Prices())}


def test_the_next_tier_is_faster_for_the_same_money(tmp_path: Path) -> None:
    base, found = changes(tmp_path / "job.jsonl", list(mixed(600)), Config(tier="tier-2"))
    assert base.nanousd is not None
    tier = found["tier tier-3"]
    assert "--tier tier-3" in tier.change
    assert tier.seconds is not None
    assert tier.seconds < 0.8 * base.seconds.p50
    assert tier.nanousd == pytest.approx(base.nanousd[1], rel=0.01)


def test_batches_are_half_the_price_within_a_day(tmp_path: Path) -> None:
    base, found = changes(tmp_path / "job.jsonl", list(mixed(200)), Config(tier="tier-4"))
    assert base.nanousd is not None
    batch = found["Message Batches"]
    assert batch.nanousd == pytest.approx(base.nanousd[1] / 2, rel=1e-6)
    assert (batch.seconds, batch.at_most) == (86_400.0, True)


def test_a_beginning_that_all_share_makes_the_job_cheaper_and_faster(tmp_path: Path) -> None:
    lines = [line(f"n{number}", params(f"Q {number}?", system="rule " * 4_000)) for number in range(500)]
    base, found = changes(tmp_path / "job.jsonl", lines, Config(tier="tier-1"))
    assert base.nanousd is not None
    cached = found["cache the shared beginning"]
    assert cached.seconds is not None
    assert cached.nanousd is not None
    assert cached.seconds < base.seconds.p50 / 2
    assert cached.nanousd < base.nanousd[1] / 2
    assert "500 lines share one beginning" in cached.note


def test_nothing_is_said_of_the_cache_where_nothing_is_shared(tmp_path: Path) -> None:
    _, found = changes(tmp_path / "job.jsonl", list(mixed(100)), Config(tier="tier-4"))
    assert "cache the shared beginning" not in found


def test_other_models_are_those_that_can_take_every_line(tmp_path: Path) -> None:
    _, found = changes(tmp_path / "job.jsonl", list(mixed(100, max_tokens=60_000)), Config(tier="tier-4"))
    models = [name for name in found if name.startswith("claude-")]
    assert models
    assert "claude-sonnet-4-20250514" not in models
    assert all(found[name].nanousd is not None for name in models)


def test_a_rate_that_the_quota_bears_makes_nobody_wait_long(tmp_path: Path) -> None:
    made = scene(
        tmp_path / "job.jsonl", mixed(600), Config(limits="requests=60,input_tokens=1m,output_tokens=1m")
    )
    calm = arrivals_of(made, 0.5)
    assert calm.full_at_s is None
    assert calm.used["requests"] == pytest.approx(0.5)
    assert calm.most_rate == pytest.approx(1.0)
    assert calm.wait_p50_s < 2.0
    assert calm.comes_for_s == 1_200
    assert calm.ends_s >= 1_200


def test_a_rate_beyond_the_quota_piles_up_and_says_from_when_on(tmp_path: Path) -> None:
    made = scene(
        tmp_path / "job.jsonl", mixed(600), Config(limits="requests=60,input_tokens=1m,output_tokens=1m")
    )
    busy = arrivals_of(made, 2.0)
    assert busy.used["requests"] == pytest.approx(2.0)
    assert busy.full_at_s == pytest.approx(
        5.0, abs=0.1
    )  # five seconds of refill are there, twice the refill is asked for
    assert busy.wait_most_s == pytest.approx(300, rel=0.1)
    assert busy.ends_s > 580


def test_a_long_row_of_arrivals_is_extended_by_the_limit(tmp_path: Path) -> None:
    made = scene(
        tmp_path / "job.jsonl",
        mixed(4_000),
        Config(limits="requests=60,input_tokens=1m,output_tokens=1m"),
    )
    busy, calm = arrivals_of(made, 2.0), arrivals_of(made, 0.5)
    assert busy.wait_most_s == pytest.approx(2_000, rel=0.02)
    assert busy.ends_s == pytest.approx(4_000, rel=0.02)
    assert calm.ends_s == pytest.approx(8_000, rel=0.01)
