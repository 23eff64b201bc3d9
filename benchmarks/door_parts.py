"""What the parts of the SDK door that read requests and replies cost, one by one: CPU microseconds, the best of five rounds.

Beside some of them, in the same round, what the general way costs that the jobs go: a stream that is put together, a
reply that is parsed once for its errors and once for its usage. Prints JSON lines; a part above its number is a failure.

    python benchmarks/door_parts.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from pacing import machine

from headway.providers.anthropic import Anthropic
from headway.providers.headers import wanted
from headway.providers.message import MessageBuilder
from headway.providers.sse import Parser
from headway.providers.stream import StreamWatch
from headway.providers.whole import read_reply

PROVIDER = Anthropic()
MODEL = "claude-opus-4-20250514"
PROSE = (
    "A call waits in its line until the meters have room for it; then it leaves, and what it took is settled when its "
    "reply has ended. See `line.py`, from 12:30 on (about 150 lines).\n"
)
FRAME = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}'
USAGE = {
    "input_tokens": 120,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 420,
    "service_tier": "standard",
}
SCRATCH = count()


def text(size: int) -> str:
    return (PROSE * (size // len(PROSE) + 1))[:size]


def events(piece: str) -> list[bytes]:
    """A thousand deltas of a stream, each a chunk of its own."""
    return [f"event: content_block_delta\ndata: {FRAME % piece}\n\n".encode()] * 1_000


def asked(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 1_024, "messages": [{"role": "user", "content": prompt}], **more}


def agent() -> dict[str, Any]:
    """What a coding agent sends: 20 tools, 40 turns, breakpoints on tools, system and the last turn."""
    cut = {"cache_control": {"type": "ephemeral"}}
    fields = {name: {"type": "string", "description": text(60)} for name in ("path", "pattern", "limit")}
    schema = {"type": "object", "properties": fields, "required": ["path"]}
    tools = [{"name": f"tool_{n}", "description": text(900), "input_schema": schema} for n in range(20)]
    turns: list[dict[str, Any]] = []
    for number in range(20):
        found = {"type": "tool_result", "tool_use_id": f"t{number}", "content": text(1_500)}
        use = {
            "type": "tool_use",
            "id": f"t{number + 1}",
            "name": "tool_1",
            "input": {"path": "core/line.py"},
        }
        turns.append({"role": "user", "content": [found]})
        turns.append({"role": "assistant", "content": [{"type": "text", "text": text(200)}, use]})
    turns.append({"role": "user", "content": [{"type": "text", "text": "Go on.", **cut}]})
    system = [{"type": "text", "text": text(12_000), **cut}]
    return asked("", system=system, tools=[*tools[:-1], {**tools[-1], **cut}]) | {"messages": turns}


def watching(chunks: list[bytes]) -> Callable[[], None]:
    def watch() -> None:
        feed = StreamWatch().feed
        for chunk in chunks:
            feed(chunk)

    return watch


def building(chunks: list[bytes]) -> Callable[[], None]:
    def build() -> None:
        parser, builder = Parser(), MessageBuilder()
        for chunk in chunks:
            for event in parser.feed(chunk):
                builder.feed(*event)

    return build


def parts() -> dict[str, tuple[Callable[[], object], int, float | None]]:
    """By name: what is done, how many times over, and the most that one may cost (None: for scale)."""
    plain, marked, small = events("Hello"), events(r"He said:\n\"Grüezi\""), asked(text(2_000))
    message = {
        "id": "msg_1",
        "type": "message",
        "model": MODEL,
        "content": [{"type": "text", "text": text(2_000)}],
    }
    body = json.dumps({**message, "usage": USAGE}).encode()
    kind = {"content-type": "application/json"}
    families = {"requests": 4_000, "input-tokens": 2_000_000, "output-tokens": 400_000, "tokens": 2_400_000}
    raw = [
        (f"anthropic-ratelimit-{name}-{what}".encode(), str(value).encode())
        for name, value in families.items()
        for what in ("limit", "remaining", "reset")
    ] + [(f"x-other-{number}".encode(), b"1") for number in range(8)]
    repeated = agent()
    return {
        "stream event": (watching(plain), 1_000, 1.0),
        "stream event, escapes and accents": (watching(marked), 1_000, None),
        "stream event, put together": (building(plain), 1_000, None),
        "whole reply of 2 KB": (lambda: read_reply(200, kind, body), 1, 3.0),
        "whole reply of 2 KB, parsed twice": (
            lambda: (PROVIDER.classify(200, kind, body), PROVIDER.read_usage(body)),
            1,
            None,
        ),
        "headers": (lambda: PROVIDER.read_limits(wanted(raw)), 1, 8.0),
        "identify": (lambda: PROVIDER.identify("/v1/messages?beta=true", small), 1, 1.0),
        "estimate, 2 KB": (lambda: PROVIDER.estimate(small), 1, 18.0),
        "estimate, 100 KB": (lambda: PROVIDER.estimate(asked(f"{next(SCRATCH)}{text(100_000)}")), 1, None),
        "estimate, an agent's next turn": (lambda: PROVIDER.estimate(next_turn(repeated)), 1, None),
    }


def next_turn(request: dict[str, Any]) -> dict[str, Any]:
    turn = {"role": "user", "content": f"{next(SCRATCH)}"}
    return {**request, "messages": [turn, *request["messages"]]}


def cpu_us(work: Callable[[], object], inside: int) -> float:
    """CPU microseconds of one, over at least a tenth of a second."""
    done, began = 0, time.process_time()
    while time.process_time() - began < 0.1:
        for _ in range(max(1, 200 // inside)):
            work()
        done += max(1, 200 // inside)
    return (time.process_time() - began) / done / inside * 1e6


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    measured: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for name, (work, inside, _most) in parts().items():
            measured.setdefault(name, []).append(cpu_us(work, inside))
    missed = False
    for name, (_work, _inside, most) in parts().items():
        best = min(measured[name])
        missed |= most is not None and best > most
        print(
            json.dumps({"row": name, "cpu_us": round(best, 2), "to_reach_us": most} | machine()), flush=True
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
