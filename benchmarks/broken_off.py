"""Ten thousand calls that do not end as planned: cancelled, timed out, half read, forgotten. What is left afterwards?

Half of them by 64 tasks of AsyncAnthropic, half by 64 threads of Anthropic, through headway's door, at most 48 in flight so
that some are cancelled in line, against `origin.py` with limits far away. One call in ten is let live. Then nothing may be
left: no ticket, no place in line, no busy connection, no task, no thread, no socket once the clients are closed. And what
headway counted is compared with the server's books: requests and input exactly where the reply had begun, output of calls
that broke off is an estimate on our side.

    python benchmarks/broken_off.py [--calls 10000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
from pacing import HERE, machine
from sdk_client import LOSSES, said_by
from work import MODEL, WORDS

import headway

AT_ONCE, IN_FLIGHT = 64, 48
IN_TIME_S = 0.025  # less than most replies take to begin
ENDS_TASKS = (
    "whole",
    "half",
    "half",
    "unread",
    "forgotten",
    "cancelled at once",
    "cancelled in line or before the head",
    "cancelled while streaming",
    "cancelled, not streamed",
    "timeout",
)
ENDS_THREADS = ("whole", "half", "half", "unread", "forgotten", "timeout", "timeout, not streamed")


@contextmanager
def origin() -> Iterator[str]:
    """The API server, fast, with limits that nothing reaches."""
    amounts = ["--rpm=100000000", "--itpm=100000000000", "--otpm=100000000000", "--burst=60"]
    command = [sys.executable, str(HERE / "origin.py"), *amounts, "--first-token=0.05", "--speed=2000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate(timeout=10)


def asked(random_: random.Random, *, stream: bool) -> dict[str, Any]:
    text = f"out={random_.randint(100, 600)} " + " ".join(random_.choices(WORDS, k=random_.randint(20, 60)))
    messages = [{"role": "user", "content": text}]
    return {"model": MODEL, "max_tokens": 1_024, "messages": messages, "stream": stream}


async def break_off(client: anthropic.AsyncAnthropic, how: str, random_: random.Random) -> None:
    """One call by a task."""

    async def read(most: int) -> Any:
        stream = await client.messages.create(**asked(random_, stream=True))
        async for _event in stream:
            most -= 1
            if not most:
                break
        return stream

    async def cancelled_after(seconds: float, work: Any) -> None:
        task = asyncio.ensure_future(work)
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    match how:
        case "whole":
            await read(10**6)
        case "half":
            await (await read(random_.randint(3, 5))).close()
        case "unread":
            await (await client.messages.create(**asked(random_, stream=True))).close()
        case "forgotten":
            await read(random_.randint(1, 4))
        case "cancelled at once":
            await cancelled_after(0.0, read(10**6))
        case "cancelled in line or before the head":
            await cancelled_after(random_.uniform(0.0, 0.04), read(10**6))
        case "cancelled while streaming":
            await cancelled_after(random_.uniform(0.05, 0.3), read(10**6))
        case "cancelled, not streamed":
            work = client.messages.create(**asked(random_, stream=False))
            await cancelled_after(random_.uniform(0.0, 0.2), work)
        case _:
            await client.with_options(timeout=IN_TIME_S, max_retries=0).messages.create(
                **asked(random_, stream=random_.random() < 0.5)
            )


def break_off_sync(client: anthropic.Anthropic, how: str, random_: random.Random) -> None:
    """One call by a thread."""

    def read(most: int) -> Any:
        stream = client.messages.create(**asked(random_, stream=True))
        for _event in stream:
            most -= 1
            if not most:
                break
        return stream

    match how:
        case "whole":
            read(10**6)
        case "half":
            read(random_.randint(3, 5)).close()
        case "unread":
            client.messages.create(**asked(random_, stream=True)).close()
        case "forgotten":
            read(random_.randint(1, 4))
        case _:
            client.with_options(timeout=IN_TIME_S, max_retries=0).messages.create(
                **asked(random_, stream=how == "timeout")
            )


async def by_tasks(client: anthropic.AsyncAnthropic, calls: int, ends: Counter[str]) -> int:
    """The tasks that are left when all calls are over."""
    random_, left = random.Random(1), iter(range(calls))

    async def work() -> None:
        for _ in left:
            how = random_.choice(ENDS_TASKS)
            try:
                await break_off(client, how, random_)
                ends[how] += 1
            except LOSSES as error:
                ends[f"{how}: {type(error).__name__}"] += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    gc.collect()
    await asyncio.sleep(0.2)
    return len(asyncio.all_tasks()) - 1


def by_threads(client: anthropic.Anthropic, calls: int, ends: Counter[str]) -> None:
    def work(number: int) -> str:
        random_ = random.Random(number)
        how = random_.choice(ENDS_THREADS)
        try:
            break_off_sync(client, how, random_)
        except LOSSES as error:
            return f"{how}: {type(error).__name__}"
        return how

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends.update(pool.map(work, range(calls)))
    gc.collect()


def busy(transport: Any) -> int:
    """Connections of a client's pool that are not idle."""
    inner = getattr(transport, "_inner", transport)
    return sum(not each.is_idle() and not each.is_closed() for each in inner._pool.connections)


