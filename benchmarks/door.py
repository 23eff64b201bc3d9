"""What headway's door adds to a call of the official SDK, CPU microseconds: the same calls with and without it, interleaved.

The API is a transport that answers from memory, so that no network is in it: a whole reply, or a stream in which each
event comes in a chunk of its own. Streams have 10, 100 and 1,000 events: the slope is what an event costs. `transport`
rows leave the SDK out: the transport's own calls, where less noise is. Limits are far away, so nothing waits. CPU is
that of the process, the ledger's thread and a flush of it included. Per round the bare call is taken off; medians.

    python benchmarks/door.py [--rounds 9] [--loopback] [--calls 400]

`--loopback` measures against `origin.py` instead, 32 calls at once over real sockets. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import httpx2
from engine import calibration_ms
from memory_api import EVENTS, MODEL, PROMPT, Memory
from pacing import machine, origin
from rows import Row

import headway

MOST_CALL_US, MOST_EVENT_US = 80.0, 2.0
AT_ONCE = 32
LONG = PROMPT * 150  # 42 kB, about ten thousand tokens
FAR = "requests=1g/min,input_tokens=900g/min,output_tokens=900g/min"
URL = "http://127.0.0.1:1"


def _asked(*, stream: bool, text: str = PROMPT) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": MODEL, "max_tokens": 4_096, "messages": messages, "stream": stream}


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of call. `events`: 0 is a whole reply; `calls`: how many a round, as a share of the usual number."""

    name: str
    events: int
    share: float
    text: str = PROMPT


CASES = (
    Case("whole", 0, 1.0),
    Case("whole, 42 kB prompt", 0, 0.25, LONG),
    Case("10 events", 10, 0.5),
    Case("100 events", 100, 0.12),
    Case("1000 events", 1_000, 0.02),
)
Run = Callable[[Case, int], None]


def sdk_run(client: anthropic.Anthropic, memory: Memory) -> Run:
    def run(case: Case, calls: int) -> None:
        memory.events = case.events
        asked = _asked(stream=case.events > 0, text=case.text)
        for _ in range(calls):
            reply = client.messages.create(**asked)
            if case.events:
                for _event in reply:
                    pass

    return run


def sdk_run_async(client: anthropic.AsyncAnthropic, memory: Memory, loop: asyncio.AbstractEventLoop) -> Run:
    async def work(case: Case, calls: int) -> None:
        asked = _asked(stream=case.events > 0, text=case.text)
        for _ in range(calls):
            reply = await client.messages.create(**asked)
            if case.events:
                async for _event in reply:
                    pass

    def run(case: Case, calls: int) -> None:
        memory.events = case.events
        loop.run_until_complete(work(case, calls))

    return run


def transport_run(transport: httpx2.BaseTransport, memory: Memory) -> Run:
    """Without the SDK and without httpx2's client."""

    def run(case: Case, calls: int) -> None:
        memory.events = case.events
        body = json.dumps(_asked(stream=case.events > 0, text=case.text)).encode()
        for _ in range(calls):
            request = httpx2.Request("POST", f"{URL}/v1/messages", content=body)
            response = transport.handle_request(request)
            for _chunk in response.stream:  # type: ignore[union-attr] # a sync one
                pass
            response.close()

    return run


Ways = dict[tuple[str, str], tuple[Run, "headway.Engine | None"]]
KINDS = ("sync", "async", "transport")
LEDGERS = ("none", "sqlite")


def ways_of(stack: ExitStack, folder: Path, loop: asyncio.AbstractEventLoop) -> Ways:
    """Every kind of caller, bare and through the door with each ledger."""
    memory, ways = Memory(), Ways()
    sdk: dict[str, Any] = {"base_url": URL, "api_key": "none"}
    engines: list[headway.Engine | None] = [None]
    for ledger in LEDGERS:
        path = "none" if ledger == "none" else str(folder / "ledger.sqlite3")
        engines.append(stack.enter_context(headway.Engine(base_url=URL, ledger=path, limits=FAR)))
    for name, engine in zip(("bare", *LEDGERS), engines, strict=True):
        client = (
            headway.client(engine=engine, transport=memory) if engine else httpx2.Client(transport=memory)
        )
        aio = (
            headway.async_client(engine=engine, transport=memory)
            if engine
            else httpx2.AsyncClient(transport=memory)
        )
        ways["sync", name] = sdk_run(anthropic.Anthropic(http_client=client, **sdk), memory), engine
        asynchronous = anthropic.AsyncAnthropic(http_client=aio, **sdk)
        ways["async", name] = sdk_run_async(asynchronous, memory, loop), engine
        inner = headway.Transport(memory, engine=engine) if engine else memory
        ways["transport", name] = transport_run(inner, memory), engine
    return ways


def cost_us(run: Run, engine: headway.Engine | None, case: Case, calls: int) -> float:
    """CPU microseconds a call, what the ledger does for it included."""
    gc.collect()
    began = time.process_time()
    run(case, calls)
    if engine is not None:
        engine.flush()
    return (time.process_time() - began) / calls * 1e6


