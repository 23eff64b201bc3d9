"""`headway serve` as a process: who may be let in, how it ends, what it refuses to begin with."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from gateway.test_rights import write_keys
from headway.cli.main import app
from headway.cli.serve import is_loopback
from headway.errors import ConfigError, ConnectionFailed
from headway.testing.emulated import Emulator
from transport.provider import PATIENCE_S, wait_until

PROGRAM = "from headway.cli.main import run; run()"
ASKED = {"model": "claude-opus-4-8", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


class Served:
    """A gateway in a process of its own, from the moment it takes calls."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, "it ended before it served"
            found = re.search(r"headway serves \S+ at (http://\S+)", line)
        self.url = found[1]

    def ask(self, **more: Any) -> httpx2.Response:
        return httpx2.post(
            f"{self.url}/v1/messages", json=ASKED | more.pop("asked", {}), timeout=PATIENCE_S, **more
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def serve(headway_emulator: Emulator, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start `headway serve` with these arguments, in front of an emulator."""
    running: list[subprocess.Popen[str]] = []
    variables = os.environ | {
        "ANTHROPIC_BASE_URL": headway_emulator.url,
        "ANTHROPIC_API_KEY": "sk-ant-real",
        "HEADWAY_LEDGER": str(tmp_path / "ledger.sqlite3"),
        "HEADWAY_KEYS": str(tmp_path / "keys.json"),
    }

    def start(*arguments: str, **more: str) -> Served:
        command = [sys.executable, "-c", PROGRAM, "serve", "--port", "0", "--log", "none", *arguments]
        running.append(
            subprocess.Popen(
                command, env=variables | more, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            )
        )
        return Served(running[-1])

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_it_serves_who_has_a_key_and_ends_on_sigterm(serve: Callable[..., Served], tmp_path: Path) -> None:
    _, secret = write_keys(tmp_path / "keys.json", "app")
    served = serve()
    assert served.ask(headers={"x-api-key": secret}).status_code == 200
    assert served.ask().status_code == 401
    assert served.end() == 0


def test_open_it_serves_this_machine(serve: Callable[..., Served]) -> None:
    served = serve("--open")
    assert served.ask().status_code == 200
    assert served.ask(headers={"origin": "https://evil.example"}).status_code == 403


def test_sighup_reads_the_keys_again(serve: Callable[..., Served], tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", "first")
    served = serve()
    _, secret = write_keys(tmp_path / "keys.json", "second")
    assert served.ask(headers={"x-api-key": secret}).status_code == 401
    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: served.ask(headers={"x-api-key": secret}).status_code == 200)


@pytest.mark.headway_profile("any/unlimited?ttft=1&ttft_sigma=0&speed=5000")
def test_sigterm_lets_a_call_end(serve: Callable[..., Served]) -> None:
    served = serve("--open")
    with socket.create_connection(tuple(served.url[7:].split(":")), timeout=PATIENCE_S) as connection:
        body = json.dumps(ASKED).encode()
        connection.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        connection.sendall(body)
        wait_until(lambda: httpx2.get(f"{served.url}/readyz").status_code == 200)
        served.process.send_signal(signal.SIGTERM)
        got = b""
        while part := connection.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 200"), got
    assert served.process.wait(PATIENCE_S) == 0


@pytest.mark.headway_profile("any/unlimited?ttft=600&ttft_sigma=0")
def test_a_second_signal_does_not_wait(serve: Callable[..., Served], headway_emulator: Emulator) -> None:
    served = serve("--open", "--drain", "10m")
    with socket.create_connection(tuple(served.url[7:].split(":")), timeout=PATIENCE_S) as connection:
        body = json.dumps(ASKED).encode()
        connection.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        connection.sendall(body)
        wait_until(lambda: headway_emulator.stats()["admitted"] == 1)
        served.process.send_signal(signal.SIGINT)
        wait_until(lambda: _is_refused(served.url))
        assert served.process.poll() is None
        assert served.process.stderr is not None
        assert (
            served.process.stderr.readline() == "1 call has 600 s to end; a second signal ends it at once\n"
        )
        assert served.end(signal.SIGINT) == 0


def test_a_limit_of_the_command_line_holds(serve: Callable[..., Served]) -> None:
    served = serve("--open", "--limits", "requests=1/min", "--max-wait", "1s")
    statuses = [served.ask().status_code for _ in range(5)]
    assert statuses[0] == 200
    assert statuses[-1] == 429


def test_its_ledger_is_the_one_of_the_command_line(serve: Callable[..., Served], tmp_path: Path) -> None:
    named = tmp_path / "named.sqlite3"
    served = serve("--open", "--ledger", str(named))
    assert served.ask().status_code == 200
    assert served.end() == 0
    with closing(sqlite3.connect(named)) as db:
        assert db.execute("SELECT count(*) FROM attempts").fetchone() == (1,)
    assert not (tmp_path / "ledger.sqlite3").exists()


def test_the_key_of_the_api_may_be_in_a_file_that_nobody_else_may_read(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    file = tmp_path / "api.key"
    file.write_text("sk-ant-of-the-file\n")
    file.chmod(0o600)
    served = serve("--open", ANTHROPIC_API_KEY="", HEADWAY_API_KEY_FILE=str(file))
    assert served.ask().status_code == 200


def test_without_a_ledger_nothing_is_written(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve("--open", "--ledger", "none")
    assert served.ask().status_code == 200
    assert served.end() == 0
    assert not list(tmp_path.glob("*.sqlite3"))


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["--open", "--host", "0.0.0.0"], {}, "--open on 0.0.0.0 would let everybody in"),
        (["--open", "--host", "::"], {}, "--open on :: would let everybody in"),
        ([], {}, "there are no keys at"),
        (["--keys", "nowhere.json", "--open"], {}, "there are no keys at nowhere.json"),
        (["--open"], {"ANTHROPIC_API_KEY": ""}, "no API key"),
        (["--open", "--drain", "soon"], {}, "--drain"),
        (["--open", "--tier", "tier-99"], {}, "tier"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_served(
    arguments: list[str], environment: dict[str, str], says: str, tmp_path: Path
) -> None:
    known = {
        "ANTHROPIC_API_KEY": "sk-ant-real",
        "HEADWAY_KEYS": str(tmp_path / "none.json"),
        "HEADWAY_LEDGER": "none",
    }
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments], env=known | environment)
    assert isinstance(result.exception, ConfigError), result.output
    assert says in str(result.exception)


def test_a_gateway_is_not_its_own_provider() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    known = {
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": f"http://localhost:{port}",
        "HEADWAY_LEDGER": "none",
    }
    result = CliRunner().invoke(app, ["serve", "--open", "--port", str(port)], env=known)
    assert isinstance(result.exception, ConfigError)
    assert "which is this gateway" in str(result.exception)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        known = {"ANTHROPIC_API_KEY": "k", "HEADWAY_LEDGER": "none"}
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "--open", "--port", port], env=known)
    assert isinstance(result.exception, ConnectionFailed)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example.com", ""])
def test_other_addresses_are_not(host: str) -> None:
    assert not is_loopback(host)


def _is_refused(url: str) -> bool:
    try:
        httpx2.get(f"{url}/readyz")
    except httpx2.TransportError:
        return True
    return False
