"""What fingerprints of prompts cost: CPU microseconds a call, with them and without, interleaved.

`sized` rows are what a door does with a body before it knows what the call will take: parse it and size it. Short calls are
all different. Conversations are sent turn by turn, as clients send them, whole each time; `new` ones are sent for the first
time. `before` is what a turn costs where no conversation is known again, which is how it was without `providers.past`.
`door` rows are whole calls of 2 KB through a door, the ledger's part included: the official SDK with an API that answers
from memory, and the gateway's application without sockets. Medians of rounds. A door has four times as many rounds, of a few
calls each, and two of each kind, which tell how far the noise goes: `added_us` is between the lower quartiles.

    python benchmarks/fingerprint.py [--rounds 9] [--no-doors]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
from door import Case, sdk_run
from door_parts import agent, asked, text
from engine import calibration_ms
from gateway_parts import Memory as Upstream
from gateway_parts import drive
from gateway_proxies import secret_of, write_keys
from gateway_serve import FAR
from memory_api import Memory
from pacing import machine

import headway
from gateway import body_of
from headway.config import load
from headway.gateway.app import Gateway
from headway.gateway.keys import Keys
from headway.providers import blocks, characters
from headway.providers.anthropic import Anthropic
from headway.providers.parsed import parse_object

KEY = bytes(range(32))
SHORT, TURNS, CALLS = 400, 12, 300
MARK = {"cache_control": {"type": "ephemeral"}}
SAID = 1_500  # characters of what a tool found

Bodies = list[bytes]


def written(request: dict[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode()


def short(size: int) -> Bodies:
    return [written(asked(f"{number} {text(size - 150)}")) for number in range(SHORT)]


def turns(size: int, *, marked: bool) -> Bodies:
    """A coding agent's calls, turn after turn, once its conversation has this size."""
    request = agent()
    if not marked:
        request["system"] = text(12_000)
        request["tools"] = [
            {key: tool[key] for key in tool if key != "cache_control"} for tool in request["tools"]
        ]
    said: list[dict[str, Any]] = []
    bodies: Bodies = []
    while len(bodies) < TURNS:
        number = len(said) // 2
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": f"{number} {text(SAID)}"}
        mark = MARK if marked else {}
        asks = {"role": "user", "content": [{**result, **mark}]}
        if number * (SAID + 600) > size:
            bodies.append(written({**request, "messages": [*said, asks]}))
        use = {
            "type": "tool_use",
            "id": f"t{number + 1}",
            "name": "tool_1",
            "input": {"path": "core/line.py"},
        }
        said += [
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": [{"type": "text", "text": text(200)}, use]},
        ]
    return bodies


def alone(bodies: Bodies) -> Bodies:
    """Such calls, each one of a conversation of its own."""
    return [body.replace(b'"content":"0 ', b'"content":"%d ' % number) for number, body in enumerate(bodies)]


CASES: dict[str, Callable[[], Bodies]] = {
    "2 KB": lambda: short(2_000),
    "20 KB, in one text": lambda: short(20_000),
    "400 KB, in one text": lambda: short(400_000)[:24],
    "an agent at 80 KB, its next turn": lambda: turns(80_000, marked=True),
    "an agent at 400 KB, its next turn": lambda: turns(400_000, marked=True),
    "an agent at 400 KB without breakpoints, its next turn": lambda: turns(400_000, marked=False),
    "an agent at 400 KB, new": lambda: alone(turns(400_000, marked=True)),
    "an agent at 400 KB without breakpoints, new": lambda: alone(turns(400_000, marked=False)),
}


def sized_us(bodies: Bodies, *, fingerprints: bool, knows: bool = True) -> tuple[float, float]:
    """What all of it costs a call, and what parsing alone does. The first two turns, by which a conversation gets known, are
    not counted."""
    provider = Anthropic(salt=KEY, fingerprints=fingerprints)
    characters._KNOWN.clear()
    blocks._KNOWN.clear()
    for body in bodies[:2]:
        provider.estimate(parse_object(body) or {}, body)
    gc.collect()
    total = parsing = 0.0
    for body in bodies[2:]:
        began = time.process_time()
        request = parse_object(body) or {}
        parsed = time.process_time()
        provider.estimate(request, body if knows else b"")
        total += time.process_time() - began
        parsing += parsed - began
    calls = len(bodies) - 2
    return total / calls * 1e6, parsing / calls * 1e6


