"""The provider's own account of what happened, to hold a client's account against."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from headway.emulator.cache import InputUsage

_OUTCOMES = ("completed", "aborted", "broken")
_TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "output_tokens",
)


@dataclass(slots=True)
class Books:
    """Counts since the last reset. Tokens are billed ones, by what became of the reply.

    completed: the client got it whole. aborted: the client left, the reply was generated and billed all the same.
    broken: the provider broke it off; what had been produced was billed. Times in seconds.
    """

    requests: int = 0
    admitted: int = 0
    rate_limited: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    counted: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    tokens: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in _OUTCOMES})
    markers: dict[str, Counter[str]] = field(default_factory=dict)
    first_at: float | None = None
    last_admitted_at: float | None = None
    spent_usd: float = 0.0

    def arrive(self, now: float) -> None:
        """A request for a message has come in."""
        self.requests += 1
        if self.first_at is None:
            self.first_at = now

    def admit(self, marker: str, now: float) -> None:
        """It was let in."""
        self.admitted += 1
        self.last_admitted_at = now
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self._mark(marker, "admitted")

    def finish(self, marker: str, outcome: str, usage: InputUsage, output_tokens: int) -> None:
        """Its reply has ended; `outcome` is completed, aborted or broken."""
        self.in_flight -= 1
        self.outcomes[outcome] += 1
        self._mark(marker, outcome)
        counts = (usage.fresh, usage.read, usage.write_5m, usage.write_1h, output_tokens)
        self.tokens[outcome].update(dict(zip(_TOKENS, counts, strict=True)))

    def show(self, markers: bool) -> dict[str, Any]:
        """Everything as JSON values; markers only on request, as there may be many."""
        shown: dict[str, Any] = {
            "requests": self.requests,
            "admitted": self.admitted,
            "rate_limited": dict(self.rate_limited),
            "stopped": dict(self.stopped),
            "rejected": dict(self.rejected),
            "faults": dict(self.faults),
            "completed": self.outcomes["completed"],
            "aborted": self.outcomes["aborted"],
            "broken": self.outcomes["broken"],
            "counted": self.counted,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "tokens": {name: sum(tokens[name] for tokens in self.tokens.values()) for name in _TOKENS},
            "tokens_by_outcome": {
                outcome: {name: tokens[name] for name in _TOKENS} for outcome, tokens in self.tokens.items()
            },
            "spent_usd": round(self.spent_usd, 9),
            "last_admitted_s": self._last_admitted_s(),
        }
        if markers:
            shown["markers"] = {marker: dict(counts) for marker, counts in self.markers.items()}
        return shown

    def _last_admitted_s(self) -> float | None:
        if self.first_at is None or self.last_admitted_at is None:
            return None
        return self.last_admitted_at - self.first_at

    def _mark(self, marker: str, what: str) -> None:
        if marker:
            self.markers.setdefault(marker, Counter())[what] += 1
