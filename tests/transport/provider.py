"""A small HTTP/1.1 server that a test scripts, independent of the emulator: it sends the bytes that it is told, when told.

`answer(request)` yields what to send: bytes, or CLOSE or RESET to end the connection in that way. It runs in the thread of
the connection, so it may wait for events of the test.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, BinaryIO

PATIENCE_S = 20.0  # how long anything waits for what must happen; nothing waits that long unless it is broken


class End(Enum):
    """How a connection ends."""

    CLOSE = auto()
    RESET = auto()


CLOSE, RESET = End.CLOSE, End.RESET


@dataclass(frozen=True)
class Request:
    """One request as it came in. `number` counts from 0 over all connections; header names are in lower case."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Request], Iterable[bytes | End]]


class Provider:
    """The server. `requests` are those that came in, in order; `hosts` where connections were opened from."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def open_connections(self) -> int:
        """Connections that neither side has closed."""
        with self._lock:
            return sum(not _is_gone(connection) for connection in self._sockets)

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until the server has seen what the test is waiting for."""
        wait_until(happened)

    def close(self) -> None:
        if self._listening.fileno() < 0:
            return
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._acceptor.join(PATIENCE_S)
        with self._lock:
            left = list(self._sockets)
        for connection in left:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._sockets.add(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as incoming:
                while (request := self._read(incoming)) is not None:
                    if not self._reply(connection, request):
                        break
        except OSError:
            pass  # the client has left
        finally:
            with self._lock:
                self._sockets.discard(connection)
            connection.close()

    def _read(self, incoming: BinaryIO) -> Request | None:
        first = incoming.readline().decode()
        if not first:
            return None
        method, path, _ = first.split(" ", 2)
        headers: dict[str, str] = {}
        while (line := incoming.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(lambda: _chunk(incoming), b""))
        else:
            length = int(headers.get("content-length", "0"))
            body = incoming.read(length)
            if len(body) < length:
                return None  # the client left before it had said all
        with self._lock:
            request = Request(len(self.requests), method, path, headers, body)
            self.requests.append(request)
        return request

    def _reply(self, connection: socket.socket, request: Request) -> bool:
        """Send the answer; whether the connection goes on."""
        for part in self.answer(request):
            match part:
                case End.RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                case End.CLOSE:
                    return False
                case bytes():
                    connection.sendall(part)
        return True


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait until it has happened, in a thread of its own; fails after `PATIENCE_S`."""
    ticks, pause = 0, threading.Event()
    while not happened():
        pause.wait(0.002)
        ticks += 1
        assert ticks < PATIENCE_S / 0.002, "it never happened"


def _is_gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _chunk(incoming: BinaryIO) -> bytes:
    size = int(incoming.readline().strip() or b"0", 16)
    data = incoming.read(size)
    incoming.readline()
    return data
