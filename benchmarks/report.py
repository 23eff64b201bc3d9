"""What reports cost on a large ledger, and what keeping their sums costs.

    python benchmarks/report.py [ROWS] [FOLDER]

JSON lines. The ledger is made in FOLDER (default: a temporary one) by SQL: a month of ROWS attempts (default ten million)
of 20 tenants, 4 models and 3 classes; sessions of about 60 calls, 2 % of attempts refused and tried again, waits of long
tails for a third of them. It is made without sums, as an older headway left it, and deleted at the end.

made_s, size_mb     how long making it took, and its size
migrate_ms          opening it for the first time with the headway that has sums
roll_*              adding all of it up: CPU microseconds an attempt, in all; the longest time that others could not write
report_*            median, of 5, of wall and CPU milliseconds: `headway.ledger.report.usage`, sums being up to date
*_rows              how many rows of sums there are
raw_report_*        the last day by tenant, from the attempts alone, once, before anything is added up
prune_*             removing the first ten days of it; the report after that
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
from importlib.resources import files
from pathlib import Path
from typing import Any

from headway.ledger.file import open_file, read_file
from headway.ledger.report import read_report, usage
from headway.ledger.retention import DAY_NS, prune
from headway.ledger.rollup import bring_up_to_date

START_S = 1_792_281_600  # 2026-10-18 00:00 UTC
DAYS = 30
_MAKE = """
    WITH RECURSIVE n(i) AS (SELECT :low UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :high),
    r AS MATERIALIZED (SELECT i, i - (i % 50 = 7) AS first, i % 50 = 7 AS again,
        abs(random()) % 1000 AS a, abs(random()) % 1000 AS b, i / 60 % 997 AS s FROM n)
    INSERT INTO attempts (attempt_id, call_id, number, at_ns, provider, pool, model_asked, model_served, tenant, class,
        session, job, label, outcome, status, error_type, request_id, stream, queued_ms, first_token_ms, total_ms,
        estimated_input_tokens, estimated_output_tokens, input_tokens, cache_read_tokens, cache_write_5m_tokens,
        cache_write_1h_tokens, output_tokens, thinking_tokens, web_searches, cost_nanousd, price_variant, estimated,
        usage_json, waited_for)
    SELECT printf('%016x-%d', first * 1048573, 1 + again), printf('%016x', first * 1048573), 1 + again,
        (:start + i * :width / :rows) * 1000000000 + a * 1000000, 'anthropic', 'anthropic/m-' || (s % 4), 'model-' || (s % 4),
        'model-' || (s % 4) || '-20260101', 'tenant-' || (s % 20), CASE s % 3 WHEN 0 THEN 'bulk' WHEN 1 THEN 'standard'
        ELSE 'interactive' END, 'session-' || (i / 60), CASE s % 3 WHEN 0 THEN 'nightly' ELSE '' END, '',
        CASE WHEN i % 50 = 6 THEN 'rate_limited' ELSE 'ok' END, CASE WHEN i % 50 = 6 THEN 429 ELSE 200 END, '',
        'req_' || i, 0, CASE WHEN a < 666 THEN 0.2 ELSE a * b / 10.0 END, 900.0, 9000.0, 2000 + a, 300,
        (2000 + b) * (i % 50 != 6), 10 * a, 0, 0, (200 + a) * (i % 50 != 6), 0, 0,
        (1000000 + a * 1000) * (i % 50 != 6), 'p', 0,
        '{"input_tokens":' || (2000 + b) || ',"output_tokens":' || (200 + a) || ',"service_tier":"standard"}',
        CASE WHEN a < 666 THEN '' ELSE 'input_tokens/min' END
    FROM r"""


def make(path: Path, rows: int) -> None:
    """All rows, by SQL alone."""
    schema = sorted((files("headway.ledger") / "schema").iterdir(), key=lambda entry: entry.name)
    old = [entry.read_text("utf-8") for entry in schema if entry.name < "0003"]
    with closing(open_file(path, migrations=old)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-400000")
        for low in range(0, rows, 250_000):
            part = {
                "low": low,
                "high": min(low + 250_000, rows),
                "start": START_S,
                "width": DAYS * 86_400,
                "rows": rows,
            }
            db.execute("BEGIN")
            db.execute(_MAKE, part)
            db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def timed(what: Callable[[], object], times: int = 5) -> dict[str, float]:
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        what()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    return {"wall_ms": statistics.median(walls), "cpu_ms": statistics.median(cpus)}


def add_up(path: Path, rows: int) -> dict[str, float]:
    """All of it; how long the lock was held at most, seen from the statements that take and give it back."""
    held = [0.0]
    since = [0.0]

    def watch(statement: str) -> None:
        if statement.startswith("BEGIN IMMEDIATE"):
            since[0] = time.perf_counter()
        elif since[0] and statement.startswith("COMMIT"):
            held.append(time.perf_counter() - since[0])

    with closing(open_file(path)) as db:
        db.set_trace_callback(watch)
        wall, cpu = time.perf_counter(), time.process_time()
        bring_up_to_date(db)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "roll_wall_s": wall,
        "roll_cpu_us_a_row": cpu / rows * 1e6,
        "roll_lock_ms_p50": statistics.median(held[1:] or [0]) * 1e3,
        "roll_lock_ms_max": max(held) * 1e3,
    }


def reports(path: Path, rows: int) -> dict[str, float]:
    found: dict[str, float] = {}
    end = (START_S + DAYS * 86_400) * 10**9
    for name, by, since in (
        ("tenant_day_all", "tenant,day", 0),
        ("tenant_all", "tenant", 0),
        ("model_7d", "model", end - 7 * 86_400 * 10**9 - 1234),
        ("tenant_day_7d", "tenant,day", end - 7 * 86_400 * 10**9 - 1234),
        ("hour_24h", "hour", end - 86_400 * 10**9 - 1234),
        ("session_24h", "session", end - 86_400 * 10**9 - 1234),
        ("session_all", "session", 0),
    ):
        times = 1 if name == "session_all" else 5
        for key, value in timed(lambda by=by, since=since: usage(path, by, since), times).items():  # type: ignore[misc]
            found[f"report_{name}_{key}"] = value
    with closing(open_file(path)) as db:
        for table in ("kinds", "sums", "waits", "shares", "shared"):
            found[f"{table}_rows"] = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        found["as_of_attempts"] = usage(path, "tenant").total.attempts / rows
    return found


def removing(path: Path) -> dict[str, float]:
    """Ten days of thirty; and what is said of them afterwards."""
    before = usage(path, "tenant,day")
    wall, cpu = time.perf_counter(), time.process_time()
    removed = prune(path, 20 * DAY_NS, (START_S + DAYS * 86_400) * 10**9)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert usage(path, "tenant,day") == before
    per = {"prune_removed": removed, "prune_cpu_us_a_row": cpu / removed * 1e6, "prune_wall_s": wall}
    after = timed(lambda: usage(path, "tenant,day"))
    return per | {f"prune_report_{name}": value for name, value in after.items()}


def main(rows: int, folder: Path) -> None:
    path = folder / "report-benchmark.sqlite3"
    results: dict[str, float] = {}
    try:
        began = time.perf_counter()
        make(path, rows)
        results["made_s"] = time.perf_counter() - began
        results["size_mb"] = path.stat().st_size / 1e6
        began = time.perf_counter()
        open_file(path).close()
        results["migrate_ms"] = (time.perf_counter() - began) * 1e3
        last_day_ns = (START_S + (DAYS - 1) * 86_400) * 10**9
        with closing(read_file(path)) as db:
            alone = timed(lambda: read_report(db, "tenant", last_day_ns), 1)
        results |= {f"raw_report_{name}": value for name, value in alone.items()}
        results |= add_up(path, rows)
        results["size_with_sums_mb"] = path.stat().st_size / 1e6
        results |= reports(path, rows)
        results |= removing(path)
    finally:
        for each in folder.glob(path.name + "*"):
            each.unlink()
    say(results, rows)


def say(results: dict[str, float], rows: int) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    about: dict[str, Any] = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "commit": commit.stdout.strip(),
        "rows": rows,
    }
    for name, value in results.items():
        print(json.dumps({"benchmark": "report", "name": name, "value": round(value, 3), **about}))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    if len(sys.argv) > 2:
        main(count, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(count, Path(made))
