"""Every way in which an attempt can go wrong, as the official client sees it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from http.client import HTTPConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import pytest

from headway.emulator.server import Emulator

Start = Callable[[str], tuple[Emulator, anthropic.Anthropic]]
FAST = "any/unlimited?ttft=5ms&speed=5000&output_mean=60"
ASKED: Any = {
    "model": "claude-opus-4-5",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "Hello"}],
}
BODY = (
    b'{"model":"claude-opus-4-5","max_tokens":500,"stream":%b,"messages":[{"role":"user","content":"Hello"}]}'
)
KEYS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}


def until(holds: Callable[[], bool]) -> None:
    """Wait, at most ten seconds, for what another thread is about to do."""
    deadline = time.monotonic() + 10.0
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read_raw(emulator: Emulator, stream: bool) -> bytes:
    """The body as it comes; raises IncompleteRead if it is not whole as HTTP has it."""
    connection = HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
    try:
        connection.request("POST", "/v1/messages", BODY % (b"true" if stream else b"false"), KEYS)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_overloaded_is_a_529(start: Start) -> None:
    _, client = start(f"{FAST}&overloaded=1")
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(**ASKED)
    assert caught.value.status_code == 529
    assert caught.value.type == "overloaded_error"


def test_an_error_is_a_500(start: Start) -> None:
    _, client = start(f"{FAST}&error=1")
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(**ASKED)
    assert caught.value.request_id is not None


@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_gives_no_byte_at_all(start: Start, stream: bool) -> None:
    emulator, _ = start(f"{FAST}&reset=1")
    with pytest.raises(ConnectionResetError):
        read_raw(emulator, stream)
    assert emulator.stats()["faults"] == {"reset": 1}
    assert emulator.stats()["admitted"] == 0


def test_a_cut_stream_starts_well_and_never_ends(start: Start) -> None:
    emulator, client = start(f"{FAST}&cut=1")
    kinds: list[str] = []
    events = client.messages.create(**ASKED, stream=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        kinds.extend(event.type for event in events)
    assert kinds[0] == "message_start"
    assert "content_block_delta" in kinds
    assert "message_stop" not in kinds
    assert emulator.stats()["broken"] == 1


def test_a_cut_whole_reply_ends_in_the_middle_of_its_body(start: Start) -> None:
    emulator, _ = start(f"{FAST}&cut=1")
    with pytest.raises(IncompleteRead) as caught:
        read_raw(emulator, stream=False)
    assert len(caught.value.partial) > 0
    assert emulator.stats()["broken"] == 1


def test_a_short_stream_looks_whole_to_http_but_has_no_message_stop(start: Start) -> None:
    emulator, client = start(f"{FAST}&short=1")
    raw = read_raw(emulator, stream=True)
    assert b"message_start" in raw
    assert b"message_stop" not in raw
    with client.messages.stream(**ASKED) as stream:
        message = stream.get_final_message()
    assert (message.stop_reason, message.usage.output_tokens) == (None, 1)


def test_an_error_in_the_middle_comes_as_an_event_after_the_200(start: Start) -> None:
    emulator, client = start(f"{FAST}&stream_error=1")
    raw = read_raw(emulator, stream=True)
    assert raw.endswith(
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    with pytest.raises(anthropic.APIStatusError) as caught, client.messages.stream(**ASKED) as stream:
        stream.get_final_message()
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")
    assert emulator.stats()["tokens_by_outcome"]["broken"]["output_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_stall_goes_on_after_the_time_it_was_given(start: Start, stream: bool) -> None:
    emulator, _ = start(f"{FAST}&stall=1&stall_s=200ms")
    began = time.monotonic()
    raw = read_raw(emulator, stream)
    assert time.monotonic() - began >= 0.2
    assert b"end_turn" in raw
    assert emulator.stats()["completed"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_stall_for_good_lasts_until_the_client_gives_up(start: Start, stream: bool) -> None:
    emulator, client = start(f"{FAST}&stall=1&stall_s=never")
    hasty = client.with_options(timeout=0.3)
    with pytest.raises((httpx2.ReadTimeout, anthropic.APITimeoutError)):
        list(hasty.messages.create(**ASKED, stream=stream))
    until(lambda: emulator.stats()["aborted"] == 1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_is_billed_for_all_that_was_generated(start: Start, stream: bool) -> None:
    emulator, _ = start("any/unlimited?ttft=50ms&speed=500&output_tokens=60k&burst=60s")
    place = urlsplit(emulator.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        body = BODY % (b"true" if stream else b"false")
        head = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items()).encode()
        steer = b"emulator-output-tokens: 100\r\nhost: x\r\n"
        connection.sendall(
            b"POST /v1/messages HTTP/1.1\r\n"
            + head
            + steer
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
        until(lambda: emulator.stats()["in_flight"] == 1)
    until(lambda: emulator.stats()["in_flight"] == 0)
    stats = emulator.stats()
    assert (stats["aborted"], stats["completed"]) == (1, 0)
    assert stats["tokens_by_outcome"]["aborted"]["output_tokens"] == 100


def test_the_same_seed_gives_the_same_faults_in_a_new_emulator(start: Start) -> None:
    def fates(seed: int) -> list[int]:
        _, client = start(f"{FAST}&overloaded=0.3&error=0.3&seed={seed}")
        statuses = []
        for _ in range(12):
            try:
                client.messages.create(**ASKED)
                statuses.append(200)
            except anthropic.APIStatusError as refused:
                statuses.append(refused.status_code)
        return statuses

    assert fates(1) == fates(1) != fates(2)
