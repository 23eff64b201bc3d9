"""The emulator as a process of its own, so that client and provider do not share an interpreter."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from headway.emulator.profile import parse_profile
from headway.errors import ConnectionFailed

_START_S = 20.0
_STOP_S = 5.0
_WATCH_EVERY_S = 1.0


class EmulatorProcess:
    """A running emulator in another process. It ends with `stop`, and with this process, however that ends."""

    def __init__(self, profile: str) -> None:
        parse_profile(profile)  # a wrong one is refused here, not in the child
        command = [sys.executable, "-m", "headway.emulator", profile, "--with-parent"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )  # a session of its own: Ctrl-C is for the parent, which may still want to finish its calls
        self.url = ""
        try:
            self.url = self._read_url()
        finally:
            if not self.url:
                self.stop()

    def __enter__(self) -> EmulatorProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id, for measuring."""
        return self._process.pid

    def stats(self, *, markers: bool = False) -> dict[str, Any]:
        """The provider's own books and the levels of its buckets."""
        return self._ask("GET", "/emulator/stats?markers=1" if markers else "/emulator/stats")

    def reset(self) -> None:
        """Full buckets, empty cache, empty books."""
        self._ask("POST", "/emulator/reset")

    def stop(self) -> None:
        """End it: first by closing its standard input, after 5 s by force. Does nothing the second time."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read_url(self) -> str:
        output = self._process.stdout
        ready = output is not None and select.select([output], [], [], _START_S)[0]
        line = output.readline() if output is not None and ready else b""
        if not line:
            raise ConnectionFailed("The emulator process did not start.", sent=False)
        return str(msgspec.json.decode(line)["url"])

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=_START_S)
        try:
            connection.request(method, path)
            values: dict[str, Any] = msgspec.json.decode(connection.getresponse().read())
        except (OSError, HTTPException) as wrong:
            raise ConnectionFailed(
                f"The emulator at {self.url} does not answer: {wrong}.", sent=True
            ) from wrong
        finally:
            connection.close()
        return values


def spawn(profile: str) -> EmulatorProcess:
    """Start an emulator in its own process: `with spawn("claude-opus-4/tier-4") as emulator: emulator.url`.

    Raises ConfigError for a profile it cannot read, ConnectionFailed if the process does not come up in 20 s.
    """
    return EmulatorProcess(profile)


def wait_for_parent_to_end() -> None:
    """Return once standard input is closed or the parent is gone, whatever killed it. For the child's side."""
    parent, stdin = os.getppid(), sys.stdin.fileno()
    while os.getppid() == parent:
        readable, _, _ = select.select([stdin], [], [], _WATCH_EVERY_S)
        if readable and not os.read(stdin, 1024):
            return
