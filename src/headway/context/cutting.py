"""What goes first: the strategies. Each is one order of cuts, decided by the beginning of the conversation alone.

That is what keeps the prompt cache alive: as a conversation grows the order only gets longer at its end, so the same
amount to be cut is cut in the same places, turn after turn.

| strategy | order |
|---|---|
| `oldest` | the oldest steps and exchanges |
| `results` | long results of tools become a note, the oldest first; turns go only where a stretch of notes has grown long |
| `ends` | as `oldest`, but the first message of the user, and the answer it got, stay |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from headway.context.fitted import Cut
from headway.context.turns import first_question, turns
from headway.providers.shares import Scale

Strategy = Literal["oldest", "results", "ends"]
STRATEGIES: tuple[Strategy, ...] = ("oldest", "results", "ends")
LONG = 256  # tokens; shorter results are left alone
_NOTES = 0.25  # of what there is room for: turns whose results are notes may take so much before they go


def cuts(
    messages: Sequence[Mapping[str, Any]],
    weights: Sequence[float],
    strategy: Strategy,
    pinned: Collection[int],
    scale: Scale,
    room: float,
) -> tuple[tuple[int, ...], list[Cut]]:
    """The messages that cannot stay at the head, and all cuts that can be made, in order. `weights` in tokens.

    Raises InputError for a conversation that the API would not take.
    """
    first = first_question(messages)
    if strategy == "ends" and first is not None:
        pinned = {*pinned, first}
    taken = turns(messages, pinned)
    if strategy == "results":
        return taken.orphans, list(_shortened_first(messages, weights, taken.atoms, scale, _NOTES * room))
    return taken.orphans, [Cut(atom, "oldest") for atom in taken.atoms]


def _shortened_first(
    messages: Sequence[Mapping[str, Any]],
    weights: Sequence[float],
    atoms: Sequence[tuple[int, ...]],
    scale: Scale,
    most: float,
) -> Iterator[Cut]:
    """Shorten from the oldest on; drop the oldest when more than `most` tokens of shortened turns are behind it."""
    waiting: deque[tuple[tuple[int, ...], float]] = deque()
    behind = 0.0
    for atom in atoms:
        instead = {
            number: short for number in atom if (short := shortened(messages[number], scale)) is not None
        }
        if instead:
            yield Cut(tuple(instead), "long result", instead)
        left = sum(
            scale.message(instead[number]).tokens if number in instead else weights[number] for number in atom
        )
        waiting.append((atom, left))
        behind += left
        while len(waiting) > 1 and behind - waiting[0][1] >= most:
            gone, its = waiting.popleft()
            behind -= its
            yield Cut(gone, "oldest")
    for atom, _ in waiting:
        yield Cut(atom, "oldest")


def shortened(message: Mapping[str, Any], scale: Scale) -> dict[str, Any] | None:
    """The message with a note in place of each long result of a tool. None: it has none."""
    content = message["content"]
    if not isinstance(content, list):
        return None
    blocks = [_shortened_block(block, scale) for block in content]
    if all(new is old for new, old in zip(blocks, content, strict=True)):
        return None
    return {**message, "content": blocks}


def _shortened_block(block: Any, scale: Scale) -> Any:
    if not isinstance(block, dict) or block.get("type") != "tool_result" or not block.get("content"):
        return block
    tokens = round(scale.system(block["content"]).tokens)
    if tokens < LONG:
        return block
    return {**block, "content": f"[This result of about {tokens:,} tokens was left out to save room.]"}
