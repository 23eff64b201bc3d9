"""What a replay of a day costs: CPU for each row, and memory, for a ledger of so many rows made up here.

    python benchmarks/replay.py [--rows 1000000] [--ledger FILE] [--tier tier-4]

The rows are streams, evenly over a day: 60 % of callers who wait, 20 % of 400 sessions whose calls follow each other and
read from caches, 20 % of a job in bulk; twelve tenants, three models. With `--ledger` another file is replayed (it is made
if it is not there). Prints JSON lines, one for each part: wall and CPU seconds, microseconds of CPU a row, memory at its
highest. Every part is a process of its own. `loop_us` is a fixed loop of plain Python in the same process: where that is
slow, the machine was busy.

    read     the rows are read
    paced    replayed through the engine, with the limits of --tier
    unpaced  replayed without it
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pacing import machine

from headway.config import Config
from headway.ledger.file import open_file
from headway.planner.replay import Runner
from headway.planner.replay_limits import Limits
from headway.planner.replay_rows import Rows
from headway.planner.replay_whatif import WhatIf

START_NS = 1_790_000_000 * 10**9
MODELS = (
    ("claude-sonnet-4-5", "anthropic/sonnet-4"),
    ("claude-opus-4-5", "anthropic/opus-4"),
    ("claude-haiku-4-5", "anthropic/haiku-4.5"),
)
COLUMNS = [
    "attempt_id",
    "call_id",
    "number",
    "at_ns",
    "provider",
    "pool",
    "model_asked",
    "model_served",
    "tenant",
    "class",
    "session",
    "job",
    "label",
    "outcome",
    "status",
    "error_type",
    "stream",
    "queued_ms",
    "first_token_ms",
    "total_ms",
    "estimated_input_tokens",
    "estimated_output_tokens",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "thinking_tokens",
    "web_searches",
    "cost_nanousd",
    "price_variant",
    "estimated",
    "max_output_tokens",
]


def rows(count: int, seed: int = 1) -> Iterator[tuple[Any, ...]]:
    """A day of `count` attempts, in order of time."""
    draws = random.Random(seed)
    at, ends = 0.0, [0.0] * 400
    for number in range(count):
        at += draws.expovariate(count / 86_400.0)
        kind = draws.random()
        session, job, class_, cached = "", "", "interactive", 0
        model, pool = MODELS[0] if kind < 0.6 else MODELS[1] if kind < 0.8 else MODELS[2]
        taken, given = int(draws.lognormvariate(6.3, 1.0)) + 1, int(draws.lognormvariate(4.8, 0.9)) + 1
        tenant = f"team-{draws.randrange(12)}"
        total_s = 0.6 + given / 60.0
        if 0.6 <= kind < 0.8:
            which = draws.randrange(len(ends))
            if ends[which] > at:
                which = ends.index(min(ends))
            session, class_, cached = f"session-{which}", "standard", taken * 20
            ends[which] = at + total_s
        elif kind >= 0.8:
            job, class_ = "nightly", "bulk"
        cost = taken * 3000 + cached * 300 + given * 15000
        yield (
            f"{number}-1", f"{number}", 1, START_NS + int(at * 1e9), "anthropic", pool, model, model, tenant, class_, session,
            job, "", "ok", 200, "", 1, draws.expovariate(0.1), 600.0, total_s * 1000.0, int((taken + cached) * 1.05), 250,
            taken, cached, 0, 0, given, 0, 0, cost, "made up", 0, 4096,
        )  # fmt: skip


def make(path: Path, count: int) -> None:
    """A ledger of `count` rows."""
    with closing(open_file(path)) as db:
        db.execute("BEGIN")
        marks = ",".join("?" * len(COLUMNS))
        db.executemany(f"INSERT INTO attempts ({','.join(COLUMNS)}) VALUES ({marks})", rows(count))
        db.execute("COMMIT")


def loop_us() -> float:
    """Microseconds of CPU for a thousand turns of a loop; the best of twenty."""
    best = float("inf")
    for _ in range(20):
        began, total = time.process_time(), 0
        for number in range(1000):
            total += number % 7
        best = min(best, time.process_time() - began)
    return best * 1e6


def run(part: str, path: Path, tier: str) -> None:
    """One part, in a process of its own."""
    rows_of = Rows(path, 0)
    count, config = rows_of.survey.total, Config(tier=tier)
    runner = Runner(rows_of, Limits(config, path, 0, 2**63 - 1, 0), config)
    loop, began, began_cpu = loop_us(), time.monotonic(), time.process_time()
    shown: dict[str, Any] = {}
    match part:
        case "read":
            assert sum(1 for _ in rows_of) == count
        case "paced":
            ran = runner.paced(WhatIf())
            waits = ran.tally.all()
            shown = {"waited": waits.waited, "p90_s": round(waits.p90_s, 3), "refusals": ran.refusals}
        case "unpaced":
            ran = runner.alone(WhatIf())
            shown = {"failed": ran.tally.failed, "refusals": ran.refusals}
    cpu = time.process_time() - began_cpu
    result = {
        "part": part,
        "rows": count,
        "tier": tier,
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(cpu, 1),
        "cpu_us_a_row": round(cpu / count * 1e6, 1),
        "most_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "loop_us": round(loop, 1),
        **shown,
    }
    print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--ledger", type=Path)
    parser.add_argument("--tier", default="tier-4")
    arguments = parser.parse_args()
    print(json.dumps(machine()), flush=True)
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.ledger or Path(folder) / "day.sqlite3"
        if not path.exists():
            make(path, arguments.rows)
        for part in ("read", "unpaced", "paced"):
            process = spawn.Process(target=run, args=(part, path, arguments.tier))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
