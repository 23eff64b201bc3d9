"""The pieces of a request are weighed by the fit that sizes it whole, and add up to that."""

from __future__ import annotations

from typing import Any

import pytest

from headway.providers.catalog import Catalog
from headway.providers.shares import Scale, Weight, shares, total
from headway.providers.sizing import size

CATALOG = Catalog.load()
TOOL = {"name": "read", "description": "Reads a file.", "input_schema": {"type": "object", "properties": {}}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Read a.py, please. " * 20},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "a", "name": "read", "input": {"path": "a.py"}}],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "a", "content": "def f():\n    pass\n" * 50}],
    },
]
REQUESTS: list[dict[str, Any]] = [
    {"messages": MESSAGES[:1]},
    {"messages": MESSAGES, "tools": [TOOL], "system": "Be brief."},
    {"messages": MESSAGES, "tools": [TOOL, TOOL], "tool_choice": {"type": "any"}},
    {"messages": MESSAGES, "tools": [TOOL, SEARCH], "thinking": {"type": "enabled", "budget_tokens": 2048}},
    {
        "messages": MESSAGES,
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    },
    {"messages": MESSAGES, "mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}]},
]


@pytest.mark.parametrize("model", ["claude-opus-4", "claude-opus-4-8", "no-such-model"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_they_add_up_to_the_whole(model: str, request_: dict[str, Any]) -> None:
    facts = CATALOG.model(model)
    whole, pieces = size(request_, facts), total([share.weight for share in shares(request_, facts)])
    assert pieces.tokens == pytest.approx(whole.input_tokens, abs=5)
    assert pieces.doubt(Scale.of(facts).error) == pytest.approx(
        whole.error * whole.input_tokens, rel=0.05, abs=5
    )


def test_a_message_weighs_what_its_blocks_weigh() -> None:
    scale = Scale.of(CATALOG.model("claude-opus-4-8"))
    found = shares({"messages": MESSAGES}, CATALOG.model("claude-opus-4-8"))
    for index, message in enumerate(MESSAGES):
        blocks = sum(
            share.weight.tokens for share in found if (share.part, share.index) == ("messages", index)
        )
        assert blocks == pytest.approx(scale.message(message).tokens, abs=1)


def test_plain_text_has_no_doubt_of_its_own_and_a_tool_of_the_provider_has() -> None:
    scale = Scale.of(CATALOG.model("claude-opus-4-8"))
    assert scale.message(MESSAGES[0]).variance == 0.0
    assert scale.tool(TOOL).variance == 0.0
    assert scale.tool(SEARCH).variance > 1e6


def test_doubts_add_up_as_squares() -> None:
    assert Weight(100.0, 9.0).doubt(0.04) == pytest.approx(5.0)
    assert total([Weight(1.0, 2.0), Weight(3.0, 4.0)]) == Weight(4.0, 6.0)


def test_places_roles_names_and_breakpoints_are_told() -> None:
    marked = {**TOOL, "cache_control": {"type": "ephemeral"}}
    found = [
        (share.part, share.index, share.kind, share.name, share.role, share.marked)
        for share in shares({"messages": MESSAGES, "tools": [marked], "system": "Be brief."}, None)
    ]
    assert found == [
        ("hidden", 0, "frame", "", "", False),
        ("hidden", 1, "instructions for tools", "", "", False),
        ("tools", 0, "tool", "read", "", True),
        ("system", 0, "text", "", "", False),
        ("messages", 0, "text", "", "user", False),
        ("messages", 1, "tool_use", "read", "assistant", False),
        ("messages", 2, "tool_result", "", "user", False),
    ]