def sockets() -> int:
    """Sockets that this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:
            continue
    return found


def settled_books(url: str) -> dict[str, Any]:
    """The server's books when it has seen all that is to be seen."""
    deadline = time.monotonic() + 10.0
    while True:
        with urllib.request.urlopen(f"{url}/stats") as answer:
            books: dict[str, Any] = json.load(answer)
        if not books["live"] or time.monotonic() > deadline:
            return books
        time.sleep(0.1)


def run(calls: int, folder: Path, url: str) -> dict[str, Any]:
    sdk: dict[str, Any] = {"base_url": url, "api_key": "none"}
    ends, before, threads = Counter[str](), sockets(), threading.active_count()
    settings: dict[str, Any] = {
        "ledger": str(folder / "ledger.sqlite3"),
        "concurrency": IN_FLIGHT,
        "retries": 0,
    }
    left: dict[str, Any] = {}
    began, cpu = time.monotonic(), time.process_time()
    with headway.Engine(base_url=url, **settings) as engine:
        loop = asyncio.new_event_loop()
        before_loop = sockets() - before  # what the loop itself keeps open
        aio = headway.async_client(engine=engine)
        client = anthropic.AsyncAnthropic(http_client=aio, **sdk)
        left["tasks"] = loop.run_until_complete(by_tasks(client, calls // 2, ends))
        left["busy connections, tasks"] = busy(aio._transport)
        loop.run_until_complete(client.close())
        left["sockets, tasks"] = sockets() - before - before_loop
        http = headway.client(engine=engine)
        with anthropic.Anthropic(http_client=http, **sdk) as sync:
            by_threads(sync, calls // 2, ends)
            left["busy connections, threads"] = busy(http._transport)
        loop.close()
        left["sockets"] = sockets() - before
        left |= _left_in(engine)
        books = settled_books(url)
        engine.flush()
        ours = said_by(engine)["engine"]
        charged = {unit: amount for pool in engine.core.pools.values() for unit, amount in pool.used.items()}
    left["threads"] = threading.active_count() - threads
    return {
        "row": "broken off",
        "calls": calls,
        "left": left,
        "nothing left": not any(left.values()),
        "beside the books": beside(ours, charged, books),
        "ends": dict(sorted(ends.items())),
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_us_a_call": round((time.process_time() - cpu) / calls * 1e6),
    }


def _left_in(engine: Any) -> dict[str, int]:
    core = engine.core
    return {
        "tickets": core.in_flight,
        "held on meters": len(core.store._tickets),
        "in line": sum(len(pool.line) for pool in core.pools.values()),
        "in flight by the totals": sum(total.in_flight for total in engine.usage()),
        "in flight by the ceiling": sum(pool.ceiling.in_flight for pool in core.pools.values()),
        "held by meters, tokens": round(
            sum(level.in_flight for levels in engine.levels().values() for level in levels)
        ),
    }


def beside(ours: dict[str, int], charged: Mapping[Any, float], books: dict[str, Any]) -> dict[str, Any]:
    """Ours, theirs and the difference as a share."""
    pairs = {
        "attempts": (ours["attempts"], books["requests"]),
        "requests charged": (charged["requests"], books["admitted"]),
        "input tokens charged": (charged["input_tokens"], books["need"]["input_tokens"]),
        "output tokens charged": (charged["output_tokens"], books["produced"]),
    }
    return {
        name: {"ours": mine, "theirs": theirs, "off": round(mine / theirs - 1.0, 5)}
        for name, (mine, theirs) in pairs.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, origin() as url:
        row = run(arguments.calls, Path(folder), url)
    print(json.dumps(row | machine()), flush=True)
    return 0 if row["nothing left"] else 1


if __name__ == "__main__":
    sys.exit(main())
