"""The client of one origin: pooled, keep-alive HTTP/1.1 over TCP or TLS, on asyncio or uvloop.

Proxies named by the environment (HTTPS_PROXY) are not used. TLS certificates are always verified, against the
system's authorities or the file that SSL_CERT_FILE names.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from types import TracebackType

from headway.errors import InputError
from headway.wire import failure
from headway.wire.connection import Connection
from headway.wire.dial import dial
from headway.wire.exchange import Exchange, Timeouts
from headway.wire.pool import Pool
from headway.wire.reply import Reply
from headway.wire.request import Origin
from headway.wire.upload import Upload

_LIMITS = Timeouts()


class Client:
    """Sends requests to `base_url`, at most `max_connections` at a time; more wait, first come, first served.

    Belongs to one event loop. A connection that the peer closed while it rested is replaced before anything is
    written; after that nothing is sent twice: `ConnectionFailed.sent` tells the caller what it needs to decide.
    """

    def __init__(
        self,
        base_url: str,
        *,
        limits: Timeouts = _LIMITS,
        max_connections: int = 1000,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if max_connections < 1:
            raise InputError("max_connections is at least 1.")
        self._origin = Origin(base_url)
        self._limits = limits
        self._ssl = _context(ssl_context) if self._origin.tls else None
        shortest = min(limits.connect, limits.head, limits.idle, limits.write)
        self._pool = Pool(self._origin.name, max_connections, min(1.0, max(0.005, shortest / 10)))

    @property
    def open_connections(self) -> int:
        """Sockets that are open or being opened."""
        return len(self._pool.open)

    @property
    def idle_connections(self) -> int:
        """Those of them that wait for a request."""
        return len(self._pool.idle)

    async def send(
        self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes | Upload
    ) -> Reply:
        """Send a request; return when the head of its reply is in. Host, Content-Length, Accept are added.

        An `Upload` is read no further once a reply has begun. InputError: the request cannot be sent as it is.
        ConnectionFailed: no reply. Cancelling drops the socket.
        """
        length = body.length if isinstance(body, Upload) else len(body)
        head = self._origin.head(method, path, headers, length)
        connection = await self._connection()
        exchange = Exchange(asyncio.get_running_loop(), self._limits.idle)
        try:
            await connection.ask(head, body, exchange, self._limits.head, self._limits.write)
        except BaseException:
            if exchange.release is not None:
                exchange.release()
            raise
        return Reply(exchange)

    async def close(self) -> None:
        """Drop every connection, in use or not."""
        await self._pool.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connection(self) -> Connection:
        await self._pool.turn()
        try:
            self._check_open()
            return self._pool.take() or await self._connect()
        except BaseException:
            self._pool.leave()
            raise

    async def _connect(self) -> Connection:
        connection = self._pool.new()
        origin = self._origin
        try:
            async with asyncio.timeout(self._limits.connect):
                sock = await dial(origin.host, origin.port)
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=self._ssl,
                    server_hostname=origin.host if origin.tls else None,
                )
            self._check_open()
            if not connection.connected:
                raise ConnectionResetError("closed as soon as it was open")
        except BaseException as error:
            connection.drop()
            self._pool.forget(connection)
            if isinstance(error, OSError | UnicodeError):
                raise failure.not_connected(error, origin.name, self._limits.connect) from error
            raise
        return connection

    def _check_open(self) -> None:
        if self._pool.closed:
            raise failure.closed(self._origin.name, sent=False)


def _context(given: ssl.SSLContext | None) -> ssl.SSLContext:
    if given is None:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context
    if given.verify_mode != ssl.CERT_REQUIRED or not given.check_hostname:
        raise InputError("An ssl_context that does not verify the peer is refused.")
    return given
