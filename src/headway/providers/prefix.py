"""Which parts of a request can be read from the prompt cache, or shared with other requests, and names for those parts.

A breakpoint writes an entry. A later request reads the longest entry that its own beginning equals, up to 20 blocks before
one of its breakpoints: https://platform.claude.com/docs/en/build-with-claude/prompt-caching. So a conversation whose
breakpoint moves on with each turn reads what the turn before wrote, and names must not depend on where breakpoints are.

The ledger's fingerprints (`core.fingerprint`) are names of the same kind, cut shorter: one pass makes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.core.fingerprint import kept, packed
from headway.providers.blocks import At, blocks_of, json_bytes
from headway.providers.prompt import Prompt, Section

if TYPE_CHECKING:
    from hashlib import _Hash

_HEX = 32  # of a name: 16 bytes
_KEY_BLOCK = 64  # bytes that the hash takes in at once; a key of that size costs nothing per request
_LOOKED_BACK = 20  # messages before the last breakpoint whose ends may be where an entry ends


class Cut(NamedTuple):
    """A place where an entry may end: a keyed hash (hex) of all before it, and how many bytes that was."""

    name: str
    size: int


class Beginnings(NamedTuple):
    """What one pass finds: the places where entries may end, and the fingerprint (empty unless wanted)."""

    cuts: dict[At, Cut]
    fingerprint: bytes


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


def beginnings(
    request: Mapping[str, Any], breakpoints: list[At], key: bytes, *, fingerprint: bool
) -> Beginnings:
    """Name the beginnings of a request: up to the last of `breakpoints` the places where an entry may end (those, and the
    ends of messages shortly before the last), and for the fingerprint the cuts that are kept. Model, tools, system and
    messages count, in this order."""
    places, pieces = blocks_of(request)
    wanted = _ends(places, breakpoints) if breakpoints else set()
    shown = kept(len(places)) if fingerprint else []
    model = request.get("model")
    hashed = (_begun(key, model) if isinstance(model, str) else _begun_by(key, json_bytes(model))).copy()
    found: dict[At, Cut] = {}
    prints: list[bytes] = []
    marked, print_set = set(breakpoints), set(shown)
    done = size = 0
    for number in sorted({*shown, *wanted}):
        data = pieces[number] if number == done else b"".join(pieces[done : number + 1])
        hashed.update(data)
        done, size = number + 1, size + len(data)
        name, at = hashed.digest(), places[number]
        if number in wanted:
            found[at] = Cut(name.hex()[:_HEX], size)
        if number in print_set:
            part, index, block = at
            prints.append(packed(name, size, block if part == "system" else index, part, at in marked))
    return Beginnings(found, b"".join(prints))


def _ends(places: list[At], breakpoints: list[At]) -> set[int]:
    """The numbers of the blocks after which an entry may end."""
    marked, last = set(breakpoints), breakpoints[-1]
    first_end = last[1] - _LOOKED_BACK if last[0] == "messages" else 0
    found = set()
    for number, at in enumerate(places):
        part, index, _ = at
        if at in marked:
            found.add(number)
        elif part == "messages" and index >= first_end:
            following = places[number + 1] if number + 1 < len(places) else None
            if following is None or following[1] != index:
                found.add(number)
        if at == last:
            break
    return found


@lru_cache(maxsize=64)
def _begun(key: bytes, model: str) -> _Hash:
    """The hash of what every request to a model begins with; to be copied."""
    return _begun_by(key, json_bytes(model))


def _begun_by(key: bytes, model: bytes) -> _Hash:
    return sha256(key.ljust(_KEY_BLOCK, b"\0") + model)
