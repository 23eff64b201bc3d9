"""Counts attempts on their way into the ledger: so the summary and the ledger cannot disagree.

An attempt that is broken off by a second Ctrl-C, or that came before a call was stopped, is counted like any other.
"""

from __future__ import annotations

from collections import Counter

from headway.core.call import Fault, Usage
from headway.core.ports import Entry, Ledger, OpenEntry
from headway.jobs.tally import Tally
from headway.ledger.price import Prices

TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "thinking")
_REFUSED = (Fault.RATE_LIMITED.value, Fault.RAMP_LIMITED.value)


class Counting:
    """A `core.ports.Ledger` that tells `tally` and hands everything on to `ledger`."""

    def __init__(self, ledger: Ledger, tally: Tally, prices: Prices) -> None:
        self._ledger = ledger
        self._tally = tally
        self._prices = prices
        self._open: dict[str, OpenEntry] = {}

    def open(self, entry: OpenEntry) -> None:
        """An attempt is about to be sent."""
        self._open[entry.attempt_id] = entry
        if entry.number == 2:
            self._tally.retried += 1
        self._ledger.open(entry)

    def close(self, entry: Entry) -> None:
        """It has ended."""
        opened = self._open.pop(entry.attempt_id)
        tally = self._tally
        tally.attempts += 1
        tally.rate_limited += entry.outcome in _REFUSED
        tally.estimated += entry.estimated
        used = tokens_of(entry.usage)
        tally.tokens.update(used)
        if entry.outcome == "ok" or any(used.values()):
            cost = self._prices.cost(opened.model, entry.usage, opened.at_ns).nanousd
            tally.nanousd += cost or 0
            tally.unpriced += cost is None
        self._ledger.close(entry)


def tokens_of(usage: Usage) -> Counter[str]:
    """What an attempt used, by class, with its iterations."""
    found = Counter({name: getattr(usage, f"{name}_tokens") for name in TOKENS})
    for part in usage.parts:
        found.update(tokens_of(part))
    return found
