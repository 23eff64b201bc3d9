"""What a call through `headway.wire` costs, beside `httpx2.AsyncClient` in the same run.

The origin is a bare asyncio protocol in another process that answers every POST with the same bytes. Rounds of the
candidates are interleaved; medians of the rounds are printed as JSON lines. CPU is that of the client process alone.

    python benchmarks/wire.py [--rounds 5] [--seconds 0.7]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import cast

import httpx2
import uvloop

from headway.wire import Client

REQUEST = b'{"model":"claude-opus-4","max_tokens":64,"messages":[{"role":"user","content":"%s"}]}' % (
    b"x" * 1970
)
ANSWER = b'{"type":"message","content":[{"type":"text","text":"%s"}]}' % (b"y" * 600)
HEADERS = [
    (b"x-api-key", b"none"),
    (b"anthropic-version", b"2023-06-01"),
    (b"content-type", b"application/json"),
]
LIMITS = "".join(
    f"anthropic-ratelimit-{unit}-{what}: 4000000\r\n"
    for unit in ("requests", "input-tokens", "output-tokens", "tokens")
    for what in ("limit", "remaining", "reset")
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\n%scontent-length: %d\r\n\r\n%s"
    % (LIMITS.encode(), len(ANSWER), ANSWER)
)

Call = Callable[[], Awaitable[object]]


class Origin(asyncio.Protocol):
    """Answers each request as soon as its body is complete."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data
        split = data.find(b"\r\n\r\n")
        if split < 0:
            return
        head = data[:split].lower()
        length = int(head[head.index(b"content-length: ") + 16 :].split(b"\r\n", 1)[0])
        if len(data) >= split + 4 + length:
            self._data = data[split + 4 + length :]
            self._transport.write(RESPONSE)


def serve(pipe: Pipe) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


async def drive(call: Call, tasks: int, seconds: float) -> dict[str, float]:
    """Keep `tasks` calls in flight for `seconds`; the first calls, which connect, are not counted."""
    await asyncio.gather(*(call() for _ in range(tasks)))
    count = 0
    cpu, start = time.process_time(), time.perf_counter()
    end = start + seconds

    async def work() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await call()
            count += 1

    await asyncio.gather(*(work() for _ in range(tasks)))
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"rps": count / took, "cpu_us": cpu / count * 1e6}


async def ours(port: int, tasks: int, seconds: float) -> dict[str, float]:
    async with Client(f"http://127.0.0.1:{port}", max_connections=tasks) as client:

        async def call() -> None:
            reply = await client.send("POST", "/v1/messages", HEADERS, REQUEST)
            assert reply.status == 200
            assert len(await reply.read()) == len(ANSWER)

        return await drive(call, tasks, seconds)


async def theirs(port: int, tasks: int, seconds: float) -> dict[str, float]:
    limits = httpx2.Limits(max_connections=tasks, max_keepalive_connections=tasks)
    headers = {name.decode(): value.decode() for name, value in HEADERS}
    async with httpx2.AsyncClient(limits=limits, trust_env=False) as client:

        async def call() -> None:
            reply = await client.post(
                f"http://127.0.0.1:{port}/v1/messages", headers=headers, content=REQUEST
            )
            assert reply.status_code == 200
            assert len(reply.content) == len(ANSWER)

        return await drive(call, tasks, seconds)


CANDIDATES = {
    "headway.wire asyncio": (asyncio.run, ours),
    "headway.wire uvloop": (uvloop.run, ours),
    "httpx2 asyncio": (asyncio.run, theirs),
    "httpx2 uvloop": (uvloop.run, theirs),
}


def commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()


def main() -> None:
    options = argparse.ArgumentParser(description="What a call through headway.wire costs.")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.7)
    given = options.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    origin = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    origin.start()
    port = here.recv()
    about = {"python": platform.python_version(), "cores": os.cpu_count(), "commit": commit()}
    for tasks in (16, 64):
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in CANDIDATES}
        for _ in range(given.rounds):
            for name, (run, candidate) in CANDIDATES.items():
                seen[name].append(run(candidate(port, tasks, given.seconds)))
        for name, rounds in seen.items():
            middle = {key: round(statistics.median(one[key] for one in rounds), 1) for key in rounds[0]}
            print(
                json.dumps({"bench": "wire", "client": name, "connections": tasks, **middle, **about}),
                flush=True,
            )
    origin.terminate()


if __name__ == "__main__":
    main()
