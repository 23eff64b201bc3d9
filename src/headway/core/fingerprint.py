"""Which beginnings requests have in common, without a word of them: keyed hashes, chained from block to block.

The prompt cache works on beginnings of requests: so does this. A cut is a place where a block ends (a tool, a block of the
system prompt, a block of a message); its name is a keyed hash of all before it. Two requests with a cut of the same name
are equal up to there; where the names part is where they differ. Nobody without the key can test a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct as Layout
from typing import NamedTuple

PARTS = ("tools", "system", "messages")
_CUT = Layout("<QIHBB")  # name, bytes before it, place, part, whether a breakpoint is here: 16 bytes


class Cut(NamedTuple):
    """The end of a block: `part` is one of `PARTS`, `place` its number there, `size` the bytes of JSON up to its end.

    `marked`: a cache breakpoint is here.
    """

    name: int
    size: int
    place: int
    part: str
    marked: bool


def pack(cuts: Iterable[Cut]) -> bytes:
    """As it is kept in the ledger: 16 bytes a cut, in the order of the request."""
    return b"".join(
        _CUT.pack(
            cut.name, min(cut.size, 2**32 - 1), min(cut.place, 2**16 - 1), PARTS.index(cut.part), cut.marked
        )
        for cut in cuts
    )


def unpack(fingerprint: bytes) -> list[Cut]:
    """The cuts of a fingerprint. A length that is none gives an empty list: the file may be damaged."""
    if len(fingerprint) % _CUT.size:
        return []
    return [
        Cut(name, size, place, PARTS[part] if part < len(PARTS) else PARTS[-1], bool(marked))
        for name, size, place, part, marked in _CUT.iter_unpack(fingerprint)
    ]
