"""What was taught is kept for a week, and nothing odd in the ledger is taken for a lesson."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.core.limit import Limit
from headway.ledger.lessons import BELIEVED_NS, keep_lessons, keep_limits, recall_lessons, recall_limits
from headway.ledger.sqlite import NoLedger, SqliteLedger

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
