"""`headway send`: one question, one answer."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from headway.cli.display import visible
from headway.config import Config, load
from headway.core.events import Waiting
from headway.emulator.process import spawn
from headway.errors import InputError
from headway.hooks import Hooks
from headway.plain.asked import Answer
from headway.plain.send import MAX_TOKENS
from headway.plain.send import send as ask
from headway.runtime import Engine

PROFILE = "any/unlimited"
SAID_FROM_S = 1.0  # shorter waits are not worth a line


def send(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The question; - reads standard input.")],
    model: Annotated[str, typer.Option(help="The model to ask.")],
    max_tokens: Annotated[int, typer.Option(help="The most it may answer, in tokens.", min=1)] = MAX_TOKENS,
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="Ask the built-in emulator; no key needed, nothing recorded.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Ask a model one question: paced, tried again, recorded like any other call.

    The answer goes to standard output; what it took goes to standard error.

    Examples:

        headway send "What is 6 times 7?" --model claude-opus-4-8

        git diff | headway send - --model claude-opus-4-8 --system "Write a commit message."

        headway send "Hello" --model claude-opus-4-8 --emulate
    """
    text = _text(prompt)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with _settings(emulate) as config:
        config.headers()  # a missing key is said before anything is set up
        with Engine(config, hooks=Hooks(waiting=lambda news: _say_waiting(news, console))) as engine:
            answer = ask(text, model=model, max_tokens=max_tokens, system=system, engine=engine)
    if as_json:
        typer.echo(json.dumps(_for_machines(answer)))
        return
    typer.echo(_shown(answer.text))
    _say_what_it_took(answer, max_tokens, console)


def _text(prompt: str) -> str:
    if prompt != "-":
        return prompt
    if sys.stdin.isatty():
        sys.stderr.write("Reading the question from the terminal; Ctrl-D ends it.\n")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8 text") from None


@contextmanager
def _settings(emulate: bool) -> Iterator[Config]:
    config = load(os.environ, flags=True)
    if not emulate:
        yield config
        return
    with spawn(PROFILE) as emulator:
        yield replace(
            config,
            base_url=emulator.url,
            api_key="sk-emulated",
            auth_token=None,
            ledger=config.ledger or "none",
        )


def _shown(text: str) -> str:
    """On a terminal without anything that it would obey; in a pipe as it is."""
    if not sys.stdout.isatty():
        return text
    return "\n".join("\t".join(visible(part) for part in line.split("\t")) for line in text.split("\n"))


def _say_waiting(news: Waiting, console: Console) -> None:
    if news.wait_s >= SAID_FROM_S:
        when = "" if news.wait_s == float("inf") else f", clears in {news.wait_s:,.0f} s"
        console.print(Text(f"waiting for {news.limit}{when}", style="dim"))


def _say_what_it_took(answer: Answer, max_tokens: int, console: Console) -> None:
    if answer.is_truncated:
        cut = f"cut off at {max_tokens:,} tokens: ask for more with --max-tokens"
        console.print(
            Text(cut if answer.stop_reason == "max_tokens" else "cut off: the window is full", "yellow")
        )
    usage = answer.usage
    cached = usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    cost = "cost not known" if answer.cost_usd is None else f"${answer.cost_usd:,.6f}"
    parts = [
        visible(answer.model),
        f"{usage.input_tokens + cached:,} tokens in, {usage.output_tokens:,} out",
        cost,
        f"waited {answer.waited_s:,.1f} s",
        *([f"sent {answer.attempts} times"] if answer.attempts > 1 else []),
    ]
    console.print(Text(", ".join(parts), style="dim"))


def _for_machines(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "text": answer.text,
        "stop_reason": answer.stop_reason,
        "is_truncated": answer.is_truncated,
        "model": answer.model,
        "tokens": {
            "input": usage.input_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write_5m": usage.cache_write_5m_tokens,
            "cache_write_1h": usage.cache_write_1h_tokens,
            "output": usage.output_tokens,
        },
        "cost_nanousd": answer.cost_nanousd,
        "cost_usd": answer.cost_usd,
        "waited_s": round(answer.waited_s, 3),
        "attempts": answer.attempts,
        "request_id": answer.request_id,
        "message": answer.message,
    }
