"""What `headway serve` opens beside the calls, and what it does not."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from transport.provider import PATIENCE_S, wait_until

TOKEN = "a-token-that-nobody-guesses"
RUN = "from headway.cli.main import run; run()"
COMMAND = [sys.executable, "-c", RUN, "serve", "--open", "--emulate", "--port", "0"]


class Served:
    """`headway serve` as a process of its own. `said()` is what it has said so far; it is stopped by SIGTERM."""

    def __init__(self, folder: Path, *more: str, token: str = "", on_terminal: bool = False) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment = {
            **kept,
            "HOME": str(folder),
            "HEADWAY_ADMIN_TOKEN": token,
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }
        self._from, there = pty.openpty() if on_terminal else os.pipe()
        self._process = subprocess.Popen(
            [*COMMAND, *more], stderr=there, stdout=subprocess.DEVNULL, cwd=folder, env=environment
        )
        os.close(there)
        os.set_blocking(self._from, False)
        self._said = b""

    def __enter__(self) -> Served:
        wait_until(lambda: re.search("headway serves .*\n|Ctrl-C ends it", self.said()) is not None)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        os.close(self._from)

    def said(self) -> str:
        with suppress(OSError):  # nothing more for now, or for ever
            while part := os.read(self._from, 65536):
                self._said += part
        return self._said.decode()

    def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_S)


def admin_of(text: str) -> str | None:
    found = re.search(r"(?:headway admin|Admin API) at (http://[\d.:]+)", text)
    return found and found[1]


def test_the_admin_api_has_a_port_of_its_own_and_the_token_of_the_environment(tmp_path: Path) -> None:
    with Served(tmp_path, "--admin-port", "0", token=TOKEN) as served:
        admin = admin_of(served.said())
        assert admin is not None
        headers = {"authorization": f"Bearer {TOKEN}"}
        state = httpx2.get(f"{admin}/headway/v1/state", headers=headers).json()
        assert state["gateway"] == {"served": 0, "refused": 0, "is_draining": False, "held_by_keys": []}
        assert httpx2.get(f"{admin}/headway/v1/state").status_code == 401
        assert served.end() == 0
        assert TOKEN not in served.said()


def test_without_a_token_and_a_terminal_there_is_none(tmp_path: Path) -> None:
    with Served(tmp_path, "--admin-port", "0") as served:
        assert admin_of(served.said()) is None
        assert "HEADWAY_ADMIN_TOKEN is not set" in served.said()
        assert served.end() == 0


def test_on_a_terminal_a_new_token_is_shown_and_is_good(tmp_path: Path) -> None:
    with Served(tmp_path, "--admin-port", "0", on_terminal=True) as served:
        found = re.search(r"HEADWAY_ADMIN_TOKEN=(\S+) headway top --url (\S+)", served.said())
        assert found is not None
        headers = {"authorization": f"Bearer {found[1]}"}
        assert httpx2.get(f"{found[2]}/headway/v1/state", headers=headers).status_code == 200


@pytest.mark.parametrize(("style", "lines"), [("json", 1), ("none", 0)])
def test_each_request_has_a_line_if_that_is_wanted(tmp_path: Path, style: str, lines: int) -> None:
    with Served(tmp_path, "--log", style) as served:
        found = re.search(r"serves \S+ at (\S+)", served.said())
        assert found is not None
        assert httpx2.get(f"{found[1]}/v1/models").status_code == 200
        assert served.end() == 0
        assert served.said().count('"event":"call"') == lines


TRACED = """
from headway.cli.watching import LogStyle, Watching

def kinds():
    return [type(hooks.settled).__qualname__ for hooks in Watching(LogStyle.NONE, is_wanted=True).hooks("http://x")]

assert len(kinds()) == 1
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_tracer_provider

set_tracer_provider(TracerProvider())
assert len(kinds()) == 2
"""


def test_spans_are_made_if_opentelemetry_is_set_up_in_the_process() -> None:
    """In a process of its own: a provider is set for good."""
    done = subprocess.run(
        [sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
