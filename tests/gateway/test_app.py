"""Everything that is no message: health, models, files, batches, paths that nobody knows."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from gateway.conftest import Serve
from gateway.serving import BODY, Serving, body, drain, error_of, header, post, status, talk
from headway.gateway.bounds import Bounds
from transport.provider import CLOSE, PATIENCE_S, Provider, Request, wait_until
from transport.replies import chunk, error, http, stream_head


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_told_without_a_key_and_without_the_provider(
    start: Serve, provider: Provider, path: str
) -> None:
    serving = start(is_open=False)
    reply = talk(serving.port, get(path))
    assert (status(reply), json.loads(body(reply))) == (200, {"status": "ok"})
    assert provider.requests == []


def test_who_drains_is_healthy_but_not_ready(serving: Serving) -> None:
    serving.gateway.is_draining = True
    assert status(talk(serving.port, get("/healthz"))) == 200
    assert status(talk(serving.port, get("/readyz"))) == 503


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models?limit=2"),
        ("GET", "/v1/models/claude-opus-4-8"),
        ("DELETE", "/v1/files/file_1"),
        ("HEAD", "/v1/models"),
        ("GET", "/v7/something/new"),
        ("OPTIONS", "/v1/messages"),
        ("GET", "/"),
    ],
)
def test_any_path_goes_on_and_is_recorded(
    serving: Serving, provider: Provider, method: str, path: str
) -> None:
    provider.answer = lambda request: [
        http(b'{"data":[]}', request_id="req_7")
        if request.method != "HEAD"
        else b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nrequest-id: req_7\r\n\r\n"
    ]
    reply = talk(serving.port, get(path, method=method))
    assert status(reply) == 200
    assert body(reply) == (b"" if method == "HEAD" else b'{"data":[]}')
    assert header(reply, "content-length") == "11"
    assert (provider.requests[0].method, provider.requests[0].path) == (method, path)
    [row] = serving.rows()
    assert row["call_id"] == header(reply, "headway-call-id")
    assert (row["outcome"], row["status"], row["request_id"]) == ("ok", 200, "req_7")


def test_an_error_of_any_path_comes_as_it_is(serving: Serving, provider: Provider) -> None:
    provider.answer = lambda _: [error("not_found_error", 404)]
    reply = talk(serving.port, get("/v1/nothing"))
    assert (status(reply), error_of(reply)["error"]["type"]) == (404, "not_found_error")
    assert header(reply, "x-should-retry") is None
    [row] = serving.rows()
    assert (row["outcome"], row["status"]) == ("failed", 404)


def test_what_a_client_can_unpack_comes_packed(serving: Serving, provider: Provider) -> None:
    talk(serving.port, get("/v1/models", "Accept-Encoding: gzip, br"))
    assert provider.requests[0].headers["accept-encoding"] == "gzip, br"


def test_a_body_of_any_path_goes_on_byte_for_byte(serving: Serving, provider: Provider) -> None:
    file = bytes(range(256)) * 4096
    provider.answer = lambda _: [http(b"{}")]
    assert status(talk(serving.port, post(file, "/v1/files", "Content-Type: multipart/form-data"))) == 200
    assert provider.requests[0].body == file


def test_a_long_reply_of_any_path_arrives_as_it_is_made(serving: Serving, provider: Provider) -> None:
    more = threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        yield stream_head().replace(b"text/event-stream; charset=utf-8", b"application/octet-stream")
        yield chunk(b"first")
        assert more.wait(PATIENCE_S)
        yield chunk(b"last") + b"0\r\n\r\n"

    provider.answer = answer
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(get("/v1/files/file_1/content"))
        got = b""
        while b"first" not in got:
            got += connection.recv(65536)
        more.set()
        assert b"last" in drain(connection)


def test_a_reply_of_any_path_that_breaks_off_shows(serving: Serving, provider: Provider) -> None:
    provider.answer = lambda _: [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", CLOSE]
    reply = talk(serving.port, get("/v1/files/file_1/content"))
    assert (header(reply, "content-length"), body(reply)) == ("100", b"half")


def test_a_provider_that_is_not_there_is_a_bad_gateway(start: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    serving = start(f"http://127.0.0.1:{port}")
    assert status(talk(serving.port, get("/v1/models"))) == 502
    [row] = serving.rows()
    assert (row["outcome"], row["status"]) == ("failed", None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/messages/batches"),
        ("GET", "/v1/messages/batches"),
        ("GET", "/v1/messages/batches/msgbatch_1"),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel"),
        ("GET", "/v1/messages/batches/msgbatch_1/results"),
    ],
)
def test_counting_and_batches_go_through_pools_of_their_own(
    serving: Serving, provider: Provider, method: str, path: str
) -> None:
    provider.answer = lambda _: [http({"id": "msgbatch_1", "input_tokens": 3})]
    reply = talk(serving.port, post(BODY, path) if method == "POST" else get(path))
    assert (status(reply), json.loads(body(reply))) == (200, {"id": "msgbatch_1", "input_tokens": 3})
    assert (provider.requests[0].method, provider.requests[0].path) == (method, path)
    pool = "anthropic/count_tokens" if "count" in path else "anthropic/batches"
    assert set(serving.engine.core.pools) == {pool}
    [row] = serving.rows()
    assert (row["outcome"], row["output_tokens"]) == ("ok", 0)


def test_results_of_a_batch_stream_by(serving: Serving, provider: Provider) -> None:
    lines = b'{"custom_id": "a"}\n' * 100_000
    provider.answer = lambda _: [http(lines, kind="application/x-jsonl")]
    reply = talk(serving.port, get("/v1/messages/batches/msgbatch_1/results"))
    assert reply.count(b'{"custom_id": "a"}') >= 99_000
    assert reply.endswith(b"0\r\n\r\n")
    assert [row["outcome"] for row in serving.rows()] == ["ok"]


@pytest.mark.parametrize(
    ("said", "ours"),
    [([], "http://localhost"), (["X-Forwarded-Proto: https"], "https://localhost")],
)
def test_a_batch_says_that_its_results_are_here(
    serving: Serving, provider: Provider, said: list[str], ours: str
) -> None:
    path = "/v1/messages/batches/msgbatch_1"
    provider.answer = lambda _: [http({"id": "msgbatch_1", "results_url": f"{provider.url}{path}/results"})]
    reply = talk(serving.port, get(path, *said))
    assert json.loads(body(reply))["results_url"] == f"{ours}{path}/results"


def test_counting_is_tried_again_unseen_when_it_is_limited(serving: Serving, provider: Provider) -> None:
    refused = error("rate_limit_error", 429, retry_after="0")
    provider.answer = lambda request: [refused] if request.number == 0 else [http({"input_tokens": 3})]
    assert json.loads(body(talk(serving.port, post(BODY, "/v1/messages/count_tokens")))) == {
        "input_tokens": 3
    }


@pytest.mark.parametrize(
    "path", ["/v1/../v1/messages", "/v1//messages", "/v1/%6dessages", "/v1/messages%2f", "*"]
)
def test_a_path_with_a_trick_is_refused(serving: Serving, provider: Provider, path: str) -> None:
    assert status(talk(serving.port, post(BODY, path))) == 400
    assert provider.requests == []


def test_a_whole_address_is_a_path(serving: Serving, provider: Provider) -> None:
    assert status(talk(serving.port, post(BODY, "http://elsewhere.example/v1/messages"))) == 200
    assert provider.requests[0].path == "/v1/messages"
    assert provider.requests[0].headers["host"] == provider.url.removeprefix("http://")


def test_a_client_that_hangs_up_while_it_sends_is_forgotten(serving: Serving, provider: Provider) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post(b"x" * 1_000_000, "/v1/messages")[:500_000])
        wait_until(lambda: serving.gateway._held > 0)
    wait_until(lambda: serving.gateway._held == 0)
    assert provider.requests == []


class Upload:
    """An upload that has begun: `client` has sent its head and some of its body, `provider` reads nothing unless told."""

    def __init__(self, serving: Serving, listening: socket.socket, head: bytes) -> None:
        self.client = socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S)
        self.client.sendall(head)
        self.provider, _ = listening.accept()
        self.provider.settimeout(PATIENCE_S)
        self.incoming = self.provider.makefile("rb")

    def head(self) -> bytes:
        """What the provider gets before the body."""
        return b"".join(iter(self.incoming.readline, b"\r\n"))

    def close(self) -> None:
        for each in (self.incoming, self.client, self.provider):
            each.close()


@pytest.fixture
def upload(start: Serve) -> Iterator[Callable[..., tuple[Serving, Upload]]]:
    """Begin uploads, each through a gateway of its own to a provider that is a socket of the test."""
    begun: list[Upload] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)

        def begin(head: bytes, **options: Any) -> tuple[Serving, Upload]:
            serving = start(f"http://127.0.0.1:{listening.getsockname()[1]}", **options)
            begun.append(Upload(serving, listening, head))
            return serving, begun[-1]

        yield begin
        for each in begun:
            each.close()


Begin = Callable[..., tuple[Serving, Upload]]
CHUNKED = (
    b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def test_an_upload_goes_on_as_it_comes_and_is_never_held(upload: Begin) -> None:
    """40 MB, of a provider that reads nothing: beyond what kernels hold, the client must wait."""
    file = bytes(range(256)) * (40 * 4096)
    whole = post(file, "/v1/files")
    head = whole[: len(whole) - len(file)]
    serving, under_way = upload(head + file[:100_000])
    under_way.client.setblocking(False)
    sent, rests = 100_000, 0
    pause = threading.Event()
    while rests < 20:
        try:
            sent += under_way.client.send(file[sent : sent + 65536])
            rests = 0
        except BlockingIOError:
            rests += 1
            pause.wait(0.01)
    assert sent < 20_000_000
    assert serving.gateway._held == 0
    [running] = serving.connections()
    assert running._cycle is not None
    assert running._cycle.held < 1_000_000

    def go_on() -> None:
        under_way.client.settimeout(PATIENCE_S)
        under_way.client.sendall(file[sent:])

    rest = threading.Thread(target=go_on)
    rest.start()
    assert f"\r\nContent-Length: {len(file)}\r\n".encode() in under_way.head()
    assert under_way.incoming.read(len(file)) == file
    rest.join(PATIENCE_S)
    under_way.provider.sendall(http(b'{"id":"file_1"}'))
    reply = drain(under_way.client)
    assert (status(reply), body(reply)) == (200, b'{"id":"file_1"}')
    assert [row["status"] for row in serving.rows()] == [200]


def test_an_upload_without_a_length_goes_on_in_chunks(upload: Begin) -> None:
    _, under_way = upload(CHUNKED + b"3\r\nabc\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in under_way.head()
    assert under_way.incoming.read(8) == b"3\r\nabc\r\n"  # before the client has said more
    under_way.client.sendall(b"2\r\nde\r\n0\r\n\r\n")
    assert under_way.incoming.read(12) == b"2\r\nde\r\n0\r\n\r\n"
    under_way.provider.sendall(http(b"{}"))
    assert status(drain(under_way.client)) == 200


def test_who_hangs_up_in_an_upload_ends_the_connection_to_the_provider(upload: Begin) -> None:
    serving, under_way = upload(post(b"x" * 1_000_000, "/v1/files")[:300_000])
    under_way.client.close()
    under_way.head()
    with suppress(ConnectionResetError):
        while under_way.incoming.read(65536):
            continue
    [row] = serving.rows()
    assert (row["outcome"], row["status"]) == ("failed", None)


def test_an_upload_that_turns_out_too_large_is_broken_off(upload: Begin) -> None:
    _, under_way = upload(CHUNKED + b"3\r\nabc\r\n", bounds=Bounds(other=10))
    under_way.client.sendall(b"8\r\nabcdefgh\r\n")
    assert status(drain(under_way.client)) == 413
    under_way.head()
    with suppress(ConnectionResetError):
        assert b"abcdefgh" not in under_way.incoming.read()


def test_a_provider_that_refuses_an_upload_before_its_end_is_heard(upload: Begin) -> None:
    _, under_way = upload(CHUNKED + b"3\r\nabc\r\n")
    under_way.head()
    under_way.provider.sendall(http(b'{"type":"error"}', status=413))
    pause = threading.Event()
    under_way.client.setblocking(False)
    with suppress(BrokenPipeError, ConnectionResetError):
        while not pause.wait(0.005) and not select.select([under_way.client], [], [], 0)[0]:
            under_way.client.sendall(b"1\r\nx\r\n")
    under_way.client.settimeout(PATIENCE_S)
    reply = drain(under_way.client)
    assert status(reply) == 413
    assert reply.endswith(b'{"type":"error"}')


def test_an_upload_is_not_sent_again(upload: Begin) -> None:
    serving, under_way = upload(CHUNKED + b"3\r\nabc\r\n")
    under_way.head()
    under_way.provider.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    under_way.incoming.close()
    under_way.provider.close()
    under_way.client.sendall(b"1\r\nx\r\n0\r\n\r\n")
    reply = drain(under_way.client)
    assert status(reply) == 502
    assert error_of(reply)["headway"]["sent"] is True
    assert [row["status"] for row in serving.rows()] == [None]
