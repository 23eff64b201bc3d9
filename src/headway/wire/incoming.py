"""Reading replies off one connection: httptools callbacks, limits, and whether it can be used again.

No I/O here: bytes in, an `Exchange` filled.
"""

from __future__ import annotations

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from headway.wire.exchange import Exchange

HEAD_LIMIT = 64 * 1024  # bytes of a head, of trailers, of chunk extensions between two pieces of body
KNOWN_NAMES = 1024  # header names whose lower-case text is kept


class Malformed(Exception):
    """The peer did not speak HTTP/1.1, or too much of it."""


class Incoming:
    """Reads one reply after another. `complete` and `reusable` are about that of the current exchange."""

    __slots__ = (
        "_bodiless",
        "_body_bytes",
        "_dry",
        "_exchange",
        "_head_size",
        "_names",
        "_parser",
        "_raw",
        "complete",
        "reusable",
    )

    def __init__(self, names: dict[bytes, str]) -> None:
        self._names = names
        self._parser = HttpResponseParser(self)

    def expect(self, exchange: Exchange, *, bodiless: bool) -> None:
        """A request goes out: what comes now is its reply. `bodiless`: it was a HEAD."""
        self._exchange = exchange
        self._bodiless = bodiless
        self._raw: list[tuple[bytes, bytes]] = []
        self._head_size = self._dry = self._body_bytes = 0
        self.complete = self.reusable = False

    def feed(self, data: bytes) -> None:
        """Take what came. Malformed: the reply cannot be had; bytes after a complete one only end reuse."""
        before = self._body_bytes
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            raise Malformed("it switched to another protocol unasked") from None
        except HttpParserCallbackError as error:
            self._refuse(str(error.__context__))
        except HttpParserError as error:
            self._refuse(f"the reply is malformed ({error})")
        if not self.complete:
            self._bound(0 if self._body_bytes > before else self._dry + len(data))

    def finish(self) -> None:
        """The peer sent its last byte. Malformed: in the middle of a reply."""
        if self.complete:
            return
        headers = self._exchange.headers
        if not self._exchange.status:
            raise Malformed("the peer closed it")
        if "content-length" in headers:
            raise Malformed(f"closed after {self._body_bytes} of {headers['content-length']} body bytes")
        if headers.get("transfer-encoding", "").lower().endswith("chunked"):
            raise Malformed("closed before the last chunk")
        self.complete = True

    def _refuse(self, reason: str) -> None:
        if not self.complete:
            raise Malformed(reason) from None
        self.reusable = False

    def _bound(self, dry: int) -> None:
        self._dry = dry
        if dry > HEAD_LIMIT:
            part = "trailers or chunk extensions" if self._exchange.status else "the head of the reply"
            raise Malformed(f"{part} went beyond {HEAD_LIMIT} bytes")

    # httptools calls what follows

    def on_message_begin(self) -> None:
        if self.complete:
            raise Malformed("bytes after the reply")

    def on_status(self, reason: bytes) -> None:
        if not self._exchange.status:
            self._exchange.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value) + 4
        if self._head_size > HEAD_LIMIT:
            raise Malformed(f"the head of the reply went beyond {HEAD_LIMIT} bytes")
        if not self._exchange.status:
            self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        exchange = self._exchange
        if status < 200:
            if status == 101:
                raise Malformed("it switched to another protocol unasked")
            self._raw.clear()
            exchange.reason = ""
            return
        exchange.headers = self._headers()
        exchange.status = status
        if self._bodiless:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()
            self._parser = HttpResponseParser(self)  # the old one now waits for a body that is not to come

    def on_body(self, data: bytes) -> None:
        if self.complete:
            raise Malformed("bytes after the reply")
        self._body_bytes += len(data)
        exchange = self._exchange
        exchange.chunks.append(data)
        exchange.held += len(data)

    def on_message_complete(self) -> None:
        if self._exchange.status and not self.complete:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        names = self._names
        for raw, value in self._raw:
            name = names.get(raw)
            if name is None:
                name = raw.decode("latin-1").lower()
                if len(names) < KNOWN_NAMES:
                    names[raw] = name
            text = value.decode("latin-1").strip()
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        return headers
