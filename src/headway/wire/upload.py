"""A request body that is not here whole: it is sent piece by piece, as fast as the peer takes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from headway.errors import InputError


@dataclass(frozen=True, slots=True)
class Upload:
    """`pieces` are read once and none of them ahead; `length` is what they have together, bytes (None: nobody knows, so
    they go in chunks). What reading a piece raises ends the connection, and the caller of `Client.send` gets it."""

    pieces: AsyncIterator[bytes]
    length: int | None = None

    async def framed(self) -> AsyncGenerator[bytes, None]:
        """The bytes that go over the wire. Raises InputError for a body that is not as long as it was said."""
        left = self.length
        async for piece in self.pieces:
            if left is None:
                if piece:
                    yield b"%x\r\n%b\r\n" % (len(piece), piece)
                continue
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left is None:
            yield b"0\r\n\r\n"
        elif left:
            raise InputError("The body of the request is not as long as it was said.")
