"""What the ledger costs: for the caller, in all, and while the caller is busy; and what a price costs.

    python benchmarks/ledger.py [ROWS]

JSON lines, times in microseconds of one row (open and close of one attempt) or one price.

caller_*         what `open` + `close` take from the thread that calls them (median and 99th percentile of pairs, CPU mean)
total_cpu_*      CPU of all threads for a row. paced: at 4,000 a second; one_batch: opened and closed within 10 ms, as fast as
                 they come; two_batches: open on file first
busy_caller_*    the same beside a caller that never lets go of the interpreter by itself; lag: from close to on file
baseline_*       the same rows written one by one by sqlite3 in the calling thread, a commit each
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.file import open_file
from headway.ledger.price import Prices
from headway.ledger.row import settled_row
from headway.ledger.sqlite import SqliteLedger
from headway.ledger.sweep import settle_sql

USAGE = Usage(
    input_tokens=1000,
    cache_read_tokens=150_000,
    cache_write_5m_tokens=50_000,
    output_tokens=1000,
    model="claude-opus-4-20250514",
    raw={
        "input_tokens": 1000,
        "cache_read_input_tokens": 150_000,
        "cache_creation_input_tokens": 50_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 50_000, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 1000,
        "service_tier": "standard",
    },
)


def pairs(prefix: str, rows: int) -> list[tuple[OpenEntry, Entry]]:
    """Entries like those of a job, made before anything is measured."""
    made = []
    for number in range(rows):
        name = f"{prefix}-{number:032x}"
        start = OpenEntry(
            *(
                name,
                f"call-{name}",
                1,
                time.time_ns(),
                "anthropic",
                "org/opus-4",
                "claude-opus-4",
                "alice",
                Class.BULK,
            ),
            *("session-1", "night.jsonl", f"line {number}", 201_500, 900, 12.5, False),
        )
        made.append((start, Entry(name, "ok", 200, "", f"req_{number:024d}", USAGE, False, 812.0, 9021.0)))
    return made


def paced(ledger: SqliteLedger, entries: list[tuple[OpenEntry, Entry]]) -> dict[str, float]:
    """Calls at 4,000 a second: every pair is timed by itself."""
    took = []
    idle = time.process_time()
    for _ in entries:
        time.sleep(0.00025)
    idle = time.process_time() - idle
    cpu = time.process_time()
    for start, end in entries:
        before = time.perf_counter_ns()
        ledger.open(start)
        ledger.close(end)
        took.append((time.perf_counter_ns() - before) / 1000)
        time.sleep(0.00025)
    ledger.flush(60)
    cpu = time.process_time() - cpu
    took.sort()
    return {
        "caller_p50": statistics.median(took),
        "caller_p99": took[len(took) * 99 // 100],
        "total_cpu_paced": (cpu - idle) / len(entries) * 1e6,
    }


def burst(ledger: SqliteLedger, entries: list[tuple[OpenEntry, Entry]]) -> dict[str, float]:
    """As fast as they can be handed over."""
    cpu, own, wall = time.process_time(), time.thread_time(), time.perf_counter()
    for start, end in entries:
        ledger.open(start)
        ledger.close(end)
    own, wall = time.thread_time() - own, time.perf_counter() - wall
    ledger.flush(60)
    per = 1e6 / len(entries)
    return {
        "caller_cpu": own * per,
        "caller_wall": wall * per,
        "total_cpu_one_batch": (time.process_time() - cpu) * per,
    }


def apart(ledger: SqliteLedger, entries: list[tuple[OpenEntry, Entry]]) -> dict[str, float]:
    """All opened and on file before the first is closed: calls that take longer than 10 ms."""
    cpu = time.process_time()
    for start, _ in entries:
        ledger.open(start)
    ledger.flush(60)
    for _, end in entries:
        ledger.close(end)
    ledger.flush(60)
    return {"total_cpu_two_batches": (time.process_time() - cpu) / len(entries) * 1e6}


def beside_a_busy_caller(ledger: SqliteLedger, entries: list[tuple[OpenEntry, Entry]]) -> dict[str, float]:
    """A call each 500 µs, the time between filled with pure Python: the writer has to fight for the interpreter."""
    behind = 0
    began = time.perf_counter()
    for number, (start, end) in enumerate(entries):
        ledger.open(start)
        ledger.close(end)
        while time.perf_counter() < began + number * 0.0005:
            pass
        behind = max(behind, ledger._writer.waiting)
    took = time.perf_counter() - began
    ledger.flush(60)
    return {
        "busy_caller_most_waiting": behind,
        "busy_caller_lag_ms": behind / 2 / (len(entries) / took) * 1e3,
    }


def baseline(path: Path, prices: Prices, entries: list[tuple[OpenEntry, Entry]]) -> dict[str, float]:
    sql = settle_sql(1)
    with closing(open_file(path)) as db:
        cpu = time.process_time()
        for start, end in entries:
            db.execute(sql, settled_row(start, end, prices, 0))
        return {"baseline_cpu": (time.process_time() - cpu) / len(entries) * 1e6}


def pricing(prices: Prices) -> dict[str, float]:
    at, rounds = time.time_ns(), 100_000

    def each(what: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(rounds):
            what()
        return (time.perf_counter() - began) / rounds * 1e6

    cold = time.perf_counter()
    prices.cost("claude-sonnet-5-5", USAGE, at)
    cold = (time.perf_counter() - cold) * 1e6
    return {
        "price_warm": each(lambda: prices.cost("claude-opus-4", USAGE, at)),
        "estimate_warm": each(lambda: prices.estimate("claude-opus-4", 1000, 100, at)),
        "price_first_of_a_quarter_hour": cold,
    }


def main(rows: int) -> None:
    began = time.perf_counter()
    prices = Prices()
    loading = (time.perf_counter() - began) * 1e6
    results: dict[str, float] = {"price_data_loading": loading, **pricing(prices)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        with SqliteLedger(path, prices=prices) as ledger:
            burst(ledger, pairs("warm", 1000))
            results |= paced(ledger, pairs("paced", min(rows, 4000)))
            results |= burst(ledger, pairs("burst", rows))
            results |= apart(ledger, pairs("apart", rows))
            results |= beside_a_busy_caller(ledger, pairs("busy", 4000))
            assert ledger.problem is None, ledger.problem
        results |= baseline(path, prices, pairs("single", min(rows, 4000)))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    about = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "commit": commit.stdout.strip(),
        "rows": rows,
    }
    for name, value in results.items():
        print(json.dumps({"benchmark": "ledger", "name": name, "value": round(value, 3), **about}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
