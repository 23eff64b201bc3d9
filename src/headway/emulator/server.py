"""The emulator on a real socket: in a thread of this process, or as a program of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from headway.emulator.api import Api
from headway.emulator.organisation import Organisation
from headway.emulator.profile import Profile, parse_profile
from headway.errors import ConnectionFailed

_T = TypeVar("_T")
_BACKLOG = 4096
_KEEP_ALIVE_S = 120
_STOP_S = 5.0


class _Connection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with the transport in reach of the application, which has to be able to break it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class Emulator:
    """An emulated provider in a thread of this process, for tests: `with Emulator("claude-opus-4/tier-4") as emulator:`.

    It listens from the moment it is entered, by default on a free port of loopback. Raises ConfigError for a profile it
    cannot read, ConnectionFailed for an address it cannot bind.
    """

    def __init__(self, profile: str | Profile, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.profile = parse_profile(profile) if isinstance(profile, str) else profile
        self._address = (host, port)
        self._organisation = Organisation(self.profile, time.monotonic(), _instance())
        self._thread: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> Emulator:
        listener = _listen(*self._address)
        self.url = _url(listener)
        self._loop = _new_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener,), name="headway-emulator", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Break off every connection and end the thread. Does nothing the second time."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()
            self._thread = None

    def stats(self, *, markers: bool = False) -> dict[str, Any]:
        """The provider's own books and the levels of its buckets."""
        return self._ask(lambda: self._organisation.stats(time.monotonic(), markers=markers))

    def reset(self) -> None:
        """Full buckets, empty cache, empty books."""
        self._ask(lambda: self._organisation.reset(time.monotonic()))

    def _ask(self, question: Callable[[], _T]) -> _T:
        """Have the loop's own thread answer, as the state is its alone; once it has ended, anybody may."""
        if self._thread is None:
            return question()
        answer: Future[_T] = Future()

        def ask() -> None:
            try:
                answer.set_result(question())
            except BaseException as wrong:
                answer.set_exception(wrong)

        self._loop.call_soon_threadsafe(ask)
        return answer.result(_STOP_S)

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(_serve(self._organisation, listener, self._stopped))


def serve(
    profile: Profile,
    host: str,
    port: int,
    ready: Callable[[str], None],
    until: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `until` (run in a thread of its own) returns. `ready` gets the URL."""
    listener = _listen(host, port)
    _raise_file_limit()
    organisation = Organisation(profile, time.monotonic(), _instance())

    async def run() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        if until is not None:
            threading.Thread(target=_then, args=(until, loop, stopped), daemon=True).start()
        ready(_url(listener))
        await _serve(organisation, listener, stopped)

    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(run())


async def _serve(organisation: Organisation, listener: socket.socket, stopped: asyncio.Event) -> None:
    """uvicorn's protocol without its server: that one takes the signals of the whole process and 0.2 s to stop."""
    config = uvicorn.Config(
        Api(organisation),
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(config=config, server_state=state, app_state={}), sock=listener, backlog=_BACKLOG
    )
    dates = loop.create_task(_keep_date(state))
    await stopped.wait()
    dates.cancel()
    server.close()
    await _hang_up(state)


async def _hang_up(state: ServerState) -> None:
    for connection in list(state.connections):
        connection.transport.abort()
    while state.connections:  # noqa: ASYNC110 - each leaves in its connection_lost; uvicorn has no event for it
        await asyncio.sleep(0)
    for task in list(state.tasks):
        task.cancel()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=_STOP_S)


async def _keep_date(state: ServerState) -> None:
    while True:
        now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        state.default_headers = [(b"date", now.encode())]
        await asyncio.sleep(1.0 - time.time() % 1.0)


def _then(until: Callable[[], None], loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    until()
    loop.call_soon_threadsafe(stopped.set)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as wrong:
        reason = wrong.strerror or str(wrong)
        raise ConnectionFailed(
            f"Cannot listen on {host}:{port}: {reason}.", sent=False, hint="Try --port 0 for any free port."
        ) from wrong


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _instance() -> str:
    return os.urandom(4).hex()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _raise_file_limit() -> None:
    """Every stream is a file: let there be as many as the system allows."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
