"""Two thousand calls that wait in line at the gateway: what each holds in memory, and what waiting costs.

The limit lets two calls in at once and no other for a long time. Memory is the resident set once they all wait, less what
it was before, by calls; connections and bodies are in it, and so are those of nginx, which holds the same calls at an API
that does not answer. CPU is that of ten seconds in which nothing happens.

    python benchmarks/gateway_waiting.py [--calls 2000] [--seconds 10] [--tree]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop
from gateway_proxies import Proxy, nginx, origin, ours
from gateway_streams import request_of
from pacing import machine, source
from soak import state_of

from gateway import body_of

MOST_KB = 20.0
NARROW = "requests=2/min,input_tokens=900g/min,output_tokens=900g/min"


async def wait_in(proxy: Proxy, calls: int, seconds: float) -> dict[str, Any]:
    """Send the calls, and look at the proxy while they wait."""
    plain = request_of(proxy.headers).replace(b'"stream":true,', b'"stream":false,')
    size = len(body_of(2_000)) + len('"stream":false,')
    head, _, body = plain.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
    lines += [b"content-length: %d" % size, b"headway-max-wait: 10000h"]
    request = b"\r\n".join(lines) + b"\r\n\r\n" + body
    before = proxy.memory_kb()
    open_: list[asyncio.StreamWriter] = []
    for _ in range(calls):
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request)
        open_.append(writer)
        if len(open_) % 50 == 0:
            await asyncio.sleep(0.02)
    await asyncio.sleep(2.0)
    in_line = (await asyncio.to_thread(state_of, proxy))["waiting"] if proxy.admin else None
    memory, cpu, began = proxy.memory_kb(), proxy.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    cpu, took = proxy.cpu_s() - cpu, time.monotonic() - began
    leaving = proxy.cpu_s()
    for writer in open_:
        writer.transport.abort()
    await asyncio.sleep(2.0)
    return {
        "in_line": in_line,
        "memory_kb_call": round((memory - before) / calls, 2),
        "before_mb": round(before / 1024, 1),
        "waiting_mb": round(memory / 1024, 1),
        "after_mb": round(proxy.memory_kb() / 1024, 1),
        "cpu_ms_a_second": round(cpu / took * 1e3, 3),
        "leaving_us_call": round((proxy.cpu_s() - leaving) / calls * 1e6, 1),
        "descriptors_after": proxy.descriptors(),
    }


async def warm(proxy: Proxy) -> None:
    """A few calls that are answered, so that what is made once is made."""
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request_of(proxy.headers).replace(b'"stream":true,', b'"strea_":true,'))
        await reader.read(100)
        writer.transport.abort()


async def idle(proxy: Proxy, seconds: float) -> float:
    """What it takes with nobody there, CPU milliseconds a second."""
    cpu = proxy.cpu_s()
    await asyncio.sleep(seconds)
    return (proxy.cpu_s() - cpu) / seconds * 1e3


def measure(calls: int, seconds: float) -> Iterator[dict[str, Any]]:
    for name in ("nginx", "headway"):
        with tempfile.TemporaryDirectory() as place, origin("--delay", "3600") as upstream:
            if name == "nginx":
                with nginx(Path(place), upstream) as proxy:
                    nobody = uvloop.run(idle(proxy, 3.0))
                    found = uvloop.run(wait_in(proxy, calls, seconds))
            else:
                with origin() as fast, ours(Path(place), fast, "--limits", NARROW) as proxy:
                    uvloop.run(warm(proxy))
                    nobody = uvloop.run(idle(proxy, 3.0))
                    found = uvloop.run(wait_in(proxy, calls, seconds))
        yield {
            "row": "gateway, waiting",
            "proxy": name,
            "calls": calls,
            "idle_ms_a_second": round(nobody, 3),
        } | found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tree", action="store_true", help="measure the work tree as it is")
    given = parser.parse_args()
    with source(tree=given.tree) as measured:
        for row in measure(given.calls, given.seconds):
            about = machine() | measured | {"to_reach_kb": MOST_KB, "load": round(os.getloadavg()[0], 2)}
            print(json.dumps(row | about), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
