from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.emulator.prompt import read_prompt

TEXT = "Pace the calls so that the whole quota is used. " * 50
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def test_text_is_counted_within_eight_percent_of_its_length() -> None:
    tokens = read_prompt(user(TEXT), 0).tokens
    assert abs(tokens - 7 - len(TEXT) / 3.9) <= 0.08 * len(TEXT) / 3.9 + 1


def test_the_seed_changes_the_count_and_the_same_seed_does_not() -> None:
    counts = {read_prompt(user(TEXT), seed).tokens for seed in range(20)}
    assert len(counts) > 5
    assert read_prompt(user(TEXT), 3) == read_prompt(user(TEXT), 3)


def test_a_string_and_one_text_block_count_the_same() -> None:
    assert read_prompt(user(TEXT), 0).tokens == read_prompt(user([{"type": "text", "text": TEXT}]), 0).tokens


def test_system_tools_and_a_forced_tool_add_to_the_count() -> None:
    plain = user("Hello")
    tools = plain | {"tools": [{"name": "look_up", "input_schema": {"type": "object"}}]}
    counts = [
        read_prompt(request, 0).tokens
        for request in (
            plain,
            plain | {"system": "Be brief."},
            tools,
            tools | {"tool_choice": {"type": "any"}},
        )
    ]
    assert counts == sorted(counts)
    assert len(set(counts)) == 4


def test_an_image_does_not_count_by_the_length_of_its_base64() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}}
    assert read_prompt(user([image]), 0).tokens < 5_000
    inside = {"type": "tool_result", "tool_use_id": "t", "content": [image, {"type": "text", "text": "seen"}]}
    assert 1_500 <= read_prompt(user([inside]), 0).tokens < 5_000


def test_a_breakpoint_that_moves_on_does_not_change_the_blocks_before_it() -> None:
    marked = {"cache_control": {"type": "ephemeral"}}
    tool = {"name": "look_up", "input_schema": {}}
    before = read_prompt(user("Hello") | {"tools": [tool | marked]}, 0)
    after = read_prompt(user([{"type": "text", "text": "Hello"} | marked]) | {"tools": [tool]}, 0)
    assert [block.digest for block in before.blocks] == [block.digest for block in after.blocks]
    assert [block.ttl_s for block in before.blocks] == [300.0, None]
    assert [block.ttl_s for block in after.blocks] == [None, 300.0]


def test_automatic_caching_marks_the_last_block() -> None:
    prompt = read_prompt(user("Hello") | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, 0)
    assert prompt.blocks[-1].ttl_s == 3600.0
    assert prompt.breakpoints == 1


@given(
    st.dictionaries(
        st.sampled_from(["messages", "system", "tools", "tool_choice", "cache_control"]), json_values
    )
)
def test_odd_requests_are_counted_without_an_error(request: dict[str, Any]) -> None:
    assert read_prompt(request, 0).tokens >= 7
