"""What comes of fitting a conversation: what to send, what had to go and why, where the cache breakpoints are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from headway.context.counting import Count

Why = Literal["oldest", "long result", "orphan", "thinking"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What had to go: `messages` by their number in what was given, `tokens` saved.

    `why`: "oldest" (dropped to make room), "long result" (results of tools in it were replaced by a note), "orphan" (a
    conversation cannot begin with it), "thinking" (the model refuses thinking behind a place where something else went; the
    messages stay, without it).
    """

    messages: tuple[int, ...]
    tokens: int
    why: Why

    def __str__(self) -> str:
        first, last = self.messages[0], self.messages[-1]
        place = f"messages[{first}]" if first == last else f"messages[{first}] to [{last}]"
        return f"{place}: {self.tokens:,} tokens, {self.why}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A cache breakpoint: where it is, and the tokens before it. `is_ours`: set by `fit`, not by the caller."""

    where: str
    tokens: int
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Fitted:
    """A conversation that fits. `messages`, `system` and `tools` are new; what was given is as it was.

    `before` and `after` count all input, with system and tools. `fits`: even the high end of the interval leaves room for
    `max_tokens`. `budget` is what it was held against. `pinned` are the pinned messages by their new numbers.
    """

    messages: list[dict[str, Any]] = field(repr=False)
    system: str | list[Any] | None = field(repr=False)
    tools: list[Any] | None = field(repr=False)
    dropped: tuple[Dropped, ...]
    before: Count
    after: Count
    breakpoints: tuple[Mark, ...]
    fits: bool
    budget: int
    pinned: tuple[int, ...]

    @property
    def arguments(self) -> dict[str, Any]:
        """What to give to the SDK: `client.messages.create(model=..., max_tokens=..., **fitted.arguments)`."""
        rest = {"system": self.system, "tools": self.tools}
        return {
            "messages": self.messages,
            **{name: value for name, value in rest.items() if value is not None},
        }

    def __str__(self) -> str:
        lines = [
            f"{self.after} of {self.budget:,} tokens, from {self.before.tokens:,}; {len(self.messages):,} messages"
        ]
        for why, words in (
            ("orphan", "cannot stand at the head"),
            ("long result", "shortened"),
            ("oldest", "dropped"),
            ("thinking", "without their thinking"),
        ):
            gone = [each for each in self.dropped if each.why == why]
            if gone:
                count = sum(len(each.messages) for each in gone)
                lines.append(
                    f"{count:,} message{'' if count == 1 else 's'} {words}: {sum(each.tokens for each in gone):,} tokens"
                )
        lines += [f"breakpoint at {mark.where}: {mark.tokens:,} tokens" for mark in self.breakpoints]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Cut:
    """One thing that can be done to make room: drop these messages, or replace them by shorter ones (`instead`)."""

    messages: tuple[int, ...]
    why: Why
    instead: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


Cuts = Sequence[Cut]
