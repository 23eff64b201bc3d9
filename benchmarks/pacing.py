"""Bulk jobs through `headway run` against our own API server, and through what people run instead.

Time is until the last call is let in, the bound `max over limits of (need - burst) / rate`; both are read at the server.
In the mode `reserved` the bound is that of a client who knows every length and sends as soon as the buckets allow.

    python benchmarks/pacing.py [ROW ...]     run these rows (default: all); JSON lines go to benchmarks/results/
    python benchmarks/pacing.py --list        the rows
    python benchmarks/pacing.py --table       the table of what was run, medians, as Markdown

What is measured is the last commit, not the work tree (--tree: the work tree).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import work
from rows import ROWS, Row, bound_of

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "pacing.jsonl"


@contextlib.contextmanager
def origin(row: Row, seed: int) -> Iterator[str]:
    """The API server in a process of its own; its URL."""
    amounts = zip(("rpm", "itpm", "otpm"), row.a_minute, strict=True)
    settings = [f"--{name}={amount}" for name, amount in amounts]
    settings += [f"--burst={row.burst}", f"--admit={row.admit}", f"--output={row.output}", f"--seed={seed}"]
    settings += row.origin
    command = [sys.executable, str(HERE / "origin.py"), *settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate(timeout=10)


def client_command(row: Row, url: str, job: Path) -> list[str]:
    if row.client != "headway":
        return [sys.executable, str(HERE / "baselines.py"), row.client, url, str(job)]
    headway = str(Path(sys.executable).with_name("headway"))
    command = [headway, "run", str(job), "-o", str(job.with_name("out.jsonl")), "--json", "--base-url", url]
    command += ["--ledger", str(job.with_name("ledger.sqlite3")), *row.run]
    if row.limits:
        amounts = zip(("requests", "input_tokens", "output_tokens"), row.a_minute, strict=True)
        command += ["--limits", ",".join(f"{unit}={amount}/min" for unit, amount in amounts)]
    return command + (["--burst", f"{row.burst}s"] if row.known_burst else [])


@contextlib.contextmanager
def source(*, tree: bool) -> Iterator[dict[str, str]]:
    """What to run and its name: the sources of the last commit, in a folder of their own, or the work tree."""
    commit = _git("log", "-1", "--format=%h", "--", "../src")
    if tree or not commit:
        yield {"commit": f"{commit} and changes" if _git("status", "--porcelain", "../src") else commit}
        return
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["git", "archive", commit, "src"], cwd=HERE.parent, capture_output=True, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")
        os.environ["PYTHONPATH"] = str(Path(folder) / "src")
        yield {"commit": commit}


def _git(*arguments: str) -> str:
    try:
        ended = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return ended.stdout.strip()


def measure(name: str, seed: int) -> dict[str, Any]:
    """Run one row. The seed draws the job, and the speeds and faults of the server."""
    row = ROWS[name]
    with tempfile.TemporaryDirectory() as folder, origin(row, seed) as url:
        job = Path(folder) / "job.jsonl"
        needs = work.write(job, row.kind, row.lines, seed)
        bound, unit = bound_of(row, needs)
        home = {"HOME": folder, "XDG_DATA_HOME": folder, "XDG_STATE_HOME": folder, "XDG_CACHE_HOME": folder}
        environment = {**os.environ, **home, "ANTHROPIC_API_KEY": "none"}
        load, busy = os.getloadavg()[0], _busy_s()
        began, cpu = time.monotonic(), _children_cpu_s()
        command = client_command(row, url, job)
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        took, cpu = time.monotonic() - began, _children_cpu_s() - cpu
        with urllib.request.urlopen(f"{url}/stats") as answer:
            books = json.load(answer)
        lost, twice = (
            lost_of(job)
            if row.client == "headway"
            else (json.loads(ended.stdout or '{"lost": -1}')["lost"], 0)
        )
        others = _busy_s() - busy - cpu - books["origin_cpu_s"]
    refused = sum(books["refused"].values())
    summary = json.loads(ended.stdout) if row.client == "headway" and ended.stdout else {}
    return {
        "row": name,
        "seed": seed,
        "last_admitted_s": books["last_admitted_s"],
        "bound_s": round(bound, 2),
        "binds": unit,
        "ratio": round(books["last_admitted_s"] / bound, 4) if bound else None,
        "refused_429": refused,
        "refused_share": round(refused / row.lines, 5),
        "refused_by": books["refused"],
        "lost": lost,
        "twice": twice,
        "attempts": books["requests"],
        "faults": books["faults"],
        "spilt_s": books["spilt_s"],
        "most_live": books["most_live"],
        "whole_s": round(took, 1),
        "client_cpu_s": round(cpu, 2),
        "origin_cpu_s": books["origin_cpu_s"],
        "others_cpu_s": round(others, 1),
        "load": round(load, 2),
        "exit": ended.returncode,
        "headway_bound_s": summary.get("bound_s"),
        "capacity": {limit["unit"]: limit["capacity"] for limit in summary.get("limits", ())},
        "errors": ended.stderr[-400:] if ended.returncode else "",
        "log": books["log"][:40],
        "course": books["course"],
        **machine(),
    }


def lost_of(job: Path) -> tuple[int, int]:
    """Lines without a succeeded result, and results beyond the first of a line."""
    wanted = {json.loads(line)["custom_id"] for line in job.open(encoding="utf-8")}
    output = job.with_name("out.jsonl")
    results = [json.loads(line) for line in output.open(encoding="utf-8")] if output.exists() else []
    good = {each["custom_id"] for each in results if each["result"]["type"] == "succeeded"}
    return len(wanted - good), len(results) - len({each["custom_id"] for each in results})


def machine() -> dict[str, Any]:
    """Where and of what this was measured."""
    return {
        "commit": _git("rev-parse", "--short", "HEAD"),
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, {_model()}",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _busy_s() -> float:
    """CPU seconds of the whole machine that were not idle (0 where the system does not say)."""
    with contextlib.suppress(OSError):
        user, nice, system = Path("/proc/stat").read_text().split()[1:4]
        return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def is_reached(row: Row, result: dict[str, Any]) -> bool:
    """Whether the row's numbers are met, and nothing was lost or done twice."""
    return (
        (row.most is None or result["ratio"] <= row.most)
        and (row.refusals is None or result["refused_share"] <= row.refusals)
        and not result["lost"]
        and not result["twice"]
    )


