"""How long `headway insights` takes on a week of a million attempts, and how much memory.

    python benchmarks/insights.py [ROWS]

Makes a ledger of clean weeks of many companies (tests/insights/week.py), reads it in a process of its own, and prints one
JSON line: attempts, size of the file, seconds (wall and CPU), CPU microseconds an attempt, peak memory of the process.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

_READ = """
import json, resource, sys, time
from pathlib import Path
from headway.insights.study import study
from headway.insights.walk import Window
cpu, wall = time.process_time(), time.perf_counter()
found = study(Path(sys.argv[1]), Window(0, 2**62))
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
took = time.process_time() - cpu
said = {"attempts": found.attempts, "findings": len(found.findings), "wall_s": round(time.perf_counter() - wall, 2)}
said |= {"cpu_s": round(took, 2), "cpu_us_an_attempt": round(took / found.attempts * 1e6, 2), "peak_mb": used // 1024}
print(json.dumps(said))
"""


def main(rows: int) -> None:
    from insights.week import clean, write

    with tempfile.TemporaryDirectory() as folder:
        path, made, seed = Path(folder) / "ledger.sqlite3", 0, 0
        while made < rows:
            calls = [
                replace(
                    call,
                    tenant=f"{call.tenant}-{seed % 20}",
                    session=call.session and f"{seed}-{call.session}",
                    blocks=tuple((part, f"{seed} {text}", size) for part, text, size in call.blocks),
                )
                for call in clean(seed, 5.0)
            ]
            write(path, calls, named=str(seed))
            made, seed = made + len(calls), seed + 1
        size = path.stat().st_size
        done = subprocess.run(
            [sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, check=True
        )
    where = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({"benchmark": "insights", "file_mb": size >> 20, **json.loads(done.stdout), **where}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
