"""A stream is watched for what it takes and how far it is, whatever its chunks, and whatever is wrong with it."""

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Fault
from headway.providers.message import MessageBuilder
from headway.providers.sse import parse_stream
from headway.providers.stream import StreamWatch
from headway.providers.usage import usage_of

USAGE = {"input_tokens": 9, "output_tokens": 1, "service_tier": "standard"}
START = {
    "type": "message_start",
    "message": {"model": "claude-opus-4-20250514", "usage": USAGE, "content": []},
}
PING = {"type": "ping"}
STOP = {"type": "message_stop"}
TEXTS = st.text(st.sampled_from('aZ \n"\\/é中😀\u2028\x00{},:'), max_size=30)


def delta(text: str, index: int = 0, kind: str = "text", field: str = "text") -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", field: text}}


def changed(reason: str = "end_turn", /, **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def encoded(*events: dict[str, Any], end: str = "\n", named: bool = True, **style: Any) -> bytes:
    lines = []
    for event in events:
        lines += [f"event: {event['type']}"] if named else []
        lines += [f"data: {json.dumps(event, **style)}", ""]
    return "".join(line + end for line in lines).encode("utf-8", "surrogatepass")


def watched(body: bytes, size: int = 0) -> StreamWatch:
    watch = StreamWatch()
    for at in range(0, len(body), size or len(body) or 1):
        watch.feed(body[at : at + (size or len(body))])
    return watch


def seen(watch: StreamWatch) -> tuple[object, ...]:
    return (
        watch.started,
        watch.has_content,
        watch.complete,
        watch.error,
        watch.produced_chars,
        watch.stop_reason,
        watch.usage("m"),
    )


STREAM: tuple[dict[str, Any], ...] = (
    START,
    PING,
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    delta("Hm, ", kind="thinking", field="thinking"),
    delta("so.", kind="thinking", field="thinking"),
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "A" * 900}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "So"}},
    *(delta(text, 1) for text in (" it", ' "is"\n', "", " \\n é中😀")),
    delta('{"a": ', 12, kind="input_json", field="partial_json"),
    changed(output_tokens=7),
    changed("max_tokens", output_tokens=40, input_tokens=None),
    STOP,
)


def test_a_whole_stream_is_watched_as_it_is_put_together() -> None:
    body = encoded(*STREAM)
    builder = MessageBuilder()
    for name, data in parse_stream(body):
        builder.feed(name, data)
    watch = watched(body)
    assert watch.usage("other") == usage_of({**USAGE, "output_tokens": 40}, "claude-opus-4-20250514")
    assert (watch.started, watch.has_content, watch.complete) == (True, True, True)
    assert (watch.stop_reason, watch.error) == ("max_tokens", None)
    assert watch.produced_chars == builder.produced_chars == 31


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "style", [{}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"sort_keys": True}], ids=str
)
def test_chunks_line_ends_names_and_layout_make_no_difference(
    end: str, named: bool, style: dict[str, Any]
) -> None:
    expected = seen(watched(encoded(*STREAM)))
    body = encoded(*STREAM, end=end, named=named, **style)
    for size in (0, 1, 2, 3, 7, 50):
        assert seen(watched(body, size)) == expected
        assert seen(watched(b"\xef\xbb\xbf: a comment\n\n" + body, size)) == expected


@given(st.lists(TEXTS, max_size=8), st.booleans(), st.integers(0, 9))
def test_visible_output_is_counted_to_the_character(texts: list[str], ascii_only: bool, size: int) -> None:
    body = encoded(*map(delta, texts), ensure_ascii=ascii_only, separators=(",", ":"))
    assert watched(body, size).produced_chars == sum(map(len, texts))


@given(st.lists(st.sampled_from(STREAM), max_size=12), st.lists(st.integers(1, 300), max_size=20))
def test_any_events_in_any_chunks_give_what_they_give_at_once(
    events: list[dict[str, Any]], cuts: list[int]
) -> None:
    body, watch, at = encoded(*events), StreamWatch(), 0
    for cut in [*cuts, len(body)]:
        watch.feed(body[at : at + cut])
        at += cut
    assert seen(watch) == seen(watched(body))


