"""What the Messages API asks of a conversation, written from its rules and not from our code; and conversations to try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Message = dict[str, Any]


def broken_rules(messages: Sequence[Message], system: Any = None, tools: Any = None) -> list[str]:
    """Every rule that a request breaks, in words. Empty: the API would take it."""
    return broken_turn_rules(messages) + broken_cache_rules(messages, system, tools)


def broken_turn_rules(messages: Sequence[Message]) -> list[str]:
    """The rules about who speaks when, and about tools and their results. Messages of one role in a row are one turn."""
    found: list[str] = []
    turns = in_turns(messages)
    if not turns:
        return ["no messages"]
    if turns[0][0] != "user":
        found.append("does not begin with the user")
    open_uses: set[str] = set()
    for number, (_, blocks) in enumerate(turns):
        if not blocks:
            found.append(f"turn {number}: empty")
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if set(results) != open_uses:
            found.append(f"turn {number}: results {results} for uses {sorted(open_uses)}")
        kinds = [block["type"] == "tool_result" for block in blocks]
        if kinds != sorted(kinds, reverse=True):
            found.append(f"turn {number}: results of tools do not come first")
        open_uses = {block["id"] for block in blocks if block["type"] == "tool_use"}
    if open_uses:
        found.append("tools without results at the end")
    return found


def in_turns(messages: Sequence[Message]) -> list[tuple[str, list[Any]]]:
    """Roles and blocks of the turns; messages of the role system stand between them and are no turn."""
    turns: list[tuple[str, list[Any]]] = []
    for message in messages:
        if message["role"] == "system":
            continue
        if not turns or turns[-1][0] != message["role"]:
            turns.append((message["role"], []))
        turns[-1][1].extend(as_blocks(message))
    return turns


def repeats(messages: Sequence[Message]) -> int:
    """How often somebody speaks twice in a row."""
    return len([message for message in messages if message["role"] != "system"]) - len(in_turns(messages))


def broken_cache_rules(messages: Sequence[Message], system: Any, tools: Any) -> list[str]:
    """The rules about breakpoints: four at most, longer lives first, none on thinking or empty text."""
    in_order = [*(tools or []), *(system if isinstance(system, list) else [])]
    for message in messages:
        in_order += as_blocks(message)
    marked = [block for block in in_order if "cache_control" in block]
    lives = [block["cache_control"].get("ttl", "5m") == "1h" for block in marked]
    found = [f"{len(marked)} breakpoints"] if len(marked) > 4 else []
    found += ["a short life before a long one"] if lives != sorted(lives, reverse=True) else []
    for block in marked:
        if block.get("type") in ("thinking", "redacted_thinking") or block.get("text") == "":
            found.append(f"a breakpoint on {block['type']}")
    return found


def as_blocks(message: Message) -> list[Any]:
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def bare(message: Message) -> Message:
    """A message without breakpoints, and with its text as a block."""
    blocks = [
        {key: value for key, value in block.items() if key != "cache_control"} for block in as_blocks(message)
    ]
    return {**message, "content": blocks}


def places(messages: Sequence[Message], given: Sequence[Message]) -> list[int] | None:
    """Which messages of `given` these are, in order; results of tools may have become notes. None: others."""
    found, start = [], 0
    for message in messages:
        wanted = _skeleton(message)
        at = next((n for n in range(start, len(given)) if _skeleton(given[n]) == wanted), None)
        if at is None:
            return None
        found.append(at)
        start = at + 1
    return found


def _skeleton(message: Message) -> Any:
    """What stays the same when a result becomes a note."""
    return [
        {**block, "content": "result"} if block["type"] == "tool_result" else block
        for block in bare(message)["content"]
    ]


WORDS = st.integers(1, 400).map(lambda count: " ".join(f"word{count}" for _ in range(count)))


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Alternating conversations with tools, parallel ones too, thinking, images; each message unlike any other."""
    messages: list[Message] = []
    serial = iter(range(10_000))
    exchanges = draw(st.integers(1, 6))
    for exchange in range(exchanges):
        if draw(st.integers(0, 9)) == 0:
            messages.append({"role": "system", "content": f"instruction {next(serial)}"})
        messages.append({"role": "user", "content": _said(draw, next(serial))})
        for _ in range(draw(st.integers(0, 4))):
            messages += _step(draw, serial)
        if exchange < exchanges - 1 or draw(st.booleans()):
            thinking = (
                [{"type": "thinking", "thinking": draw(WORDS), "signature": "s"}]
                if draw(st.booleans())
                else []
            )
            text = {"type": "text", "text": f"answer {next(serial)} {draw(WORDS)}"}
            messages.append({"role": "assistant", "content": [*thinking, text]})
    return messages


def _said(draw: st.DrawFn, number: int) -> Any:
    text = f"question {number} {draw(WORDS)}"
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    match draw(st.integers(0, 3)):
        case 0:
            return [{"type": "text", "text": text}, image]
        case 1:
            return [{"type": "text", "text": text}]
        case _:
            return text


def _step(draw: st.DrawFn, serial: Any) -> list[Message]:
    ids = [f"toolu_{next(serial)}" for _ in range(draw(st.integers(1, 3)))]
    uses = [{"type": "tool_use", "id": each, "name": "read", "input": {"path": each}} for each in ids]
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": each, "content": draw(WORDS)} for each in ids
    ]
    if draw(st.booleans()):
        results[0]["content"] = [{"type": "text", "text": draw(WORDS)}]
    is_split = draw(st.integers(0, 4)) == 0  # a message for each result, which the API takes as one turn
    if not is_split and draw(st.integers(0, 4)) == 0:
        results.append({"type": "text", "text": f"hint {next(serial)}"})
    thinking = (
        [{"type": "thinking", "thinking": draw(WORDS), "signature": "s"}] if draw(st.booleans()) else []
    )
    answers = [[each] for each in results] if is_split else [results]
    return [
        {"role": "assistant", "content": [*thinking, *uses]},
        *[{"role": "user", "content": answer} for answer in answers],
    ]
