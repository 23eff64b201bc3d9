"""A conversation taken apart into what can go without breaking it, by the rules of the Messages API:

- it begins with a user message that answers no tool;
- the results of tools are in the message right after the one that used them, so the two go together, parallel uses too;
- user and assistant take turns.

An *exchange* is a user message with all that follows up to the next one; its *steps* are an assistant message with the
results of the tools that it used. From the oldest exchange on, its steps can go one by one, the oldest first; the last
step only together with the user message, so that an answer never follows nothing. Of the newest exchange the user
message and the last step always stay. What is pinned stays, and with it the user message and last step of its exchange;
so do messages of the role system.
Sources: https://platform.claude.com/docs/en/api/messages and .../agents-and-tools/tool-use/implement-tool-use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.errors import InputError

_ROLES = ("user", "assistant", "system")
Message = Mapping[str, Any]


@dataclass(slots=True)
class Exchange:
    """Numbers of messages: those of the user that begin it, and of each step."""

    question: list[int]
    steps: list[list[int]] = field(default_factory=list)

    def numbers(self) -> Iterator[int]:
        yield from self.question
        for step in self.steps:
            yield from step


@dataclass(frozen=True, slots=True)
class Turns:
    """`orphans` are messages at the head that cannot stand there; `atoms` what can go, in the order in which it would."""

    orphans: tuple[int, ...]
    atoms: tuple[tuple[int, ...], ...]


def turns(messages: Sequence[Message], pinned: Collection[int]) -> Turns:
    """Take a conversation apart that `check` has passed. Raises InputError where it cannot begin, or not with what is
    pinned."""
    pinned = {*pinned, *(number for number, message in enumerate(messages) if message["role"] == "system")}
    begin = _beginnings(_runs(messages), messages)
    if not begin:
        raise InputError("the conversation has no message of the user that is more than results of tools")
    start, exchanges = begin[0], _exchanges(messages, begin)
    atoms: list[tuple[int, ...]] = []
    for exchange in exchanges[:-1]:
        atoms += _atoms(exchange, pinned, is_newest=False)
    atoms += _atoms(exchanges[-1], pinned, is_newest=True)
    orphans = tuple(number for number in range(start) if messages[number]["role"] != "system")
    if lost := [number for number in orphans if number in pinned]:
        raise InputError(
            f"messages[{lost[0]}] is pinned, but a conversation cannot begin with it",
            hint="Pin a message of the user before it, too.",
        )
    return Turns(orphans, tuple(atoms))


def first_question(messages: Sequence[Message]) -> int | None:
    """The number of the first message that a conversation can begin with."""
    return next(iter(_beginnings(_runs(messages), messages)), None)


def blocks_of(message: Message) -> list[Any]:
    """The content of a message as blocks."""
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _runs(messages: Sequence[Message]) -> list[tuple[str, list[int]]]:
    """Roles and the numbers of their messages; the API takes messages of one role in a row as one turn.

    Messages of the role system belong to the turn that they follow.
    """
    runs: list[tuple[str, list[int]]] = []
    for number, message in enumerate(messages):
        role = str(message["role"])
        if runs and role in (runs[-1][0], "system"):
            runs[-1][1].append(number)
        else:
            runs.append((role, [number]))
    return runs


def _beginnings(runs: Sequence[tuple[str, list[int]]], messages: Sequence[Message]) -> list[int]:
    """Numbers of the messages that a conversation can begin with: the user's, and no result of a tool in them or after
    them in the same turn."""
    found: list[int] = []
    for role, numbers in runs:
        if role == "user":
            last = max((number for number in numbers if _ids(messages[number], "tool_result")), default=-1)
            found += [number for number in numbers if number > last and messages[number]["role"] == "user"]
    return found


def _exchanges(messages: Sequence[Message], begin: Sequence[int]) -> list[Exchange]:
    found: list[Exchange] = []
    beginnings, before = frozenset(begin), ""
    for number in range(begin[0], len(messages)):
        role = str(messages[number]["role"])
        if number in beginnings:
            found.append(Exchange([number]))
        elif role == "assistant" and before != "assistant":
            found[-1].steps.append([number])
        else:
            (found[-1].steps[-1] if found[-1].steps else found[-1].question).append(number)
        before = before if role == "system" else role
    return found


def _atoms(exchange: Exchange, pinned: Collection[int], *, is_newest: bool) -> Iterator[tuple[int, ...]]:
    for step in exchange.steps[:-1]:
        if not any(number in pinned for number in step):
            yield tuple(step)
    if not is_newest and not any(number in pinned for number in exchange.numbers()):
        yield (*exchange.question, *(exchange.steps[-1] if exchange.steps else ()))


def check(messages: Sequence[Message]) -> None:
    """Refuse what no trimming can mend. Raises InputError: which message, and what is wrong with it."""
    if not messages:
        raise InputError("the conversation is empty")
    for number, message in enumerate(messages):
        _check_shape(number, message)
    runs = _runs(messages)
    begin = _beginnings(runs, messages)
    first = begin[0] if begin else len(messages)
    asked: frozenset[str] = frozenset()  # ids of tools that the turn before used
    for role, numbers in runs:
        answered = _of_run(messages, numbers, "tool_result")
        if missing := sorted(asked - answered):
            raise InputError(
                f"messages[{numbers[0] - 1}] uses a tool ({missing[0]}) that the next message has no result for"
            )
        foreign = sorted(answered - asked)
        if foreign and numbers[0] > first:
            raise InputError(
                f"messages[{numbers[0]}] has a result ({foreign[0]}) of a tool that the message before did not use"
            )
        asked = _of_run(messages, numbers, "tool_use") if role == "assistant" else frozenset()
    if asked:
        raise InputError(
            f"messages[{len(messages) - 1}] uses a tool ({min(asked)}), and its result is still to come",
            hint="Add the message with the result, then fit.",
        )


def _of_run(messages: Sequence[Message], numbers: Sequence[int], kind: str) -> frozenset[str]:
    return frozenset[str]().union(*(_ids(messages[number], kind) for number in numbers))


def _check_shape(number: int, message: Message) -> None:
    if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
        raise InputError(f"messages[{number}] needs a role of user or assistant")
    content = message.get("content")
    if not isinstance(content, str | list) or not content:
        raise InputError(f"messages[{number}] needs a content: text or a list of blocks")


def _ids(message: Message, kind: str) -> frozenset[str]:
    """Ids of the tools that a message uses (`tool_use`), or has results of (`tool_result`)."""
    content = message["content"]
    if not isinstance(content, list):
        return frozenset()
    key = "id" if kind == "tool_use" else "tool_use_id"
    return frozenset(
        str(block.get(key)) for block in content if isinstance(block, dict) and block.get("type") == kind
    )
