"""Replies go out as HTTP/1.1 wants them, and what HTTP does not allow does not go out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.test_incoming import Channel
from headway.gateway.cycle import Cycle

LENGTH = (b"content-length", b"5")


def cycle(
    method: str = "GET", *, is_old: bool = False, keep_alive: bool = True, is_whole: bool = True
) -> Cycle:
    made = Cycle(Channel(), {"method": method}, expects=False, keep_alive=keep_alive, is_old=is_old)
    if is_whole:
        made.ended()
    return made


def sent(made: Cycle, status: int, headers: list[tuple[bytes, bytes]], *parts: bytes) -> bytes:
    """All that goes out for a reply in these parts."""

    async def send() -> None:
        await made.send({"type": "http.response.start", "status": status, "headers": headers})
        for number, part in enumerate(parts):
            is_more = number < len(parts) - 1
            await made.send({"type": "http.response.body", "body": part, "more_body": is_more})

    asyncio.run(send())
    channel = made._channel
    assert isinstance(channel, Channel)
    return b"".join(channel.written)


def test_a_body_of_known_length_goes_as_it_is() -> None:
    assert sent(cycle(), 200, [LENGTH], b"he", b"llo") == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def test_a_body_of_unknown_length_goes_in_chunks() -> None:
    out = sent(cycle(), 200, [], b"he", b"", b"llo")
    assert out == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


def test_an_old_client_gets_no_chunks_and_an_end() -> None:
    out = sent(cycle(is_old=True, keep_alive=False), 200, [], b"he", b"llo")
    assert out == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)])
@pytest.mark.parametrize("headers", [[], [LENGTH]])
def test_a_reply_without_a_body_has_none(
    method: str, status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    out = sent(cycle(method), status, headers, b"hello")
    assert out.endswith(b"\r\n\r\n")
    assert b"chunked" not in out
    assert (b"content-length: 5" in out) == bool(headers)


def test_a_reply_before_the_request_is_there_is_the_last() -> None:
    made = cycle("POST", is_whole=False)
    assert b"\r\nconnection: close\r\n" in sent(made, 401, [LENGTH], b"hello")
    assert not made.keep_alive


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"b\r\nx-c: d"),
        (b"x-a", b"b\nx"),
        (b"x-a\r\nx-c", b"d"),
        (b"x-a", b"\0"),
        (b"x-a", b"b\r"),
        (b"x-a", b"\x7f"),
    ],
)
def test_a_header_that_would_be_two_goes_nowhere(header: tuple[bytes, bytes]) -> None:
    made = cycle()
    with pytest.raises(ValueError, match="line break"):
        sent(made, 200, [header, LENGTH], b"hello")
    assert not made.is_started


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_whatever_is_in_a_header_the_head_has_the_lines_that_were_said(name: bytes, value: bytes) -> None:
    made = cycle()
    try:
        out = sent(made, 200, [(name, value), LENGTH], b"hello")
    except ValueError:
        return
    assert out.count(b"\r\n") == 4
    assert out.count(b"\n") == 4
    assert out.count(b"\r") == 4


@pytest.mark.parametrize("parts", [[b"hell"], [b"hello!"], [b"hel", b"lo", b"!"]])
def test_a_body_of_another_length_than_was_said_is_a_mistake(parts: list[bytes]) -> None:
    with pytest.raises(ValueError, match="as long"):
        sent(cycle(), 200, [LENGTH], *parts)


def test_an_unknown_status_goes_out_all_the_same() -> None:
    assert sent(cycle(), 529, [LENGTH], b"hello").startswith(b"HTTP/1.1 529 \r\n")


def test_head_and_body_leave_together() -> None:
    made = cycle()
    sent(made, 200, [LENGTH], b"hello")
    channel: Any = made._channel
    assert len(channel.written) == 1


def test_who_is_gone_gets_nothing() -> None:
    made = cycle()
    made.is_gone = True
    assert sent(made, 200, [LENGTH], b"hello") == b""
    assert asyncio.run(made.receive()) == {"type": "http.disconnect"}


def test_who_waits_hears_that_the_client_has_gone() -> None:
    async def run() -> Any:
        made = cycle("POST", is_whole=False)
        waiting = asyncio.ensure_future(made.receive())
        await asyncio.sleep(0)
        made.is_gone = True
        made.wake()
        return await waiting

    assert asyncio.run(run()) == {"type": "http.disconnect"}


def test_a_client_that_asks_is_told_to_go_on_once() -> None:
    async def run() -> list[bytes]:
        channel = Channel()
        made = Cycle(channel, {"method": "POST"}, expects=True, keep_alive=True, is_old=False)
        made.arrived(b"a")
        await made.receive()
        made.ended()
        await made.receive()
        return channel.written

    assert asyncio.run(run()) == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_a_reply_begins_once() -> None:
    made = cycle()
    sent(made, 200, [LENGTH], b"hello")
    with pytest.raises(ValueError, match="once"):
        sent(made, 500, [LENGTH], b"hello")
