"""A streamed message is put together into what a plain reply would have been."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Fault
from headway.providers.message import MessageBuilder

USAGE = {"input_tokens": 9, "output_tokens": 1, "service_tier": "standard"}
START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-20250514",
        "content": [],
        "stop_reason": None,
        "usage": USAGE,
    },
}


def built(*events: dict[str, Any]) -> MessageBuilder:
    builder = MessageBuilder()
    for event in ({"type": "ping"}, START, *events):
        builder.feed(event["type"], json.dumps(event).encode())
    return builder


def begin(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grow(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def content(*events: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = built(*events).message()["content"]
    assert isinstance(blocks, list)
    return blocks


def test_text_grows_and_keeps_its_citations() -> None:
    assert content(
        begin(0, {"type": "text", "text": ""}),
        grow(0, type="text_delta", text="Hel"),
        grow(0, type="citations_delta", citation={"cited_text": "a"}),
        grow(0, type="citations_delta", citation={"cited_text": "b"}),
        grow(0, type="text_delta", text="lo"),
    ) == [{"type": "text", "text": "Hello", "citations": [{"cited_text": "a"}, {"cited_text": "b"}]}]


def test_the_input_of_a_tool_is_parsed_once_it_is_whole() -> None:
    start = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    pieces = [grow(0, type="input_json_delta", partial_json=piece) for piece in ("", '{"a"', ": [1, ", "2]}")]
    assert content(begin(0, start), *pieces)[0]["input"] == {"a": [1, 2]}
    assert content(begin(0, start), *pieces[:3])[0]["input"] == '{"a": [1, '


def test_a_tool_without_input_has_an_empty_one() -> None:
    start = {"type": "server_tool_use", "id": "t", "name": "f", "input": {}}
    assert content(begin(0, start))[0]["input"] == {}
    assert content(begin(0, start), grow(0, type="input_json_delta", partial_json=""))[0]["input"] == {}


def test_thinking_keeps_its_signature() -> None:
    assert content(
        begin(0, {"type": "thinking", "thinking": "", "signature": ""}),
        grow(0, type="thinking_delta", thinking="hm"),
        grow(0, type="thinking_delta", thinking="m"),
        grow(0, type="signature_delta", signature="sig=="),
    ) == [{"type": "thinking", "thinking": "hmm", "signature": "sig=="}]


def test_blocks_that_arrive_whole_and_blocks_unknown_stay_as_they_are() -> None:
    whole = [
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "web_search_tool_result", "tool_use_id": "t", "content": [{"type": "web_search_result"}]},
        {"type": "hologram", "depth": 3},
    ]
    assert content(*(begin(index, block) for index, block in enumerate(whole))) == whole


def test_a_delta_unknown_adds_its_fields() -> None:
    blocks = content(begin(0, {"type": "hologram"}), grow(0, type="depth_delta", depth=4))
    assert blocks == [{"type": "hologram", "depth": 4}]


def test_the_end_brings_the_reason_and_the_rest_and_usage_is_merged() -> None:
    builder = built(
        {
            "type": "message_delta",
            "delta": {
                "stop_reason": "refusal",
                "stop_sequence": None,
                "stop_details": {"category": "x"},
                "container": {"id": "c"},
            },
            "usage": {"output_tokens": 15, "input_tokens": None},
            "context_management": {"applied_edits": []},
        },
        {"type": "message_stop"},
    )
    message = builder.message()
    assert message["stop_reason"] == "refusal"
    assert message["stop_details"] == {"category": "x"}
    assert message["container"] == {"id": "c"}
    assert message["context_management"] == {"applied_edits": []}
    assert message["usage"] == {"input_tokens": 9, "output_tokens": 15, "service_tier": "standard"}
    assert builder.complete
    assert "index" not in message


def test_what_has_been_produced_can_be_followed() -> None:
    builder = built(begin(0, {"type": "text", "text": "a"}), grow(0, type="text_delta", text="bcd"))
    assert builder.produced_chars == 4
    builder.feed(
        "content_block_delta", json.dumps(grow(1, type="input_json_delta", partial_json="{}")).encode()
    )
    assert builder.produced_chars == 6


def test_a_stream_cut_short_is_started_and_not_complete() -> None:
    assert not MessageBuilder().started
    builder = built(begin(0, {"type": "text", "text": ""}))
    assert builder.started
    assert not builder.complete
    assert builder.error is None


def test_an_error_event_is_classified() -> None:
    builder = built({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert builder.error is not None
    assert builder.error.fault is Fault.OVERLOADED


_BLOCK = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, st.text()),
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "s"}, st.text()),
    st.builds(
        lambda value: {"type": "tool_use", "id": "i", "name": "n", "input": value},
        st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=3),
    ),
)


@given(st.lists(_BLOCK, max_size=4), st.integers(1, 7))
def test_what_is_streamed_in_pieces_comes_back_as_it_was(blocks: list[dict[str, Any]], size: int) -> None:
    events = [event for index, block in enumerate(blocks) for event in _streamed(index, block, size)]
    assert content(*events) == blocks


def _streamed(index: int, block: dict[str, Any], size: int) -> list[dict[str, Any]]:
    kind, field = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}.get(
        block["type"], ("input_json_delta", "partial_json")
    )
    whole = json.dumps(block["input"]) if field == "partial_json" else block[field]
    start = {**block, "input": {}} if field == "partial_json" else {**block, field: ""}
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    return [begin(index, start), *(grow(index, type=kind, **{field: piece}) for piece in pieces)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["message_start", "content_block_start", "content_block_delta", "message_delta", "error", "x"]
            ),
            st.binary()
            | st.sampled_from(
                [
                    b"{}",
                    b"[]",
                    b'{"delta": 3, "index": -1}',
                    b'{"message": 1, "content_block": 2}',
                    b'{"delta": {"type": []}}',
                    b'{"usage": 4, "error": 5}',
                ]
            ),
        )
    )
)
def test_no_event_makes_it_fail(events: list[tuple[str, bytes]]) -> None:
    builder = MessageBuilder()
    for name, data in events:
        builder.feed(name, data)
    assert isinstance(builder.message()["content"], list)
