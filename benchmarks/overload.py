"""Ten times the quota offered by twenty tenants through the gateway: what is used, who gets it, who waits.

Eighteen tenants of one class and weight offer between them nearly all of it, the greediest three times as much as the
most modest, and each far more than its share. Two interactive ones ask now and then. The API (`origin.py`) has buckets
and books. A call may wait 60 s; what would wait
longer is refused at once.

`used` is what was taken of the limit that binds, by what it gave until the offers ended. `spread` is between the tenants
that got most and least of their class, in seconds of the limit that each call drew on most, by the ledger;
`spread_less_a_call` leaves out what a single call can make of it.

    python benchmarks/overload.py [--seconds 300] [--times 10] [--tree]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvloop
from gateway_crowd import Crowd, Ended, Tenant
from gateway_proxies import HERE, LOAD_CORE, Proxy, ours, pinned, started
from pacing import machine, source
from rows import A_MINUTE

UNITS = ("requests", "input_tokens", "output_tokens")
LIMITS = ",".join(f"{unit}={amount}/min" for unit, amount in zip(UNITS, A_MINUTE, strict=True))
BURST_S = 5.0
CALLS_A_SECOND = 10.0  # of kind `mixed`, that the limits let in: input and output bind about here
GREEDY, INTERACTIVE = 18, 2
MOST_SPREAD, LEAST_USED, MOST_429 = 0.05, 0.97, 0.001


def tenants(times: float, wait_s: float) -> list[Tenant]:
    """Who offers what."""
    steps = [1.0 + 2.0 * number / (GREEDY - 1) for number in range(GREEDY)]
    each = CALLS_A_SECOND * times / sum(steps)
    greedy = [
        Tenant(f"greedy-{number:02}", "standard", each * step, wait_s) for number, step in enumerate(steps)
    ]
    asking = [Tenant(f"asking-{number}", "interactive", 0.15, 60.0) for number in range(INTERACTIVE)]
    return greedy + asking


@contextlib.contextmanager
def api(*options: str) -> Iterator[int]:
    """The API with buckets and books; its port."""
    amounts = [f"--{name}={amount}" for name, amount in zip(("rpm", "itpm", "otpm"), A_MINUTE, strict=True)]
    script = str(HERE / "gateway_books.py")
    command = pinned(LOAD_CORE, sys.executable, script, *amounts, f"--burst={BURST_S}", *options)
    with started(command) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


def books_of(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
        books: dict[str, Any] = json.load(answer)
    return books


def served(ledger: Path, since_ns: int, until_ns: int) -> dict[str, list[float]]:
    """What each tenant's calls took, each by itself: seconds of the limit that it drew on most."""
    asked = (
        "SELECT tenant, input_tokens, output_tokens FROM attempts "
        "WHERE at_ns BETWEEN ? AND ? AND outcome = 'ok' ORDER BY id"
    )
    requests, *rates = (amount / 60 for amount in A_MINUTE)
    found: dict[str, list[float]] = {}
    with contextlib.closing(sqlite3.connect(ledger)) as file:
        for tenant, *tokens in file.execute(asked, (since_ns, until_ns)):
            each = (amount / rate for amount, rate in zip(tokens, rates, strict=True))
            found.setdefault(tenant, []).append(max(1 / requests, *each))
    return found


