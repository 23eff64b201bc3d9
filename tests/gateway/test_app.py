"""Everything that is no message: health, models, files, batches, paths that nobody knows."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.conftest import Serve
from gateway.serving import BODY, Serving, body, drain, error_of, header, post, status, talk
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
        connection.sendall(post(b"x" * 1_000_000, "/v1/files")[:500_000])
        wait_until(lambda: serving.gateway._held > 0)
    wait_until(lambda: serving.gateway._held == 0)
    assert provider.requests == []
