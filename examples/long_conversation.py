"""A conversation that never ends: each turn is fitted to a budget, and most of it is read from the prompt cache.

ANTHROPIC_API_KEY=... python examples/long_conversation.py 40

asks 40 questions with at most 6,000 tokens of input each. Without a key: see sdk_sync.py. Needs `pip install anthropic`.
"""

# ruff: noqa: T201  # a program of its own may print

from __future__ import annotations

import sys
from typing import Any

import anthropic

import headway
from headway.context import fit

MODEL, BUDGET = "claude-opus-4-8", 6_000
SYSTEM = (
    "You are a guide through the history of railways. Answer in a paragraph, and name your sources. " * 60
)


def main(turns: int) -> None:
    client = anthropic.Anthropic(http_client=headway.client())
    history: list[Any] = []  # all of it, as it was said
    read = paid = 0
    for turn in range(turns):
        history.append({"role": "user", "content": f"Question {turn + 1}: and what came after that? " * 10})
        fitted = fit(history, MODEL, max_tokens=300, budget=BUDGET, system=SYSTEM, strategy="ends")
        answer = client.messages.create(model=MODEL, max_tokens=300, **fitted.arguments)
        history.append({"role": "assistant", "content": answer.content})
        read += answer.usage.cache_read_input_tokens or 0
        paid += answer.usage.input_tokens + (answer.usage.cache_creation_input_tokens or 0)
        if fitted.dropped:
            print(
                f"turn {turn + 1}: {len(fitted.messages)} of {len(history) - 1} messages, {fitted.after} tokens"
            )
    print(f"{read:,} tokens read from the cache, {paid:,} paid in full")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