async def crowd(proxy: Proxy, who: Sequence[Tenant], upstream: int, seconds: float) -> dict[str, Any]:
    """Offer, and read the books when the offers end."""
    callers = Crowd(proxy.port, who)
    running = asyncio.create_task(callers.run(seconds, 90.0))
    began, cpu = time.monotonic(), proxy.cpu_s()
    since_ns = time.time_ns()
    await asyncio.sleep(seconds)
    held = {"line_mb": round(proxy.memory_kb() / 1024, 1), "descriptors": proxy.descriptors()}
    books = await asyncio.to_thread(books_of, upstream)
    took, cpu, until_ns = time.monotonic() - began, proxy.cpu_s() - cpu, time.time_ns()
    await running
    await asyncio.sleep(0.5)
    assert proxy.ledger is not None
    settled = int(since_ns + (until_ns - since_ns) * 0.1)  # without the first tenth, in which the line fills
    return (
        used(books, took)
        | shares(served(proxy.ledger, settled, until_ns), who)
        | waits(callers.ended, who)
        | held
        | {"offered": callers.offered, "busy": cpu / took, "cpu_us_offered": cpu / callers.offered * 1e6}
    )


def used(books: dict[str, Any], took: float) -> dict[str, Any]:
    given = {unit: amount / 60 * (took + BURST_S) for unit, amount in zip(UNITS, A_MINUTE, strict=True)}
    taken = {"requests": books["need"]["requests"], "input_tokens": books["need"]["input_tokens"]}
    taken["output_tokens"] = books["produced"]
    share = {unit: taken[unit] / given[unit] for unit in UNITS}
    refused = sum(books["refused"].values())
    return {
        "used": round(max(share.values()), 4),
        "used_by_unit": {unit: round(part, 4) for unit, part in share.items()},
        "admitted": books["admitted"],
        "refused_429": refused,
        "refused_share": round(refused / books["requests"], 5),
        "most_live": books["most_live"],
    }


def shares(found: dict[str, list[float]], who: Sequence[Tenant]) -> dict[str, Any]:
    each = {tenant.name: found.get(tenant.name, [0.0]) for tenant in who if tenant.class_ == "standard"}
    sums = {name: sum(calls) for name, calls in each.items()}
    middle = statistics.mean(sums.values())
    largest = max(max(calls) for calls in each.values())
    apart = max(sums.values()) - min(sums.values())
    return {
        "spread": round(apart / middle, 4),
        "largest_call": round(largest / middle, 4),
        "spread_less_a_call": round(max(0.0, apart - largest) / middle, 4),
        "shares": {name: round(amount / middle, 3) for name, amount in sums.items()},
    }


def waits(ended: Sequence[Ended], who: Sequence[Tenant]) -> dict[str, Any]:
    urgent = {tenant.name for tenant in who if tenant.class_ == "interactive"}
    good = [each for each in ended if each.status == 200]
    waited = sorted(each.queued_s for each in good if each.tenant in urgent)
    service = [each.ended_at - each.begun_at - each.queued_s for each in good if each.is_whole]
    refused = sorted(each.ended_at - each.begun_at for each in ended if each.status == 429)
    by_status: dict[str, int] = {}
    for each in ended:
        by_status[str(each.status)] = by_status.get(str(each.status), 0) + 1
    return {
        "interactive_calls": len(waited),
        "interactive_p50_s": round(statistics.median(waited), 3) if waited else None,
        "interactive_p99_s": round(waited[min(len(waited) - 1, int(len(waited) * 0.99))], 3)
        if waited
        else None,
        "service_s": round(statistics.mean(service), 3) if service else None,
        "refused_after_p50_s": round(statistics.median(refused), 3) if refused else None,
        "ends": by_status,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--max-wait", type=float, default=60.0)
    parser.add_argument("--tree", action="store_true", help="measure the work tree as it is")
    given = parser.parse_args()
    who = tenants(given.times, given.max_wait)
    with source(tree=given.tree) as measured, tempfile.TemporaryDirectory() as place, api() as upstream:
        keys = [tenant.key() for tenant in who]
        with ours(Path(place), upstream, "--limits", LIMITS, keys=keys) as proxy:
            row = uvloop.run(crowd(proxy, who, upstream, given.seconds))
        about = machine() | measured | {"load": round(os.getloadavg()[0], 2)}
        said = {"row": "gateway, overload", "seconds": given.seconds, "times": given.times}
        print(json.dumps(said | row | about), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
