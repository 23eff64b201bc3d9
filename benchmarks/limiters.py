"""What a limiter costs in the process: one call's share of three limits taken and settled, nothing ever waits.

Wants `aiolimiter limits pyrate-limiter throttled-py llm-rate-governor token-throttle` (the last: Python 3.12 or later) in
an environment of their own beside headway; those that are absent are skipped with a line. Two tables: one caller after
the other, and 64 tasks or threads that each let the others run while they hold their units.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install aiolimiter limits ... && /tmp/peers/bin/pip install .
    /tmp/peers/bin/python benchmarks/limiters.py [--calls 20000] [--rounds 7]

Rounds are interleaved, medians are told. CPU is that of the process, so what background threads do counts. Prints JSON
lines; `--table FILE` makes Markdown of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from threading import Thread
from typing import Any

from engine import calibration_ms
from limiter_peers import PEERS, Async, Peer, Sync
from pacing import machine

AT_ONCE = 64
SLOW_SHARE = 20  # a peer known to be slow makes one call where others make this many
Measured = tuple[float, float]  # CPU and wall microseconds a call


def one_by_one(call: Sync, calls: int) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        call(_pass)
    return _per_call(wall, cpu, calls)


async def one_by_one_async(call: Async, calls: int) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        await call(_pass_async)
    return _per_call(wall, cpu, calls)


def threads(call: Sync, calls: int) -> Measured:
    """All at once, on threads; while a call runs, the others may."""

    def work() -> None:
        for _ in range(calls // AT_ONCE):
            call(_yield_thread)

    workers = [Thread(target=work) for _ in range(AT_ONCE)]
    wall, cpu = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return _per_call(wall, cpu, calls // AT_ONCE * AT_ONCE)


async def tasks(call: Async, calls: int) -> Measured:
    async def work() -> None:
        for _ in range(calls // AT_ONCE):
            await call(_yield_task)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return _per_call(wall, cpu, calls // AT_ONCE * AT_ONCE)


def _pass() -> None:
    pass


async def _pass_async() -> None:
    pass


def _yield_thread() -> None:
    time.sleep(0)


async def _yield_task() -> None:
    await asyncio.sleep(0)


def _per_call(wall: float, cpu: float, calls: int) -> Measured:
    return (time.process_time() - cpu) / calls * 1e6, (time.perf_counter() - wall) / calls * 1e6


Round = Callable[[int], Measured]


def rounds_of(peer: Peer, loop: asyncio.AbstractEventLoop) -> dict[str, Round]:
    """The ways in which this peer can be measured, each with a limiter of its own."""
    ways: dict[str, Round] = {}
    if peer.make:
        alone, together = peer.make(), peer.make()
        ways["one by one"] = lambda calls: one_by_one(alone, calls)
        ways["64 threads"] = lambda calls: threads(together, calls)
    if peer.make_async:
        alone_async, together_async = peer.make_async(), peer.make_async()
        ways["one by one, async"] = lambda calls: loop.run_until_complete(
            one_by_one_async(alone_async, calls)
        )
        ways["64 tasks"] = lambda calls: loop.run_until_complete(tasks(together_async, calls))
    return ways


def present() -> list[Peer]:
    """Those that are installed."""
    found = []
    for peer in PEERS:
        try:
            _ = peer.version
        except PackageNotFoundError:
            print(f"{peer.name}: skipped, not installed", file=sys.stderr)
        else:
            found.append(peer)
    return found


def measure(calls: int, rounds: int) -> list[dict[str, Any]]:
    loop, beside = asyncio.new_event_loop(), []
    ways = {(peer, way): act for peer in present() for way, act in rounds_of(peer, loop).items()}
    measured: dict[tuple[Peer, str], list[Measured]] = {key: [] for key in ways}
    for number in range(rounds + 1):
        beside.append(calibration_ms())
        for (peer, way), act in ways.items():
            counted = calls // (SLOW_SHARE if peer.slow else 1) // (1 if number else 4)
            result = act(max(counted, AT_ONCE))
            if number:  # the first round warms up
                measured[peer, way].append(result)
    loop.close()
    return [_row(peer, way, found, beside, calls) for (peer, way), found in measured.items()]


def _row(peer: Peer, way: str, found: list[Measured], beside: list[float], calls: int) -> dict[str, Any]:
    return {
        "row": f"limiter: {peer.name}, {way}",
        "limiter": peer.name,
        "version": peer.version,
        "does": peer.does,
        "way": way,
        "cpu_us": round(statistics.median(cpu for cpu, _ in found), 2),
        "wall_us": round(statistics.median(wall for _, wall in found), 2),
        "rounds": [round(cpu, 2) for cpu, _ in found],
        "calibration_ms": [round(each, 1) for each in beside],
        "calls": calls // (SLOW_SHARE if peer.slow else 1),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: CPU microseconds a call."""
    ways = ("one by one", "one by one, async", "64 threads", "64 tasks")
    out = ["| limiter | for a call it does | " + " | ".join(ways) + " |", "|---|---|" + "---:|" * len(ways)]
    for name in dict.fromkeys(row["limiter"] for row in rows):
        own = {row["way"]: row for row in rows if row["limiter"] == name}
        first = next(iter(own.values()))
        shown = f"{name} {first['version']}".strip()
        cells = [f"{own[way]['cpu_us']:.1f}" if way in own else "–" for way in ways]
        out.append(f"| {shown} | {first['does']} | {' | '.join(cells)} |")
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--table", type=Path, help="a file of JSON lines to make Markdown of")
    arguments = parser.parse_args()
    if arguments.table:
        print(table([json.loads(line) for line in arguments.table.read_text("utf-8").splitlines()]))
        return
    logging.disable(logging.CRITICAL)  # what peers would say meanwhile is not theirs to be measured by
    where = machine()
    for row in measure(arguments.calls, arguments.rounds):
        print(json.dumps(row | where), flush=True)


if __name__ == "__main__":
    main()
