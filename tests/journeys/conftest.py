"""`headway` as people start it: a process of its own, against an emulated provider or a server written for the test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

KEY = "sk-ant-secret-7Q2mXw9LkD"
FAST = "any/unlimited?ttft=5ms&speed=20000&output_mean=20"
COMMAND = [sys.executable, "-c", "from headway.cli.main import run; run()"]


def request(name: str, *, prompt: str = "Hello", most: int = 50, **more: Any) -> dict[str, Any]:
    params = {
        "model": "claude-opus-4-5",
        "max_tokens": most,
        "messages": [{"role": "user", "content": prompt}],
    }
    return {"custom_id": name, "params": params | more}


def write_job(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def results_of(path: Path) -> dict[str, dict[str, Any]]:
    """Results by id; fails if one is there twice, or if a line is not whole."""
    found: dict[str, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        value = json.loads(line)
        assert value["custom_id"] not in found
        found[value["custom_id"]] = value["result"]
    return found


class Headway:
    """Runs the command in a folder of its own, with a key and no ledger unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "ANTHROPIC_API_KEY": KEY,
            "HEADWAY_LEDGER": "none",
            "COLUMNS": "200",
        }

    def start(self, *arguments: str, url: str = "", **more: Any) -> subprocess.Popen[str]:
        environment = self.environment | {"ANTHROPIC_BASE_URL": url or "http://127.0.0.1:9"}
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*COMMAND, *arguments], cwd=self.folder, env=environment, **(options | more))

    def run(self, *arguments: str, url: str = "", text: str = "", **more: Any) -> tuple[int, str, str]:
        with self.start(*arguments, url=url, stdin=subprocess.PIPE, **more) as process:
            try:
                out, err = process.communicate(text, timeout=45)
            except BaseException:
                process.kill()
                raise
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def job(self, *arguments: str, url: str = "", **more: Any) -> tuple[int, dict[str, Any]]:
        code, out, err = self.run("run", "job.jsonl", "--json", *arguments, url=url, **more)
        assert out, err
        return code, json.loads(out)


@pytest.fixture
def headway(tmp_path: Path) -> Headway:
    return Headway(tmp_path)


Answer = Callable[[int, bytes], bytes]


class Server:
    """Answers each request with the bytes that `answer(number, body)` gives; b"" hangs up. Counts requests."""

    def __init__(self, answer: Answer) -> None:
        self.requests = 0
        self.bodies: list[bytes] = []
        self._answer = answer
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            try:
                while self._exchange(connection, file):
                    pass
            except OSError:
                return

    def _exchange(self, connection: socket.socket, file: Any) -> bool:
        length = 0
        first = file.readline()
        while (line := file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if not first:
            return False
        body = file.read(length)
        with self._lock:
            number = self.requests
            self.requests += 1
            self.bodies.append(body)
        reply = self._answer(number, body)
        connection.sendall(reply)
        return bool(reply) and b"\r\nconnection: close" not in reply.lower()

    def close(self) -> None:
        self._socket.close()
        for connection in self._open:
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def reply(body: bytes | dict[str, Any], status: str = "200 OK", headers: str = "") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "" if "content-type" in headers.lower() else "content-type: application/json\r\n"
    return f"HTTP/1.1 {status}\r\n{kind}{headers}content-length: {len(data)}\r\n\r\n".encode() + data


def message(text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    } | more


def error(kind: str, text: str = "No", status: str = "500 Oops", headers: str = "") -> bytes:
    return reply({"type": "error", "error": {"type": kind, "message": text}}, status, headers)


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err
