"""Plans beside the real thing: `headway plan` says, then `headway run --emulate` does, and both are held against each other.

Each row is a job against limits. First a smaller job of the same kind fills a ledger (its replies teach the plan); then the
job is planned twice, from that ledger and from a stated mean alone; then it is run. The emulator's time runs faster by
`times`, which is nothing special to either: limits, latency and speed are simply higher.

    python benchmarks/plan.py [ROW ...]     run these rows (default: all); JSON lines go to benchmarks/results/plan.jsonl
    python benchmarks/plan.py --list        the rows
    python benchmarks/plan.py --table       what was run last, as Markdown
    python benchmarks/plan.py --speed N     only plan a job of N lines, and say how long that takes and how much memory
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "plan.jsonl"
REAL_JOB = HERE.parent.parent / "shared" / "data" / "real_prompts_job.jsonl"
MODEL = "claude-sonnet-4-20250514"
_TEXT = (
    "the of and a to in is on with for as by an at from or that this it are was be which its after before during "
    "first next last value item line report station order parcel engine river harbour signal cargo bridge window"
)
WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Row:
    """A job and what it is run against. Words of prompts (mean, spread), tokens of replies (mean, sigma), limits a minute."""

    lines: int
    words: tuple[float, float]
    output: tuple[float, float]
    limits: tuple[int, int, int]
    times: float = 1.0
    learn: int = 400
    most: tuple[int, ...] = (1024, 2048)
    cached_words: int = 0
    shared_words: int = 0
    burst_s: float = 5.0
    settings: str = ""
    flags: tuple[str, ...] = ()
    real: bool = False


ROWS = {
    "requests": Row(1_500, (60, 0.4), (40, 0.5), (1_200, 2_000_000, 400_000), times=2),
    "input": Row(1_500, (900, 0.6), (60, 0.6), (4_000, 600_000, 400_000), times=4),
    "output": Row(1_500, (90, 0.5), (350, 0.8), (4_000, 2_000_000, 240_000), times=4),
    "mixed": Row(1_500, (330, 0.9), (220, 0.8), (1_200, 600_000, 240_000), times=2),
    "tiny": Row(300, (200, 0.7), (150, 0.8), (50, 30_000, 8_000), times=15, learn=100),
    "cached": Row(1_500, (80, 0.5), (80, 0.6), (1_500, 200_000, 200_000), times=2, cached_words=3_000),
    "two-at-once": Row(
        150, (80, 0.5), (120, 0.6), (1_200, 600_000, 240_000), 4, 60, flags=("--concurrency", "2")
    ),
    "burst-60s": Row(1_500, (330, 0.9), (220, 0.8), (1_200, 600_000, 240_000), times=2, burst_s=60),
    "fit": Row(1_500, (330, 0.9), (220, 0.8), (1_200, 600_000, 240_000), times=2, settings="&admit=fit"),
    "real-prompts": Row(1_759, (0, 0), (250, 0.8), (1_000, 450_000, 90_000), times=8, real=True),
    "20k": Row(20_000, (80, 0.7), (60, 0.7), (10_000, 5_000_000, 1_000_000), learn=1_000),
    "100k": Row(100_000, (20, 0.5), (20, 0.5), (10_000, 10_000_000, 2_000_000), times=2, learn=1_000),
}


def lines(row: Row, count: int, seed: int) -> Iterator[bytes]:
    """Lines of a job of this kind, in the form of Message Batches."""
    draw = random.Random(f"{seed}-{row.words}-{row.output}")
    system = " ".join(random.Random(5).choices(WORDS, k=row.cached_words))
    shared = " ".join(random.Random(6).choices(WORDS, k=row.shared_words))
    for number in range(count):
        mean, sigma = row.words
        words = max(3, round(mean * draw.lognormvariate(-sigma * sigma / 2, sigma)))
        text = f"{shared} Note {seed}-{number}: " + " ".join(draw.choices(WORDS, k=words))
        params: dict[str, Any] = {"model": MODEL, "max_tokens": draw.choice(row.most)}
        if system:
            block = {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}
            params["system"] = [block]
        params["messages"] = [{"role": "user", "content": text.strip()}]
        yield json.dumps({"custom_id": f"n{number}", "params": params}).encode() + b"\n"


def write(path: Path, row: Row, count: int, seed: int) -> None:
    if row.real:
        source = REAL_JOB.read_bytes().splitlines(keepends=True)
        path.write_bytes(
            b"".join(source[:: max(1, len(source) // count)][:count] if count < len(source) else source)
        )
        return
    with path.open("wb") as file:
        file.writelines(lines(row, count, seed))


def profile(row: Row) -> str:
    requests, tokens_in, tokens_out = (round(amount * row.times) for amount in row.limits)
    mean, sigma = row.output
    return (
        f"any/unlimited?requests={requests}&input_tokens={tokens_in}&output_tokens={tokens_out}"
        f"&output_mean={mean}&output_sigma={sigma}&ttft={0.6 / row.times}&speed={60 * row.times}"
        f"&burst={row.burst_s / row.times}s{row.settings}"
    )


def limits(row: Row) -> str:
    requests, tokens_in, tokens_out = (round(amount * row.times) for amount in row.limits)
    return f"requests={requests},input_tokens={tokens_in},output_tokens={tokens_out}"


def headway(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("headway")), *arguments, "--json"]
    environment = {
        name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ
    } | {"HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return dict(json.loads(done.stdout))


def measure(name: str, row: Row, seed: int) -> dict[str, Any]:
    """Learn, plan, run; seconds and dollars of both."""
    with tempfile.TemporaryDirectory(prefix="headway-plan-") as temporary:
        folder = Path(temporary)
        job, small = folder / f"{name}.jsonl", folder / "small.jsonl"
        write(job, row, row.lines, seed)
        write(small, row, row.learn, seed + 1_000)
        paced = ("--limits", limits(row), *row.flags)
        (folder / "learn").mkdir()
        learn = ("-o", f"learn/{name}.jsonl", "--ledger", "ledger.sqlite3", "--emulate", profile(row))
        headway(folder, "run", str(small), *learn, *paced)
        learnt = headway(folder, "plan", str(job), *paced, "--ledger", "ledger.sqlite3")
        mean, sigma = row.output
        said = ("--output-tokens", f"lognormal:{mean / 2.718281828 ** (sigma * sigma / 2)}:{sigma}")
        stated = headway(folder, "plan", str(job), *paced, "--ledger", "none", *said)
        load = os.getloadavg()[0]
        ran = headway(
            folder, "run", str(job), "-o", "out.jsonl", "--ledger", "none", "--emulate", profile(row), *paced
        )
    return {
        "row": name,
        "lines": ran["calls"],
        "seconds": round(ran["elapsed_s"], 2),
        "learnt_seconds": learnt["seconds"],
        "stated_seconds": stated["seconds"],
        "nanousd": ran["cost_nanousd"],
        "learnt_nanousd": learnt["cost_nanousd"],
        "stated_nanousd": stated["cost_nanousd"],
        "refused_429": ran["rate_limited"],
        "expected_429": learnt["rate_limited"],
        "bound_s": ran["bound_s"],
        "waits": learnt["waits"],
        "tokens": ran["tokens"],
        "learnt_output": learnt["output_tokens"],
        "errors": ran["errors"],
        "simulated_lines": learnt["simulated_lines"],
        "seed": seed,
        "load": round(load, 2),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _commit(),
    }


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def table(results: list[dict[str, Any]]) -> str:
    """The last result of each row, as Markdown. Off: how far the plan's middle is from what was."""
    latest = {each["row"]: each for each in results}
    out = [
        "| job | lines | real s | planned s (P10–P90) | off | from a mean | off "
        "| real $ | planned $ (P10–P90) | off | 429s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ROWS:
        if name not in latest:
            continue
        each = latest[name]
        real, learnt, stated = each["seconds"], each["learnt_seconds"], each["stated_seconds"]
        paid, cost = (
            each["nanousd"] / 1e9,
            {key: value / 1e9 for key, value in each["learnt_nanousd"].items()},
        )
        out.append(
            f"| {name} | {each['lines']:,} | {real:.1f} "
            f"| {learnt['p50']:.1f} ({learnt['p10']:.1f}–{learnt['p90']:.1f}) | {learnt['p50'] / real - 1:+.1%} "
            f"| {stated['p50']:.1f} | {stated['p50'] / real - 1:+.1%} "
            f"| {paid:.3f} | {cost['p50']:.3f} ({cost['p10']:.3f}–{cost['p90']:.3f}) | {cost['p50'] / paid - 1:+.1%} "
            f"| {each['refused_429']} |"
        )
    return "\n".join(out)


def speed(count: int) -> None:
    """How long a plan of so many lines takes."""
    with tempfile.TemporaryDirectory(prefix="headway-plan-") as temporary:
        folder = Path(temporary)
        write(folder / "job.jsonl", Row(count, (150, 0.9), (250, 0.8), (4_000, 2_000_000, 400_000)), count, 1)
        began = time.monotonic()
        headway(folder, "plan", "job.jsonl", "--tier", "tier-2", "--ledger", "none")
        took = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{count:,} lines, {(folder / 'job.jsonl').stat().st_size / 1e6:.0f} MB: {took:.1f} s, "
            f"{used.ru_utime + used.ru_stime:.1f} s of CPU, {used.ru_maxrss / 1e3:.0f} MB, load {os.getloadavg()[0]:.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Plans beside the real thing.")
    parser.add_argument("rows", nargs="*", help="default: all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--speed", type=int)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(ROWS))
    elif arguments.table:
        print(table([json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]))
    elif arguments.speed:
        speed(arguments.speed)
    else:
        RESULTS.parent.mkdir(exist_ok=True)
        for name in arguments.rows or ROWS:
            if ROWS[name].real and not REAL_JOB.exists():
                print(f"{name}: left out, {REAL_JOB} is not there")
                continue
            result = measure(name, ROWS[name], arguments.seed)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(table([result]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
