"""Reads requests off one connection: httptools, and what it lets pass that is refused all the same.

A request that could be read in two ways is no request. No I/O here: bytes in, cycles begun and filled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import httptools

from headway.gateway.cycle import Channel, Cycle
from headway.gateway.refusal import Denied

_WATCHED = frozenset({b"host", b"transfer-encoding", b"expect"})
_UPGRADE = frozenset({b"connection", b"upgrade", b"http2-settings"})
_AFTER_CLOSE = "Data after `Connection: close`"  # llhttp's word for it


class _Odd(Exception):
    """A request that is refused although the parser would take it."""


class Incoming:
    """`begin` gets each request once its head is there, and may raise to take no more; `most` is the most bytes of a head.

    `in_head`: a head has begun and is not complete, `in_body`: the same of a body, of which `received` bytes came;
    `since` is when that began, by `clock`. `coming` is whose body comes.
    """

    def __init__(
        self,
        channel: Channel,
        begin: Callable[[Cycle], None],
        clock: Callable[[], float],
        most: int,
        client: Any,
    ) -> None:
        self._channel = channel
        self._begin = begin
        self._clock = clock
        self._most = most
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._method = b"", b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._hosts = 0
        self._expects = self._is_chunked = False
        self._grew = False  # body bytes came with this piece
        self._dry = 0  # bytes since a head began, or since body bytes came
        self._is_deaf = False
        self.in_head = self.in_body = False
        self.since = 0.0
        self.received = 0
        self.coming: Cycle | None = None

    def feed(self, data: bytes) -> None:
        """Take what came. Raises Denied: nothing more can be had from this connection."""
        if self._is_deaf:
            return
        self._grew = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._stay(data[stopped.args[0] :])
        except httptools.HttpParserError as error:
            if _AFTER_CLOSE not in str(error):
                raise _malformed() from None
            self._is_deaf = True  # more requests after one that was to be the last
        else:
            self._bound(len(data))

    def close(self) -> None:
        """The connection is gone."""
        self._is_deaf = True
        self._parser = cast("Any", None)  # which holds us

    def _stay(self, rest: bytes) -> None:
        """Pass over the offer of another protocol, as some clients make with their first request."""
        if self._method == b"CONNECT":
            raise _malformed()
        lines = [self._method + b" " + self._url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self._headers if name not in _UPGRADE]
        self._parser = httptools.HttpRequestParser(self)
        self.feed(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _bound(self, size: int) -> None:
        if not (self.in_head or self.in_body):
            self._dry = 0
            return
        self._dry = 0 if self._grew else self._dry + size
        if self._dry > self._most:
            what = "head" if self.in_head else "trailers or chunk extensions"
            raise Denied(431, "invalid_request_error", f"The {what} of the request has no end.")

    # httptools calls what follows

    def on_message_begin(self) -> None:
        self._url, self._headers, self._hosts = b"", [], 0
        self._expects = self._is_chunked = False
        self.in_head = True
        self.since = self._clock()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            return  # a trailer, which nobody asked for
        name = name.lower()
        if name in _WATCHED:
            self._check(name, value)
        self._headers.append((name, value))

    def _check(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self._expects = value.lower() == b"100-continue"
        elif value.lower() != b"chunked" or self._is_chunked:
            raise _Odd
        else:
            self._is_chunked = True

    def on_headers_complete(self) -> None:
        parser = self._parser
        self.in_head, self.in_body, self.received = False, True, 0
        self.since = self._clock()
        self._method, version = parser.get_method(), parser.get_http_version()
        if self._hosts > 1 or not (
            (version == "1.1" and self._hosts) or (version == "1.0" and not self._is_chunked)
        ):
            raise _Odd
        if parser.should_upgrade():
            return  # the parser stops after this
        is_old = version == "1.0"
        self.coming = Cycle(
            self._channel,
            self._scope(version),
            expects=self._expects and not is_old,
            keep_alive=not is_old and parser.should_keep_alive(),
            is_old=is_old,
        )
        self._begin(self.coming)

    def on_body(self, body: bytes) -> None:
        self._grew = True
        self.received += len(body)
        if self.coming is not None:
            self.coming.arrived(body)

    def on_message_complete(self) -> None:
        self.in_body = False
        if self.coming is not None:
            self.coming.ended()
            self.coming = None

    def _scope(self, version: str) -> dict[str, Any]:
        url = self._url
        if url.startswith(b"/"):
            path, _, query = url.partition(b"?")
        else:
            parsed = httptools.parse_url(url)
            path, query = parsed.path or b"/", parsed.query or b""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self._method.decode("ascii"),
            "scheme": "http",
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "client": self._client,
            "server": None,
            "state": {},
        }


def _malformed() -> Denied:
    return Denied(400, "invalid_request_error", "The request is not in the form of HTTP/1.1.")
