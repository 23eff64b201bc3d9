"""Names for the beginnings of one request: a keyed hash takes in block after block, and is read out where a name is wanted.

One pass gives both the places where cache entries may end (`prefix`) and the fingerprint of the ledger
(`core.fingerprint`). It can stop at a block and be gone on with in a later request that begins the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from headway.core.fingerprint import FIRST, LAST, packed
from headway.providers.blocks import At, json_bytes

if TYPE_CHECKING:
    from hashlib import _Hash

_HEX = 32  # of a name: 16 bytes
_KEY_BLOCK = 64  # bytes that the hash takes in at once; a key of that size costs nothing per request


class Cut(NamedTuple):
    """A place where an entry may end: a keyed hash (hex) of all before it, and how many bytes that was."""

    name: str
    size: int


class Chain:
    """`cuts` are the places that were asked for, `count` is how many blocks it has taken in, `size` their bytes."""

    __slots__ = ("_first", "_hash", "_last", "count", "cuts", "size")

    def __init__(self, key: bytes, model: object) -> None:
        start = _begun(key, model) if isinstance(model, str) else _begun_by(key, json_bytes(model))
        self._hash = start.copy()
        self._first: list[bytes] = []  # cuts of the fingerprint, as they are kept
        self._last: list[tuple[int, bytes]] = []  # and those at the end, with the numbers of their blocks
        self.cuts: dict[At, Cut] = {}
        self.count = self.size = 0

    def take(
        self,
        places: list[At],
        pieces: list[bytes],
        *,
        marked: Collection[At] = (),
        ends: Collection[int] = (),
        shown: bool = True,
    ) -> None:
        """Take in blocks. `marked` has the places of breakpoints, `ends` the numbers (in `pieces`) of blocks at whose end an
        entry may end; `shown`: their cuts are for a fingerprint."""
        count, before, hashed, size = len(places), self.count, self._hash, self.size
        wanted = set(ends)
        if shown:
            wanted.update(range(FIRST - before), range(max(0, count - LAST), count))
        done = 0
        for number in sorted(wanted) if len(wanted) > 1 else wanted:
            if number >= count:
                break
            data = pieces[number] if number == done else b"".join(pieces[done : number + 1])
            hashed.update(data)
            done, size = number + 1, size + len(data)
            name, at = hashed.digest(), places[number]
            if number in ends:
                self.cuts[at] = Cut(name.hex()[:_HEX], size)
            if shown:
                self._show(before + number, packed(name, size, _place(at), at[0], at in marked))
        if done < count:
            data = b"".join(pieces[done:])
            hashed.update(data)
            size += len(data)
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


@lru_cache(maxsize=64)
def _begun(key: bytes, model: str) -> _Hash:
    """The hash of what every request to a model begins with; to be copied."""
    return _begun_by(key, json_bytes(model))


def _begun_by(key: bytes, model: bytes) -> _Hash:
    return sha256(key.ljust(_KEY_BLOCK, b"\0") + model)