def table(results: list[dict[str, Any]]) -> str:
    """Medians a row, as Markdown. The ratio of a row that lost calls is in brackets: it had less to do."""
    head = "| row | bound s | time s | ratio | to reach | 429s | lost | attempts | client CPU s | runs |"
    out = [head, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for name, row in ROWS.items():
        of_row = [each for each in results if each["row"] == name]
        if not of_row:
            continue

        def mid(key: str, of_row: list[dict[str, Any]] = of_row) -> float:
            return float(statistics.median(each[key] for each in of_row))

        middle = {key: mid(key) for key in ("ratio", "refused_share", "lost", "twice")}
        ratio = f"({middle['ratio']:.3f})" if middle["lost"] else f"{middle['ratio']:.3f}"
        if row.most and not is_reached(row, middle):
            ratio += " **missed**"
        goal = f"≤ {row.most:.2f}" if row.most else ""
        out.append(
            f"| {name} | {mid('bound_s'):.1f} | {mid('last_admitted_s'):.1f} | {ratio} | {goal} "
            f"| {mid('refused_429'):g} ({mid('refused_share'):.2%}) | {mid('lost'):g} | {mid('attempts'):g} "
            f"| {mid('client_cpu_s'):.1f} | {len(of_row)} |"
        )
    return "\n".join(out)


def is_baseline(name: str) -> bool:
    """Whether a row is of another client than headway."""
    return ROWS[name].client != "headway"


def brief(result: dict[str, Any]) -> str:
    long = {"log", "course", "headway_bound_s", "capacity", "faults", "errors", "machine", "python", "at"}
    return json.dumps({key: value for key, value in result.items() if key not in long})


def chosen(*, own: bool, baselines: bool) -> list[str]:
    """All rows, or those of one sort."""
    return [name for name in ROWS if own == baselines or baselines == name.startswith("600")]


def main() -> int:
    parser = argparse.ArgumentParser(description="Bulk jobs against our own API server.")
    parser.add_argument("rows", nargs="*", help="default: all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--own", action="store_true", help="the rows of headway itself")
    parser.add_argument("--baselines", action="store_true", help="the rows of 600 lines, for scale")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--tree", action="store_true", help="measure the work tree as it is")
    parser.add_argument(
        "--commit", nargs="+", default=[""], help="for --table: rows of headway only of these"
    )
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(ROWS))
        return 0
    if arguments.table:
        found = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
        wanted = tuple(arguments.commit)
        print(
            table([each for each in found if each["commit"].startswith(wanted) or is_baseline(each["row"])])
        )
        return 0
    unknown = set(arguments.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))} (see --list)")
    RESULTS.parent.mkdir(exist_ok=True)
    names = arguments.rows or chosen(own=arguments.own, baselines=arguments.baselines)
    with source(tree=arguments.tree) as measured:
        reached = [run(name, arguments.seed, measured) for name in names]
    return 0 if all(reached) else 1


def run(name: str, seed: int, measured: dict[str, str]) -> bool:
    """Measure a row, keep and show it; whether it was reached."""
    result = measure(name, seed) | measured
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    print(brief(result), flush=True)
    return is_reached(ROWS[name], result)


if __name__ == "__main__":
    sys.exit(main())