def test_padding_after_an_event_is_no_output() -> None:
    body = encoded(*[delta("Hello")] * 3).replace(b"}\n", b"}" + b" " * 15 + b"\n")
    assert [watched(body, size).produced_chars for size in (0, len(body) // 3, 1)] == [15, 15, 15]


def test_keys_in_another_order_are_no_output() -> None:
    turned = [
        {"delta": {"text": text, "type": "text_delta"}, "type": "content_block_delta"} for text in "abc"
    ]
    assert watched(encoded(*turned)).produced_chars == 3
    assert watched(encoded(*turned), 1).produced_chars == 3


def test_data_over_several_lines_is_one_event() -> None:
    body = b'event: message_delta\ndata: {"usage":\ndata: {"output_tokens": 3}}\n\n'
    usage = watched(body, 1).usage("m")
    assert usage is not None
    assert (usage.output_tokens, usage.model) == (3, "m")


def test_nothing_is_seen_before_there_is_content() -> None:
    watch = watched(encoded(START, PING))
    assert (watch.started, watch.has_content) == (True, False)
    watch.feed(
        encoded({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    )
    assert watch.has_content


def test_an_error_is_a_problem_with_the_request_it_is_of_and_no_content() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    watch = StreamWatch("req_1")
    watch.feed(encoded(START, error, {"type": "error", "error": {"type": "api_error"}}))
    assert watch.error is not None
    assert (watch.error.fault, watch.error.request_id) == (Fault.OVERLOADED, "req_1")
    assert (watch.has_content, watch.complete) == (False, False)


def test_a_last_event_without_a_blank_line_counts_once_the_stream_is_finished() -> None:
    watch = watched(encoded(START, STOP)[:-1])
    assert not watch.complete
    watch.finish()
    assert watch.complete


def test_a_stream_that_says_nothing_has_no_usage() -> None:
    assert watched(b"").usage("m") is None
    assert watched(encoded({"type": "message_start", "message": {}})).usage("m") is None


@given(
    st.binary(max_size=400)
    | st.lists(
        st.sampled_from(
            [b"\n", b"\r", b"event: ", b"data: ", b"{", b'"', b"error", b"message_delta", b"\xff", b"[1]"]
        )
    ).map(b"".join)
)
def test_nonsense_raises_nothing_and_is_the_same_byte_by_byte(body: bytes) -> None:
    assert seen(watched(body)) == seen(watched(body, 1))


@pytest.mark.parametrize("kind", ["message_start", "message_delta", "error", "content_block_start"])
@pytest.mark.parametrize("bomb", [b'{"usage":' * 50_000, b"[" * 100_000, b'{"type":"error"' + b"," * 9_000])
def test_bombs_of_json_raise_nothing(kind: str, bomb: bytes) -> None:
    watch = watched(b"event: " + kind.encode() + b"\ndata: " + bomb + b"\n\n" + encoded(START, STOP))
    assert watch.complete
    assert watch.usage("m") is not None


def deep(name: str, depth: int) -> bytes:
    inside = b'{"a":' * depth + b"1" + b"}" * depth
    return b'event: message_delta\ndata: {"usage":{"' + name.encode() + b'":' + inside + b"}}\n\n"


@pytest.mark.parametrize("depth", [20, 400, 900, 5_000])
def test_usage_within_usage_raises_nothing(depth: int) -> None:
    watch = watched(encoded(START) + deep("cache_creation", depth) * 2)
    assert watch.usage("m") is not None


def test_an_event_that_is_too_long_is_passed_over_and_not_kept() -> None:
    long = (
        b'event: content_block_start\ndata: {"content_block":{"type":"tool_result","content":"'
        + b"x" * 70_000
    )
    rest = b"x" * 70_000
    tracemalloc.start()
    watch = watched(encoded(START) + long)
    for _ in range(200):
        watch.feed(rest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    watch.feed(b'"}}\n\n' + encoded(delta("Hello"), changed(output_tokens=5), STOP))
    assert peak < 5_000_000
    assert (watch.has_content, watch.complete, watch.produced_chars) == (True, True, 5)
    usage = watch.usage("m")
    assert usage is not None
    assert usage.output_tokens == 5


def test_a_line_without_an_end_takes_time_by_its_length() -> None:
    def cpu_s(feeds: int) -> float:
        watch, begun = StreamWatch(), time.process_time()
        for _ in range(feeds):
            watch.feed(b"data: xxxxxxxx")
        return time.process_time() - begun

    assert min(cpu_s(160_000) for _ in range(3)) < 30 * max(min(cpu_s(16_000) for _ in range(3)), 0.001)


def test_usage_that_never_ends_is_not_kept() -> None:
    watch = watched(encoded(START))
    for number in range(40):
        fields: dict[str, Any] = {f"field_{number}_{each}": each for each in range(2_000)}
        watch.feed(encoded(changed("end_turn", output_tokens=number, **fields)))
    usage = watch.usage("m")
    assert usage is not None
    assert usage.output_tokens == 39
    assert len(usage.raw) < 70_000
