"""Which limits a replay goes by."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from headway.catalog.organisation import Group, keep
from headway.config import DEFAULT_BASE_URL, Config
from headway.core.call import Unit
from headway.core.limit import Limit, parse_limits
from headway.errors import ConfigError
from headway.planner.replay_limits import Known, Limits, as_kept
from planner.replays import OPUS, OPUS_POOL, a_ledger

ALWAYS, NOW_NS = 2**63 - 1, 10**18


def limits(path: Path, **settings: str) -> Limits:
    return Limits(Config(**settings), path, 0, ALWAYS, NOW_NS)  # type: ignore[arg-type]  # settings that are texts


def amounts(known: Known) -> dict[str, float]:
    return {limit.unit.value: limit.amount for limit in known.limits}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return a_ledger(tmp_path / "l", [{"at": 2.0 * number} for number in range(60)])


def taught(path: Path, value: object, key: str = f"bucket/{DEFAULT_BASE_URL}/{OPUS_POOL}") -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "INSERT INTO learnt VALUES (?, ?, 1)",
            (key, value if isinstance(value, str) else json.dumps(value)),
        )
        db.commit()
    return path


def test_what_is_set_counts(path: Path) -> None:
    known = limits(path, tier="tier-2", limits="requests=7/min").of(OPUS_POOL)
    assert amounts(known) == {"requests": 7, "input_tokens": 450_000, "output_tokens": 90_000}
    assert known.source == "set"


def test_else_what_the_admin_api_told_of_the_organisation(path: Path) -> None:
    told = Group(
        "model_group", "opus", (OPUS,), {"requests_per_minute": 333, "output_tokens_per_minute": 44_000}
    )
    keep(path, DEFAULT_BASE_URL, (told,), NOW_NS)
    known = limits(path).of(OPUS_POOL)
    assert amounts(known) == {"requests": 333, "output_tokens": 44_000}
    assert known.source == "those of your organisation"
    assert amounts(limits(path, tier="tier-2").of(OPUS_POOL))["requests"] == 1000


def test_else_what_refusals_taught_on_top_of_what_is_assumed(path: Path) -> None:
    lesson = {"requests": {"amount": 77.0, "capacity": 3.0, "overstated": 1.0, "at_ns": NOW_NS}}
    known = limits(taught(path, lesson)).of(OPUS_POOL)
    assert amounts(known)["requests"] == 77.0
    assert known.source == "learnt"
    assert as_kept(known.limits, known.lessons)[0].burst == 3.0


def test_else_what_headers_showed(path: Path) -> None:
    shown = {"at_ns": NOW_NS, "limits": {"requests": [900, 60], "input_tokens": [5000, 1]}}
    known = limits(taught(path, shown, f"limits/{DEFAULT_BASE_URL}/{OPUS_POOL}")).of(OPUS_POOL)
    assert known.limits == (Limit(Unit.REQUESTS, 900.0), Limit(Unit.INPUT_TOKENS, 5000.0, 1.0))
    assert known.source == "learnt"


def test_what_was_learnt_long_ago_is_not_believed(path: Path) -> None:
    shown = {"at_ns": NOW_NS - 8 * 86_400 * 10**9, "limits": {"requests": [900, 60]}}
    known = limits(taught(path, shown, f"limits/{DEFAULT_BASE_URL}/{OPUS_POOL}")).of(OPUS_POOL)
    assert known.source.startswith("assumed: tier-1")


def test_lessons_of_another_provider_and_nonsense_teach_nothing(path: Path) -> None:
    lesson = {"requests": {"amount": 77.0, "capacity": 3.0, "overstated": 1.0, "at_ns": NOW_NS}}
    taught(path, lesson, f"bucket/http://elsewhere/{OPUS_POOL}")
    taught(path, "no JSON")
    assert limits(path).of(OPUS_POOL).source.startswith("assumed: tier-1")


def test_else_the_lowest_tier_that_was_not_exceeded(tmp_path: Path) -> None:
    few = a_ledger(tmp_path / "few", [{"at": 2.0 * number} for number in range(60)])
    long = a_ledger(tmp_path / "long", [{"at": 2.0 * number, "input_tokens": 4000} for number in range(60)])
    assert limits(few).of(OPUS_POOL).source.startswith("assumed: tier-1,")
    assert limits(long).of(OPUS_POOL).source.startswith("assumed: tier-2,")


def test_of_an_unknown_pool_nothing_is_known(path: Path) -> None:
    known = limits(path).of("elsewhere/x")
    assert known.limits == ()
    assert known.source.startswith("none known")


def test_a_what_if_replaces_what_it_names_and_what_was_learnt_of_it(path: Path) -> None:
    lesson = {"requests": {"amount": 77.0, "capacity": 3.0, "overstated": 1.0, "at_ns": NOW_NS}}
    everything = limits(taught(path, lesson))
    more = everything.of(OPUS_POOL, more=parse_limits("requests=500/min"))
    assert amounts(more)["requests"] == 500
    assert Unit.REQUESTS not in more.lessons
    tier = everything.of(OPUS_POOL, tier="tier-3")
    assert amounts(tier)["requests"] == 2000
    assert not tier.lessons
    burst = everything.of(OPUS_POOL, tier="tier-3", burst="6s")
    assert next(each.burst for each in burst.limits if each.unit is Unit.REQUESTS) == 200.0


def test_a_burst_that_is_given_is_kept_whatever_was_learnt() -> None:
    given = (Limit(Unit.REQUESTS, 60.0, burst=9.0),)
    assert as_kept(given, {}) == given


def test_settings_that_cannot_be_used_are_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown tier"):
        limits(path, tier="none")
