"""What becomes of a call that draws on a limit, from the client's side of a real socket."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from gateway.conftest import Serve
from gateway.serving import BODY, STREAM, Serving, body, drain, error_of, header, post, status, talk
from headway.gateway.bounds import Bounds
from headway.gateway.rights import Waits
from headway.wire import Timeouts
from transport.provider import CLOSE, PATIENCE_S, RESET, End, Provider, Request, wait_until
from transport.replies import (
    LAST_CHUNK,
    as_the_api,
    chunk,
    error,
    event,
    http,
    message,
    started,
    stream,
    stream_head,
    text_events,
)

CACHED = ("headway-session: nightly", "headway-tags: team=search")


def unchunked(reply: bytes) -> bytes:
    """The body of a chunked reply, as far as it came."""
    rest, out = body(reply), []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        out.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return b"".join(out)


def first(answer: Iterable[bytes | End], then: Provider) -> None:
    """The first request gets this, the others what the API says."""
    then.answer = lambda request: answer if request.number == 0 else as_the_api(request)


class Gate:
    """A provider whose replies wait until the test lets them go."""

    def __init__(self, provider: Provider) -> None:
        self.open = threading.Event()
        self._usual = provider.answer
        provider.answer = self

    def __call__(self, request: Request) -> Iterable[bytes | End]:
        assert self.open.wait(PATIENCE_S)
        return self._usual(request)


def test_bodies_go_byte_for_byte_both_ways(serving: Serving, provider: Provider) -> None:
    odd = b'{ "model" : "claude-opus-4-8",\n"max_tokens":20 , "new_field": [1.50, "\\u00e9\xc3\xa9"], "messages":[]}'
    reply = (
        b'{"type" : "message", "odd": 1.0, "usage": {"input_tokens": 3, "output_tokens": 4}, "content":[] }'
    )
    provider.answer = lambda _: [http(reply)]
    assert body(talk(serving.port, post(odd))) == reply
    assert provider.requests[0].body == odd


def test_only_credentials_are_exchanged(start: Serve, provider: Provider) -> None:
    said = (
        "x-api-key: sk-client",
        "Authorization: Bearer sk-client-too",
        "Cookie: session=1",
        "anthropic-version: 2026-10-21",
        "anthropic-beta: one,two",
        "X-Unknown: Some Thing",
        "User-Agent: test/1",
        "X-Forwarded-For: 10.0.0.1",
        "TE: trailers",
        "Proxy-Authorization: Basic abc",
        *CACHED,
    )
    talk(start().port, post(BODY, "/v1/messages?beta=true", *said))
    got = provider.requests[0]
    assert got.path == "/v1/messages?beta=true"
    assert got.headers["x-api-key"] == "sk-upstream"
    assert got.headers["anthropic-version"] == "2026-10-21"
    assert got.headers["anthropic-beta"] == "one,two"
    assert got.headers["x-unknown"] == "Some Thing"
    assert got.headers["user-agent"] == "test/1"
    assert got.headers["accept-encoding"] == "identity"
    gone = {"authorization", "cookie", "x-forwarded-for", "te", "proxy-authorization"}
    assert gone.isdisjoint(got.headers)
    assert not [name for name in got.headers if name.startswith("headway-")]


def test_headers_that_the_client_names_for_its_connection_go_no_further(
    serving: Serving, provider: Provider
) -> None:
    talk(serving.port, post(BODY, "/v1/messages", "X-Hop: 1", "X-Stays: 1", connection="close, X-Hop"))
    assert "x-hop" not in provider.requests[0].headers
    assert "x-stays" in provider.requests[0].headers


def test_the_version_of_the_api_is_the_clients_or_ours(serving: Serving, provider: Provider) -> None:
    talk(serving.port, post())
    assert provider.requests[0].headers["anthropic-version"] == "2023-06-01"


def test_what_headway_knows_of_a_call_is_in_the_head_of_its_reply(
    serving: Serving, provider: Provider
) -> None:
    provider.answer = lambda _: [http(message(model="claude-opus-4-8"), request_id="req_1")]
    reply = talk(serving.port, post())
    [row] = serving.rows()
    assert header(reply, "request-id") == "req_1"
    assert header(reply, "headway-call-id") == row["call_id"]
    assert int(header(reply, "headway-queued-ms") or -1) in range(1000)
    assert re.fullmatch(r"input=\d+, output=\d+", header(reply, "headway-estimate") or "")
    assert header(reply, "headway-cost-usd") == f"0.{row['cost_nanousd']:09d}"
    assert row["cost_nanousd"] > 0
    assert header(reply, "headway-limit") is None


def test_headers_of_the_providers_connection_do_not_come_through(
    serving: Serving, provider: Provider
) -> None:
    theirs: dict[str, Any] = {
        "connection": "keep-alive",
        "keep_alive": "timeout=5",
        "set_cookie": "a=b",
        "alt_svc": 'h3=":443"',
        "strict_transport_security": "max-age=1",
        "x_theirs": "kept",
        "date": "Tue, 24 Nov 2026 12:00:00 GMT",
    }
    provider.answer = lambda _: [http(message(), 200, **theirs)]
    reply = talk(serving.port, post())
    for name in ("keep-alive", "set-cookie", "alt-svc", "strict-transport-security"):
        assert header(reply, name) is None
    assert header(reply, "x-theirs") == "kept"
    assert reply.lower().count(b"\r\ndate:") == 1


def test_a_stream_goes_byte_for_byte(serving: Serving, provider: Provider) -> None:
    events = text_events()
    provider.answer = lambda _: stream(events)
    reply = talk(serving.port, post(STREAM))
    assert status(reply) == 200
    assert unchunked(reply) == b"".join(events)
    [row] = serving.rows()
    assert (row["outcome"], row["output_tokens"]) == ("ok", 7)


def test_the_cost_of_a_stream_comes_last_if_it_is_asked_for(serving: Serving, provider: Provider) -> None:
    provider.answer = lambda _: stream(text_events())
    got = unchunked(talk(serving.port, post(STREAM, "/v1/messages", "headway-trailer: 1")))
    [row] = serving.rows()
    comment = b": headway-cost-usd=0.%09d\n\n" % row["cost_nanousd"]
    assert got == b"".join(text_events()) + comment


def test_a_stream_arrives_as_it_is_made(serving: Serving, provider: Provider) -> None:
    more = threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        events = text_events()
        yield stream_head()
        for each in events[:4]:
            yield chunk(each)
        assert more.wait(PATIENCE_S)
        for each in events[4:]:
            yield chunk(each)
        yield LAST_CHUNK

    provider.answer = answer
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post(STREAM))
        got = b""
        while b"Hello" not in got:
            got += connection.recv(65536)
        assert b"message_stop" not in got
        more.set()
        assert b"message_stop" in drain(connection)


@pytest.mark.parametrize(
    "trouble",
    [
        [error("overloaded_error", 529)],
        [error("api_error", 500)],
        [error("rate_limit_error", 429, retry_after="0")],
        [RESET],
        [CLOSE],
        [b"SSH-2.0-OpenSSH\r\n", CLOSE],
        [http(b"<html>", kind="text/html")],
        [stream_head(), chunk(started()), RESET],
        [
            stream_head(),
            chunk(started()),
            chunk(event("error", error={"type": "overloaded_error"})),
            LAST_CHUNK,
        ],
        [stream_head(), chunk(started()), LAST_CHUNK],
        [stream_head(content_encoding="gzip"), chunk(b"no gzip"), LAST_CHUNK],
        [http(b"", content_encoding="br")],
    ],
    ids=[
        "overloaded",
        "failed",
        "limited",
        "reset",
        "closed",
        "another protocol",
        "a page",
        "a stream that breaks off before its content",
        "a stream that begins with an error",
        "a stream without content",
        "a stream that cannot be unpacked",
        "an unknown packing",
    ],
)
def test_before_the_first_content_trouble_is_not_seen(
    serving: Serving, provider: Provider, trouble: list[bytes | End]
) -> None:
    first(trouble, provider)
    reply = talk(serving.port, post(STREAM))
    assert status(reply) == 200
    assert b"message_stop" in reply
    assert [row["outcome"] == "ok" for row in serving.rows()] == [False, True]


@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
def test_after_the_first_content_trouble_is_seen_and_nothing_is_sent_again(
    serving: Serving, provider: Provider, end: End
) -> None:
    events = text_events()
    provider.answer = lambda _: [stream_head(), *map(chunk, events[:4]), end]
    reply = talk(serving.port, post(STREAM))
    assert status(reply) == 200
    assert b"message_stop" not in reply
    assert not reply.endswith(LAST_CHUNK)
    assert len(provider.requests) == 1
    [row] = serving.rows()
    assert (row["outcome"], row["is_estimated"] if "is_estimated" in row else row["estimated"]) == (
        "failed",
        1,
    )


def test_a_final_error_of_the_provider_comes_as_it_is_but_not_to_be_tried_again(
    serving: Serving, provider: Provider
) -> None:
    refused = error("overloaded_error", 529, x_should_retry="true")
    provider.answer = lambda _: [refused]
    reply = talk(serving.port, post())
    assert status(reply) == 529
    assert body(reply) == refused.partition(b"\r\n\r\n")[2]
    assert header(reply, "x-should-retry") == "false"
    assert header(reply, "headway-call-id")
    assert len(provider.requests) == 2


def test_a_rejected_request_is_not_tried_again(serving: Serving, provider: Provider) -> None:
    provider.answer = lambda _: [error("invalid_request_error", 400)]
    assert status(talk(serving.port, post())) == 400
    assert len(provider.requests) == 1


def test_json_that_is_none_is_the_providers_to_refuse(serving: Serving, provider: Provider) -> None:
    provider.answer = lambda _: [error("invalid_request_error", 400, "not JSON")]
    reply = talk(serving.port, post(b"{not json"))
    assert error_of(reply)["error"]["message"] == "not JSON"
    assert provider.requests[0].body == b"{not json"


def test_a_provider_that_is_not_there_is_a_bad_gateway(start: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    reply = talk(start(f"http://127.0.0.1:{port}").port, post())
    assert status(reply) == 502
    assert error_of(reply)["error"]["type"] == "api_error"
    assert header(reply, "x-should-retry") == "false"


def test_a_request_too_large_for_its_model_is_refused_before_it_is_sent(
    serving: Serving, provider: Provider
) -> None:
    large = json.loads(BODY) | {"max_tokens": 10_000_000}
    reply = talk(serving.port, post(json.dumps(large).encode()))
    assert status(reply) == 400
    assert error_of(reply)["headway"]["most"] < 10_000_000
    assert header(reply, "x-should-retry") == "false"
    assert provider.requests == []


def test_a_call_that_would_wait_too_long_is_told_for_what_who_holds_it_and_when_it_clears(
    start: Serve, provider: Provider
) -> None:
    serving = start(limits="requests=1/min", burst="requests=1")
    assert status(talk(serving.port, post())) == 200
    reply = talk(serving.port, post(BODY, "/v1/messages", "headway-max-wait: 1s"))
    assert status(reply) == 429
    said = error_of(reply)
    assert said["type"] == "error"
    assert said["error"]["type"] == "rate_limit_error"
    assert said["headway"]["limit"] == "1 requests/min"
    assert 0.0 <= said["headway"]["level"] < 1.0
    assert 50.0 < said["headway"]["clears_in_s"] <= 60.0
    assert said["headway"]["held_by"][0]["tenant"] == "default"
    assert int(header(reply, "retry-after") or 0) in range(51, 61)
    assert header(reply, "x-should-retry") == "true"
    assert len(provider.requests) == 1


def test_a_call_that_does_not_fit_now_waits_and_is_told_for_what(start: Serve) -> None:
    serving = start(limits="requests=10/s", burst="requests=1")
    replies = [talk(serving.port, post()) for _ in range(2)]
    assert [status(reply) for reply in replies] == [200, 200]
    waited = header(replies[1], "headway-limit")
    assert waited is None or waited == "requests"
    assert (int(header(replies[1], "headway-queued-ms") or 0) > 0) == (waited is not None)


def test_how_long_a_call_may_wait_depends_on_its_class(start: Serve) -> None:
    waits = Waits(interactive=3600.0, standard=3600.0, bulk=0.0)
    serving = start(limits="requests=1/min", burst="requests=1", options={"waits": waits})
    assert status(talk(serving.port, post())) == 200
    assert status(talk(serving.port, post(BODY, "/v1/messages", "headway-class: bulk"))) == 429


def test_the_setting_for_all_classes_counts_if_there_is_one(start: Serve) -> None:
    waits = Waits(standard=3600.0)
    serving = start(limits="requests=1/min", burst="requests=1", max_wait="1s", options={"waits": waits})
    assert status(talk(serving.port, post())) == 200
    assert status(talk(serving.port, post())) == 429


def test_a_used_up_budget_is_refused_and_not_to_be_tried_again(serving: Serving, provider: Provider) -> None:
    said = ("headway-session: nightly", "headway-budget: 1 request")
    assert status(talk(serving.port, post(BODY, "/v1/messages", *said))) == 200
    reply = talk(serving.port, post(BODY, "/v1/messages", *said))
    assert status(reply) == 402
    assert error_of(reply)["error"]["type"] == "billing_error"
    assert error_of(reply)["headway"] == {
        "budget": "session nightly",
        "unit": "requests",
        "used": 1,
        "cap": 1,
        "clears_in_s": None,
    }
    assert header(reply, "x-should-retry") == "false"
    assert len(provider.requests) == 1


def test_headers_for_headway_that_cannot_be_read_are_refused(serving: Serving, provider: Provider) -> None:
    for wrong in (
        "headway-class: urgent",
        "headway-max-wait: soon",
        "headway-clas: bulk",
        "headway-budget: 1usd",
    ):
        reply = talk(serving.port, post(BODY, "/v1/messages", wrong))
        assert status(reply) == 400, wrong
        assert error_of(reply)["error"]["type"] == "invalid_request_error"
    assert provider.requests == []


def test_who_hangs_up_in_line_leaves_it_at_once(start: Serve, provider: Provider) -> None:
    serving = start(limits="requests=1/min", burst="requests=1")
    assert status(talk(serving.port, post())) == 200
    [pool] = serving.engine.core.pools.values()
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post())
        wait_until(lambda: len(pool.line) == 1)
    wait_until(lambda: len(pool.line) == 0)
    assert len(provider.requests) == 1
    assert len(serving.rows()) == 1


def test_who_hangs_up_before_the_reply_is_settled_and_the_provider_hears_of_it(
    serving: Serving, provider: Provider
) -> None:
    gate = Gate(provider)
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post())
        wait_until(lambda: len(provider.requests) == 1)
    provider.until(lambda: provider.open_connections() == 0)
    gate.open.set()
    [row] = serving.rows()
    assert (row["outcome"], row["estimated"]) == ("cancelled", 1)
    assert row["cost_nanousd"] > 0


def test_who_hangs_up_in_the_middle_of_a_stream_is_settled_and_its_cost_kept(
    serving: Serving, provider: Provider
) -> None:
    over = threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        yield stream_head()
        for each in text_events()[:4]:
            yield chunk(each)
        assert over.wait(PATIENCE_S)

    provider.answer = answer
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post(STREAM))
        got = b""
        while b"Hello" not in got:
            got += connection.recv(65536)
    provider.until(lambda: provider.open_connections() == 0)
    over.set()
    [row] = serving.rows()
    assert (row["outcome"], row["estimated"]) == ("cancelled", 1)
    assert row["cost_nanousd"] > 0


def test_a_slow_reader_stops_the_provider_and_not_the_gateways_memory(
    serving: Serving, provider: Provider
) -> None:
    sent = 0
    text = "x" * 100_000
    piece = chunk(event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}))

    def answer(_: Request) -> Iterator[bytes]:
        nonlocal sent
        events = text_events()
        yield stream_head()
        for each in events[:3]:
            yield chunk(each)
        for _number in range(1000):
            sent += len(piece)
            yield piece
        yield chunk(events[-1])
        yield LAST_CHUNK

    provider.answer = answer
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(post(STREAM))
        settled = -1

        def rests() -> bool:
            nonlocal settled
            before, settled = settled, sent
            return sent > 0 and before == sent

        pause = threading.Event()
        wait_until(lambda: not pause.wait(0.1) and rests())
        assert sent < 30_000_000
    wait_until(lambda: not serving.gateway.state().calls)
    assert [row["outcome"] for row in serving.rows()] == ["cancelled"]


def test_a_reader_that_reads_nothing_at_all_is_left(start: Serve, provider: Provider) -> None:
    serving = start(bounds=Bounds(write_s=0.2))
    piece = chunk(event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x" * 100_000}))

    def answer(_: Request) -> Iterator[bytes]:
        yield stream_head()
        for each in text_events()[:3]:
            yield chunk(each)
        for _number in range(1000):
            yield piece

    provider.answer = answer
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post(STREAM))
        wait_until(lambda: len(serving.gateway.state().calls) == 1)
        wait_until(lambda: not serving.gateway.state().calls)
    assert [row["outcome"] for row in serving.rows()] == ["cancelled"]


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000],
        [b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 1_000_000],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}", CLOSE],
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"],
        [b"\x00" * 10_000, CLOSE],
    ],
    ids=[
        "endless headers",
        "an endless header",
        "two lengths",
        "both lengths",
        "too short",
        "another protocol",
        "zeros",
    ],
)
def test_a_provider_that_answers_garbage_is_a_bad_gateway(
    serving: Serving, provider: Provider, answer: list[bytes | End]
) -> None:
    provider.answer = lambda _: answer
    reply = talk(serving.port, post())
    assert status(reply) == 502
    assert error_of(reply)["error"]["type"] == "api_error"


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_provider_that_falls_silent_is_given_up(start: Serve, provider: Provider, said: bytes) -> None:
    serving = start(timeouts=Timeouts(connect=5.0, head=0.2, idle=0.2, write=5.0))
    over = threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        yield said
        over.wait(PATIENCE_S)

    provider.answer = answer
    reply = talk(serving.port, post())
    over.set()
    assert status(reply) == 502


def test_a_stream_that_falls_silent_after_its_content_is_broken_off(start: Serve, provider: Provider) -> None:
    serving = start(timeouts=Timeouts(connect=5.0, head=5.0, idle=0.2, write=5.0))
    over = threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        yield stream_head()
        for each in text_events()[:4]:
            yield chunk(each)
        over.wait(PATIENCE_S)

    provider.answer = answer
    reply = talk(serving.port, post(STREAM))
    over.set()
    assert (status(reply), b"Hello" in reply) == (200, True)
    assert not reply.endswith(LAST_CHUNK)
    [row] = serving.rows()
    assert (row["outcome"], row["estimated"]) == ("failed", 1)
    assert len(provider.requests) == 1


def test_pings_without_end_before_the_content_are_passed_on_and_not_kept(
    serving: Serving, provider: Provider
) -> None:
    pings, more = 20_000, threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        yield stream_head()
        yield chunk(started())
        for _number in range(pings):
            yield chunk(event("ping"))
        assert more.wait(PATIENCE_S)
        yield b"".join(chunk(each) for each in text_events()[2:]) + LAST_CHUNK

    provider.answer = answer
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post(STREAM))
        seen, rest = 0, b""
        while seen < pings:
            *whole, rest = (rest + connection.recv(1 << 20)).split(b'"ping"')
            seen += len(whole)
        more.set()
        assert b"message_stop" in drain(connection)
    assert [row["outcome"] for row in serving.rows()] == ["ok"]


def test_a_reply_that_never_ends_is_given_up(start: Serve, provider: Provider) -> None:
    serving = start()

    def answer(_: Request) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"
        for _number in range(2000):
            yield b" " * 65536

    provider.answer = answer
    assert status(talk(serving.port, post())) == 502


def test_a_reply_packed_unasked_comes_as_it_is_and_is_read_all_the_same(
    serving: Serving, provider: Provider
) -> None:
    packed = gzip.compress(json.dumps(message(model="claude-opus-4-8")).encode())
    provider.answer = lambda _: [http(packed, content_encoding="gzip")]
    reply = talk(serving.port, post())
    assert (status(reply), body(reply)) == (200, packed)
    assert header(reply, "content-encoding") == "gzip"
    [row] = serving.rows()
    assert (row["outcome"], row["output_tokens"]) == ("ok", 7)


def test_a_bomb_is_not_unpacked(serving: Serving, provider: Provider) -> None:
    bomb = gzip.compress(b" " * 200_000_000, compresslevel=9)
    provider.answer = lambda _: [http(bomb, content_encoding="gzip")]
    assert status(talk(serving.port, post())) == 502


def test_a_bomb_in_a_stream_ends_it(serving: Serving, provider: Provider) -> None:
    packing = zlib.compressobj(wbits=31)
    content = packing.compress(b"".join(text_events()[:4])) + packing.flush(zlib.Z_SYNC_FLUSH)
    bomb = packing.compress(b" " * 200_000_000) + packing.flush()
    seen = threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        yield stream_head(content_encoding="gzip")
        yield chunk(content)
        assert seen.wait(PATIENCE_S)
        yield chunk(bomb) + LAST_CHUNK

    provider.answer = answer
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post(STREAM))
        got = b""
        while content not in got:
            got += connection.recv(65536)
        seen.set()
        got += drain(connection)
    assert status(got) == 200
    assert not got.endswith(LAST_CHUNK)
    assert len(provider.requests) == 1
    assert [row["outcome"] for row in serving.rows()] == ["failed"]


def test_a_connection_that_the_provider_closed_while_it_rested_costs_no_attempt(
    serving: Serving, provider: Provider
) -> None:
    provider.answer = lambda request: [*as_the_api(request), CLOSE]
    for _ in range(5):
        assert status(talk(serving.port, post())) == 200
        provider.until(lambda: provider.open_connections() == 0)
    assert [row["outcome"] for row in serving.rows()] == ["ok"] * 5


def test_models_that_nobody_knows_share_a_pool_once_there_are_many(
    serving: Serving, provider: Provider
) -> None:
    for number in range(150):
        odd = BODY.replace(b"claude-opus-4-8", b"odd-%d" % number)
        talk(serving.port, post(odd))
    assert len(serving.engine.core.pools) <= 101
    assert len(provider.requests) == 150


def test_a_run_of_failures_closes_the_pool_and_one_probe_opens_it(start: Serve, provider: Provider) -> None:
    serving = start(limits="requests=100000/min")
    usual = provider.answer
    provider.answer = lambda _: [error("overloaded_error", 529)]
    for _ in range(5):
        talk(serving.port, post())
    sent = len(provider.requests)
    reply = talk(serving.port, post(BODY, "/v1/messages", "headway-max-wait: 0"))
    assert status(reply) == 529
    assert error_of(reply)["error"]["type"] == "overloaded_error"
    assert error_of(reply)["headway"]["limit"] == "the provider's capacity"
    assert int(header(reply, "retry-after") or 0) >= 1
    assert len(provider.requests) == sent
    provider.answer = usual
    assert status(talk(serving.port, post())) == 200
    assert status(talk(serving.port, post(BODY, "/v1/messages", "headway-max-wait: 0"))) == 200
