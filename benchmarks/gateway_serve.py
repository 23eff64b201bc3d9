"""The gateway with everything on, as a process of its own: keys, limits, a budget, the ledger, metrics, the admin API.

    python benchmarks/gateway_serve.py URL FOLDER [--limits ...] [--log] [--no-ledger] [--bare]

FOLDER has `keys.json` and gets the ledger. Prints the port. Serves until standard input closes, and then prints what the
process took. `--bare`: the same server and client and nothing between them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from headway.config import load
from headway.gateway.app import Gateway
from headway.gateway.bounds import Bounds
from headway.gateway.budgets import Budgets
from headway.gateway.keys import Keys
from headway.gateway.operations import Operations
from headway.gateway.server import UPSTREAM, listen, new_loop, serve
from headway.runtime import Engine
from headway.wire import Client

MOST = 10_000
TOKEN = "a-token-of-the-benchmark"
FAR = "requests=1g/min,input_tokens=900g/min,output_tokens=900g/min"
QUIET = frozenset({"transfer-encoding", "connection", "content-length"})


class Bare:
    """Passes each request on and its reply back: what the server and the client alone cost."""

    is_draining = False

    def __init__(self, upstream: Client) -> None:
        self.upstream, self.bounds = upstream, Bounds()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"host", b"content-length")]
        reply = await self.upstream.send(scope["method"], scope["path"], headers, body)
        out = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in reply.headers.items()
            if name not in QUIET
        ]
        if (length := reply.headers.get("content-length")) is not None:
            out.append((b"content-length", length.encode()))
            data = await reply.read()
            await send({"type": "http.response.start", "status": reply.status, "headers": out})
            await send({"type": "http.response.body", "body": data})
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": out})
        async for chunk in reply:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await reply.close()


async def run(given: argparse.Namespace) -> None:
    folder, stopped, loop = Path(given.folder), asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    listener = listen("127.0.0.1", 0)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Client(given.url, limits=UPSTREAM, max_connections=MOST))
        if given.bare:
            _say(listener)
            await serve(Bare(upstream), listener, stopped)  # type: ignore[arg-type] # it has what serve looks at
            return
        config = load(
            os.environ,
            base_url=given.url,
            api_key="none",
            limits=given.limits,
            ledger="none" if given.no_ledger else str(folder / "ledger.sqlite3"),
        )
        watching = Operations("json" if given.log else None, sys.stderr.buffer)
        engine = stack.enter_context(Engine(config, hooks=watching.hooks))
        keys, budgets = Keys(folder / "keys.json"), Budgets(engine)
        stack.callback(budgets.close)
        gateway = Gateway(engine, keys, upstream=upstream, budgets=budgets)
        aside = listen("127.0.0.1", 0)
        await stack.enter_async_context(watching.admin(aside, engine, keys, TOKEN, budgets=budgets))
        _say(listener, aside)
        await serve(gateway, listener, stopped)


def _say(listener: socket.socket, admin: socket.socket | None = None) -> None:
    admin_port = admin.getsockname()[1] if admin else 0
    print(json.dumps({"port": listener.getsockname()[1], "admin": admin_port}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder")
    parser.add_argument("--limits", default=FAR)
    parser.add_argument("--log", action="store_true", help="a line of log for each request, too")
    parser.add_argument("--no-ledger", action="store_true")
    parser.add_argument("--bare", action="store_true")
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run(given))
    used = resource.getrusage(resource.RUSAGE_SELF)
    gc.collect()
    print(json.dumps({"cpu_s": round(used.ru_utime + used.ru_stime, 3), "most_mb": used.ru_maxrss // 1024}))


if __name__ == "__main__":
    main()
