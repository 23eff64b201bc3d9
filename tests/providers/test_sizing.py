"""Estimates count all of a request, grow with it, and never fail."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Estimate
from headway.providers.anthropic import Anthropic

MODEL = "claude-opus-4-20250514"
TEXT = "The report says that sales rose in the north and fell in the south. "


def estimate(content: Any = "hi", model: str = MODEL, **more: Any) -> Estimate:
    request: Mapping[str, Any] = {
        "model": model,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": content}],
        **more,
    }
    return Anthropic().estimate(request)


def tokens(content: Any = "hi", **more: Any) -> float:
    return estimate(content, **more).input_tokens


@pytest.mark.parametrize(
    ("text", "truth", "within"),
    [  # counts of the API, or of an exact reconstruction of its tokenizer
        ("hi there", 9, 0.15),
        ("Die Bundesregierung hat gestern beschlossen, dass die Steuern sinken sollen.", 26, 0.3),
        (
            "政府昨天宣布,明年将降低中小企业的税收,而大型企业则需要缴纳更多的税款,以平衡国家的预算支出。",
            60,
            0.15,
        ),
    ],
)
def test_texts_whose_count_is_known(text: str, truth: int, within: float) -> None:
    assert tokens(text) == pytest.approx(truth, rel=within)


def test_newer_models_take_more_for_the_same_english() -> None:
    ratio = tokens(TEXT * 50, model="claude-opus-4-8") / tokens(TEXT * 50)
    assert 1.2 < ratio < 1.55
    chinese = "政府昨天宣布明年将降低企业的税收" * 50
    assert tokens(chinese, model="claude-opus-4-8") / tokens(chinese) == pytest.approx(1.0, abs=0.05)


def test_an_unknown_model_is_taken_as_a_new_one() -> None:
    assert tokens(TEXT * 9, model="claude-next") == tokens(TEXT * 9, model="claude-opus-4-8")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": TEXT},
        {"type": "tool_use", "name": "f", "input": {"a": TEXT}},
        {"type": "server_tool_use", "name": "web_search", "input": {"query": TEXT}},
        {"type": "tool_result", "tool_use_id": "x", "content": TEXT},
        {"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text", "text": TEXT}]},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": TEXT}]},
        {"type": "document", "source": {"type": "text", "data": TEXT}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": TEXT}]}},
        {"type": "bash_code_execution_tool_result", "content": {"type": "r", "stdout": TEXT}},
        {"type": "compaction", "content": TEXT},
        {"type": "of_tomorrow", "words": [TEXT]},
    ],
)
def test_text_in_any_block_is_counted(block: dict[str, Any]) -> None:
    alone = tokens(TEXT)
    assert alone * 0.9 < tokens([block]) < alone + 80


def test_system_and_tools_are_counted() -> None:
    tool = {"name": "get_weather", "description": TEXT, "input_schema": {"type": "object", "properties": {}}}
    assert tokens(system=TEXT) > tokens() + 12
    assert tokens(system=[{"type": "text", "text": TEXT}]) == tokens(system=TEXT)
    assert tokens(tools=[tool]) > tokens() + 306 + 12


def test_hidden_prompts_are_counted() -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    newer = {"model": "claude-sonnet-4-5", "tools": tools}
    assert tokens(**newer, tool_choice={"type": "any"}) - tokens(**newer, tool_choice={"type": "auto"}) == 97
    assert tokens(tools=tools, tool_choice={"type": "any"}) == tokens(tools=tools)
    assert tokens(thinking={"type": "enabled", "budget_tokens": 1024}) - tokens() == pytest.approx(28)
    assert (
        tokens(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}})
        > tokens() + 100
    )


def test_thinking_of_earlier_turns_is_dropped_but_not_within_a_tool_turn() -> None:
    thinking = {"type": "thinking", "thinking": TEXT * 20, "signature": "x" * 400}
    call = {"type": "tool_use", "name": "f", "input": {}}
    assert tokens([thinking, {"type": "text", "text": "a"}]) == tokens([{"type": "text", "text": "a"}])
    assert tokens([thinking, call]) > tokens([call]) + 250


def test_what_the_provider_does_itself_makes_the_estimate_larger_and_unsure() -> None:
    search = estimate(tools=[{"type": "web_search_20250305", "name": "web_search"}])
    assert search.input_tokens > 5_000
    assert search.error > 0.5
    assert estimate(TEXT * 20).error < 0.1


def test_files_make_the_estimate_unsure() -> None:
    pdf = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x" * 5_000},
    }
    assert tokens([pdf]) == pytest.approx(3_600, rel=0.05)
    assert estimate([pdf]).error > 0.3


def test_long_texts_are_sampled_and_stay_near() -> None:
    mixed = (TEXT + "def f(x):\n    return x[0] + 17  # why\n") * 4_000
    parts = sum(tokens(mixed[at : at + 100_000]) - 7.5 for at in range(0, len(mixed), 100_000))
    assert tokens(mixed) == pytest.approx(parts, rel=0.02)


def test_max_tokens_is_passed_on_and_nonsense_in_it_is_none() -> None:
    assert estimate().max_output_tokens == 64
    assert estimate(max_tokens="many").max_output_tokens == 0
    assert estimate(max_tokens=-4).max_output_tokens == 0


@given(st.text(), st.text())
def test_more_text_is_never_less(one: str, two: str) -> None:
    assert tokens(one + "\n" + two) >= max(tokens(one), tokens(two)) - 1.5


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "text",
                    "content",
                    "source",
                    "data",
                    "input",
                    "name",
                    "cache_control",
                    "role",
                    "title",
                    "schema",
                ]
            )
            | st.text(max_size=4),
            inner
            | st.sampled_from(
                ["image", "document", "base64", "tool_use", "tool_result", "thinking", "text", "any"]
            ),
            max_size=4,
        )
    ),
    max_leaves=12,
)
_KEYS = "model max_tokens messages system tools tool_choice thinking output_config output_format cache_control container"
_REQUEST = st.dictionaries(st.sampled_from([*_KEYS.split(), "mcp_servers"]), _JSON)


@given(_REQUEST)
def test_no_request_makes_it_fail(request: dict[str, Any]) -> None:
    made = Anthropic().estimate(request)
    assert made.input_tokens > 0
    assert 0 <= made.cacheable_tokens <= made.input_tokens * 1.000001
    assert 0 < made.error <= 1
    assert bool(made.prefix) == (made.cacheable_tokens > 0)


def test_blocks_nested_without_end_are_no_danger() -> None:
    block: Any = "x"
    for _ in range(5_000):
        block = [block]
    inner: Any = {"type": "tool_result", "content": "x"}
    for _ in range(5_000):
        inner = {"type": "tool_result", "content": [inner]}
    assert tokens(block) < 100
    assert tokens([inner]) < 500
