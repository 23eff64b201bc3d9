"""A service where each user may spend so much: a session with a budget for each, whatever runs at the same time.

ANTHROPIC_API_KEY=... python examples/session_budget.py 0.02usd

Three users ask until their budget has no room for another answer. Without a key: see sdk_sync.py. Needs
`pip install anthropic`.
"""

# ruff: noqa: T201  # a program of its own may print

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import anthropic

import headway

MODEL, USERS = "claude-opus-4-8", ("ada", "bob", "eve")


def ask_until_refused(client: anthropic.Anthropic, user: str, budget: str) -> str:
    """The block is inside the thread that asks: another thread would not be in it."""
    answers = 0
    with headway.session(user, tenant=user, budget=budget, max_wait="1m"):
        while True:
            try:
                client.messages.create(
                    model=MODEL,
                    max_tokens=150,
                    messages=[{"role": "user", "content": f"This is question {answers} of {user}."}],
                )
            except headway.BudgetExceeded as error:
                return f"{user}: {answers} answers for ${error.used:.4f} of ${error.cap:.4f}"
            answers += 1


def main(budget: str) -> None:
    client = anthropic.Anthropic(http_client=headway.client())
    with ThreadPoolExecutor(len(USERS)) as threads:
        for line in threads.map(lambda user: ask_until_refused(client, user, budget), USERS):
            print(line)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "0.02usd")
