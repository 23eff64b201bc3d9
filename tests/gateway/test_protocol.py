"""What a client may not do to the gateway, on raw sockets."""

from __future__ import annotations

import re
import socket

import pytest

from gateway.conftest import Serve
from gateway.serving import BODY, STREAM, Serving, body, drain, error_of, header, post, status, talk
from headway.gateway.bounds import Bounds
from transport.provider import PATIENCE_S, Provider, wait_until

CHUNKED = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
SIZED = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
PLAIN = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"

SMUGGLED = {
    "both lengths": CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": SIZED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": SIZED + b"Content-Length: 3\r\n\r\n{} ",
    "the same length twice": SIZED + b"Content-Length: 2\r\n\r\n{}",
    "a list of lengths": PLAIN + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": PLAIN + b"Content-Length: +2\r\n\r\n{}",
    "a length beyond all measure": PLAIN + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "an unknown coding": PLAIN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": PLAIN + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding before chunked": PLAIN + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": PLAIN + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": PLAIN + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /v1/messages HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": PLAIN + b"X-A: b\r\n c\r\n\r\n",
    "a folded length": PLAIN + b"Content-Length:\r\n 2\r\n\r\n{}",
    "a blank after the first line": b"GET /v1/models HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "bare line feeds": PLAIN.replace(b"\r\n", b"\n") + b"\n",
    "one bare line feed": PLAIN + b"X-A: b\nX-C: d\r\n\r\n",
    "a bare carriage return": PLAIN + b"X-A: b\rX-C: d\r\n\r\n",
    "a NUL in a value": PLAIN + b"X-A: b\0c\r\n\r\n",
    "a NUL in a name": PLAIN + b"X\0A: b\r\n\r\n",
    "a blank in a name": PLAIN + b"X A: b\r\n\r\n",
    "a line without a colon": PLAIN + b"X-A\r\n\r\n",
    "a chunk without its end": CHUNKED + b"\r\n2\r\n{}XX0\r\n\r\n",
    "a negative chunk": CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a prefix": CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a blank after a chunk size": CHUNKED + b"\r\n2 \r\n{}\r\n0\r\n\r\n",
    "chunks with bare line feeds": CHUNKED + b"\r\n2\n{}\n0\n\n",
    "a chunk extension with a bare line feed": CHUNKED + b"\r\n2;a\n{}\r\n0\r\n\r\n",
    "a chunk beyond all measure": CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "two hosts": PLAIN + b"Host: other\r\n\r\n",
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0": b"GET /v1/models HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "a tunnel": b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a place that is no path": b"GET localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "letters that are not ASCII in a path": "GET /v1/modéls HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    "an unknown method": b"STEAL /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("request_", SMUGGLED.values(), ids=SMUGGLED.keys())
@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "byte by byte"])
def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(
    serving: Serving, provider: Provider, request_: bytes, is_cut: bool
) -> None:
    parts = [request_[i : i + 1] for i in range(len(request_))] if is_cut else [request_]
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break
        reply = drain(connection)
    assert status(reply) in (400, 404), reply
    assert reply.count(b"HTTP/1.1 4") == 1
    assert provider.requests == []


def test_a_second_request_after_the_last_one_is_not_run(serving: Serving, provider: Provider) -> None:
    reply = talk(serving.port, post() + post(path="/v1/messages?second"))
    assert status(reply) == 200
    assert reply.count(b"HTTP/1.1 200") == 1
    assert [request.path for request in provider.requests] == ["/v1/messages"]


def test_requests_in_a_row_are_answered_in_order(serving: Serving, provider: Provider) -> None:
    targets = [f"/v1/models?n={number}" for number in range(5)]
    requests = [f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for target in targets]
    last = b"GET /v1/models?n=5 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    reply = talk(serving.port, b"".join(requests) + last)
    assert reply.count(b"HTTP/1.1 200") == 6
    assert [request.path for request in provider.requests] == [*targets, "/v1/models?n=5"]


