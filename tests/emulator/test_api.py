from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import pytest

from headway.emulator.server import Emulator

Start = Callable[[str], tuple[Emulator, anthropic.Anthropic]]
FAST = "any/unlimited?ttft=5ms&speed=5000&output_mean=60"
MODEL = "claude-opus-4-5"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOL: Any = {
    "name": "book",
    "input_schema": {
        "type": "object",
        "properties": {"title": {"type": "string"}, "pages": {"type": "integer"}},
    },
}


def post(emulator: Emulator, body: bytes, path: str = "/v1/messages") -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
    connection.request("POST", path, body, {"x-api-key": "k", "anthropic-version": "2023-06-01"})
    reply = connection.getresponse()
    answer = reply.status, json.loads(reply.read())
    connection.close()
    return answer


def test_the_official_client_gets_a_message(start: Start) -> None:
    _, client = start(FAST)
    message = client.messages.create(model=MODEL, max_tokens=500, messages=HELLO)
    assert message.stop_reason == "end_turn"
    assert message.content[0].type == "text"
    assert message.model == "claude-opus-4-5-20251101"
    assert message.usage.output_tokens * 4 == len(message.content[0].text)
    assert message._request_id is not None


def test_a_stream_and_a_whole_reply_to_the_same_prompt_hold_the_same(start: Start) -> None:
    _, client = start(FAST)
    steer = {"emulator-output-tokens": "77"}
    whole = client.messages.create(model=MODEL, max_tokens=500, messages=HELLO, extra_headers=steer)
    with client.messages.stream(model=MODEL, max_tokens=500, messages=HELLO, extra_headers=steer) as stream:
        kinds = Counter(event.type for event in stream)
        streamed = stream.get_final_message()
    assert streamed.content[0].type == whole.content[0].type == "text"
    assert streamed.content[0].text == whole.content[0].text
    assert streamed.usage == whole.usage
    assert streamed.stop_reason == whole.stop_reason
    assert kinds["message_start"] == kinds["message_stop"] == 1
    assert kinds["content_block_delta"] >= 3


def test_the_raw_events_are_those_of_the_api_in_its_order(start: Start) -> None:
    _, client = start(FAST)
    with client.messages.with_streaming_response.create(
        model=MODEL, max_tokens=500, messages=HELLO, stream=True
    ) as reply:
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = list(reply.iter_lines())
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    types = [json.loads(line.removeprefix("data: "))["type"] for line in lines if line.startswith("data: ")]
    assert names == types
    deltas = names.count("content_block_delta")
    start_ = ["message_start", "ping", "content_block_start"]
    assert names == [
        *start_,
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_usage_at_the_start_is_provisional_and_at_the_end_cumulative(start: Start) -> None:
    _, client = start(FAST)
    events = list(client.messages.create(model=MODEL, max_tokens=500, messages=HELLO, stream=True))
    first = next(event for event in events if event.type == "message_start")
    last = next(event for event in events if event.type == "message_delta")
    assert first.message.usage.output_tokens == 1
    assert last.usage.output_tokens > 1
    assert last.usage.input_tokens == first.message.usage.input_tokens
    assert first.message.usage.cache_creation is not None


@pytest.mark.parametrize("streaming", [False, True])
def test_a_forced_tool_is_called_with_an_input_of_its_schema(start: Start, streaming: bool) -> None:
    _, client = start(FAST)
    asked: Any = {
        "model": MODEL,
        "max_tokens": 500,
        "messages": HELLO,
        "tools": [TOOL],
        "tool_choice": {"type": "tool", "name": "book"},
    }
    if streaming:
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**asked)
    call = message.content[0]
    assert message.stop_reason == "tool_use"
    assert call.type == "tool_use"
    assert call.name == "book"
    assert isinstance(call.input["title"], str)
    assert call.input["pages"] == 0


@pytest.mark.parametrize("streaming", [False, True])
def test_thinking_comes_first_and_is_part_of_the_output(start: Start, streaming: bool) -> None:
    _, client = start(FAST)
    asked: Any = {
        "model": MODEL,
        "max_tokens": 3_000,
        "messages": HELLO,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "extra_headers": {"emulator-output-tokens": "100"},
    }
    if streaming:
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].type == "thinking"
    assert message.content[0].signature
    assert message.usage.output_tokens == 100
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens_details.thinking_tokens == 50


def test_max_tokens_0_only_warms_the_cache(start: Start) -> None:
    _, client = start(FAST)
    message = client.messages.create(model=MODEL, max_tokens=0, messages=HELLO)
    assert (message.content, message.usage.output_tokens, message.stop_reason) == ([], 0, "max_tokens")


