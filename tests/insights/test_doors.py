"""Findings from calls that really went through a door: the fingerprints are those that the engine makes."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import anthropic
import pytest

import headway
from headway.insights.finding import Finding
from headway.insights.study import study
from headway.insights.walk import Window
from headway.testing.emulated import Emulator

MODEL = "claude-opus-4-8"
RULES = "\n".join(
    f"Rule {n}: what comes to desk {n} is looked at by {n % 7} people before it goes on." for n in range(250)
)
TOOLS = [
    {
        "name": f"tool_{n}",
        "description": f"Looks up the {n}th thing. " * (20 + n),
        "input_schema": {"type": "object"},
    }
    for n in range(8)
]


def found_in(path: Path, ask: Callable[[anthropic.Anthropic, int], None], calls: int = 40) -> Finding:
    """The one finding of so many calls."""
    engine = headway.Engine(ledger=str(path))
    with (
        Emulator("any/unlimited?ttft=1ms&speed=100000") as api,
        headway.client(engine=engine) as http,
        anthropic.Anthropic(base_url=api.url, api_key="any", http_client=http) as client,
    ):
        for number in range(calls):
            ask(client, number)
    engine.close()
    (finding,) = study(path, Window(0, 2**62), skip=["binding-limit", "idle-quota"]).findings
    return finding


def question(number: int) -> list[anthropic.types.MessageParam]:
    return [{"role": "user", "content": f"Which desk gets letter {number}?"}]


def test_a_system_prompt_that_is_sent_uncached(tmp_path: Path) -> None:
    def ask(client: anthropic.Anthropic, number: int) -> None:
        client.messages.create(model=MODEL, max_tokens=50, system=RULES, messages=question(number))

    finding = found_in(tmp_path / "ledger.sqlite3", ask)
    assert finding.found.rule == "uncached-prefix"
    assert finding.found.numbers["breakpoint"] == "system"
    assert finding.found.numbers["calls_that_would_read"] == 39


def test_a_time_in_the_system_prompt(tmp_path: Path) -> None:
    def ask(client: anthropic.Anthropic, number: int) -> None:
        system: list[anthropic.types.TextBlockParam] = [
            {"type": "text", "text": f"It is 2026-11-24 10:{number:02}."},
            {"type": "text", "text": RULES, "cache_control": {"type": "ephemeral"}},
        ]
        client.messages.create(model=MODEL, max_tokens=50, system=system, messages=question(number))

    finding = found_in(tmp_path / "ledger.sqlite3", ask)
    assert (finding.found.rule, finding.found.certainty) == ("broken-prefix", "sure")
    assert (finding.found.numbers["part"], finding.found.numbers["place"]) == ("system", 0)
    assert finding.found.numbers["breaks"] == 39


def test_a_time_within_the_one_block_of_the_system_prompt(tmp_path: Path) -> None:
    def ask(client: anthropic.Anthropic, number: int) -> None:
        system = f"It is 2026-11-24 10:{number:02}.\n{RULES}"
        client.messages.create(model=MODEL, max_tokens=50, system=system, messages=question(number))

    finding = found_in(tmp_path / "ledger.sqlite3", ask)
    assert (finding.found.rule, finding.found.certainty) == ("broken-prefix", "likely")


def test_tools_in_another_order_each_time(tmp_path: Path) -> None:
    def ask(client: anthropic.Anthropic, number: int) -> None:
        tools = random.Random(number).sample(TOOLS, len(TOOLS))
        tools = [*tools[:-1], {**tools[-1], "cache_control": {"type": "ephemeral"}}]
        client.messages.create(model=MODEL, max_tokens=50, tools=tools, messages=question(number))  # type: ignore[arg-type]  # plain dicts

    finding = found_in(tmp_path / "ledger.sqlite3", ask)
    assert finding.found.rule == "broken-prefix"
    assert finding.found.numbers["reordered"] == 1


@pytest.mark.parametrize("named", [True, False])
def test_a_conversation_without_a_cache(named: bool, tmp_path: Path) -> None:
    said: list[anthropic.types.MessageParam] = []

    def ask(client: anthropic.Anthropic, number: int) -> None:
        said.append({"role": "user", "content": f"Part {number}: " + RULES[: 2000 + 10 * number]})
        with headway.session("book") if named else nullcontext():
            client.messages.create(model=MODEL, max_tokens=50, messages=said)
        said.append({"role": "assistant", "content": f"Noted part {number}."})

    finding = found_in(tmp_path / "ledger.sqlite3", ask)
    assert finding.found.rule == "uncached-prefix"
    assert finding.found.numbers["breakpoint"] == "conversation"
