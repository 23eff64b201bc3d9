"""Usage is read whole, in disjoint classes, from JSON and from streams."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.providers.usage import merge_usage, read_usage, usage_of


def message(usage: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"type": "message", "model": "claude-opus-4-20250514", "usage": usage, **more}).encode()


def stream(*events: dict[str, Any], end: str = "\n") -> bytes:
    return "".join(
        f"event: {event['type']}{end}data: {json.dumps(event)}{end}{end}" for event in events
    ).encode()


START = {
    "type": "message_start",
    "message": {
        "model": "claude-opus-4-20250514",
        "usage": {
            "input_tokens": 10,
            "output_tokens": 2,
            "cache_creation_input_tokens": 700,
            "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 200},
            "service_tier": "standard",
            "inference_geo": "us",
        },
    },
}


def test_every_class_of_tokens_is_read_apart() -> None:
    usage = read_usage(
        message(
            {
                "input_tokens": 1,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens": 50,
                "output_tokens_details": {"thinking_tokens": 30},
                "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1},
                "service_tier": "priority",
                "speed": "fast",
                "inference_geo": "us",
            }
        )
    )
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (1, 2, 50)
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (3, 4)
    assert (usage.thinking_tokens, usage.web_searches) == (30, 3)
    assert (usage.service_tier, usage.speed, usage.geo, usage.model) == (
        "priority",
        "fast",
        "us",
        "claude-opus-4-20250514",
    )


def test_a_stream_is_merged_per_field_and_never_added_up() -> None:
    body = stream(
        START,
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 40, "input_tokens": None}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 90, "input_tokens": 12}},
    )
    usage = read_usage(body)
    assert usage is not None
    assert (usage.output_tokens, usage.input_tokens) == (90, 12)
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (500, 200)
    assert (usage.service_tier, usage.geo) == ("standard", "us")


def test_line_ends_do_not_change_what_a_stream_says() -> None:
    events = (START, {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9}})
    assert read_usage(stream(*events)) == read_usage(stream(*events, end="\r\n"))


def test_a_stream_whose_text_speaks_of_usage_is_not_fooled() -> None:
    text = '"usage": {"output_tokens": 1}'
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    tool = {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "input": {"usage": {"output_tokens": 5}}},
    }
    usage = read_usage(
        stream(START, delta, tool, {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 33}})
    )
    assert usage is not None
    assert usage.output_tokens == 33


def test_cache_writes_without_a_split_are_for_five_minutes() -> None:
    usage = usage_of({"cache_creation_input_tokens": 900})
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (900, 0)


def test_a_later_total_beyond_the_split_was_written_as_the_split_was() -> None:
    hour = usage_of(
        {"cache_creation_input_tokens": 900, "cache_creation": {"ephemeral_1h_input_tokens": 400}}
    )
    both = usage_of(
        {
            "cache_creation_input_tokens": 900,
            "cache_creation": {"ephemeral_1h_input_tokens": 400, "ephemeral_5m_input_tokens": 100},
        }
    )
    assert (hour.cache_write_5m_tokens, hour.cache_write_1h_tokens) == (0, 900)
    assert (both.cache_write_5m_tokens, both.cache_write_1h_tokens) == (500, 400)


def test_iterations_outside_the_top_level_counts_become_parts_and_turns_do_not() -> None:
    usage = usage_of(
        {
            "input_tokens": 20,
            "output_tokens": 9,
            "iterations": [
                {"type": "message", "input_tokens": 20, "output_tokens": 9},
                {"type": "compaction", "input_tokens": 55_196, "output_tokens": 125},
                {
                    "type": "advisor_message",
                    "model": "claude-opus-4-8",
                    "input_tokens": 7,
                    "output_tokens": 3,
                },
            ],
        },
        "claude-sonnet-5",
    )
    assert [(part.model, part.input_tokens, part.output_tokens) for part in usage.parts] == [
        ("claude-sonnet-5", 55_196, 125),
        ("claude-opus-4-8", 7, 3),
    ]
    assert usage.input_tokens == 20


def test_an_answer_of_count_tokens_is_a_usage() -> None:
    usage = read_usage(b'{"input_tokens": 2095}')
    assert usage is not None
    assert usage.input_tokens == 2_095


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"<html>", b"event: x\ndata: {\n\n", b'{"type":"error"}', b"{}"]
)
def test_a_reply_that_does_not_say_gives_none(body: bytes) -> None:
    assert read_usage(body) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "input_tokens",
                        "cache_creation",
                        "iterations",
                        "type",
                        "output_tokens_details",
                        "server_tool_use",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_usage_object_makes_it_fail_or_gives_less_than_nothing(value: Any) -> None:
    usage = usage_of(value if isinstance(value, dict) else {"input_tokens": value})
    assert (
        min(usage.input_tokens, usage.output_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens)
        >= 0
    )


_SNAPSHOT = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 9), max_size=3)


@given(st.lists(_SNAPSHOT, max_size=5))
def test_the_last_value_that_is_not_null_wins(snapshots: list[dict[str, int | None]]) -> None:
    merged: dict[str, Any] = {}
    for snapshot in snapshots:
        merge_usage(merged, snapshot)
    for key in "abc":
        said = [snapshot[key] for snapshot in snapshots if key in snapshot]
        known = [value for value in said if value is not None]
        assert merged.get(key) == (known[-1] if known else None)
        assert (key in merged) == bool(said)
