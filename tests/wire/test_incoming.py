from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.wire.exchange import Exchange
from headway.wire.incoming import HEAD_LIMIT, Incoming, Malformed

OK = b"HTTP/1.1 200 OK\r\n"
LOOP = asyncio.new_event_loop()
LOOP.close()  # an exchange that nobody waits on only keeps it


@dataclass(frozen=True, slots=True)
class Read:
    """All that a reader can tell of a reply."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    complete: bool
    reusable: bool


def read(*pieces: bytes, bodiless: bool = False, end: bool = False) -> Read:
    exchange = Exchange(LOOP, 1.0)
    incoming = Incoming({})
    incoming.expect(exchange, bodiless=bodiless)
    for piece in pieces:
        incoming.feed(piece)
    if end:
        incoming.finish()
    body = b"".join(exchange.chunks)
    assert exchange.held == len(body)
    return Read(
        exchange.status, exchange.reason, exchange.headers, body, incoming.complete, incoming.reusable
    )


def single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


names = st.text("abcXYZ-19", min_size=1, max_size=8).map(lambda name: "x-" + name)
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
fields = st.lists(st.tuples(names, values), max_size=5)
bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@st.composite
def replies(draw: st.DrawFn) -> tuple[bytes, Read, bool]:
    """Bytes of a valid reply, what a reader must make of them, and whether the end of the stream ends it."""
    status = draw(st.sampled_from([200, 201, 400, 429, 529]))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    parts = draw(bodies)
    body = b"".join(parts)
    given = draw(fields)
    closes = draw(st.booleans())
    lines = [f"{name}: {value}" for name, value in given]
    expected: dict[str, str] = {}
    for name, value in given:
        name = name.lower()
        expected[name] = f"{expected[name]}, {value}" if name in expected else value
    if closes:
        lines.append("Connection: close")
        expected["connection"] = "close"
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
        expected["content-length"] = str(len(body))
    if framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        expected["transfer-encoding"] = "chunked"
        extension = draw(st.sampled_from([b"", b";a=b", b';a="b c"']))
        chunks = [b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts]
        trailer = draw(st.sampled_from([b"", b"X-Late: 1\r\n"]))
        body_bytes = b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"
    else:
        body_bytes = body
    head = "".join(f"{line}\r\n" for line in [f"HTTP/1.1 {status} Fine", *lines, ""]).encode("latin-1")
    before = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"])
    )
    reusable = framing != "close" and not closes
    return (
        before + head + body_bytes,
        Read(status, "Fine", expected, body, True, reusable),
        framing == "close",
    )


@given(reply=replies(), cuts=st.lists(st.integers(0, 600), max_size=8))
def test_any_split_of_a_valid_reply_reads_the_same(reply: tuple[bytes, Read, bool], cuts: list[int]) -> None:
    data, expected, end = reply
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read(*(data[a:b] for a, b in itertools.pairwise(edges)), end=end) == expected
    assert read(*single(data), end=end) == expected


@given(reply=replies(), keep=st.integers(0, 600))
def test_a_reply_cut_short_is_never_taken_for_whole(reply: tuple[bytes, Read, bool], keep: int) -> None:
    data, expected, by_close = reply
    cut = data[: min(keep, len(data) - 1)]
    try:
        seen = read(cut, end=True)
    except Malformed:
        return
    assert by_close  # only a body that ends with the stream cannot tell
    assert expected.body.startswith(seen.body)


@given(pieces=st.lists(st.binary(max_size=50), max_size=8), start=st.sampled_from([b"", b"HTTP/1.1 ", OK]))
def test_garbage_is_malformed_and_nothing_else(pieces: list[bytes], start: bytes) -> None:
    with contextlib.suppress(Malformed):
        read(start, *pieces, end=True)


@given(reply=replies(), at=st.integers(0, 600), byte=st.integers(0, 255))
def test_a_valid_reply_with_one_byte_changed_is_malformed_or_a_reply(
    reply: tuple[bytes, Read, bool], at: int, byte: int
) -> None:
    data = bytearray(reply[0])
    data[at % len(data)] = byte
    with contextlib.suppress(Malformed):
        read(bytes(data), end=True)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="line feeds alone"),
        pytest.param(OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", id="folded header"),
        pytest.param(
            OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", id="two ways to frame a body"
        ),
        pytest.param(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", id="two lengths"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", id="chunk size that is no number"),
        pytest.param(OK + b"A\0: b\r\n\r\n", id="NUL in a header"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            id="upgrade nobody asked for",
        ),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", id="101 without an upgrade header"),
    ],
)
def test_what_is_not_http_1_1_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)
    with pytest.raises(Malformed):
        read(*single(data))


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        pytest.param(OK, b"X-A: b\r\n", id="headers"),
        pytest.param(OK + b"X-A: ", b"bbbbbbbb", id="one header value"),
        pytest.param(OK, b"nnnnnnnn", id="one header name"),
        pytest.param(b"HTTP/1.1 200 ", b"reasons ", id="the reason"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim replies"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n1", b";a=bbbbb", id="chunk extensions"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n", id="trailers"),
    ],
)
@pytest.mark.parametrize("size", [1, 8, 4096])
def test_what_never_ends_without_being_body_is_bounded(head: bytes, drip: bytes, size: int) -> None:
    exchange = Exchange(LOOP, 1.0)
    incoming = Incoming({})
    incoming.expect(exchange, bodiless=False)
    incoming.feed(head)
    stream = drip * (size // len(drip) + 1)
    taken = 0

    def pour() -> None:
        nonlocal taken
        while taken < 3 * HEAD_LIMIT:
            for at in range(0, len(stream), size):
                incoming.feed(stream[at : at + size])
            taken += len(stream)

    with pytest.raises(Malformed):
        pour()
    assert taken < HEAD_LIMIT + 2 * 4096


def test_a_head_beyond_the_limit_is_refused_in_one_piece_too() -> None:
    big = OK + b"X-A: " + b"b" * HEAD_LIMIT + b"\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(Malformed, match="65536"):
        read(big)
    with pytest.raises(Malformed, match="65536"):
        read(*single(big))


def test_a_long_body_in_small_chunks_is_not_bounded() -> None:
    chunk = b"1\r\na\r\n"
    seen = read(OK + b"Transfer-Encoding: chunked\r\n\r\n", *([chunk * 1000] * 100), b"0\r\n\r\n")
    assert len(seen.body) == 100_000
    assert seen.reusable


@pytest.mark.parametrize(
    "rest", [b"garbage", b"H", OK + b"Content-Length: 0\r\n\r\n", b"\x00", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
@pytest.mark.parametrize("how", ["", "Connection: close\r\n"])
def test_bytes_after_a_reply_end_the_connection_and_not_the_reply(rest: bytes, how: str) -> None:
    seen = read(OK + how.encode() + b"Content-Length: 2\r\n\r\nok" + rest)
    assert (seen.status, seen.body, seen.complete, seen.reusable) == (200, b"ok", True, False)


def test_a_reply_to_head_has_no_body_and_the_next_reply_is_read_well() -> None:
    exchange, incoming = Exchange(LOOP, 1.0), Incoming({})
    incoming.expect(exchange, bodiless=True)
    incoming.feed(OK + b"Content-Length: 5\r\n\r\n")
    assert (incoming.complete, incoming.reusable, exchange.held) == (True, True, 0)
    following = Exchange(LOOP, 1.0)
    incoming.expect(following, bodiless=False)
    incoming.feed(OK + b"Content-Length: 2\r\n\r\nok")
    assert (following.status, list(following.chunks), incoming.complete) == (200, [b"ok"], True)


def test_a_body_sent_in_reply_to_head_ends_the_connection() -> None:
    seen = read(OK + b"Content-Length: 5\r\n\r\nhello", bodiless=True)
    assert (seen.body, seen.complete, seen.reusable) == (b"", True, False)


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status: int) -> None:
    seen = read(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
    assert (seen.status, seen.complete, seen.reusable) == (status, True, True)


def test_repeated_headers_are_joined_and_empty_ones_kept() -> None:
    seen = read(OK + b"X-A: 1\r\nX-B:\r\nx-a:  2 \r\nContent-Length: 0\r\n\r\n")
    assert seen.headers == {"x-a": "1, 2", "x-b": "", "content-length": "0"}


def test_trailers_do_not_become_headers() -> None:
    seen = read(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Late: 1\r\n\r\n")
    assert "x-late" not in seen.headers
    assert seen.complete


def test_an_end_in_the_middle_says_how_far_it_was() -> None:
    with pytest.raises(Malformed, match="3 of 9"):
        read(OK + b"Content-Length: 9\r\n\r\nabc", end=True)
    with pytest.raises(Malformed, match="last chunk"):
        read(OK + b"Transfer-Encoding: gzip, Chunked\r\n\r\n3\r\nabc\r\n", end=True)


def test_http_1_0_is_read_and_not_reused() -> None:
    assert not read(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").reusable
    assert read(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").reusable


def test_known_header_names_are_bounded() -> None:
    names: dict[bytes, str] = {}
    incoming = Incoming(names)
    for lot in range(30):
        incoming.expect(Exchange(LOOP, 1.0), bodiless=False)
        lines = b"".join(b"X-%d-%d: 1\r\n" % (lot, each) for each in range(100))
        incoming.feed(OK + lines + b"Content-Length: 0\r\n\r\n")
    assert len(names) <= 1024