def test_the_async_client_and_many_streams_at_once(start: Start) -> None:
    emulator, _ = start("any/unlimited?ttft=50ms&speed=1000&output_mean=100")

    async def one(client: anthropic.AsyncAnthropic, number: int) -> int:
        text = [{"role": "user", "content": f"Hello {number}"}]
        async with client.messages.stream(model=MODEL, max_tokens=500, messages=text) as stream:  # type: ignore[arg-type] # the SDK wants its own TypedDict
            return (await stream.get_final_message()).usage.output_tokens

    async def all_of_them() -> list[int]:
        async with anthropic.AsyncAnthropic(base_url=emulator.url, api_key="k", max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(50)))

    outputs = asyncio.run(all_of_them())
    stats = emulator.stats()
    assert stats["tokens"]["output_tokens"] == sum(outputs)
    assert stats["max_in_flight"] > 25
    assert stats["in_flight"] == 0


def test_count_tokens_says_what_a_message_will_take_and_has_a_limit_of_its_own(start: Start) -> None:
    _, client = start("claude-opus-4/tier-1?burst=1s&ttft=0&speed=1M")
    counted = client.messages.count_tokens(model=MODEL, messages=HELLO)
    message = client.messages.create(model=MODEL, max_tokens=10, messages=HELLO)
    assert counted.input_tokens == message.usage.input_tokens
    with pytest.raises(anthropic.RateLimitError):
        client.messages.count_tokens(model=MODEL, messages=HELLO)


def test_models_are_listed_with_their_windows(start: Start) -> None:
    _, client = start(FAST)
    model = client.models.retrieve("claude-opus-4-0")
    assert (model.id, model.max_input_tokens, model.max_tokens) == ("claude-opus-4-20250514", 200_000, 32_000)
    assert "claude-opus-4-8" in [listed.id for listed in client.models.list()]
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-opus-9")


def test_rate_limited_calls_are_retried_by_the_client_as_told(start: Start) -> None:
    emulator, client = start("any/unlimited?requests=60&burst=1s&ttft=0&speed=1M")
    patient = client.with_options(max_retries=1)
    for _ in range(2):
        patient.messages.create(model=MODEL, max_tokens=10, messages=HELLO)
    stats = emulator.stats()
    assert (stats["requests"], stats["admitted"], stats["rate_limited"]) == (3, 2, {"requests": 1})


def test_a_body_beyond_32_mb_is_a_413(start: Start) -> None:
    emulator, _ = start(FAST)
    status, body = post(emulator, b" " * (32 * 1024 * 1024 + 1))
    assert (status, body["error"]["type"]) == (413, "request_too_large")
    assert post(emulator, b"{}")[0] == 400


def test_an_unknown_path_is_a_404(start: Start) -> None:
    emulator, _ = start(FAST)
    status, body = post(emulator, b"{}", "/v1/complete")
    assert (status, body["error"]["type"]) == (404, "not_found_error")


def test_a_request_that_arrives_byte_by_byte_is_served(start: Start) -> None:
    emulator, _ = start(FAST)
    body = json.dumps({"model": MODEL, "max_tokens": 5, "messages": HELLO}).encode()
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\nconnection: close\r\n"
    request = head + b"content-length: %d\r\n\r\n" % len(body) + body
    place = urlsplit(emulator.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            connection.send(bytes([byte]))
        reply = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert reply.startswith(b"HTTP/1.1 200")


def test_stats_and_reset_are_reachable_from_outside(start: Start) -> None:
    emulator, client = start(FAST)
    client.messages.create(model=MODEL, max_tokens=10, messages=HELLO, metadata={"user_id": "line-1"})
    connection = HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
    connection.request("GET", "/emulator/stats?markers=1")
    stats = json.loads(connection.getresponse().read())
    connection.close()
    assert stats["markers"] == {"line-1": {"admitted": 1, "completed": 1}}
    assert post(emulator, b"", "/emulator/reset") == (200, {"reset": True})
    assert emulator.stats()["requests"] == 0


def test_the_books_equal_the_sum_of_what_all_clients_were_told(start: Start) -> None:
    emulator, client = start(f"{FAST}&cut=0.1&stream_error=0.1&overloaded=0.1&error=0.1&reset=0.05")
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def work(worker: int) -> None:
        for number in range(15):
            asked: Any = {
                "model": MODEL,
                "max_tokens": 300,
                "messages": [{"role": "user", "content": f"{worker} {number}"}],
            }
            try:
                if number % 2:
                    with client.messages.stream(**asked) as stream:
                        usage = stream.get_final_message().usage
                else:
                    usage = client.messages.create(**asked).usage
            except (anthropic.APIError, httpx2.TransportError):
                continue  # a cut body raises the transport's own error
            with lock:
                seen.update(completed=1, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stats = emulator.stats()
    told = stats["tokens_by_outcome"]["completed"]
    assert stats["completed"] == seen["completed"]
    assert (told["input_tokens"], told["output_tokens"]) == (seen["input_tokens"], seen["output_tokens"])
    assert stats["admitted"] == stats["completed"] + stats["broken"] + stats["aborted"]
    before_admission = sum(stats["faults"].get(kind, 0) for kind in ("overloaded", "error", "reset"))
    assert stats["requests"] == stats["admitted"] + before_admission == 120