def measure(rounds: int, usual: int) -> list[dict[str, Any]]:
    loop, beside = asyncio.new_event_loop(), []
    found: dict[tuple[str, str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ways = ways_of(stack, Path(folder), loop)
        for number in range(rounds + 1):
            beside.append(calibration_ms())
            for case in CASES:
                order = list(ways.items())
                for (kind, name), (run, engine) in order if number % 2 else reversed(order):
                    calls = max(4, round(usual * case.share / (1 if number else 4)))
                    result = cost_us(run, engine, case, calls)
                    if number:  # the first round warms up
                        found.setdefault((kind, name, case.name), []).append(result)
    loop.close()
    return rows_of(found, beside)


def rows_of(found: dict[tuple[str, str, str], list[float]], beside: list[float]) -> list[dict[str, Any]]:
    rows = []
    for kind, ledger in itertools.product(KINDS, LEDGERS):
        added: dict[str, float] = {}
        for case in CASES:
            ours, bare = found[kind, ledger, case.name], found[kind, "bare", case.name]
            more = [one - other for one, other in zip(ours, bare, strict=True)]
            added[case.name] = statistics.median(more)
            rows.append(
                {
                    "row": f"door, {kind}, {case.name}, ledger {ledger}",
                    "added_us": round(added[case.name], 1),
                    "bare_us": round(statistics.median(bare), 1),
                    "rounds": [round(each, 1) for each in more],
                }
            )
        slope = statistics.linear_regression(EVENTS, [added[f"{count} events"] for count in EVENTS]).slope
        rows.append({"row": f"door, {kind}, an event, ledger {ledger}", "added_us": round(slope, 3)})
    return [row | {"calibration_ms": [round(each, 1) for each in beside]} for row in rows]


def loopback(rounds: int, usual: int) -> list[dict[str, Any]]:
    """Against the API server of the other benchmarks, over sockets; whole replies of ten tokens, and streamed ones."""
    fast = Row(
        "short",
        origin=("--first-token", "0", "--speed", "1000000"),
        a_minute=(10**9, 10**12, 10**12),
        burst=60,
    )
    loop, found = asyncio.new_event_loop(), dict[tuple[str, str, str], list[float]]()
    with tempfile.TemporaryDirectory() as folder, origin(fast, 1) as url, ExitStack() as stack:
        sdk: dict[str, Any] = {"base_url": url, "api_key": "none"}
        path = str(Path(folder) / "ledger.sqlite3")
        engine = stack.enter_context(headway.Engine(base_url=url, ledger=path, limits=FAR))
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        clients: dict[str, tuple[Any, Any, headway.Engine | None]] = {
            "bare": (anthropic.Anthropic(**sdk), anthropic.AsyncAnthropic(**sdk), None),
            "door": (
                anthropic.Anthropic(http_client=headway.client(engine=engine), **sdk),
                anthropic.AsyncAnthropic(http_client=headway.async_client(engine=engine), **sdk),
                engine,
            ),
        }
        for number in range(rounds + 1):
            for stream, (name, (sync, aio, used)) in itertools.product((False, True), clients.items()):
                acts: dict[str, Run] = {
                    "threads": partial(_on_threads, pool, sync, stream),
                    "tasks": partial(_on_loop, loop, aio, stream),
                }
                for kind, act in acts.items():
                    result = cost_us(act, used, CASES[0], usual)
                    if number:
                        found.setdefault((kind, name, "stream" if stream else "whole"), []).append(result)
        loop.run_until_complete(_close(aio for _, aio, _ in clients.values()))
    loop.close()
    return [_loopback_row(kind, case, found) for kind in ("threads", "tasks") for case in ("whole", "stream")]


def _loopback_row(kind: str, case: str, found: dict[tuple[str, str, str], list[float]]) -> dict[str, Any]:
    bare, door = found[kind, "bare", case], found[kind, "door", case]
    more = [one - other for one, other in zip(door, bare, strict=True)]
    return {
        "row": f"door over loopback, 32 {kind}, {case}, ledger sqlite",
        "added_us": round(statistics.median(more), 1),
        "bare_us": round(statistics.median(bare), 1),
        "rounds": [round(each, 1) for each in more],
    }


def _small(stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"out=10 {PROMPT}"}]
    return {"model": MODEL, "max_tokens": 256, "messages": messages, "stream": stream}


def _on_threads(
    pool: ThreadPoolExecutor, client: anthropic.Anthropic, stream: bool, _case: Case, calls: int
) -> None:
    def ask(_number: int) -> None:
        reply = client.messages.create(**_small(stream))
        if stream:
            for _event in reply:
                pass

    for _ in pool.map(ask, range(calls)):
        pass


def _on_loop(
    loop: asyncio.AbstractEventLoop,
    client: anthropic.AsyncAnthropic,
    stream: bool,
    _case: Case,
    calls: int,
) -> None:
    loop.run_until_complete(_on_tasks(client, stream, calls))


async def _on_tasks(client: anthropic.AsyncAnthropic, stream: bool, calls: int) -> None:
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            reply = await client.messages.create(**_small(stream))
            if stream:
                async for _event in reply:
                    pass

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def _close(clients: Iterator[anthropic.AsyncAnthropic]) -> None:
    for client in clients:
        await client.close()


def to_reach(row: str) -> float | None:
    """The most that a row may add: through an SDK, for a whole reply and for an event."""
    if not row.startswith(("door, sync", "door, async")):
        return None
    return MOST_EVENT_US if "an event" in row else MOST_CALL_US if "whole, ledger" in row else None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--loopback", action="store_true", help="only over sockets")
    arguments = parser.parse_args()
    rows = (loopback if arguments.loopback else measure)(arguments.rounds, arguments.calls)
    missed = 0
    for row in rows:
        most = to_reach(row["row"])
        if most is not None:
            row["to_reach_us"] = most
            missed += row["added_us"] > most
        print(json.dumps(row | machine()), flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
