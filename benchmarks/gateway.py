"""The gateway beside nginx, Portkey and LiteLLM: requests a second, CPU a request, what it adds to each, large bodies.

The proxy has one core, the load (wrk) and the API (`gateway_origin.py`) the other. Rounds are interleaved, medians are
shown. As load and API share a core they are slower than nginx, so what a core could do is counted by CPU: `rps_a_core` is
one second by the CPU seconds of a request. `rps` is what was seen.

    python benchmarks/gateway.py [rate] [latency] [bodies] [--rounds 5] [--seconds 3] [--tree]

Prints JSON lines. Needs nginx and wrk. See `gateway_proxies.py` for LiteLLM and Portkey.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway_proxies import LOAD_CORE, Proxy, litellm, nginx, origin, ours, pinned, portkey
from pacing import machine, source

LEAST_SHARE, MOST_P50_US, MOST_P99_US = 0.2, 100.0, 2_500.0  # of nginx; what is added
MODEL = "claude-opus-4-20250514"
SCRIPT = """
wrk.method = "POST"
wrk.path = "/v1/messages"
wrk.body = [==[{body}]==]
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{{"requests":%d,"took_us":%d,"bad":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d}}\\n',
    summary.requests, summary.duration, e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked. `share`: how long a round is, as a share of the usual."""

    name: str
    connections: int
    size: int
    names: tuple[str, ...]
    share: float = 1.0


FAST = ("nginx", "bare", "headway")
LOADS = {
    "rate": Load("rate", 16, 2_000, (*FAST, "portkey", "litellm")),
    "latency": Load("latency", 1, 2_000, ("direct", *FAST)),
    "bodies": Load("bodies", 16, 100_000, FAST),
}


def body_of(size: int) -> str:
    """A request of about `size` bytes."""
    words = "the river runs slow under the old bridge and nobody counts the boats " * (size // 68 + 1)
    asked = {"model": MODEL, "max_tokens": 1024, "messages": [{"role": "user", "content": words[:size]}]}
    return json.dumps(asked, separators=(",", ":"))


def hit(proxy: Proxy, load: Load, seconds: float, script: Path) -> dict[str, Any]:
    """One round of wrk."""
    told = [("content-type", "application/json"), ("anthropic-version", "2023-06-01"), *proxy.headers]
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in told)
    script.write_text(SCRIPT.format(body=body_of(load.size), headers=lines))
    options = ["-t1", f"-c{load.connections}", f"-d{max(1, round(seconds * load.share))}s", "-s", str(script)]
    command = pinned(LOAD_CORE, "wrk", *options, "--timeout", "20s", f"http://127.0.0.1:{proxy.port}")
    cpu = proxy.cpu_s()
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu = proxy.cpu_s() - cpu
    said = json.loads(ended.stdout.strip().splitlines()[-1])
    good = said["requests"] - said["bad"]
    return {
        "rps": said["requests"] / said["took_us"] * 1e6,
        "cpu_us": cpu / max(1, said["requests"]) * 1e6,
        "busy": cpu / said["took_us"] * 1e6,
        "bad": said["requests"] - good,
        **{name: said[name] for name in ("p50_us", "p90_us", "p99_us", "max_us")},
    }


@contextmanager
def all_of(names: Sequence[str], folder: Path, upstream: int) -> Iterator[list[Proxy]]:
    """These proxies, all running; who has nothing to do takes nothing."""
    with ExitStack() as stack:
        found: list[Proxy | None] = []
        for name in names:
            match name:
                case "direct":
                    found.append(Proxy("direct", upstream, ()))
                case "nginx":
                    found.append(stack.enter_context(nginx(folder, upstream)))
                case "bare":
                    found.append(stack.enter_context(ours(folder, upstream, "--bare")))
                case "headway":
                    found.append(stack.enter_context(ours(folder, upstream)))
                case "portkey":
                    found.append(stack.enter_context(portkey(upstream)))
                case _:
                    found.append(stack.enter_context(litellm(folder, upstream)))
        yield [each for each in found if each is not None]


def compared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row beside that of nginx: its share of requests a core, how many times the CPU, what it adds to a request."""
    by_name = {row["proxy"]: row for row in rows}
    plain = by_name.get("nginx")
    for row in rows if plain else ():
        assert plain is not None
        row["added_p50_us"] = round(row["p50_us"] - plain["p50_us"], 1)
        row["added_p99_us"] = round(row["p99_us"] - plain["p99_us"], 1)
        if row["cpu_us"]:
            row["of_nginx"] = round(plain["cpu_us"] / row["cpu_us"], 4)
            row["cpu_times"] = round(row["cpu_us"] / plain["cpu_us"], 2)
            row["rps_of_nginx"] = round(row["rps"] / plain["rps"], 4)
    return rows


def is_reached(rows: list[dict[str, Any]]) -> bool:
    """Whether the gateway does what it is to do in these rows."""
    row = next((each for each in rows if each["proxy"] == "headway"), {})
    match row.get("row"):
        case "gateway, rate":
            return row["of_nginx"] >= LEAST_SHARE and row["added_p99_us"] <= MOST_P99_US and not row["bad"]
        case "gateway, latency":
            return row["added_p50_us"] <= MOST_P50_US
        case "gateway, bodies":
            return row["of_nginx"] >= LEAST_SHARE
        case _:
            return True


def measure(load: Load, rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    seen: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as place, origin() as upstream:
        folder = Path(place)
        with all_of(load.names, folder, upstream) as proxies:
            for number in range(rounds + 1):
                for proxy in proxies:
                    said = hit(proxy, load, seconds if number else 1.0, folder / "load.lua")
                    if number:  # the first round warms up
                        seen.setdefault(proxy.name, []).append(said)
    for name, found in seen.items():
        middle = {key: round(statistics.median(one[key] for one in found), 2) for key in found[0]}
        cpu_us = middle["cpu_us"]
        yield {
            "row": f"gateway, {load.name}",
            "proxy": name,
            "connections": load.connections,
            "bytes": load.size,
            "rps_a_core": round(1e6 / cpu_us) if cpu_us else None,
            **middle,
            "rounds": [{"rps": round(one["rps"]), "cpu_us": round(one["cpu_us"], 1)} for one in found],
        }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", choices=[[], *LOADS], help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--tree", action="store_true", help="measure the work tree as it is")
    parser.add_argument("--only", help="these proxies, by comma")
    given = parser.parse_args()
    reached = True
    with source(tree=given.tree) as measured:
        for name in given.rows or LOADS:
            load = LOADS[name]
            if given.only:
                load = Load(load.name, load.connections, load.size, tuple(given.only.split(",")), load.share)
            rows = compared(list(measure(load, given.rounds, given.seconds)))
            reached = is_reached(rows) and reached
            about = machine() | measured | {"load": round(os.getloadavg()[0], 2)}
            for row in rows:
                print(json.dumps(row | about), flush=True)
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
