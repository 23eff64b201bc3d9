"""The prompt cache of the benchmarks' own API server: what of a request is read, what is written, what is fresh.

A second reading of the provider's documentation, like the rest of this server. Only requests with blocks of text and
`cache_control` on some of them come here; a plain string is fresh from end to end.

- A breakpoint marks all blocks up to it. What is read is the longest prefix of whole blocks that ends at a breakpoint of
  this request, or at most `LOOK_BACK` blocks before one, and that an earlier request wrote.
- What is written is everything from there to the last breakpoint; what comes after that is fresh.
- An entry can be read once the reply of the request that writes it has begun, and lives `life_s` from its last use.
- Less than `least` tokens up to a breakpoint are not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

LOOK_BACK = 20


@dataclass(frozen=True, slots=True)
class Share:
    """Tokens of one request. `marked` are the prefixes that it reads or writes: to be told to `begun`."""

    fresh: int
    written: int
    read: int
    marked: tuple[bytes, ...] = ()


class PromptCache:
    """`count` counts the tokens of a text."""

    def __init__(self, count: Callable[[str], int], life_s: float, least: int) -> None:
        self._count = count
        self._life_s, self._least = life_s, least
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def share(self, body: dict[str, Any], now: float) -> Share:
        """How a request that comes in now divides."""
        ends, marks = self._prefixes(body)
        marks = [at for at in marks if ends[at][1] >= self._least]
        total = ends[-1][1] if ends else 0
        if not marks:
            return Share(total, 0, 0)
        looked = sorted({at for mark in marks for at in range(max(0, mark - LOOK_BACK), mark + 1)})
        read = max((ends[at][1] for at in looked if self._until.get(ends[at][0], 0.0) > now), default=0)
        marked = ends[marks[-1]][1]
        return Share(
            total - max(marked, read), max(marked - read, 0), read, tuple(ends[at][0] for at in marks)
        )

    def begun(self, share: Share, now: float) -> None:
        """The reply has begun: what it marked can be read from now on."""
        for prefix in share.marked:
            self._until[prefix] = now + self._life_s
            self._until.move_to_end(prefix)
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)

    def _prefixes(self, body: dict[str, Any]) -> tuple[list[tuple[bytes, int]], list[int]]:
        """For each block the name and the tokens of all up to it, and where the breakpoints are."""
        ends: list[tuple[bytes, int]] = []
        marks: list[int] = []
        name, tokens = blake2b(str(body.get("model")).encode(), digest_size=16), 0
        for block in _blocks(body):
            name.update(f"{len(block['text'])} {block['text']}".encode())
            tokens += self._count(block["text"])
            if "cache_control" in block:
                marks.append(len(ends))
            ends.append((name.digest(), tokens))
        return ends, marks


def is_in_blocks(body: dict[str, Any]) -> bool:
    """Whether the request is of blocks, which alone can be cached."""
    return any(isinstance(message["content"], list) for message in body["messages"])


def last_text(body: dict[str, Any]) -> str:
    """The text that ends the request."""
    *_, last = _blocks(body)
    return str(last["text"])


def _blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for content in (body.get("system") or [], *(message["content"] for message in body["messages"])):
        if isinstance(content, str):
            yield {"text": content}
        else:
            yield from content
