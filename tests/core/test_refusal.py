"""Rules of what a refusal is about."""

from __future__ import annotations

from math import inf

import pytest

from headway.core.call import Fault, Problem, Reading, Unit
from headway.core.refusal import limit_behind, too_long

REQUESTS_EMPTY = Reading(Unit.REQUESTS, 50.0, 0.0)
INPUT_EMPTY = Reading(Unit.INPUT_TOKENS, 30_000.0, 0.0)
OUTPUT_THERE = Reading(Unit.OUTPUT_TOKENS, 8_000.0, 8_000.0)


def problem(unit: Unit | None = None) -> Problem:
    return Problem(Fault.RATE_LIMITED, "rate_limit_error", "m", 429, unit=unit)


def test_the_limit_that_the_provider_names_is_believed_before_headers() -> None:
    assert limit_behind(problem(Unit.OUTPUT_TOKENS), (REQUESTS_EMPTY,)) is Unit.OUTPUT_TOKENS


@pytest.mark.parametrize(
    ("readings", "unit"),
    [
        ((REQUESTS_EMPTY, OUTPUT_THERE), Unit.REQUESTS),
        ((REQUESTS_EMPTY, INPUT_EMPTY), None),
        ((OUTPUT_THERE,), None),
        ((Reading(Unit.REQUESTS, None, None),), None),
        ((), None),
    ],
    ids=["one empty", "two empty", "none empty", "scrubbed", "no headers"],
)
def test_else_the_only_one_that_shows_as_empty(readings: tuple[Reading, ...], unit: Unit | None) -> None:
    assert limit_behind(problem(), readings) is unit


def test_a_wait_that_has_an_end_says_when() -> None:
    assert "clears in 12.5 s" in str(too_long("60 requests/min", -3.0, 12.5))
    assert "clears" not in str(too_long("a place", 0.0, inf))
