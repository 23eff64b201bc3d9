"""Beginnings that lines share are found, whatever their number, and how long they are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from headway.planner.beginnings import PROBE, Beginnings, Shared

LONG = "rule " * PROBE


def found(texts: Sequence[tuple[str, str]], least: int = 100) -> list[tuple[list[int], int]]:
    """`texts` are the system prompt and the first message of each line."""
    beginnings = Beginnings()
    for number, (system, text) in enumerate(texts):
        beginnings.note(number, "model", b"", system.encode(), text)
    shared: list[Shared] = beginnings.shared(least, lambda number: texts[number][1])
    return [(list(each.lines), each.size) for each in shared]


def test_a_system_prompt_that_all_share_is_one_beginning() -> None:
    assert found([(LONG, f"{number}?") for number in range(5)]) == [([0, 1, 2, 3, 4], len(LONG))]


def test_first_messages_are_equal_up_to_where_they_differ() -> None:
    texts = [("", f"{LONG}{number}") for number in (11, 12, 23)]
    assert found(texts) == [([0, 1, 2], len(LONG))]


def test_a_longer_beginning_wins_over_the_system_prompt_alone() -> None:
    texts = [(LONG, f"{LONG}one"), (LONG, f"{LONG}two"), (LONG, "three"), (LONG, "four")]
    assert found(texts) == [([0, 1], 2 * len(LONG)), ([2, 3], len(LONG))]


def test_characters_beyond_ascii_count_by_their_bytes() -> None:
    text = "é" * (PROBE + 10)
    assert found([("", text + "a"), ("", text + "b")]) == [([0, 1], 2 * (PROBE + 10))]


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [(LONG, "alone")],
        [("", "short"), ("", "short")],
        [("x" * 99, "a"), ("x" * 99, "b")],
        [("", f"{number}{LONG}") for number in range(4)],
    ],
)
def test_what_does_not_pay_is_not_shared(texts: list[tuple[str, str]]) -> None:
    assert found(texts) == []


def test_lines_that_were_not_told_of_have_no_beginning() -> None:
    beginnings = Beginnings()
    beginnings.note(3, "model", b"", LONG.encode(), "a")
    beginnings.note(7, "model", b"", LONG.encode(), "b")
    assert [list(each.lines) for each in beginnings.shared(1, lambda _number: "")] == [[3, 7]]


def test_another_model_or_other_tools_are_another_beginning() -> None:
    beginnings = Beginnings()
    beginnings.note(0, "model", b"", LONG.encode(), "a")
    beginnings.note(1, "other", b"", LONG.encode(), "a")
    beginnings.note(2, "model", b"[1]", LONG.encode(), "a")
    assert beginnings.shared(1, lambda _number: "a") == []