def test_more_requests_in_a_row_than_may_be_end_the_connection(start: Serve, provider: Provider) -> None:
    serving = start(bounds=Bounds(pipelined=3))
    reply = talk(serving.port, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
    assert status(reply) == 400
    assert len(provider.requests) <= 5


@pytest.mark.parametrize(
    "flood",
    [
        b"GET /" + b"a" * 100_000,
        PLAIN + b"X-A: " + b"a" * 100_000,
        PLAIN + b"".join(b"X-%d: a\r\n" % number for number in range(10_000)),
        CHUNKED + b"\r\n1;" + b"a" * 100_000,
        CHUNKED + b"\r\n0\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(10_000)),
    ],
    ids=["target", "value", "headers", "chunk extension", "trailers"],
)
def test_a_head_without_end_is_cut_off(start: Serve, flood: bytes) -> None:
    serving = start(bounds=Bounds(head=32 * 1024))
    reply = talk(serving.port, *[flood[i : i + 4096] for i in range(0, len(flood), 4096)])
    assert status(reply) == 431


def test_trailers_are_no_headers(start: Serve, provider: Provider) -> None:
    serving = start(is_open=False)
    reply = talk(serving.port, CHUNKED + b"Connection: close\r\n\r\n2\r\n{}\r\n0\r\nx-api-key: some\r\n\r\n")
    assert status(reply) == 401
    assert provider.requests == []


def test_a_body_in_chunks_arrives_whole(serving: Serving, provider: Provider) -> None:
    pieces = [BODY[i : i + 7] for i in range(0, len(BODY), 7)]
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    whole = CHUNKED + b"Connection: close\r\n\r\n" + chunks
    for parts in ([whole], [whole[i : i + 1] for i in range(len(whole))]):
        assert status(talk(serving.port, *parts)) == 200
    assert [request.body for request in provider.requests] == [BODY, BODY]


def test_a_body_beyond_the_bound_is_refused_before_it_is_sent(start: Serve) -> None:
    serving = start(bounds=Bounds(message=1000))
    reply = talk(serving.port, post(b"", "/v1/messages").replace(b"Length: 0", b"Length: 1001"))
    assert status(reply) == 413
    assert error_of(reply)["error"]["type"] == "request_too_large"


def test_a_body_beyond_the_bound_in_chunks_is_refused_as_it_comes(start: Serve) -> None:
    serving = start(bounds=Bounds(message=100_000))
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(CHUNKED + b"\r\n")
        for _ in range(30):
            connection.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
        assert status(drain(connection)) == 413


def test_who_sends_too_much_can_still_read_why(start: Serve) -> None:
    serving = start(bounds=Bounds(message=1000))
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post(b"", "/v1/messages").replace(b"Length: 0", b"Length: 3000000"))
        sent = 0
        while sent < 3_000_000:
            sent += connection.send(b" " * 65536)
        assert status(drain(connection)) == 413


def test_all_bodies_together_have_a_bound(start: Serve) -> None:
    serving = start(bounds=Bounds(bodies=1000))
    reply = talk(serving.port, post(b" " * 2000))
    assert status(reply) == 503
    assert error_of(reply)["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("sent", [b"", b"GET /v1/mod", PLAIN], ids=["nothing", "half a line", "half a head"])
def test_a_slow_head_ends_the_connection(start: Serve, sent: bytes) -> None:
    serving = start(bounds=Bounds(head_s=0.1))
    assert status(talk(serving.port, sent)) in (0, 408)


def test_a_slow_body_ends_the_connection(start: Serve) -> None:
    serving = start(bounds=Bounds(body_s=0.1, slow=100_000))
    assert status(talk(serving.port, SIZED + b"\r\n{")) == 408


def test_an_idle_connection_is_closed(start: Serve) -> None:
    serving = start(bounds=Bounds(idle_s=0.1))
    reply = talk(serving.port, post(connection="keep-alive"))
    assert status(reply) == 200
    assert body(reply)


def test_a_call_that_takes_long_is_no_idle_connection(start: Serve, provider: Provider) -> None:
    serving = start(bounds=Bounds(idle_s=0.05, head_s=0.05, body_s=0.05, write_s=0.05))
    usual = provider.answer
    ticks = 0

    def late(request: object) -> object:
        nonlocal ticks
        connection = next(iter(serving.connections()))
        seen = connection.loop.time()
        wait_until(lambda: connection.loop.time() > seen + 0.3)
        return usual(request)  # type: ignore[arg-type]  # handed on as it came

    provider.answer = late  # type: ignore[assignment]  # as above
    assert status(talk(serving.port, post())) == 200


def test_there_are_never_more_connections_than_may_be(start: Serve) -> None:
    serving = start(bounds=Bounds(connections=2))
    held = [socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) for _ in range(2)]
    try:
        wait_until(lambda: len(serving.connections()) == 2)
        reply = talk(serving.port, b"")
        assert status(reply) == 503
        assert error_of(reply)["error"]["type"] == "overloaded_error"
    finally:
        for connection in held:
            connection.close()
    wait_until(lambda: not serving.connections())
    assert status(talk(serving.port, post())) == 200


