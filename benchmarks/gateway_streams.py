"""A thousand streams at once through the gateway, fifty events a second each, beside nginx and beside no proxy at all.

The proxy has one core; the API and the client share the other. Each event says when the API wrote it, so `late` is from
there to the client, on one clock. Streams begin one after the other for a while, then all run; what is counted is the
time in which all run. `events_a_core` is events by CPU seconds of the proxy.

    python benchmarks/gateway_streams.py [--streams 1000] [--rounds 3] [--seconds 10] [--tree]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import uvloop
from gateway_origin import STAMP
from gateway_proxies import LOAD_CORE, Proxy, origin, pinned
from pacing import machine, source

from gateway import all_of, body_of

EVERY_S = 0.02
START_S = 8.0  # in which all streams begin
_STAMPS = re.compile(rb"@(\d{%d})" % (STAMP - 1))


class Reader(asyncio.Protocol):
    """One stream."""

    def __init__(self, client: Client, request: bytes) -> None:
        self.client, self.request = client, request
        self.asked_at, self.tail, self.is_done = 0, b"", False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.asked_at = time.monotonic_ns()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now, client = time.monotonic_ns(), self.client
        if self.tail:
            data, self.tail = self.tail + data, b""
        at = data.find(b"@")
        if at >= 0 and data.find(b"@", at + 1) < 0 and len(data) - at >= STAMP:  # nearly always
            self.note(now, data[at + 1 : at + STAMP])
        elif at >= 0:
            for stamp in _STAMPS.findall(data):
                self.note(now, stamp)
            cut = data.rfind(b"@")
            self.tail = data[cut:] if len(data) - cut < STAMP else b""
        elif not client.is_counting and data.endswith(b"0\r\n\r\n"):
            self.is_done = True

    def note(self, now: int, stamp: bytes) -> None:
        """An event is here."""
        client = self.client
        if self.asked_at:
            client.firsts.append(now - self.asked_at)
            self.asked_at = 0
        if client.is_counting:
            client.late.append(now - int(stamp))

    def connection_lost(self, _error: Exception | None) -> None:
        self.client.broken += not self.is_done and not self.client.is_over


class Client:
    """All streams."""

    def __init__(self) -> None:
        self.firsts: list[int] = []
        self.late: list[int] = []
        self.broken = 0
        self.is_counting = self.is_over = False

    async def run(self, port: int, request: bytes, streams: int, seconds: float) -> dict[str, Any]:
        loop, readers = asyncio.get_running_loop(), []
        began = loop.time()
        for number in range(streams):
            await asyncio.sleep(max(0.0, began + START_S * number / streams - loop.time()))
            made = await loop.create_connection(lambda: Reader(self, request), "127.0.0.1", port)
            readers.append(made[1])
        await asyncio.sleep(1.0)
        print("on", flush=True)
        self.is_counting = True
        await asyncio.sleep(seconds)
        self.is_counting, self.is_over = False, True
        print("off", flush=True)
        for reader in readers:
            reader.transport.abort()
        return {
            "events": len(self.late),
            "broken": self.broken,
            "begun": len(self.firsts),
            **spread("first", self.firsts),
            **spread("late", self.late),
        }


def spread(name: str, values: list[int]) -> dict[str, float]:
    """Percentiles in milliseconds of nanoseconds."""
    ranked = sorted(values)
    return {
        f"{name}_p{share:g}_ms": round(ranked[min(len(ranked) - 1, int(len(ranked) * share / 100))] / 1e6, 3)
        for share in (50, 99, 100)
        if ranked
    }


def request_of(headers: tuple[tuple[str, str], ...]) -> bytes:
    body = '{"stream":true,' + body_of(2_000)[1:]
    lines = [
        "POST /v1/messages HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "anthropic-version: 2023-06-01",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def hit(proxy: Proxy, streams: int, seconds: float) -> dict[str, Any]:
    """One round, with the client in a process of its own on the core of the load."""
    told = json.dumps({"headers": proxy.headers, "port": proxy.port, "streams": streams, "seconds": seconds})
    command = pinned(LOAD_CORE, sys.executable, __file__, "--client", told)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        marks = []
        for _ in range(2):
            client.stdout.readline()
            marks.append((time.monotonic(), proxy.cpu_s()))
        said: dict[str, Any] = json.loads(client.stdout.readline())
    (begin, cpu), (end, cpu_end) = marks
    said["events_a_second"] = said["events"] / (end - begin)
    said["busy"] = (cpu_end - cpu) / (end - begin)
    said["cpu_us_event"] = (cpu_end - cpu) / max(1, said["events"]) * 1e6
    said["memory_mb"] = proxy.memory_kb() / 1024
    return said


def measure(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    seen: dict[str, list[dict[str, Any]]] = {}
    events = round((START_S + 1.0 + given.seconds + 20.0) / EVERY_S)
    names = given.only.split(",")
    with tempfile.TemporaryDirectory() as place, origin("--events", str(events)) as upstream:
        for _ in range(given.rounds):
            for name in names:
                with all_of([name], Path(tempfile.mkdtemp(dir=place)), upstream) as (proxy,):
                    seen.setdefault(name, []).append(hit(proxy, given.streams, given.seconds))
    for name, found in seen.items():
        middle = {key: round(statistics.median(one.get(key, 0) for one in found), 3) for key in found[0]}
        cpu_us = middle["cpu_us_event"]
        yield {
            "row": "gateway, streams",
            "proxy": name,
            "streams": given.streams,
            "events_a_core": round(1e6 / cpu_us) if cpu_us else None,
            **middle,
            "rounds": [round(one["cpu_us_event"], 2) for one in found],
        }


def client(told: dict[str, Any]) -> None:
    request = request_of(tuple((name, value) for name, value in told["headers"]))
    print(json.dumps(uvloop.run(Client().run(told["port"], request, told["streams"], told["seconds"]))))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", default="direct,nginx,bare,headway")
    parser.add_argument("--tree", action="store_true", help="measure the work tree as it is")
    parser.add_argument("--client", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        client(given.client)
        return 0
    with source(tree=given.tree) as measured:
        for row in measure(given):
            about = machine() | measured | {"load": round(os.getloadavg()[0], 2)}
            print(json.dumps(row | about), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
