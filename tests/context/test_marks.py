"""Breakpoints are set where they pay, never more than four, and never against those of the caller."""

from __future__ import annotations

from typing import Any

import pytest

from context.rules import broken_cache_rules
from context.test_fitting import TOOLS, agent, talk
from headway.context import Fitted, fit
from headway.errors import InputError

MODEL = "claude-opus-4-8"  # keeps prefixes of 1,024 tokens and more
LONG = "You are a careful engineer. " * 400
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def marks(fitted: Fitted) -> list[tuple[str, bool]]:
    assert broken_cache_rules(fitted.messages, fitted.system, fitted.tools) == []
    return [(mark.where, mark.is_ours) for mark in fitted.breakpoints]


def test_a_conversation_that_goes_on_has_one_after_the_system_prompt_and_one_at_its_end() -> None:
    fitted = fit(talk(3, 500), MODEL, 1000, system=LONG, tools=TOOLS)
    assert marks(fitted) == [("system[0]", True), ("messages[6].content[0]", True)]
    assert fitted.system == [
        {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    ]
    assert fitted.arguments["tools"] == TOOLS


def test_a_first_question_has_none_at_its_end_as_nothing_may_follow() -> None:
    assert marks(fit(talk(0), MODEL, 1000, system=LONG)) == [("system[0]", True)]


def test_without_a_system_prompt_the_last_tool_has_it() -> None:
    tools = [{**TOOLS[0], "description": LONG}]
    assert marks(fit(talk(0), MODEL, 1000, tools=tools)) == [("tools[0]", True)]
    assert "cache_control" not in tools[0]


def test_what_is_too_short_to_be_kept_has_none() -> None:
    assert marks(fit(talk(1), MODEL, 1000, system="Be brief.", tools=TOOLS)) == []


def test_cache_false_leaves_everything_alone() -> None:
    messages = [*talk(3, 500), {"role": "assistant", "content": [{"type": "text", "text": "x", **MARK}]}]
    fitted = fit(messages, MODEL, 1000, system=LONG, cache=False)
    assert fitted.messages == messages
    assert fitted.system == LONG
    assert fitted.breakpoints == ()


def test_those_of_the_caller_stay_and_count() -> None:
    messages: list[dict[str, Any]] = talk(8, 500)
    for number in (0, 2, 4):
        messages[number] = {"role": "user", "content": [{"type": "text", "text": "x " * 2000, **MARK}]}
    fitted = fit(messages, MODEL, 1000, system=LONG)
    assert marks(fitted) == [
        ("messages[0].content[0]", False),
        ("messages[2].content[0]", False),
        ("messages[4].content[0]", False),
        ("messages[16].content[0]", True),
    ]


def test_more_than_four_of_the_caller_are_refused() -> None:
    block = {"type": "text", "text": "x", **MARK}
    with pytest.raises(InputError, match="5 cache breakpoints"):
        fit([{"role": "user", "content": [block] * 5}], MODEL, 1000)


def test_none_of_five_minutes_comes_before_one_of_an_hour() -> None:
    messages: list[dict[str, Any]] = talk(8, 500)
    messages[4] = {"role": "user", "content": [{"type": "text", "text": "x " * 2000, **HOUR}]}
    assert marks(fit(messages, MODEL, 1000, system=LONG)) == [
        ("messages[4].content[0]", False),
        ("messages[16].content[0]", True),
    ]


def test_those_that_fit_set_before_move_on_with_the_conversation() -> None:
    messages = talk(2, 500)
    for turn in range(6):
        fitted = fit(messages, MODEL, 1000, system=LONG)
        assert [where for where, _ in marks(fitted)] == [
            "system[0]",
            f"messages[{len(messages) - 1}].content[0]",
        ]
        messages = [*fitted.messages, {"role": "assistant", "content": f"Answer {turn}."}, *talk(0)]


def test_after_a_turn_of_many_blocks_there_is_one_within_reach_of_the_turn_before() -> None:
    uses = [{"type": "tool_use", "id": f"p{n}", "name": "read", "input": {}} for n in range(15)]
    results = [{"type": "tool_result", "tool_use_id": f"p{n}", "content": "text"} for n in range(15)]
    messages = [*agent(10, 600), {"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    assert [where for where, _ in marks(fit(messages, MODEL, 1000, system=LONG))] == [
        "system[0]",
        "messages[20].content[0]",
        "messages[22].content[14]",
    ]


def test_thinking_and_empty_text_carry_none() -> None:
    answer = [
        {"type": "text", "text": "Yes. " * 500},
        {"type": "text", "text": " "},
        {"type": "thinking", "thinking": "Well.", "signature": "s"},
    ]
    messages = [*talk(3, 500), {"role": "assistant", "content": answer}]
    assert marks(fit(messages, MODEL, 1000)) == [("messages[7].content[0]", True)]


def test_where_each_turn_begins_anew_the_conversation_has_none() -> None:
    """All but the newest turns are pinned and fill the room, so nothing more can be cut at once, and each turn cuts."""
    messages = talk(40, 400)
    pinned = range(60)
    budget = fit(messages[:62], MODEL, 1000, system=LONG).before.tokens + 30
    fitted = fit(messages, MODEL, 1000, system=LONG, budget=budget, pinned=pinned)
    assert fitted.dropped
    assert marks(fitted) == [("system[0]", True)]
