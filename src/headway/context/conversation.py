"""A conversation while it is cut: what stays, and what it weighs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from headway.context.counting import judged
from headway.context.fitted import Cut, Dropped, Fitted, Mark
from headway.context.marks import Parts, place
from headway.context.room import Room
from headway.context.turns import blocks_of
from headway.providers.shares import Weight, total

_THINKING = ("thinking", "redacted_thinking")
_NOTE = {"type": "text", "text": "[The thinking was left out.]"}  # where a message was nothing else


class Conversation:
    """A conversation while it is cut: the messages that stay, and their weights, by their number in what was given."""

    def __init__(self, room: Room, messages: dict[int, dict[str, Any]], weights: dict[int, Weight]) -> None:
        self.room = room
        self.messages = messages
        self.weights = weights
        self.system, self.tools = room.system, room.tools

    @property
    def weight(self) -> Weight:
        """All input as it is now."""
        return total([self.room.base, *self.weights.values()])

    def foreseen(self, order: Sequence[Cut]) -> Iterator[Weight]:
        """What all input weighs now, and after each of these cuts."""
        now, weights = self.weight, dict(self.weights)
        yield now
        for cut in order:
            for number in cut.messages:
                old, new = weights[number], self._weight_of(cut, number)
                now = Weight(
                    now.tokens - old.tokens + new.tokens, max(0.0, now.variance - old.variance + new.variance)
                )
                weights[number] = new
            yield now

    def make(self, cut: Cut) -> Dropped:
        """Make a cut."""
        before = sum(self.weights[number].tokens for number in cut.messages)
        for number in cut.messages:
            self.weights[number] = self._weight_of(cut, number)
            if number in cut.instead:
                self.messages[number] = dict(cut.instead[number])
            else:
                del self.messages[number], self.weights[number]
        left = sum(self.weights[number].tokens for number in cut.instead)
        return Dropped(cut.messages, round(before - left), cut.why)

    def unthink(self, first: int) -> Cut | None:
        """The cut that takes all thinking out of the messages after number `first`. None: there is none."""
        instead = {
            number: short
            for number, message in self.messages.items()
            if number > first and (short := _without_thinking(message)) is not message
        }
        return Cut(tuple(instead), "thinking", instead) if instead else None

    def _weight_of(self, cut: Cut, number: int) -> Weight:
        return self.room.scale.message(cut.instead[number]) if number in cut.instead else Weight(0.0)

    def goes_on(self, can_go: float) -> bool:
        """Whether the next turn will begin as this one does. It will not where the room is used up by what has to stay.

        Otherwise the next turns are added at the end, or a whole notch goes and many turns begin alike after that.
        """
        step = sum(weight.tokens for weight in list(self.weights.values())[-2:])
        return can_go >= self.room.notch or self.weight.tokens + step <= self.room.limit

    def mark(self, *, goes_on: bool) -> tuple[Mark, ...]:
        """Set cache breakpoints where they pay."""
        room = self.room
        upto_tools = room.hidden.tokens + room.tools_weight.tokens
        upto_system = upto_tools + room.system_weight.tokens
        upto = [upto_system + each for each in accumulate(weight.tokens for weight in self.weights.values())]
        parts = Parts(
            tools=list(self.tools or ()),
            system=blocks_of({"content": self.system}) if self.system else [],
            messages=list(self.messages.values()),
            upto_tools=upto_tools,
            upto_system=upto_system,
            upto=upto,
        )
        marks = place(parts, room.least, goes_on=goes_on)
        self.tools = parts.tools if self.tools is not None else None
        if any(mark.where.startswith("system") for mark in marks):
            self.system = parts.system
        self.messages = dict(zip(self.messages, parts.messages, strict=True))
        return marks

    def fitted(
        self, before: Weight, gone: Sequence[Dropped], marks: tuple[Mark, ...], stay: frozenset[int]
    ) -> Fitted:
        """What comes of it."""
        room, weight = self.room, self.weight
        return Fitted(
            messages=list(self.messages.values()),
            system=self.system,
            tools=self.tools,
            dropped=tuple(gone),
            before=judged(before, room.scale.error),
            after=judged(weight, room.scale.error),
            breakpoints=marks,
            fits=room.allows(weight),
            budget=int(room.limit),
            pinned=tuple(new for new, old in enumerate(self.messages) if old in stay),
        )


def _without_thinking(message: dict[str, Any]) -> dict[str, Any]:
    """The same message where there is none in it."""
    blocks = blocks_of(message)
    kept = [block for block in blocks if not (isinstance(block, Mapping) and block.get("type") in _THINKING)]
    return message if len(kept) == len(blocks) else {**message, "content": kept or [dict(_NOTE)]}
