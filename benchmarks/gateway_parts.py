"""Where the gateway's time goes, CPU microseconds a request, without sockets: the application alone, part by part.

The ASGI application is called as its server would call it; the API answers from memory. Each way leaves something out or
puts it in; ways are interleaved, medians shown. `--profile` prints what cProfile says of the way with everything on.

    python benchmarks/gateway_parts.py [--rounds 7] [--calls 1500] [--profile] [--tree]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import os
import pstats
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine import calibration_ms
from gateway_origin import whole
from gateway_proxies import secret_of, write_keys
from gateway_serve import FAR
from pacing import machine, source

from gateway import body_of

AT_ONCE = 16


class Reply:
    """A reply that is here."""

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self._body = 200, headers, body

    async def read(self) -> bytes:
        """All of it."""
        await asyncio.sleep(0)
        return self._body

    async def close(self) -> None:
        """Nothing to do."""


class Memory:
    """An upstream client whose replies are in memory."""

    def __init__(self) -> None:
        head, _, self._body = whole().partition(b"\r\n\r\n")
        lines = (line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:])
        self._headers = {name.lower(): value for name, value in lines}

    async def send(self, _method: str, _target: str, _headers: Any, _body: bytes) -> Reply:
        """A reply, after the loop has had a turn."""
        await asyncio.sleep(0)
        return Reply(self._headers, self._body)


def scope_of(secret: str, size: int) -> dict[str, Any]:
    headers = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"anthropic-version", b"2023-06-01"),
        (b"x-api-key", secret.encode()),
        (b"content-length", b"%d" % size),
    ]
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/messages",
        "raw_path": b"/v1/messages",
        "query_string": b"",
        "headers": headers,
        "state": {},
    }


async def drive(app: Any, secret: str, calls: int, body: bytes) -> None:
    left, scope = iter(range(calls)), scope_of(secret, len(body))
    message = {"type": "http.request", "body": body, "more_body": False}
    ok = 0

    async def receive() -> Any:
        return message

    async def send(said: Any) -> None:
        nonlocal ok
        ok += said.get("status") == 200

    async def work() -> None:
        for _ in left:
            await app(scope | {"state": {}}, receive, send)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    assert ok == calls, f"{ok} of {calls} were answered"


def ways(stack: ExitStack, folder: Path) -> dict[str, tuple[Any, Any]]:
    """Applications by name, each with its engine."""
    from headway.config import load
    from headway.gateway.app import Gateway
    from headway.gateway.budgets import Budgets
    from headway.gateway.keys import Keys
    from headway.gateway.operations import Operations
    from headway.runtime import Engine

    made: dict[str, tuple[Any, Any]] = {}
    for name in ("all", "no budget", "no ledger", "no metrics", "least", "log too"):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        budgets = ["100000usd/day"] if name in ("all", "no ledger", "no metrics", "log too") else []
        write_keys(place / "keys.json", [{"name": "bench", "budgets": budgets}])
        file = "none" if name in ("no ledger", "least") else str(place / "ledger.sqlite3")
        config = load(os.environ, base_url="http://127.0.0.1:1", api_key="none", limits=FAR, ledger=file)
        nowhere = stack.enter_context(open(os.devnull, "wb"))  # noqa: SIM115 - the stack closes it
        watching = Operations("json" if name == "log too" else None, nowhere)
        hooks = watching.hooks if name not in ("no metrics", "least") else ()
        engine = stack.enter_context(Engine(config, hooks=hooks))
        known = Budgets(engine) if budgets else None
        upstream: Any = Memory()
        app = Gateway(engine, Keys(place / "keys.json"), upstream=upstream, budgets=known)
        made[name] = watching.around(app), engine
    return made


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1_500)
    parser.add_argument("--bytes", type=int, default=2_000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--tree", action="store_true", help="measure the work tree as it is")
    given = parser.parse_args()
    with source(tree=given.tree) as measured:
        path = os.environ.get("PYTHONPATH", "")
        if path and not given.tree:
            sys.path.insert(0, path)
        measure(given, measured)
    return 0


def measure(given: argparse.Namespace, measured: dict[str, str]) -> None:
    loop, body, secret = asyncio.new_event_loop(), body_of(given.bytes).encode(), secret_of("bench")
    found: dict[str, list[float]] = {}
    beside = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        made = ways(stack, Path(folder))
        for app, _ in made.values():
            loop.run_until_complete(drive(app, secret, 300, body))
        if given.profile:
            profile = cProfile.Profile()
            profile.runcall(loop.run_until_complete, drive(made["all"][0], secret, given.calls, body))
            pstats.Stats(profile).sort_stats("tottime").print_stats(60)
            return
        for number in range(given.rounds):
            beside.append(calibration_ms())
            for name, (app, engine) in list(made.items())[:: 1 if number % 2 else -1]:
                gc.collect()
                began = time.process_time()
                loop.run_until_complete(drive(app, secret, given.calls, body))
                engine.flush()
                found.setdefault(name, []).append((time.process_time() - began) / given.calls * 1e6)
    for name, rounds in found.items():
        row = {"row": f"gateway, application, {name}", "cpu_us": round(statistics.median(rounds), 1)}
        about = {"least_us": round(min(rounds), 1), "calibration_ms": round(statistics.median(beside), 1)}
        print(json.dumps(row | about | machine() | measured), flush=True)


if __name__ == "__main__":
    sys.exit(main())
