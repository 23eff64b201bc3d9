"""How often counts lie inside their interval, what fitting a conversation takes, and what cutting in notches saves.

Coverage needs recorded exchanges in `../shared/data` beside the repository (they are not part of it). Prints JSON lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.estimate import _lines, _restored, content_kind, total_input  # the path is set above

from headway.context import count, fit, room
from headway.context.counting import facts_of
from headway.context.cutting import STRATEGIES
from headway.providers.shares import Scale

MODEL, SYSTEM_WORDS = "claude-opus-4", 6000
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "then",
    "returns",
    "value",
    "error",
    "module",
]


def main() -> int:
    if (Path(__file__).resolve().parents[1] / "../shared/data/claude_pairs_dev.jsonl").exists():
        for kind, inside in coverage().items():
            print(json.dumps({"measure": "interval", "rows": kind, **inside}))
    for strategy in STRATEGIES:
        print(json.dumps({"measure": "speed", "strategy": strategy, **speed(strategy)}))
    history, system = session(Random(3), 300)
    uncached = sum(turn["tokens"] for turn in played(history, system, 1e-9))
    for notch in (1e-9, 0.05, 0.1, 0.25, 0.5):
        print(
            json.dumps(
                {"measure": "notches", "notch": round(notch, 3), **saved(history, system, notch, uncached)}
            )
        )
    return 0


def coverage() -> dict[str, dict[str, float]]:
    """Of recorded exchanges, how many counts of the provider lie inside our interval."""
    found: dict[str, list[bool]] = {}
    for pair in _lines("claude_pairs_dev.jsonl"):
        truth = total_input(pair)
        if truth is None or facts_of(pair["model"] or "") is None:
            continue
        request = _restored(pair["request_body"])
        counted = count({**request, "model": pair["model"]})
        for kind in ("all", content_kind(request, pair)):
            found.setdefault(kind, []).append(counted.low <= truth <= counted.high)
    return {
        kind: {"n": len(inside), "inside": round(sum(inside) / len(inside), 3)}
        for kind, inside in found.items()
    }


def speed(strategy: Any) -> dict[str, float]:
    """CPU milliseconds of fitting a thousand messages, the best of seven."""
    history, _ = session(Random(5), 500)
    best = 1e9
    for _ in range(7):
        began = process_time()
        fit(history[:1001], MODEL, 8000, strategy=strategy)
        best = min(best, process_time() - began)
    return {"messages": len(history[:1001]), "cpu_ms": round(1000 * best, 1)}


def session(random: Random, steps: int) -> tuple[list[dict[str, Any]], str]:
    """An agent's session: one question, then tools whose results are as long as real ones are uneven; a system prompt."""

    def text(words: int) -> str:
        return " ".join(random.choice(WORDS) for _ in range(words))

    history: list[dict[str, Any]] = [{"role": "user", "content": "Mend it."}]
    for number in range(steps):
        use = {"type": "tool_use", "id": f"t{number}", "name": "read", "input": {"path": text(60)}}
        result = text(int(min(12_000, random.lognormvariate(6.3, 1.2))))
        history.append({"role": "assistant", "content": [use]})
        history.append(
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": f"t{number}", "content": result}],
            }
        )
    return history, text(SYSTEM_WORDS)


def played(history: list[dict[str, Any]], system: str, notch: float) -> list[dict[str, float]]:
    """Each turn of a session: all its input tokens, and those of them that are read from the cache and written to it.

    The cache is ours: an entry is read by every later turn that begins alike, whatever time has passed.
    """
    before, room.NOTCH = room.NOTCH, notch
    scale = Scale.of(facts_of(MODEL))
    entries: set[int] = set()
    turns: list[dict[str, float]] = []
    try:
        for end in range(1, len(history) + 1, 2):
            fitted = fit(history[:end], MODEL, 8000, system=system)
            marked = {mark.where.partition(".")[0] for mark in fitted.breakpoints}
            name, upto = hash(system), scale.base + scale.system(system).tokens
            read = upto if name in entries else 0.0
            new, last = ([name], upto) if "system[0]" in marked else ([], 0.0)
            for number, message in enumerate(fitted.messages):
                name = hash((name, json.dumps(_bare(message))))
                upto += scale.message(message).tokens
                read = upto if name in entries else read
                if f"messages[{number}]" in marked:
                    new.append(name)
                    last = upto
            entries.update(new)
            turns.append({"tokens": upto, "read": read, "written": max(0.0, last - read)})
    finally:
        room.NOTCH = before
    return turns


def saved(history: list[dict[str, Any]], system: str, notch: float, uncached: float) -> dict[str, float]:
    """The cost of all input, where a read costs 0.1 and a write 1.25, as a share of `uncached` tokens at full
    price: those of a client that cuts just enough and has no cache."""
    turns = played(history, system, notch)
    cost = sum(turn["tokens"] - 0.9 * turn["read"] + 0.25 * turn["written"] for turn in turns)
    tokens = sum(turn["tokens"] for turn in turns)
    return {
        "cost": round(cost / uncached, 3),
        "read": round(sum(turn["read"] for turn in turns) / tokens, 3),
        "mean_tokens": round(tokens / len(turns)),
    }


def _bare(message: dict[str, Any]) -> Any:
    """Without breakpoints, and text as a block: what the cache compares."""
    content = message["content"]
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return [
        message["role"],
        [{key: value for key, value in block.items() if key != "cache_control"} for block in blocks],
    ]


if __name__ == "__main__":
    sys.exit(main())
