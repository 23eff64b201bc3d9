"""Findings about prompts as tests write them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from headway.workbench.finding import Finding
from headway.workbench.measuring import Measure
from headway.workbench.prompts import read_source
from headway.workbench.rules import choose, lint

MODEL = "claude-opus-4-8"
FIXED = "\n".join(
    f"Rule {number}: parcels of kind {number} are returned within {number} days, unopened and with the receipt."
    for number in range(150)
)


@cache
def measure() -> Measure:
    return Measure()


def found(name: str, data: str, system: str | None = None, rules: str = "all") -> list[Finding]:
    """What all rules find in a file of this name."""
    beside = None if system is None else ("system.txt", system)
    return lint(read_source(name, data.encode(), beside), measure(), choose(rules, None))


def rules_of(findings: list[Finding]) -> set[str]:
    return {each.rule for each in findings}


def in_text(text: str, system: str | None = None) -> set[str]:
    """The rules that a prompt in plain text breaks."""
    return rules_of(found("prompt.txt", text, system))


def request(text: str | list[Any] = "Say hello to the reader.", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": text}]} | more


def in_request(value: dict[str, Any]) -> list[Finding]:
    return found("request.json", json.dumps(value))


def in_job(*requests: dict[str, Any]) -> list[Finding]:
    lines = [json.dumps({"custom_id": str(number), "params": each}) for number, each in enumerate(requests)]
    return found("job.jsonl", "\n".join(lines) + "\n")
