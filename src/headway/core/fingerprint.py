"""Which beginnings requests have in common, without a word of them: keyed hashes, chained from block to block.

The prompt cache works on beginnings of requests: so does this. A cut is a place where a block ends (a tool, a block of the
system prompt, a block of a message); its name is a keyed hash of all before it. Two requests with a cut of the same name
are equal up to there; where the names part is where they differ. Nobody without the key can test a guess.

Of a long request the cuts at both ends are kept: tools and instructions stand in front, and a conversation grows at its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct as Layout
from struct import error as StructError
from typing import NamedTuple

PARTS = ("tools", "system", "messages")
FIRST, LAST = 12, 20  # cuts that are kept, from the beginning and from the end
_CUT = Layout("<QIHBB")  # name, bytes before it, place, part, whether a breakpoint is here: 16 bytes
_RAW = Layout("<8sIHBB").pack  # the same, of a name as bytes, of which the first eight are taken
_NUMBERS = {part: number for number, part in enumerate(PARTS)}
_MOST_BYTES, _MOST_PLACES = 2**32 - 1, 2**16 - 1


class Cut(NamedTuple):
    """The end of a block. `part` is one of `PARTS`; `place` counts its tools, its blocks of the system prompt or its
    messages, of which one may have several blocks. `size` is the bytes of all blocks up to here, about those of their JSON.
    `marked`: a cache breakpoint is here.
    """

    name: int
    size: int
    place: int
    part: str
    marked: bool


def kept(count: int) -> list[int]:
    """Which of so many cuts are kept, by number."""
    if count <= FIRST + LAST:
        return list(range(count))
    return [*range(FIRST), *range(count - LAST, count)]


def packed(name: bytes, size: int, place: int, part: str, marked: bool) -> bytes:
    """One cut as it is kept, of a hash of eight bytes or more."""
    number = _NUMBERS[part]
    try:
        return _RAW(name, size, place, number, marked)
    except StructError:  # more than there is room for
        return _RAW(name, min(size, _MOST_BYTES), min(place, _MOST_PLACES), number, marked)


def pack(cuts: Iterable[Cut]) -> bytes:
    """As they are kept in the ledger: 16 bytes a cut, in the order of the request."""
    return b"".join([packed(cut.name.to_bytes(8, "little"), *cut[1:]) for cut in cuts])


def unpack(fingerprint: bytes) -> list[Cut]:
    """The cuts of a fingerprint. A length that is none gives an empty list: the file may be damaged."""
    if len(fingerprint) % _CUT.size:
        return []
    return [
        Cut(name, size, place, PARTS[part] if part < len(PARTS) else PARTS[-1], bool(marked))
        for name, size, place, part, marked in _CUT.iter_unpack(fingerprint)
    ]
