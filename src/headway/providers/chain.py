"""Names for the beginnings of one request: a keyed hash takes in block after block, and is read out where a name is wanted.

One pass gives both the places where cache entries may end (`prefix`) and the fingerprint of the ledger
(`core.fingerprint`). It can stop at a block and be gone on with in a later request that begins the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.core.fingerprint import FIRST, LAST, packed
from headway.providers.blocks import At, Blocks, blocks_of, json_bytes, question_of

if TYPE_CHECKING:
    from hashlib import _Hash

_HEX = 32  # of a name: 16 bytes
_KEY_BLOCK = 64  # bytes that the hash takes in at once; a key of that size costs nothing per request


class Cut(NamedTuple):
    """A place where an entry may end: a keyed hash (hex) of all before it, and how many bytes that was."""

    name: str
    size: int


def fingerprint_of(key: bytes, request: Mapping[str, Any]) -> bytes:
    """The fingerprint of a request without breakpoints, of which nothing is known: what nearly all short ones are."""
    model, question = request.get("model"), question_of(request)
    if question is not None:
        hashed = _start(key, model)
        hashed.update(question[0])
        return packed(hashed.digest(), question[1], 0, "messages", False)
    blocks = blocks_of(request)
    if len(blocks.places) > FIRST + LAST:
        chain = Chain(key, model)
        chain.take(blocks)
        return chain.fingerprint()
    hashed, size, cuts = _start(key, model), 0, []
    for at, piece, more in zip(blocks.places, blocks.pieces, blocks.sizes):  # noqa: B905 # they are made together
        hashed.update(piece)
        size += more
        cuts.append(packed(hashed.digest(), size, _place(at), at[0], False))
    return cuts[0] if len(cuts) == 1 else b"".join(cuts)


class Chain:
    """`cuts` are the places that were asked for, `count` is how many blocks it has taken in, `size` their bytes."""

    __slots__ = ("_first", "_hash", "_last", "count", "cuts", "size")

    def __init__(self, key: bytes, model: object) -> None:
        self._hash = _start(key, model)
        self._first: list[bytes] = []  # cuts of the fingerprint, as they are kept
        self._last: list[tuple[int, bytes]] = []  # and those at the end, with the numbers of their blocks
        self.cuts: dict[At, Cut] = {}
        self.count = self.size = 0

    def take(
        self,
        blocks: Blocks,
        *,
        marked: Collection[At] = (),
        ends: Collection[int] = (),
        shown: bool = True,
    ) -> None:
        """Take in blocks. `marked` has the places of breakpoints, `ends` the numbers (in `blocks`) of blocks at whose end an
        entry may end; `shown`: their cuts are for a fingerprint."""
        places, pieces, sizes = blocks.places, blocks.pieces, blocks.sizes
        count, before, hashed, size = len(places), self.count, self._hash, self.size
        wanted = set(ends)
        if shown:
            wanted.update(range(FIRST - before), range(max(0, count - LAST), count))
        done = 0
        for number in sorted(wanted) if len(wanted) > 1 else wanted:
            if number >= count:
                break
            if number == done:
                hashed.update(pieces[number])
                size += sizes[number]
            else:
                hashed.update(b"".join(pieces[done : number + 1]))
                size += sum(sizes[done : number + 1])
            done = number + 1
            name, at = hashed.digest(), places[number]
            if number in ends:
                self.cuts[at] = Cut(name.hex()[:_HEX], size)
            if shown:
                self._show(before + number, packed(name, size, _place(at), at[0], at in marked))
        if done < count:
            hashed.update(b"".join(pieces[done:]))
            size += sum(sizes[done:])
        self.count, self.size = before + count, size

    def _show(self, number: int, cut: bytes) -> None:
        if number < FIRST:
            self._first.append(cut)
        else:
            self._last.append((number, cut))

    def fingerprint(self) -> bytes:
        """The cuts that are kept of all that was taken in."""
        since = self.count - LAST
        return b"".join([*self._first, *[cut for number, cut in self._last if number >= since]])

    def copy(self, cuts: Iterable[At]) -> Chain:
        """Another that can be gone on with, with these of the `cuts`."""
        other: Chain = object.__new__(Chain)
        other._hash = self._hash.copy()
        other._first = self._first[:]
        other._last = self._last[-LAST:]
        other.cuts = {at: self.cuts[at] for at in cuts}
        other.count, other.size = self.count, self.size
        return other


def _place(at: At) -> int:
    return at[2] if at[0] == "system" else at[1]


def _start(key: bytes, model: object) -> _Hash:
    return _begun(key, model).copy() if isinstance(model, str) else _begun_by(key, json_bytes(model))


@lru_cache(maxsize=64)
def _begun(key: bytes, model: str) -> _Hash:
    """The hash of what every request to a model begins with; to be copied."""
    return _begun_by(key, json_bytes(model))


def _begun_by(key: bytes, model: bytes) -> _Hash:
    return sha256(key.ljust(_KEY_BLOCK, b"\0") + model)