def test_expect_100_is_answered_before_the_body(serving: Serving) -> None:
    whole = post(BODY, "/v1/messages", "Expect: 100-continue")
    head, _, rest = whole.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(rest)
        assert status(drain(connection)) == 200


def test_expect_100_without_a_key_gets_no_further(start: Serve) -> None:
    serving = start(is_open=False)
    head = post(BODY, "/v1/messages", "Expect: 100-continue").partition(b"\r\n\r\n")[0]
    reply = talk(serving.port, head + b"\r\n\r\n")
    assert status(reply) == 401
    assert b"100 Continue" not in reply


def test_a_refusal_before_the_body_ends_the_connection(start: Serve, provider: Provider) -> None:
    serving = start(is_open=False)
    inner = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-api-key: any\r\n\r\n"
    head = post(inner, connection="keep-alive").partition(b"\r\n\r\n")[0]
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head + b"\r\n\r\n")
        reply = connection.recv(65536)
        connection.sendall(inner)
        reply += drain(connection)
    assert reply.count(b"HTTP/1.1 ") == 1
    assert header(reply, "connection") == "close"


def test_an_offer_of_another_protocol_is_passed_over(serving: Serving, provider: Provider) -> None:
    offer = (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    )
    whole = post(BODY, "/v1/messages", *offer, connection="keep-alive").replace(
        b"Connection: keep-alive\r\n", b""
    )
    for parts in ([whole], [whole[i : i + 1] for i in range(len(whole))]):
        with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
            for part in parts:
                connection.sendall(part)
            assert status(connection.recv(65536)) == 200
    assert [request.body for request in provider.requests] == [BODY, BODY]
    assert "upgrade" not in provider.requests[0].headers


def test_half_a_request_and_a_hang_up_reach_nobody(serving: Serving, provider: Provider) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post()[:-5])
    wait_until(lambda: not serving.connections())
    assert provider.requests == []


@pytest.mark.parametrize("body_", [BODY, STREAM], ids=["whole", "stream"])
def test_an_old_client_gets_its_reply_without_chunks_and_an_end(serving: Serving, body_: bytes) -> None:
    reply = talk(
        serving.port, b"POST /v1/messages HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body_) + body_
    )
    assert status(reply) == 403  # it names no host, and an open gateway wants to know that it is meant
    named = b"POST /v1/messages HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body_)
    reply = talk(serving.port, named + body_)
    assert status(reply) == 200
    assert header(reply, "transfer-encoding") is None
    assert body(reply).rstrip().endswith(b"}")


def test_what_a_mistake_of_the_application_says_is_in_no_reply(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("sk-secret")

    serving.gateway._serve = broken  # type: ignore[method-assign, assignment]  # a mistake that nobody has made yet
    reply = talk(serving.port, post())
    assert status(reply) == 500
    assert b"sk-secret" not in reply
    assert error_of(reply)["error"]["type"] == "api_error"
    assert re.fullmatch(
        r"ERROR +headway:protocol.py:\d+ a request failed: RuntimeError at \S+:\d+\n", caplog.text
    )
