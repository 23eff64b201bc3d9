"""What an input is, is seen by its content; what cannot be counted says why."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.context import count, explain
from headway.context.reading import Asked, JobFile, read
from headway.errors import InputError

MESSAGES = [{"role": "user", "content": "Hello"}]
REQUEST = {"model": "claude-opus-4-8", "max_tokens": 10, "messages": MESSAGES}


def kind(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    match read(BytesIO(data), "input"):
        case Asked(kind=found):
            return found
        case JobFile():
            return "job"


@pytest.mark.parametrize(
    ("value", "taken_as"),
    [
        (REQUEST, "request"),
        (json.dumps(REQUEST, indent=2).encode(), "request"),
        (MESSAGES, "messages"),
        (b"\xef\xbb\xbf" + json.dumps(MESSAGES).encode(), "messages"),
        ({"custom_id": "a", "params": REQUEST}, "job"),
        (b"\n\n" + json.dumps({"prompt": "Hello"}).encode() + b"\n{broken", "job"),
        ({"method": "POST", "url": "/v1/chat/completions", "body": {}}, "job"),
        (json.dumps({"custom_id": "a", "params": REQUEST}, indent=2).encode(), "request"),
        (b"Write a poem.", "text"),
        (b'{"half": ', "text"),
        ({"name": "headway"}, "text"),
        ([1, 2], "text"),
        ("Grüße, 世界".encode(), "text"),
    ],
)
def test_the_kind_is_seen_by_the_content(value: Any, taken_as: str) -> None:
    assert kind(value) == taken_as


JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "params", "prompt", "type", "tools"]), inner
        )
    ),
    max_leaves=10,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | st.text().map(str.encode))
def test_whatever_comes_is_taken_for_something_or_refused(data: bytes) -> None:
    try:
        found = read(BytesIO(data), "input")
    except InputError:
        return
    if isinstance(found, Asked):
        assert count(found.request, "claude-opus-4").tokens > 0
        assert explain(found.request, "claude-opus-4").items


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"model": "gpt-x", "messages": [{"role": "tool", "content": "x"}]}, "OpenAI API.*the role `tool`"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": []}]}, "OpenAI API.*tool_calls"),
        ({"messages": MESSAGES, "max_completion_tokens": 5}, "OpenAI API.*max_completion_tokens"),
        ({"messages": MESSAGES, "tools": [{"type": "function"}]}, "OpenAI API.*`function`"),
        ({"input": "Hello", "model": "gpt-x"}, "OpenAI API.*`input`"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "OpenAI API.*image_url"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\] needs"),
        (b"", "empty"),
        (b" \n \n", "empty"),
        (b"\xff\xfe\x00", "neither JSON nor UTF-8"),
        (b"a\0b", "zero bytes"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    ],
)
def test_what_cannot_be_counted_says_why(value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        kind(value)