def sized(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for name, make in CASES.items():
        bodies = make()
        found: dict[str, list[float]] = {"with": [], "without": [], "before": [], "parsing": []}
        for number in range(rounds):
            for way in ("with", "without", "before")[:: 1 if number % 2 else -1]:
                cost, parsing = sized_us(bodies, fingerprints=way == "with", knows=way != "before")
                found[way].append(cost)
                found["parsing"].append(parsing)
        told = {f"{way}_us": round(statistics.median(costs), 1) for way, costs in found.items()}
        more = statistics.median(
            one - other for one, other in zip(found["with"], found["without"], strict=True)
        )
        rows.append(
            {
                "row": f"sized, {name}",
                "bytes": len(bodies[-1]),
                **told,
                "added_us": round(more, 1),
                "share": round(more / statistics.median(found["without"]), 4),
                "share_of_before": round(more / statistics.median(found["before"]), 4),
            }
        )
    return rows


def doors(rounds: int) -> list[dict[str, Any]]:
    """Calls of 2 KB through the SDK's door and the gateway's application."""
    loop, secret, body = asyncio.new_event_loop(), secret_of("bench"), body_of(2_000).encode()
    ways: dict[tuple[str, bool, int], Callable[[], None]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for shown, twin in ((True, 0), (False, 0), (True, 1), (False, 1)):
            place = Path(folder) / f"{shown}{twin}"
            place.mkdir()
            ways["sdk", shown, twin] = _sdk(stack, place, shown)
            ways["gateway", shown, twin] = _gateway(stack, place, shown, loop, secret, body)
        found: dict[tuple[str, bool, int], list[float]] = {way: [] for way in ways}
        order = list(ways.items())
        for number in range(4 * rounds + 1):
            for way, run in order[number % len(order) :] + order[: number % len(order)]:
                gc.collect()
                began = time.process_time()
                run()
                if number:  # the first round warms up
                    found[way].append((time.process_time() - began) / CALLS * 1e6)
    loop.close()
    rows = []
    for name in ("sdk", "gateway"):
        low = {way[1:]: statistics.quantiles(costs, n=4)[0] for way, costs in found.items() if way[0] == name}
        with_us, without_us = (statistics.mean((low[shown, 0], low[shown, 1])) for shown in (True, False))
        rows.append(
            {
                "row": f"door, {name}, 2 KB",
                "with_us": round(with_us, 1),
                "without_us": round(without_us, 1),
                "added_us": round(with_us - without_us, 1),
                "twins_apart_us": round(
                    max(abs(low[shown, 0] - low[shown, 1]) for shown in (True, False)), 1
                ),
            }
        )
    return rows


def _sdk(stack: ExitStack, place: Path, shown: bool) -> Callable[[], None]:
    memory = Memory()
    engine = stack.enter_context(
        headway.Engine(
            base_url="http://127.0.0.1:1", ledger=str(place / "sdk"), limits=FAR, fingerprints=shown
        )
    )
    client = headway.client(engine=engine, transport=memory)
    run = sdk_run(
        anthropic.Anthropic(http_client=client, base_url="http://127.0.0.1:1", api_key="none"), memory
    )
    case = Case("2 KB", 0, 1.0, text(2_000))

    def go() -> None:
        run(case, CALLS)
        engine.flush()

    return go


def _gateway(
    stack: ExitStack, place: Path, shown: bool, loop: asyncio.AbstractEventLoop, secret: str, body: bytes
) -> Callable[[], None]:
    write_keys(place / "keys.json", [{"name": "bench", "budgets": []}])
    settings = {"base_url": "http://127.0.0.1:1", "api_key": "none", "limits": FAR}
    config = load(os.environ, ledger=str(place / "gateway"), fingerprints=shown, **settings)
    engine = stack.enter_context(headway.Engine(config))
    upstream: Any = Upstream()
    app = Gateway(engine, Keys(place / "keys.json"), upstream=upstream)

    def go() -> None:
        loop.run_until_complete(drive(app, secret, CALLS, body))
        engine.flush()

    return go


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-doors", action="store_true")
    given = parser.parse_args()
    about = {"calibration_ms": round(calibration_ms(), 1)} | machine()
    rows = sized(given.rounds)
    rows += [] if given.no_doors else doors(given.rounds)
    for row in rows:
        print(json.dumps(row | about), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
