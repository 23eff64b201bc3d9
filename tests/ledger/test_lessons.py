"""What was taught is kept for a week, and nothing odd in the ledger is taken for a lesson."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.core.bucket import Lesson
from headway.core.call import Reading, Unit
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.meter import Hold
from headway.ledger.lessons import (
    BELIEVED_NS,
    keep_learnt,
    keep_lessons,
    keep_limits,
    recall_capacities,
    recall_lessons,
    recall_limits,
)
from headway.ledger.sqlite import NoLedger, SqliteLedger
from headway.stores.memory import MemoryStore

URL, POOL, NOW = "https://api.example", "anthropic/opus-4", 1_800_000_000 * 10**9
TAUGHT = {Unit.REQUESTS: Lesson(50.0, 4.0, 46.0), Unit.INPUT_TOKENS: Lesson(30_000.0, 2_500.0, 0.0)}


def test_the_next_run_knows_what_this_one_was_taught(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        keep_lessons(ledger, URL, POOL, TAUGHT, NOW)
    with SqliteLedger(tmp_path / "ledger") as ledger:
        assert recall_lessons(ledger, URL, POOL, NOW + 1) == TAUGHT
        assert recall_lessons(ledger, URL, "another pool", NOW + 1) == {}
        assert recall_lessons(ledger, "https://elsewhere.example", POOL, NOW + 1) == {}


def test_a_lesson_is_believed_for_a_week(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        keep_lessons(ledger, URL, POOL, TAUGHT, NOW)
        assert recall_lessons(ledger, URL, POOL, NOW + BELIEVED_NS - 1) == TAUGHT
        assert recall_lessons(ledger, URL, POOL, NOW + BELIEVED_NS) == {}


@pytest.mark.parametrize("odd", [{"requests": 7}, {"requests": {"amount": "x"}}, {"nothing": {}}, {}])
def test_what_is_no_lesson_teaches_nothing(tmp_path: Path, odd: dict[str, object]) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        ledger.remember(f"bucket/{URL}/{POOL}", odd)
        assert recall_lessons(ledger, URL, POOL, NOW) == {}


def test_without_a_ledger_nothing_is_kept() -> None:
    keep_lessons(NoLedger(), URL, POOL, TAUGHT, NOW)
    assert recall_lessons(NoLedger(), URL, POOL, NOW) == {}


SHOWN = (Limit(Unit.REQUESTS, 50.0), Limit(Unit.INPUT_TOKENS, 30_000.0))


def test_limits_that_headers_showed_are_known_before_the_next_call(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        keep_limits(ledger, URL, POOL, (*SHOWN, Limit(Unit.OUTPUT_TOKENS, 9.0, given=True)), NOW)
    with SqliteLedger(tmp_path / "ledger") as ledger:
        assert recall_limits(ledger, URL, POOL, NOW + BELIEVED_NS - 1) == SHOWN
        assert recall_limits(ledger, URL, POOL, NOW + BELIEVED_NS) == ()
        assert recall_limits(ledger, "https://elsewhere.example", POOL, NOW) == ()
    assert recall_limits(NoLedger(), URL, POOL, NOW) == ()


@pytest.mark.parametrize(
    "odd",
    [{"at_ns": NOW}, {"at_ns": "x"}, {"at_ns": NOW, "limits": {"mood": [1, 2]}}, {"at_ns": NOW, "limits": 3}],
)
def test_what_is_no_limit_is_none(tmp_path: Path, odd: dict[str, object]) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        ledger.remember(f"limits/{URL}/{POOL}", odd)
        assert recall_limits(ledger, URL, POOL, NOW) == ()


def _ran(remaining: float, *, amount: float = 50.0, taught: bool = False, given: bool = False) -> Engine:
    """An engine after a run in which a header showed so many requests to remain."""
    engine = Engine(MemoryStore())
    pool = engine.pool(POOL, 0.0)
    pool.shown = not given
    if taught:
        engine.store.teach(POOL, {Unit.REQUESTS: Lesson(amount, 4.0, 46.0)})
    if given:
        engine.store.set_limits(POOL, [Limit(Unit.REQUESTS, amount, burst=9.0, given=True)], 0.0)
    assert engine.store.take("t", POOL, {Unit.REQUESTS: Hold(1.0)}, 0.0) is None or given
    engine.store.read("t", [Reading(Unit.REQUESTS, amount, remaining, 60.0)], 0.0)
    return engine


def test_what_a_bucket_was_seen_to_hold_is_known_to_the_next_run(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        keep_learnt(ledger, URL, _ran(11.0), NOW)
    with SqliteLedger(tmp_path / "ledger") as ledger:
        assert recall_capacities(ledger, URL, POOL, NOW + BELIEVED_NS - 1) == {Unit.REQUESTS: 12.0}
        assert recall_capacities(ledger, URL, POOL, NOW + BELIEVED_NS) == {}
        assert recall_capacities(ledger, "https://elsewhere.example", POOL, NOW) == {}
    assert recall_capacities(NoLedger(), URL, POOL, NOW) == {}


def test_a_run_that_saw_less_of_a_bucket_unlearns_nothing(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        keep_learnt(ledger, URL, _ran(11.0), NOW)
        keep_learnt(ledger, URL, _ran(3.0), NOW + 5)
        assert recall_capacities(ledger, URL, POOL, NOW + 5) == {Unit.REQUESTS: 12.0}
        assert recall_capacities(ledger, URL, POOL, NOW + BELIEVED_NS) == {}
        keep_learnt(ledger, URL, _ran(3.0), NOW + BELIEVED_NS)
        assert recall_capacities(ledger, URL, POOL, NOW + BELIEVED_NS) == {Unit.REQUESTS: 4.0}


def test_another_limit_or_a_refusal_replaces_what_a_bucket_was_seen_to_hold(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        keep_learnt(ledger, URL, _ran(11.0), NOW)
        keep_learnt(ledger, URL, _ran(3.0, amount=60.0), NOW + 1)
        assert recall_capacities(ledger, URL, POOL, NOW + 1) == {Unit.REQUESTS: 4.0}
        keep_learnt(ledger, URL, _ran(49.0, amount=60.0, taught=True), NOW + 2)
        assert recall_capacities(ledger, URL, POOL, NOW + 2) == {Unit.REQUESTS: 4.0}


def test_a_bucket_that_you_named_yourself_was_not_seen(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        keep_learnt(ledger, URL, _ran(11.0, given=True), NOW)
        assert recall_capacities(ledger, URL, POOL, NOW) == {}


@pytest.mark.parametrize(
    "odd", [{"requests": 7}, {"requests": [1, 2]}, {"requests": ["x", 1, 2]}, {"mood": [1, 2, 3]}]
)
def test_what_is_no_capacity_is_none(tmp_path: Path, odd: dict[str, object]) -> None:
    with SqliteLedger(tmp_path / "ledger") as ledger:
        ledger.remember(f"capacity/{URL}/{POOL}", odd)
        assert recall_capacities(ledger, URL, POOL, NOW) == {}
