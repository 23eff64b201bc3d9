from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Class, Unit
from headway.core.cap import parse_cap
from headway.core.limit import Limit, parse_amount, parse_duration, parse_limits, with_burst
from headway.errors import InputError
from headway.settings.kinds import CLASSES, LIMITED, read_value

AMOUNTS = st.from_regex(
    r"[0-9_,.]{0,6}[ ]?[kmgx]?[ ]?(/[ ]?(s|sec|min|m|h|hour|d|day|week)?)?", fullmatch=True
)
DURATIONS = st.from_regex(r"[0-9.]{0,5}[ ]?(ms|s|m|min|h|d|w)?", fullmatch=True)

BUDGETS = st.from_regex(
    r"([$] ?)?[1-9][0-9,_]{0,4}([.][0-9]{1,2})?[ ]?[kmgx]?[ ]?(usd|dollars?|[$]|tokens?|requests?|calls)?",
    fullmatch=True,
)


def can(read: Any, *values: Any, **named: Any) -> Any:
    """What a reader makes of it; None if it refuses."""
    try:
        return read(*values, **named)
    except (ValueError, InputError):
        return None


def test_the_words_are_those_of_the_core() -> None:
    assert set(CLASSES) == set(Class)
    for unit in Unit:
        assert (can(parse_limits, f"{unit}=5") is not None) == (unit in LIMITED)


@given(AMOUNTS | st.text(max_size=8))
def test_amounts_are_those_that_the_core_understands(text: str) -> None:
    assert (can(read_value, "limit", text) is None) == (can(parse_amount, text, of="") is None)


@given(DURATIONS | st.text(max_size=8))
def test_durations_mean_what_they_mean_to_the_core(text: str) -> None:
    assert can(read_value, "seconds", text) == can(parse_duration, text, of="")


@given(st.lists(st.tuples(st.sampled_from([*LIMITED, "request", ""]), AMOUNTS), min_size=1, max_size=3))
def test_limits_are_those_that_the_core_understands(parts: list[tuple[str, str]]) -> None:
    text = ",".join(f"{name}={amount}" for name, amount in parts)
    assert (can(read_value, "limits", text) is None) == (can(parse_limits, text) is None)


@given(DURATIONS | AMOUNTS.map("requests={}".format))
def test_bursts_are_those_that_the_core_understands(text: str) -> None:
    limits = (Limit(Unit.REQUESTS, 5.0),)
    assert (can(read_value, "burst", text) is None) == (can(with_burst, limits, text) is None)


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("dollars", "$1,000.50", 1000.5),
        ("dollars", "20 USD", 20.0),
        ("dollars", 20, 20.0),
        ("seconds", 90, 90.0),
        ("seconds", "0s", 0.0),
        ("days", "90d", 90 * 86_400.0),
        ("days", "48h", 2 * 86_400.0),
        ("tier", 2, "2"),
        ("version", date(2023, 6, 1), "2023-06-01"),
        ("switch", " Yes ", True),
        ("switch", "0", False),
        ("number", " 0 ", 0),
        ("count", 1, 1),
        ("limit", 50, "50"),
        ("burst", 5, "5"),
        ("path", "none", "none"),
        ("class", "bulk", "bulk"),
        ("class", " Bulk ", "bulk"),
        ("budget", " $2 ", "$2"),
        ("budget", "500k tokens", "500k tokens"),
        ("name", " nightly ", "nightly"),
    ],
)
def test_values_are_read_as_they_are_meant(kind: str, value: Any, read: Any) -> None:
    assert read_value(kind, value) == read


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", 5),
        ("text", " "),
        ("path", True),
        ("tier", True),
        ("tier", ""),
        ("version", "2023"),
        ("class", "urgent"),
        ("switch", 1),
        ("switch", "perhaps"),
        ("number", "-1"),
        ("number", 1.5),
        ("number", True),
        ("number", "²"),
        ("count", 0),
        ("dollars", True),
        ("dollars", "nan"),
        ("dollars", "inf"),
        ("dollars", "0"),
        ("seconds", -1),
        ("seconds", float("inf")),
        ("seconds", float("nan")),
        ("seconds", True),
        ("seconds", ["5s"]),
        ("days", "23h"),
        ("days", "for ever"),
        ("days", 90),
        ("limit", 0),
        ("limit", True),
        ("limit", -5),
        ("limits", 5),
        ("limits", ""),
        ("burst", True),
        ("budget", "5 eur"),
        ("budget", 5),
        ("budget", "0.00 usd"),
        ("name", "x" * 201),
        ("name", "two\nlines"),
        ("name", 5),
        ("budget", "0 tokens"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z].*[.?]$"):
        read_value(kind, value)


@given(BUDGETS)
def test_budgets_are_those_that_the_core_understands(text: str) -> None:
    assert (can(read_value, "budget", text) is None) == (can(parse_cap, text, "x") is None)
