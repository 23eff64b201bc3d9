"""Whose word counts for a limit, and what is made of waiting by it."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from headway.config import load
from headway.insights.finding import Finding
from headway.insights.known import amounts
from headway.insights.study import study
from headway.insights.walk import Window
from insights.plants import PLANTS
from insights.week import SONNET, clean, write

ALL = Window(0, 2**62)
POOL = "anthropic/opus-5.5"
NOW = 10**18


def with_learnt(path: Path, **values: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        for key, value in values.items():
            db.execute(
                "INSERT INTO learnt VALUES (?, ?, 1)", (f"{key}/https://api.anthropic.com/{POOL}", value)
            )
        db.commit()
    return path


def told(path: Path, **settings: str) -> dict[str, float]:
    with closing(sqlite3.connect(path)) as db:
        config = load({}, folder=path.parent, **settings)
        return amounts(db, config, path, NOW).get(POOL, {})


def waiting(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite3"
    plant = next(plant for plant in PLANTS if plant.name == "bound, cause unknown")
    write(path, plant.calls(random.Random(1)))
    return path


def test_a_tier_is_less_sure_than_a_lesson_and_that_than_headers_and_those_than_your_word(
    tmp_path: Path,
) -> None:
    path = waiting(tmp_path)
    assert told(path) == {}
    assert told(path, tier="start")["input_tokens"] == 2_000_000
    with_learnt(path, bucket='{"input_tokens": {"amount": 900000}}')
    assert told(path, tier="start")["input_tokens"] == 900_000
    with_learnt(path, limits='{"at_ns": 1, "limits": {"input_tokens": [15000, 1.0]}}')
    assert told(path, tier="start") == {"requests": 1000, "input_tokens": 900_000, "output_tokens": 400_000}
    assert told(path, limits="input_tokens=300k/min")["input_tokens"] == 300_000


@pytest.mark.parametrize(
    "odd", ["", "[]", "7", '{"input_tokens": "x"}', '{"limits": [1]}', '{"limits": {"requests": [1]}}']
)
def test_what_cannot_be_read_is_left_out(tmp_path: Path, odd: str) -> None:
    assert told(with_learnt(waiting(tmp_path), bucket=odd, limits=odd)) == {}


def only_finding(path: Path) -> Finding:
    (finding,) = study(path, ALL).findings
    return finding


def test_calls_that_wait_for_nobody_knows_what_while_a_learnt_limit_is_idle_are_told_so(
    tmp_path: Path,
) -> None:
    path = waiting(tmp_path)
    assert only_finding(path).found.rule == "binding-limit"
    with_learnt(
        path, limits='{"at_ns": 1, "limits": {"input_tokens": [900000, 60], "output_tokens": [900000, 60]}}'
    )
    finding = only_finding(path)
    assert (finding.found.rule, finding.found.certainty) == ("idle-quota", "likely")


def test_a_large_max_tokens_costs_nothing_at_anthropic(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    plant = next(plant for plant in PLANTS if plant.name == "reserved")
    generous = [replace(call, model=SONNET) for call in plant.calls(random.Random(1))]
    write(path, clean(1) + generous)
    assert study(path, ALL).findings == ()
