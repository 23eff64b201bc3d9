"""What the caller of `Client.send` gets: the head at once, the body as it comes."""

from __future__ import annotations

from headway.wire import failure
from headway.wire.exchange import HIGH_WATER, Exchange

WHOLE_LIMIT = 64 * 1024 * 1024


class Reply:
    """`headers` have lower-case names; values of repeated ones are joined by ", ". One reader at a time.

    The connection goes back to the pool when the last byte has come, read or not; whoever stops reading before that
    calls `close`. A read that was cancelled can be tried again: nothing is lost. Raises ConnectionFailed.
    """

    __slots__ = ("_exchange", "headers", "reason", "status")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.reason = exchange.reason
        self.headers = exchange.headers

    async def read(self, limit: int = WHOLE_LIMIT) -> bytes:
        """The whole body, or what iteration has left of it. More than `limit` bytes: ConnectionFailed."""
        exchange = self._exchange
        exchange.whole = True
        exchange.bound = limit
        if exchange.resume is not None:
            exchange.resume()
        while not exchange.complete and exchange.error is None and exchange.held <= limit:
            await exchange.wait("more of the reply", exchange.idle_s)
        if exchange.held > limit:
            await self.close()
            raise failure.too_large(limit)
        if exchange.error is not None:
            raise exchange.error
        body = b"".join(exchange.chunks)
        exchange.chunks.clear()
        exchange.held = 0
        return body

    def __aiter__(self) -> Reply:
        """Pieces as they came off the wire. Reading from the socket stops while 256 kB wait to be taken."""
        return self

    async def __anext__(self) -> bytes:
        exchange = self._exchange
        exchange.whole = False
        exchange.bound = HIGH_WATER
        while not exchange.chunks:
            if exchange.error is not None:
                raise exchange.error
            if exchange.complete:
                raise StopAsyncIteration
            await exchange.wait("more of the reply", exchange.idle_s)
        chunk = exchange.chunks.popleft()
        exchange.held -= len(chunk)
        if exchange.held < HIGH_WATER // 2 and exchange.resume is not None:
            exchange.resume()
        return chunk

    async def close(self) -> None:
        """Done with it. Drops the connection if the body has not come whole; may be called twice."""
        if self._exchange.release is not None:
            self._exchange.release()
