"""Requests come out the same however their bytes are cut, and no bytes at all do harm."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.gateway.cycle import Cycle
from headway.gateway.incoming import Incoming
from headway.gateway.refusal import Denied

MOST = 4096
Seen = list[tuple[str, bytes, bytes, list[tuple[bytes, bytes]], bytes, bool]]


class Channel:
    """A connection that takes everything."""

    is_full = False

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def drained(self) -> None:
        return

    def wants_more(self) -> None:
        return

    def done(self) -> None:
        return


def read(*pieces: bytes) -> tuple[Seen, int]:
    """The requests in these bytes, and the status with which the rest was refused (0: it was not)."""
    cycles: list[Cycle] = []
    incoming = Incoming(Channel(), cycles.append, lambda: 0.0, MOST, None)
    refused = 0
    for piece in pieces:
        try:
            incoming.feed(piece)
        except Denied as why:
            refused = why.status
            break
    return [_of(cycle) for cycle in cycles], refused


def _of(cycle: Cycle) -> tuple[str, bytes, bytes, list[tuple[bytes, bytes]], bytes, bool]:
    scope = cycle.scope
    body = b"".join(cycle._parts)
    return scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], body, cycle.is_partial


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(bounds)]


NAMES = st.sampled_from([b"X-A", b"x-b", b"Accept", b"anthropic-beta", b"headway-session"])
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20).map(
    lambda text: text.strip().encode("latin-1")
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
BODIES = st.binary(max_size=200)


@st.composite
def requests(draw: Any) -> bytes:
    headers, body = draw(HEADERS), draw(BODIES)
    lines = [
        b"POST /v1/messages?a=b HTTP/1.1",
        b"Host: a",
        *(name + b": " + value for name, value in headers),
    ]
    if draw(st.booleans()):
        sizes = draw(st.lists(st.integers(1, 50), max_size=10))
        chunks = []
        rest = body
        for size in sizes:
            if rest:
                chunks.append(b"%x\r\n%b\r\n" % (len(rest[:size]), rest[:size]))
                rest = rest[size:]
        if rest:
            chunks.append(b"%x\r\n%b\r\n" % (len(rest), rest))
        lines.append(b"Transfer-Encoding: chunked")
        payload = b"".join(chunks) + b"0\r\n\r\n"
    else:
        lines.append(b"Content-Length: %d" % len(body))
        payload = body
    return b"\r\n".join(lines) + b"\r\n\r\n" + payload


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 10_000), max_size=20))
def test_where_the_bytes_are_cut_makes_no_difference(several: list[bytes], places: list[int]) -> None:
    data = b"".join(several)
    whole = read(data)
    assert len(whole[0]) == len(several)
    assert whole[1] == 0
    assert read(*cut(data, places)) == whole
    assert read(*(data[i : i + 1] for i in range(len(data)))) == whole


@settings(max_examples=300)
@given(requests(), st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), max_size=4), st.data())
def test_bytes_that_are_no_request_are_refused_and_do_no_other_harm(
    request_: bytes, changes: list[tuple[int, bytes]], data: Any
) -> None:
    spoilt = request_
    for place, junk in changes:
        at = place % (len(spoilt) + 1)
        spoilt = spoilt[:at] + junk + spoilt[at + data.draw(st.integers(0, 3)) :]
    seen, refused = read(*cut(spoilt, [place for place, _ in changes]))
    assert refused in (0, 400, 431)
    for method, _, _, headers, _, _ in seen:
        assert method.isascii()
        assert sum(name == b"host" for name, _ in headers) == 1
        for name, value in headers:
            assert name == name.lower()
            assert b"\r" not in value
            assert b"\n" not in value


@given(st.binary(max_size=500), st.lists(st.integers(0, 500), max_size=5))
def test_noise_is_refused_and_does_no_other_harm(noise: bytes, places: list[int]) -> None:
    _, refused = read(*cut(noise, places))
    assert refused in (0, 400, 431)


@pytest.mark.parametrize("size", [MOST - 200, MOST + 200])
def test_the_bound_of_a_head_counts_bytes_however_they_come(size: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * size
    expected = 431 if size > MOST else 0
    assert read(*(head[i : i + 7] for i in range(0, len(head), 7)))[1] == expected


def test_bytes_after_the_last_request_are_not_read() -> None:
    last = b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    seen, refused = read(last + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00\x01")
    assert [each[1] for each in seen] == [b"/1"]
    assert refused == 0


def test_after_the_connection_has_gone_nothing_is_read() -> None:
    cycles: list[Cycle] = []
    incoming = Incoming(Channel(), cycles.append, lambda: 0.0, MOST, None)
    incoming.close()
    incoming.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert cycles == []


def test_a_body_is_told_of_as_it_comes() -> None:
    async def run() -> list[Any]:
        cycles: list[Cycle] = []
        incoming = Incoming(Channel(), cycles.append, lambda: 0.0, MOST, None)
        incoming.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        told = [await cycles[0].receive()]
        more = asyncio.ensure_future(cycles[0].receive())
        await asyncio.sleep(0)
        assert not more.done()
        incoming.feed(b"cd")
        told.append(await more)
        return told

    assert asyncio.run(run()) == [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"cd", "more_body": False},
    ]
