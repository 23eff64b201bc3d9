"""How far off the estimates of input tokens are, whether usage is read exactly, and what both cost.

Reads recorded exchanges from `../shared/data` beside the repository (they are not part of it). Prints JSON lines.
"""

from __future__ import annotations

import json
import re
import sys
import timeit
from pathlib import Path
from typing import Any

from headway.core.call import Usage
from headway.providers.anthropic import Anthropic

DATA = Path(__file__).resolve().parents[1] / "../shared/data"
_SCRUBBED = re.compile(r"<base64:(\d+):[0-9a-f]+>")


def main() -> int:
    if not (DATA / "claude_pairs_dev.jsonl").exists():
        print("no recorded exchanges beside the repository: nothing to measure")
        return 1
    pairs = _lines("claude_pairs_dev.jsonl")
    for name, off in deviations(pairs).items():
        print(json.dumps({"measure": "estimate", "rows": name, **summary(off)}))
    print(
        json.dumps({"measure": "usage", **usage_agreement(pairs, _lines("claude_raw_responses_dev.jsonl"))})
    )
    print(json.dumps({"measure": "speed", **speed()}))
    return 0


def deviations(pairs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Estimate ÷ truth − 1 of every request to a known model, by family of tokenizer and kind of content."""
    provider = Anthropic()
    off: dict[str, list[float]] = {}
    for pair in pairs:
        truth = total_input(pair)
        facts = provider.catalog.model(pair["model"] or "")
        if truth is None or facts is None:
            continue
        request = _restored(pair["request_body"])
        family = "3 to 4.6" if facts.tokenizer == "3" else "4.7 and later"
        kind = content_kind(request, pair)
        estimate = provider.estimate({**request, "model": pair["model"]})
        off.setdefault(f"{family}, {kind}", []).append(estimate.input_tokens / truth - 1)
    return dict(sorted(off.items()))


def total_input(pair: dict[str, Any]) -> int | None:
    """All input of a recorded Messages exchange: fresh, cache writes and cache reads."""
    usage, request = pair["usage"], pair["request_body"]
    if (
        pair["response_status"] != 200
        or not usage
        or not isinstance(request, dict)
        or "converse" in pair["endpoint"]
    ):
        return None
    if "input_tokens" not in usage or "messages" not in request:
        return None
    cached = (usage.get("cache_creation_input_tokens") or 0) + (usage.get("cache_read_input_tokens") or 0)
    return (usage["input_tokens"] + cached) or None


def content_kind(request: dict[str, Any], pair: dict[str, Any]) -> str:
    """What sort of content: text and own tools (the fit is meant for them), files, or tools run by the provider."""
    tools = [tool for tool in request.get("tools") or [] if isinstance(tool, dict)]
    if any(tool.get("type") not in (None, "custom") for tool in tools):
        return "tools of the provider"
    if any(request.get(key) for key in ("container", "mcp_servers", "context_management")):
        return "tools of the provider"
    text = json.dumps(request["messages"])
    if pair["has_binary"] or re.search(r'"type": "(image|document|redacted_thinking)"', text):
        return "images and documents"
    return "text and tools"


def summary(off: list[float]) -> dict[str, float]:
    """Mean and median absolute deviation, and how far over and under 95 % stay within. Percent."""
    ordered, count = sorted(off), len(off)
    spread = sorted(map(abs, off))
    return {
        "n": count,
        "mape": round(100 * sum(spread) / count, 1),
        "median": round(100 * spread[count // 2], 1),
        "p95_over": round(100 * ordered[int(0.95 * (count - 1))], 1),
        "p95_under": round(-100 * ordered[int(0.05 * (count - 1))], 1),
    }


def usage_agreement(pairs: list[dict[str, Any]], raw: list[dict[str, Any]]) -> dict[str, int]:
    """Of the recorded bodies that come with a usage, how many read_usage gives exactly that for."""
    bodies = {row["id"]: row["body"] for row in raw}
    with_usage = [
        pair for pair in pairs if pair["claude"] and pair["usage"] and bodies.get(pair["id"]) is not None
    ]
    equal = sum(
        (usage := Anthropic().read_usage(body_bytes(bodies[pair["id"]]))) is not None
        and same(usage, pair["usage"])
        for pair in with_usage
    )
    return {"bodies": len(with_usage), "equal": equal}


def same(usage: Usage, recorded: dict[str, Any]) -> bool:
    """The raw object to the letter, and the sorted classes adding up to it."""
    if dict(usage.raw) != recorded:
        return False
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return (
        usage.input_tokens == (recorded.get("input_tokens") or 0)
        and usage.output_tokens == (recorded.get("output_tokens") or 0)
        and usage.cache_read_tokens == (recorded.get("cache_read_input_tokens") or 0)
        and written == (recorded.get("cache_creation_input_tokens") or 0)
    )


def body_bytes(body: Any) -> bytes:
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def speed() -> dict[str, float]:
    """Microseconds a call."""
    provider = Anthropic()
    text = ("The quick brown fox jumps over 13 lazy dogs, and then runs away. \n" * 16)[:1000]
    plain = {
        "model": "claude-opus-4-20250514",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": text}],
    }
    cached = {**plain, "system": [{"type": "text", "text": text * 8, "cache_control": {"type": "ephemeral"}}]}
    large = {**plain, "messages": [{"role": "user", "content": text * 800}]}
    return {
        "estimate_1kB_us": _us(lambda: provider.estimate(plain), 2000),
        "estimate_9kB_cached_prefix_us": _us(lambda: provider.estimate(cached), 500),
        "estimate_800kB_us": _us(lambda: provider.estimate(large), 20),
        "identify_us": _us(lambda: provider.identify("/v1/messages", plain), 5000),
    }


def _us(call: Any, number: int) -> float:
    return round(min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6, 1)


def _lines(name: str) -> list[dict[str, Any]]:
    with (DATA / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _restored(value: Any) -> Any:
    """Scrubbed base64 as so many characters again."""
    if isinstance(value, str):
        match = _SCRUBBED.fullmatch(value)
        return "A" * int(match[1]) if match else value
    if isinstance(value, list):
        return [_restored(each) for each in value]
    return {key: _restored(each) for key, each in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    sys.exit(main())
