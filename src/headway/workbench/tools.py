"""Rules about the tools that requests offer: in changing order (HW203), or for nothing (HW306)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from headway.workbench.finding import Finding, Severity
from headway.workbench.prompts import Prompt

_LEAST = 40  # tokens that must be saved before it is worth a word
_LONG_LIST = 20  # calls of tools, after which a tool that was never called may be thought unused


def in_changing_order(prompts: Sequence[Prompt]) -> Iterator[Finding]:
    """HW203: the same tools in another order. They come first, so nothing behind them is read from the cache."""
    orders: dict[tuple[str, frozenset[str]], tuple[str, ...]] = {}
    changed: Counter[tuple[str, frozenset[str]]] = Counter()
    first: dict[tuple[str, frozenset[str]], Prompt] = {}
    for prompt in prompts:
        tools = prompt.request.get("tools")
        names = tuple(
            str(tool.get("name"))
            for tool in (tools if isinstance(tools, list) else [])
            if isinstance(tool, dict)
        )
        if len(names) > 1:
            kind = (prompt.model, frozenset(names))
            if orders.setdefault(kind, names) != names:
                changed[kind] += 1
                first.setdefault(kind, prompt)
    for kind, count in changed.items():
        reason = f"The same {len(kind[1])} tools stand in another order than in earlier requests ({count:,} times)."
        better = "Sort them by name before sending."
        yield Finding("HW203", Severity.WARNING, first[kind].own, reason, better)


def unused(prompts: Sequence[Prompt], tokens: Callable[[str], int]) -> Iterator[Finding]:
    """HW306: tools that the request forbids, or that no request of a job ever called."""
    for prompt in prompts:
        choice, tools = prompt.request.get("tool_choice"), prompt.request.get("tools")
        if isinstance(choice, dict) and choice.get("type") == "none" and tools and not _calls(prompt):
            saves = tokens(json.dumps(tools))
            better = "Leave `tools` out as well: they are read, and paid, all the same."
            yield Finding(
                "HW306",
                Severity.WARNING,
                prompt.own,
                "tool_choice is none, and tools are sent.",
                better,
                saves,
            )
    called = Counter(name for prompt in prompts for name in _calls(prompt))
    if called.total() < _LONG_LIST:
        return
    sizes: dict[str, int] = {}
    offered: Counter[str] = Counter()
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        for name, tool in _tools(prompt):
            offered[name] += 1
            if name not in first:
                first[name], sizes[name] = prompt, tokens(json.dumps(tool))
    idle = [name for name in offered if not called[name] and offered[name] >= _LONG_LIST]
    if idle and (saves := sum(sizes[name] for name in idle)) >= _LEAST:
        names = ", ".join(idle[:5]) + (f" and {len(idle) - 5} more" if len(idle) > 5 else "")
        reason = f"No call of these tools in {called.total():,} calls of tools: {names}."
        better = "Offer them only where they may be needed."
        yield Finding("HW306", Severity.INFO, first[idle[0]].own, reason, better, saves)


def _tools(prompt: Prompt) -> Iterator[tuple[str, object]]:
    tools = prompt.request.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        if (
            isinstance(tool, dict)
            and isinstance(tool.get("name"), str)
            and not str(tool.get("type", "custom")).count("_20")
        ):
            yield tool["name"], tool


def _calls(prompt: Prompt) -> list[str]:
    messages = prompt.request.get("messages")
    return [
        str(block.get("name"))
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for block in message["content"]
        if isinstance(block, dict) and block.get("type") == "tool_use"
    ]
