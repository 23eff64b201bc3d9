"""Server-sent events, read incrementally: bytes in, in any chunks, whole events out.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_END = b"\n\n"


class Event(NamedTuple):
    """One event: its name ("message" where the stream gives none) and its data, lines joined by a line feed.

    A named tuple and not a frozen dataclass: it is built once per event of every stream, and is three times cheaper.
    """

    name: str
    data: bytes


class Parser:
    """Turns the bytes of one stream into events. Ids and reconnection times are not kept: no API here uses them.

    Never raises: a line that means nothing is skipped, as the specification says.
    """

    __slots__ = ("_after_cr", "_buffer", "_fresh")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._after_cr = False
        self._fresh = True

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        buffer = self._buffer
        searched = len(buffer)
        buffer += chunk
        end = buffer.rfind(_END, max(searched - 1, 0))
        if end < 0:
            return []
        blocks = bytes(buffer[:end]).split(_END)
        del buffer[: end + 2]
        if self._fresh:
            self._fresh = False
            blocks[0] = blocks[0].removeprefix(_BOM)
        return [event for event in map(parse_block, blocks) if event is not None]

    def finish(self) -> list[Event]:
        """The event left over when a stream ends without a blank line. The specification drops it; recordings need it."""
        rest = self.feed(b"\n\n")
        self._after_cr, self._fresh = False, True
        return rest

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Turn CR LF and CR into LF, also where a CR LF lies across two chunks."""
        if not chunk:
            return chunk
        if self._after_cr and chunk[0] == 10:
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def parse_stream(body: bytes) -> list[Event]:
    """All events of a stream that is there as a whole."""
    parser = Parser()
    return parser.feed(body) + parser.finish()


def parse_block(block: bytes) -> Event | None:
    """One event, from its lines without the blank one. None: there is no data in it."""
    head, between, data = block.partition(b"\ndata: ")
    if between and head[:7] == b"event: " and b"\n" not in head and b"\n" not in data:
        return Event(head[7:].decode("utf-8", "replace"), data)
    return _slowly(block)


def _slowly(block: bytes) -> Event | None:
    """Any block at all, line by line: comments, several data lines, fields without a value or a space."""
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    if not data:
        return None
    return Event(name.decode("utf-8", "replace") or "message", b"\n".join(data))
