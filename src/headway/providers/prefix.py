"""Which parts of a request can be read from the prompt cache, or shared with other requests, and names for those parts.

A breakpoint writes an entry. A later request reads the longest entry that its own beginning equals, up to 20 blocks before
one of its breakpoints: https://platform.claude.com/docs/en/build-with-claude/prompt-caching. So a conversation whose
breakpoint moves on with each turn reads what the turn before wrote, and names must not depend on where breakpoints are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headway.providers.blocks import At, blocks_of
from headway.providers.chain import Chain, Cut
from headway.providers.prompt import Prompt, Section

_LOOKED_BACK = 20  # messages before the last breakpoint whose ends may be where an entry ends
_ORDER = {"tools": 0, "system": 1, "messages": 2}


def shared_sections(prompt: Prompt) -> list[Section]:
    """The sections up to the last breakpoint that other requests can share; empty where there is none.

    A breakpoint on the very last block marks all of the request, which only a copy of it would share; so an earlier one
    counts if there is one. The same holds for automatic caching, which puts its breakpoint there.
    """
    closed = [number for number, section in enumerate(prompt.sections, 1) if section.closed]
    if not closed:
        return []
    whole = prompt.whole()
    inner = [number for number in closed if number < whole]
    return prompt.sections[: (inner or closed)[-1]]


def named(
    chain: Chain,
    request: Mapping[str, Any],
    breakpoints: Sequence[At],
    *,
    first: int = 0,
    keep: int = 0,
    shown: bool = True,
) -> Chain | None:
    """Name the beginnings of a request, from message `first` on. Returns a chain of what is before message `keep`, to be gone
    on with when the conversation has grown; None if that is 0. `shown`: a fingerprint is wanted."""
    if not breakpoints and not keep:
        chain.take(blocks_of(request, first), shown=shown)
        return None
    last = breakpoints[-1] if breakpoints else ("", 0, 0)
    spans = [range(last[1] - _LOOKED_BACK, last[1] + 1)] if last[0] == "messages" else []
    marked = frozenset(breakpoints)
    kept = None
    if keep:
        spans.append(range(keep - _LOOKED_BACK, keep))
        blocks = blocks_of(request, first, keep)
        chain.take(blocks, marked=marked, ends=_ends(blocks.places, marked, spans), shown=shown)
        kept = chain.copy(at for at in chain.cuts if at in marked or any(at[1] in span for span in spans))
        first = keep
    blocks = blocks_of(request, first)
    chain.take(blocks, marked=marked, ends=_ends(blocks.places, marked, spans), shown=shown)
    return kept


def entries(chain: Chain, breakpoints: Sequence[At]) -> dict[At, Cut]:
    """The places up to the last of `breakpoints` where an entry may end: those, and the ends of messages shortly before the
    last one."""
    marked, last = frozenset(breakpoints), breakpoints[-1]
    first_end = last[1] - _LOOKED_BACK if last[0] == "messages" else 0
    return {
        at: cut
        for at, cut in chain.cuts.items()
        if at in marked or (at[0] == "messages" and at[1] >= first_end and _in_order(at) <= _in_order(last))
    }


def _in_order(at: At) -> tuple[int, int, int]:
    return _ORDER[at[0]], at[1], at[2]


def _ends(places: list[At], marked: frozenset[At], spans: Sequence[range]) -> set[int]:
    """The numbers of the blocks after which an entry may end: at breakpoints, and at the ends of messages within `spans`."""
    found = {number for number, at in enumerate(places) if at in marked} if marked else set()
    for span in spans:
        number = len(places) - 1
        while number >= 0 and places[number][0] == "messages" and places[number][1] >= span.start:
            index = places[number][1]
            if index in span:
                found.add(number)
            while number >= 0 and places[number][1] == index and places[number][0] == "messages":
                number -= 1
    return found
