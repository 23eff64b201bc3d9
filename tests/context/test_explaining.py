"""An explanation accounts for every token, says what is largest, and what the prompt cache can hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from context.recordings import counted_requests
from context.rules import conversations
from headway.context import count, explain
from headway.context.counting import facts_of

MODEL = "claude-opus-4-5"  # keeps prefixes of 4,096 tokens and more
TOOL = {"name": "read", "description": "Reads a file. " * 20, "input_schema": {"type": "object"}}
MARK = {"cache_control": {"type": "ephemeral"}}


def request(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "Hello there. " * 10}], **more}


@given(conversations())
def test_the_pieces_are_all_there_is(messages: list[dict[str, Any]]) -> None:
    found = explain({"model": MODEL, "messages": messages, "tools": [TOOL], "system": "Be brief."})
    assert sum(item.share for item in found.items) == pytest.approx(1.0)
    assert sum(item.tokens for item in found.items) == pytest.approx(found.count.tokens, abs=len(found.items))
    assert sum(found.kinds.values()) == pytest.approx(found.count.tokens, abs=len(found.kinds) + 1)
    assert [item.tokens for item in found.items] == sorted(
        (item.tokens for item in found.items), reverse=True
    )
    assert {item.where for item in found.items if item.role} == {
        f"messages[{n}]" for n in range(len(messages))
    }


def test_it_accounts_for_recorded_requests_too() -> None:
    for body, _ in counted_requests():
        if facts_of(body["model"]):
            found = explain(body)
            assert sum(item.share for item in found.items) == pytest.approx(1.0)
            assert found.count == count(body)


def test_what_the_api_adds_is_said_apart() -> None:
    bare = explain(request())
    assert [item.name for item in bare.items if item.where == "added by the API"] == ["frame"]
    full = explain(
        request(
            tools=[TOOL], tool_choice={"type": "any"}, thinking={"type": "enabled", "budget_tokens": 1024}
        )
    )
    added = {item.name: item.tokens for item in full.items if item.where == "added by the API"}
    assert added.keys() == {"frame", "thinking", "instructions for tools"}
    assert added["instructions for tools"] > 300


def test_each_tool_has_its_own_line_and_tools_of_the_provider_are_told_apart() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    found = explain(request(tools=[TOOL, search]))
    tools = {item.name: item for item in found.items if item.where.startswith("tools")}
    assert tools["read"].kinds == ("tool",)
    assert tools["web_search"].kinds == ("server tool",)
    assert tools["web_search"].tokens > 5000
    assert found.count.high - found.count.low > found.count.tokens


@pytest.mark.parametrize(
    ("model", "counts"),
    [
        ("claude-opus-4-1", False),
        ("claude-sonnet-4-5", False),
        ("claude-haiku-4-5", False),
        ("claude-opus-4-5", True),
        ("claude-sonnet-4-6", True),
        ("claude-haiku-5-5", True),
        ("claude-nobody-9", True),
    ],
)
def test_thinking_of_an_earlier_answer_counts_where_the_model_keeps_it(model: str, counts: bool) -> None:
    thought = {"type": "thinking", "thinking": "Let me see. " * 200, "signature": "s"}
    use = {"type": "tool_use", "id": "a", "name": "read", "input": {}}
    answer = {"type": "text", "text": "Yes."}
    in_turn, before = (
        explain(request(messages=[{"role": "assistant", "content": [thought, last]}]), model)
        for last in (use, answer)
    )
    assert in_turn.kinds["thinking"] > 500
    assert (before.kinds["thinking"] > 500) is counts


def test_thinking_that_is_not_shown_counts_by_its_signature() -> None:
    thought = {"type": "thinking", "thinking": "", "signature": "x" * 4000}
    found = explain(request(messages=[{"role": "assistant", "content": [thought]}]), "claude-opus-4-8")
    assert found.kinds["thinking"] > 300


def test_a_breakpoint_holds_from_the_least_that_the_model_keeps() -> None:
    short = explain(request(system=[{"type": "text", "text": "Be brief.", **MARK}]))
    assert [mark.keeps for mark in short.breakpoints] == [False]
    assert short.cacheable == 0
    long = explain(request(system=[{"type": "text", "text": "Be brief. " * 2500, **MARK}]))
    assert [(mark.where, mark.keeps) for mark in long.breakpoints] == [("system[0]", True)]
    assert long.cacheable == long.breakpoints[0].tokens >= 4096 == long.least
    cacheable = {item.where for item in long.items if item.cacheable}
    assert cacheable == {"added by the API", "system"}


def test_automatic_caching_marks_the_end() -> None:
    found = explain(request(cache_control={"type": "ephemeral"}))
    assert [mark.where for mark in found.breakpoints] == ["messages[0].content[0]"]


def test_it_is_a_table_for_people_and_a_dict_for_programs() -> None:
    messages = [{"role": "user", "content": f"Question {number}."} for number in range(40)]
    found = explain(request(messages=messages, tools=[TOOL]))
    text = str(found)
    assert text.startswith(f"{MODEL}: ")
    assert "tools[0] read" in text
    assert "smaller ones" in text
    assert json.loads(json.dumps(found.to_dict()))["count"]["tokens"] == found.count.tokens


def test_what_is_not_worth_a_line_is_put_together() -> None:
    messages = [
        {"role": "user", "content": "A question. " * (500 if number < 2 else 1)} for number in range(100)
    ]
    shown, rest = explain(request(messages=messages)).split()
    assert [item.where for item in shown[:2]] == ["messages[0]", "messages[1]"]
    assert len(shown) == 3
    assert len(rest) == 98
    shown, rest = explain(request()).split()
    assert len(shown) == 2
    assert rest == ()


def test_names_in_a_request_cannot_drive_the_terminal() -> None:
    found = explain(request(tools=[{**TOOL, "name": "\x1b[31mread\x07"}]))
    assert "\x1b" not in str(found)
    assert "\x07" not in str(found)
