"""A conversation that outgrows its window, over the SDK against an API that refuses what is too long; and real sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

import headway
from context.rules import Message, bare, broken_rules
from headway.context import Fitted, fit
from headway.context.counting import facts_of
from headway.providers.shares import Scale
from headway.testing.emulated import Emulator

MODEL = "claude-opus-4"
FAST = "any/unlimited?ttft=1ms&speed=100000&output_mean=20"
SYSTEM = "You are a careful engineer, and you say what you do. " * 200
SESSIONS = Path(__file__).resolve().parents[2] / "../shared/data/claude_code_sessions_dev.jsonl"


def step(number: int, result: str) -> list[Message]:
    use = {
        "type": "tool_use",
        "id": f"toolu_{number}",
        "name": "read",
        "input": {"path": f"file_{number}.py"},
    }
    return [
        {"role": "assistant", "content": [use]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": result}],
        },
    ]


@pytest.mark.headway_profile(FAST)
def test_with_fit_a_long_session_goes_on_and_reads_the_cache_where_without_it_the_api_refuses(
    headway_emulator: Emulator,
) -> None:
    tools: Any = [{"name": "read", "description": "Reads a file.", "input_schema": {"type": "object"}}]
    history: list[Any] = [{"role": "user", "content": "Read all of it."}]
    read = written = fresh = 0
    with anthropic.Anthropic(
        base_url=headway_emulator.url, api_key="any", http_client=headway.client(ledger="none"), max_retries=0
    ) as client:
        for turn in range(40):
            history += step(turn, f"Line {turn} of this file says that something is to be done. " * 600)
            fitted = fit(history, MODEL, 1000, system=SYSTEM, tools=tools)
            usage = client.messages.create(model=MODEL, max_tokens=1000, **fitted.arguments).usage
            read += usage.cache_read_input_tokens or 0
            written += usage.cache_creation_input_tokens or 0
            fresh += usage.input_tokens
    with (
        anthropic.Anthropic(base_url=headway_emulator.url, api_key="any", max_retries=0) as client,
        pytest.raises(anthropic.BadRequestError, match="too long"),
    ):
        client.messages.create(model=MODEL, max_tokens=1000, messages=history, system=SYSTEM, tools=tools)
    assert fitted.dropped
    assert read > 3 * (written + fresh)


def sessions() -> Iterator[list[int]]:
    """What each request of recorded sessions added to its prompt, in tokens; only sessions of more than 300,000."""
    if not SESSIONS.exists():
        pytest.skip("no recorded sessions beside the repository")
    prompts: dict[tuple[str, str], list[int]] = {}
    for line in SESSIONS.read_text("utf-8").splitlines():
        if line.strip():
            row = json.loads(line)
            prompts.setdefault((row["session"], row["agent"]), []).append(row["input_tokens"])
    for sizes in prompts.values():
        added = [max(50, after - before) for before, after in zip([0, *sizes], sizes, strict=False)]
        if sum(added) > 300_000 and len(added) >= 100:
            yield added


def test_sessions_of_the_shape_of_real_ones_fit_with_few_changes_of_their_beginning() -> None:
    facts = facts_of(MODEL)
    a_word = Scale.of(facts).text("word " * 1000) / 1000
    tried = turns = changes = 0
    for added in sessions():
        history: list[Message] = [{"role": "user", "content": "word " * int(min(added[0], 60_000) / a_word)}]
        before: list[Message] = []
        for turn, tokens in enumerate(added[1:]):
            history += step(turn, "word " * int(min(tokens, 60_000) / a_word))
            if sum(added[: turn + 1]) < 100_000:
                continue
            fitted: Fitted = fit(history, MODEL, 8000, system=SYSTEM)
            assert broken_rules(fitted.messages, fitted.system) == []
            assert fitted.fits
            now = [bare(message) for message in fitted.messages]
            changes += now[: len(before)] != before
            before, turns = now, turns + 1
        tried += 1
        if tried == 6:
            break
    assert tried == 6
    assert turns > 1000
    assert changes < 0.05 * turns
