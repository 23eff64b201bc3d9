"""The gateway for a while with faults on: does it keep anything, and is its ledger what the API says?

Eight tenants offer a little less than the quota. Of the API's answers 5 % are 529, 1 % resets and 1 % streams that break
off; of the callers' calls 5 % are hung up on at the first content. Memory and descriptors are looked at every five
seconds. At the end everything must be back: no descriptor, no call in line or in flight, no open attempt; and what the
ledger has of calls that came to their end must be what the API counted for them, to the token.

    python benchmarks/soak.py [--seconds 600] [--tree]
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
import urllib.request
from pathlib import Path
from typing import Any

import uvloop
from gateway_crowd import Crowd, Tenant
from gateway_proxies import Proxy, ours
from gateway_serve import TOKEN
from overload import LIMITS, api, books_of
from pacing import machine, source

EVERY_S = 5.0
REST_S = 60.0  # after which no connection that rests is kept
FAULTS = ("--overloaded", "0.05", "--resets", "0.01", "--cuts", "0.01")
CLASSES = ("interactive", "standard", "standard", "bulk")
MOST_GROWTH = 0.05


def tenants() -> list[Tenant]:
    """Eight, whose calls the limits just let in: 8.4 a second in all."""
    return [Tenant(f"tenant-{number}", CLASSES[number % 4], 1.05, 120.0, leaves=0.05) for number in range(8)]


async def watch(proxy: Proxy, seen: list[dict[str, Any]]) -> None:
    while True:
        seen.append({"rss_mb": round(proxy.memory_kb() / 1024, 1), "descriptors": proxy.descriptors()})
        await asyncio.sleep(EVERY_S)


async def run(proxy: Proxy, upstream: int, seconds: float) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []
    callers = Crowd(proxy.port, tenants())
    before, cpu = proxy.descriptors(), proxy.cpu_s()
    watching = asyncio.create_task(watch(proxy, seen))
    await callers.run(seconds, 180.0)
    watching.cancel()
    await asyncio.sleep(REST_S)
    books, state = await asyncio.to_thread(books_of, upstream), await asyncio.to_thread(state_of, proxy)
    assert proxy.ledger is not None
    ends: dict[str, int] = {}
    for each in callers.ended:
        what = (
            "left" if each.left else f"{each.status}{'' if each.is_whole or each.status != 200 else ' cut'}"
        )
        ends[what] = ends.get(what, 0) + 1
    return {
        "seconds": seconds,
        "offered": callers.offered,
        "ends": ends,
        "cpu_us_call": round((proxy.cpu_s() - cpu) / callers.offered * 1e6, 1),
        **memory(seen),
        "descriptors_before": before,
        "descriptors_after": proxy.descriptors(),
        "in_flight_after": state["in_flight"],
        "in_line_after": state["waiting"],
        "api": {
            name: books[name] for name in ("requests", "faults", "refused", "admitted", "whole", "broken")
        },
        "ledger": ledger_of(proxy.ledger),
        "output_seen": sum(each.output for each in callers.ended if each.is_whole),
    }


def memory(seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Resident memory by tenths of the time, and what it grew from the third tenth to the last."""
    size = max(1, len(seen) // 10)
    tenths = [
        statistics.median(one["rss_mb"] for one in seen[start : start + size])
        for start in range(0, size * 10, size)
        if seen[start : start + size]
    ]
    return {
        "rss_mb_by_tenth": tenths,
        "rss_growth": round(tenths[-1] / tenths[min(2, len(tenths) - 1)] - 1.0, 4),
        "most_descriptors": max(one["descriptors"] for one in seen),
    }


def state_of(proxy: Proxy) -> dict[str, Any]:
    url = f"http://127.0.0.1:{proxy.admin}/headway/v1/state"
    asked = urllib.request.Request(url, headers={"authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked) as answer:
        state: dict[str, Any] = json.load(answer)
    return state


def ledger_of(path: Path) -> dict[str, Any]:
    """What came to its end, and what is still open."""
    asked = (
        "SELECT count(*), sum(input_tokens), sum(output_tokens), sum(estimated), sum(cost_nanousd IS NULL) "
        "FROM attempts WHERE outcome = 'ok'"
    )
    with contextlib.closing(sqlite3.connect(path)) as file:
        count, input_, output, estimated, unpriced = file.execute(asked).fetchone()
        attempts = file.execute("SELECT count(*) FROM attempts").fetchone()[0]
        still = file.execute("SELECT count(*) FROM open_attempts").fetchone()[0]
        outcomes = dict(file.execute("SELECT outcome, count(*) FROM attempts GROUP BY outcome").fetchall())
    whole = {"requests": count, "input_tokens": input_, "output_tokens": output}
    said = {"whole": whole, "estimated": estimated, "unpriced": unpriced, "attempts": attempts}
    return said | {"open": still, "outcomes": outcomes}


def is_kept(row: dict[str, Any]) -> bool:
    """Whether nothing leaked and the books agree."""
    return (
        row["rss_growth"] <= MOST_GROWTH
        and row["ledger"]["whole"] == row["api"]["whole"]
        and row["ledger"]["attempts"] == row["api"]["requests"]
        and not (row["ledger"]["open"] or row["in_flight_after"] or row["in_line_after"])
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--tree", action="store_true", help="measure the work tree as it is")
    given = parser.parse_args()
    keys = [tenant.key() for tenant in tenants()]
    with (
        source(tree=given.tree) as measured,
        tempfile.TemporaryDirectory() as place,
        api(*FAULTS) as upstream,
    ):
        with ours(Path(place), upstream, "--limits", LIMITS, keys=keys) as proxy:
            row = uvloop.run(run(proxy, upstream, given.seconds))
        about = machine() | measured | {"load": round(os.getloadavg()[0], 2)}
        print(json.dumps({"row": "gateway, soak"} | row | about), flush=True)
    return 0 if is_kept(row) else 1


if __name__ == "__main__":
    sys.exit(main())
