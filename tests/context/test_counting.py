"""A count says how sure it is, and is about as often right as it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context.recordings import counted_requests
from context.rules import conversations
from headway.context import Count, count, explain
from headway.context.counting import facts_of, plain
from headway.errors import InputError
from headway.providers.sizing import size

MODEL = "claude-opus-4-8"


def of(text: str) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]}


def test_about_nine_in_ten_recorded_counts_lie_inside_the_interval() -> None:
    pairs = [(request, truth) for request, truth in counted_requests() if facts_of(request["model"])]
    inside = sum((found := count(request)).low <= truth <= found.high for request, truth in pairs)
    assert len(pairs) > 500
    assert 0.88 <= inside / len(pairs) <= 0.97, f"{inside} of {len(pairs)}"


def test_the_interval_is_narrow_where_there_is_only_text() -> None:
    found = count(of("The quick brown fox jumps over the lazy dog. " * 1000))
    assert found.low < found.tokens < found.high
    assert (found.high - found.low) / 2 < 0.2 * found.tokens


def test_a_picture_widens_the_interval() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    with_image = {"model": MODEL, "messages": [{"role": "user", "content": [image]}]}
    found = count(with_image)
    assert found.high - found.low > found.tokens


@given(conversations())
def test_the_pieces_add_up_to_what_paces_calls(messages: list[dict[str, Any]]) -> None:
    request = {"model": MODEL, "system": "Be brief.", "messages": messages}
    blocks = sum(len(each["content"]) if isinstance(each["content"], list) else 1 for each in messages)
    assert count(request).tokens == pytest.approx(size(request, facts_of(MODEL)).input_tokens, abs=1 + blocks)


def test_another_model_may_be_asked_about() -> None:
    request = of("Hello there, how are you? " * 100)
    assert count(request).tokens > count(request, "claude-opus-4").tokens


def test_without_a_model_there_is_no_count() -> None:
    with pytest.raises(InputError, match="no model"):
        count({"messages": []})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
PARTS = st.sampled_from(
    ["messages", "system", "tools", "thinking", "tool_choice", "mcp_servers", "cache_control"]
)


@given(JSON)
def test_what_is_plain_stays_as_it_is(value: Any) -> None:
    assert plain(value) is value


@given(st.dictionaries(PARTS, JSON))
def test_odd_requests_are_counted_all_the_same(request: dict[str, Any]) -> None:
    assert count(request, MODEL).tokens >= 0


def test_a_count_reads_like_a_number() -> None:
    assert str(Count(1234, 1000, 1400)) == "1,234 (1,000 to 1,400)"
    assert str(Count(1234, 1234, 1234, "provider")) == "1,234"


def test_what_is_nested_beyond_reason_is_counted_all_the_same() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert count({"messages": [{"role": "user", "content": deep}]}, MODEL).tokens > 0


@pytest.mark.parametrize("wrong", ["Hello", [], [{"role": "user", "content": "Hello"}], None, 7])
def test_what_is_no_request_is_refused(wrong: Any) -> None:
    for ask in (count, explain):
        with pytest.raises(InputError, match="a request must be a dict"):
            ask(wrong, "claude-opus-4-8")
