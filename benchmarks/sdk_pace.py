"""The whole quota through the SDK: the official client, 64 calls at once, with and without headway's door.

As in `pacing.py`: the same server, jobs and bound; time is until the last call is let in. A client reads its job in
order, 64 at a time, and knows nothing of the rest, so what it cannot do is choose.

    python benchmarks/sdk_pace.py [ROW ...] [--seed 11] [--tree]     default: all rows
    python benchmarks/sdk_pace.py --list | --table [--commit ABC]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import work
from pacing import HERE, machine, origin, source
from rows import Row, bound_of

RESULTS = HERE / "results" / "sdk_pace.jsonl"
MOST_RATIO, MOST_REFUSED = 1.05, 0.002


MIXED, SHORT = Row("mixed"), Row("short")
MIDDLES = (
    "bound_s",
    "last_admitted_s",
    "ratio",
    "refused_429",
    "refused_share",
    "lost",
    "attempts",
    "client_cpu_s",
)


@dataclass(frozen=True, slots=True)
class Way:
    """One measurement: `client` as in `sdk_client.py`; whether replies stream, and whether limits are told."""

    client: str
    stream: bool = True
    known: bool = False
    row: Row = MIXED

    @property
    def is_ours(self) -> bool:
        return self.client.endswith("-door")


WAYS = {
    "tasks": Way("tasks-door", known=True),
    "tasks-learnt": Way("tasks-door"),
    "tasks-whole": Way("tasks-door", stream=False, known=True),
    "tasks-whole-learnt": Way("tasks-door", stream=False),
    "threads": Way("threads-door", known=True),
    "threads-learnt": Way("threads-door"),
    "threads-whole": Way("threads-door", stream=False, known=True),
    "threads-whole-learnt": Way("threads-door", stream=False),
    "short-tasks-learnt": Way("tasks-door", row=SHORT),
    "short-threads-learnt": Way("threads-door", row=SHORT),
    "tasks-bare": Way("tasks-bare"),
    "tasks-bare-10": Way("tasks-bare10"),
    "threads-bare": Way("threads-bare"),
    "threads-bare-10": Way("threads-bare10"),
    "short-tasks-bare": Way("tasks-bare", row=SHORT),
    "short-tasks-bare-10": Way("tasks-bare10", row=SHORT),
}


def command(way: Way, url: str, job: Path) -> list[str]:
    asked = [sys.executable, str(HERE / "sdk_client.py"), way.client, url, str(job)]
    asked += ["--ledger", str(job.with_name("ledger.sqlite3"))]
    if way.known:
        units = zip(("requests", "input_tokens", "output_tokens"), way.row.a_minute, strict=True)
        asked += ["--limits", ",".join(f"{unit}={amount}/min" for unit, amount in units)]
    return asked if way.stream else [*asked, "--whole"]


def measure(name: str, seed: int) -> dict[str, Any]:
    way = WAYS[name]
    with tempfile.TemporaryDirectory() as folder, origin(way.row, seed) as url:
        job = Path(folder) / "job.jsonl"
        bound, unit = bound_of(way.row, work.write(job, way.row.kind, way.row.lines, seed))
        home = {"HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder}
        ended = subprocess.run(
            command(way, url, job),
            env={**os.environ, **home},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        with urllib.request.urlopen(f"{url}/stats") as answer:
            books = json.load(answer)
    said = json.loads(ended.stdout) if ended.stdout else {"lost": way.row.lines, "ends": {}}
    refused = sum(books["refused"].values())
    return {
        "row": name,
        "seed": seed,
        "bound_s": round(bound, 2),
        "binds": unit,
        "last_admitted_s": books["last_admitted_s"],
        "ratio": round(books["last_admitted_s"] / bound, 4),
        "refused_429": refused,
        "refused_share": round(refused / way.row.lines, 5),
        "refused_by": books["refused"],
        "lost": said["lost"],
        "ends": said["ends"],
        "attempts": books["requests"],
        "most_live": books["most_live"],
        "spilt_s": books["spilt_s"],
        "client_cpu_s": said.get("cpu_s"),
        "origin_cpu_s": books["origin_cpu_s"],
        "engine": said.get("engine"),
        "books": {name: books[name] for name in ("admitted", "need", "produced")},
        "load": round(os.getloadavg()[0], 2),
        "errors": ended.stderr[-600:],
        "log": books["log"][:40],
        "course": books["course"],
        **machine(),
    }


def is_reached(name: str, result: dict[str, Any]) -> bool:
    if not WAYS[name].is_ours:
        return True
    return result["ratio"] <= MOST_RATIO and result["refused_share"] <= MOST_REFUSED and not result["lost"]


def table(results: list[dict[str, Any]]) -> str:
    """Medians a row, as Markdown; the ratio of a row that lost calls is in brackets."""
    out = [
        "| row | bound s | time s | ratio | to reach | 429s | lost | attempts | client CPU ms a call | runs |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, way in WAYS.items():
        of_row = [each for each in results if each["row"] == name]
        if not of_row:
            continue
        mid = {key: statistics.median(each[key] for each in of_row) for key in MIDDLES}
        ratio = f"({mid['ratio']:.3f})" if mid["lost"] else f"{mid['ratio']:.3f}"
        missed = "" if is_reached(name, mid) else " **missed**"
        goal = f"≤ {MOST_RATIO:.2f}" if way.is_ours else ""
        out.append(
            f"| {name} | {mid['bound_s']:.1f} | {mid['last_admitted_s']:.1f} | {ratio}{missed} | {goal} "
            f"| {mid['refused_429']:g} ({mid['refused_share']:.2%}) | {mid['lost']:g} | {mid['attempts']:g} "
            f"| {mid['client_cpu_s'] / way.row.lines * 1e3:.2f} | {len(of_row)} |"
        )
    return "\n".join(out)


def run(name: str, seed: int, measured: dict[str, str]) -> bool:
    result = measure(name, seed) | measured
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    shown = {key: value for key, value in result.items() if key not in ("log", "course", "machine", "python")}
    print(json.dumps(shown), flush=True)
    return is_reached(name, result)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", help="default: all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--commit", default="")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--tree", action="store_true", help="measure the work tree as it is")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(WAYS))
        return 0
    if arguments.table:
        found = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
        print(table([each for each in found if each["commit"].startswith(arguments.commit)]))
        return 0
    unknown = set(arguments.rows) - set(WAYS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))} (see --list)")
    RESULTS.parent.mkdir(exist_ok=True)
    with source(tree=arguments.tree) as measured:
        reached = [run(name, arguments.seed, measured) for name in arguments.rows or WAYS]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
