"""The prompt cache: which part of a prompt was seen before, and since when it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from headway.emulator.prompt import Prompt
from headway.emulator.tiers import Model

_LOOK_BACK_BLOCKS = 20
_SWEEP_AT = 20_000


@dataclass(frozen=True, slots=True)
class InputUsage:
    """Input tokens in disjoint classes, as the reply will report them."""

    fresh: int
    read: int = 0
    write_5m: int = 0
    write_1h: int = 0

    @property
    def charged(self) -> int:
        """What counts against the input limit: everything but reads."""
        return self.fresh + self.write_5m + self.write_1h


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a prompt would read and write now. `hit` is the entry read, `writes` the entries to make with their TTL."""

    usage: InputUsage
    hit: bytes | None = None
    writes: tuple[tuple[bytes, float], ...] = ()


@dataclass(slots=True)
class _Entry:
    readable_at: float
    expires_at: float
    ttl_s: float


class PromptCache:
    """Entries by the digest of everything up to a breakpoint. Times in seconds; `minute_s` scales the lifetimes."""

    def __init__(self, minute_s: float = 60.0) -> None:
        self._scale = minute_s / 60.0
        self._entries: dict[bytes, _Entry] = {}

    def look(self, model: Model, prompt: Prompt, now: float) -> Lookup:
        """What a request would read and write. Changes nothing."""
        if not prompt.breakpoints:
            return Lookup(InputUsage(fresh=prompt.tokens))
        digests, sums = _chain(model.id, prompt)
        hit = self._longest_hit(prompt, digests, now)
        done = read = sums[hit] if hit >= 0 else 0
        written, writes = {300.0: 0, 3600.0: 0}, []
        for place, block in enumerate(prompt.blocks):
            if block.ttl_s is not None and sums[place] >= model.least_cached and place > hit:
                written[block.ttl_s] += sums[place] - done
                done = sums[place]
                writes.append((digests[place], block.ttl_s))
        usage = InputUsage(prompt.tokens - done, read, written[300.0], written[3600.0])
        return Lookup(usage, digests[hit] if hit >= 0 else None, tuple(writes))

    def keep(self, lookup: Lookup, now: float, starts_at: float) -> None:
        """The request was admitted at `now`, its reply starts at `starts_at`: only from then on can its writes be read."""
        if lookup.hit is not None:
            entry = self._entries[lookup.hit]
            entry.expires_at = now + entry.ttl_s * self._scale
        if len(self._entries) > _SWEEP_AT:
            self._entries = {key: entry for key, entry in self._entries.items() if entry.expires_at > now}
        for digest, ttl_s in lookup.writes:
            old = self._entries.get(digest)
            pending = old is not None and old.expires_at > now
            readable_at = min(starts_at, old.readable_at) if old and pending else starts_at
            self._entries[digest] = _Entry(readable_at, starts_at + ttl_s * self._scale, ttl_s)

    def _longest_hit(self, prompt: Prompt, digests: list[bytes], now: float) -> int:
        for place in range(len(digests) - 1, -1, -1):
            if prompt.blocks[place].ttl_s is None:
                continue
            for earlier in range(place, max(-1, place - _LOOK_BACK_BLOCKS), -1):
                entry = self._entries.get(digests[earlier])
                if entry and entry.readable_at <= now < entry.expires_at:
                    return earlier
        return -1


def _chain(model: str, prompt: Prompt) -> tuple[list[bytes], list[int]]:
    """For each block: the digest and the tokens of everything up to it (what the provider adds included)."""
    digest, total = model.encode(), prompt.hidden_tokens
    digests, sums = [], []
    for block in prompt.blocks:
        digest = blake2b(digest + block.digest, digest_size=16).digest()
        total += block.tokens
        digests.append(digest)
        sums.append(total)
    return digests, sums
