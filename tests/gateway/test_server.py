"""How a gateway ends: no call is dropped that can still end, and nothing new is taken."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.conftest import Serve
from gateway.serving import STREAM, Serving, drain, post, status, talk
from headway.errors import ConnectionFailed
from headway.gateway.bounds import Bounds
from headway.gateway.server import listen, url_of
from transport.provider import PATIENCE_S, Provider, Request, wait_until
from transport.replies import LAST_CHUNK, chunk, http, stream_head, text_events


@pytest.fixture
def held(provider: Provider) -> threading.Event:
    """Streams begin, and end when the test says so."""
    over = threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        events = text_events()
        yield stream_head()
        for each in events[:4]:
            yield chunk(each)
        assert over.wait(PATIENCE_S)
        for each in events[4:]:
            yield chunk(each)
        yield LAST_CHUNK

    provider.answer = answer
    return over


def begun(serving: Serving) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S)
    connection.sendall(post(STREAM, connection="keep-alive"))
    got = b""
    while b"Hello" not in got:
        got += connection.recv(65536)
    return connection


def is_closed(port: int) -> bool:
    """Whether nobody takes connections there any more."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            return drain(connection) == b""
    except ConnectionRefusedError:
        return True


def test_a_stream_ends_before_the_gateway_does(serving: Serving, held: threading.Event) -> None:
    with begun(serving) as connection:
        serving.stop()
        wait_until(lambda: serving.gateway.is_draining)
        assert is_closed(serving.port)
        held.set()
        assert b"message_stop" in drain(connection)
    serving.join()
    assert [row["outcome"] for row in serving.rows()] == ["ok"]


def test_a_stream_that_does_not_end_in_time_is_broken_off_and_settled(
    start: Serve, held: threading.Event
) -> None:
    serving = start(bounds=Bounds(drain_s=0.1))
    with begun(serving) as connection:
        serving.stop()
        serving.join()
        assert b"message_stop" not in drain(connection)
    held.set()
    assert [row["outcome"] for row in serving.rows()] == ["cancelled"]


def test_a_reply_that_is_still_read_when_it_ends_arrives_whole(serving: Serving, provider: Provider) -> None:
    large = b'{"type": "message", "usage": {}, "text": "' + b"x" * 8_000_000 + b'"}'
    provider.answer = lambda _: [http(large)]
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(post(connection="keep-alive"))
        wait_until(lambda: serving.gateway.state().served == 1)
        serving.stop()
        wait_until(lambda: serving.gateway.is_draining)
        assert drain(connection).endswith(large)
    serving.join()


def test_idle_connections_are_closed_at_once(serving: Serving, provider: Provider) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=PATIENCE_S) as connection:
        connection.sendall(post(connection="keep-alive"))
        assert status(connection.recv(65536)) == 200
        serving.stop()
        assert drain(connection) == b""
    serving.join()


def test_those_in_line_may_still_go(start: Serve, provider: Provider) -> None:
    serving = start(limits="requests=5/s", burst="requests=1")
    replies: list[bytes] = []
    threads = [threading.Thread(target=lambda: replies.append(talk(serving.port, post()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(serving.gateway.state().calls) + len(replies) == 3)
    serving.stop()
    serving.join()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [status(reply) for reply in replies] == [200, 200, 200]


def test_no_descriptor_is_left(serving: Serving, provider: Provider) -> None:
    for _ in range(20):
        assert status(talk(serving.port, post())) == 200
    wait_until(lambda: not serving.connections())
    assert serving.client.open_connections == 1
    serving.stop()
    serving.join()
    assert serving.client.open_connections == 0


def test_a_port_that_is_taken_is_said() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert url_of(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(ConnectionFailed, match=str(port)):
            listen("127.0.0.1", port)
