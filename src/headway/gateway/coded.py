"""Reads bodies that come compressed although nobody asked for that. What goes to the client stays as it came."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from headway.errors import ConnectionFailed

MOST = 64 * 1024 * 1024  # bytes of one body, unpacked
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 47}


class Decoder:
    """Unpacks one body, in pieces or whole. Raises ConnectionFailed for what is no such body, or unpacks to too much."""

    __slots__ = ("_left", "_unpack")

    def __init__(self, coding: str, most: int = MOST) -> None:
        window = _WINDOWS.get(coding.strip().lower())
        if window is None:
            raise _failed(f"the reply is packed as {coding[:40]!r}, which was not asked for")
        self._unpack = zlib.decompressobj(window)
        self._left = most

    def feed(self, chunk: bytes) -> bytes:
        """What this piece adds."""
        try:
            out = self._unpack.decompress(chunk, self._left + 1)
        except zlib.error:
            raise _failed("the reply cannot be unpacked") from None
        self._left -= len(out)
        if self._left < 0 or self._unpack.unconsumed_tail:
            raise _failed("the reply unpacks to more than may be")
        return out

    def whole(self, body: bytes) -> bytes:
        """A body that is here whole."""
        out = self.feed(body)
        if not self._unpack.eof:
            raise _failed("the reply ends too early")
        return out


def decoder_of(headers: Mapping[str, str]) -> Decoder:
    """The decoder for a reply with these headers."""
    return Decoder(headers.get("content-encoding", ""))


def _failed(why: str) -> ConnectionFailed:
    return ConnectionFailed(f"A reply of the provider is of no use: {why}.", sent=True)
