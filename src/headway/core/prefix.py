"""Warm a shared prompt-cache prefix once.

An entry can be read only after the reply that writes it has started. So the first call with a prefix goes alone, its
siblings wait for the start of its reply, and then all of them read: at a tenth of the price or less, and mostly free of
the input limit.
"""

from __future__ import annotations

from collections import OrderedDict

from headway.core.call import Estimate

LIFE_S = (
    290.0  # entries live five minutes from their last use; a little less, because clocks and networks differ
)
HELD_S = 60.0  # siblings wait no longer than that for the call that goes first
PAYS_TOKENS = 1024.0  # of a prefix, from which on it is worth waiting
KEPT = 100_000


class Prefixes:
    """Which prefixes are warm, which are being warmed and by whom. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._warm: OrderedDict[str, float] = OrderedDict()  # prefix -> warm until
        self._warming: dict[str, tuple[str, float]] = {}  # prefix -> call id, and since when

    def is_warm(self, prefix: str, now: float) -> bool:
        """Whether a call sent now would read this prefix."""
        return self._warm.get(prefix, 0.0) > now

    def reads(self, estimate: Estimate, now: float) -> float:
        """Tokens that a call sent now would read from the cache: the longest entry that is warm."""
        for name, tokens in estimate.readable:
            if self.is_warm(name, now):
                return tokens
        return estimate.cacheable_tokens if self.is_warm(estimate.prefix, now) else 0.0

    def is_warming(self, prefix: str, now: float) -> bool:
        """Whether siblings should wait: somebody is on the way to write this prefix."""
        return prefix in self._warming and not self.is_warm(prefix, now)

    def held_until(self, estimate: Estimate, now: float) -> float | None:
        """Until when at the latest a call should wait for another that warms its prefix; None: it need not, or it does not
        pay."""
        if estimate.cacheable_tokens < PAYS_TOKENS or not estimate.prefix:
            return None
        warming = self._warming.get(estimate.prefix)
        if warming is None or self.is_warm(estimate.prefix, now):
            return None
        return warming[1] + HELD_S if now < warming[1] + HELD_S else None

    def go(self, prefix: str, call_id: str, now: float) -> None:
        """A call with this prefix is sent: the first one warms it."""
        if prefix and not self.is_warm(prefix, now):
            self._warming.setdefault(prefix, (call_id, now))

    def started(self, prefix: str, now: float) -> None:
        """The reply to a call with this prefix has started: whatever it wrote can be read."""
        if not prefix:
            return
        self._warming.pop(prefix, None)
        self._warm[prefix] = now + LIFE_S
        self._warm.move_to_end(prefix)
        if len(self._warm) > KEPT:
            self._warm.popitem(last=False)

    def failed(self, prefix: str, call_id: str) -> bool:
        """A call ended without a reply: if it was the one to warm, let another try. Returns whether it was."""
        warming = self._warming.get(prefix)
        if warming is None or warming[0] != call_id:
            return False
        del self._warming[prefix]
        return True
