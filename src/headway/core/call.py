"""The values that travel with a call: what is asked, what we think it takes, what it took.

What is made anew for every call is a frozen `Struct`: a frozen dataclass in all but name, made ten times as fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from msgspec import Struct, field


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    TOKENS = "tokens"
    IN_FLIGHT = "in_flight"
    USD = "usd"


class Class(StrEnum):
    """How urgent a call is."""

    INTERACTIVE = "interactive"
    STANDARD = "standard"
    BULK = "bulk"


class Identity(Struct, frozen=True):
    """What the provider makes of a request before it runs.

    `pool` is what the provider counts together (never a key); None when the request draws on no limit.
    `model` is the id asked for. `known` is False for a model the catalog does not have.
    """

    pool: str | None
    model: str
    known: bool = True


class Estimate(Struct, frozen=True):
    """What a request will take, before it is sent. Tokens.

    `input_tokens` is all input: fresh, cache writes and cache reads together. `cacheable_tokens` is the part up to the
    last cache breakpoint (0: none), `prefix` identifies that part (equal prefixes can share a cache entry).
    `written` names the entries that its breakpoints write, `readable` those it would read, the longest first, with their
    tokens. `max_output_tokens` is the request's own ceiling. `error` is the relative standard deviation of `input_tokens`.
    `fingerprint` tells which beginnings requests have in common, see `core.fingerprint` (empty: none was made).
    """

    input_tokens: float
    max_output_tokens: int
    cacheable_tokens: float = 0.0
    prefix: str = ""
    error: float = 0.1
    written: tuple[str, ...] = ()
    readable: tuple[tuple[str, float], ...] = ()
    fingerprint: bytes = b""


class Usage(Struct, frozen=True):
    """What a reply says it took, in disjoint token classes (only `thinking_tokens` is part of `output_tokens`).

    `parts` are iterations that are not in the top-level counts (compaction, advisor), each with its own model.
    `raw` is the provider's own usage object, merged over the whole reply, for the ledger.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    web_searches: int = 0
    model: str = ""
    service_tier: str = ""
    speed: str = ""
    geo: str = ""
    parts: tuple[Usage, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


class Reading(Struct, frozen=True):
    """One limit as response headers show it, at the moment the request was admitted.

    `amount` is per `period_s` seconds; None where the header was missing or scrubbed. `rounding` is how far `remaining`
    may be from the truth (Anthropic rounds tokens to the nearest thousand).
    """

    unit: Unit
    amount: float | None
    remaining: float | None
    rounding: float = 0.0
    period_s: float = 60.0


class Fault(StrEnum):
    """Why an attempt did not give a reply, in the one way that matters: what to do about it."""

    RATE_LIMITED = "rate_limited"  # our quota: wait, correct the meter, try again
    RAMP_LIMITED = "ramp_limited"  # our growth: wait, then grow more slowly
    OVERLOADED = "overloaded"  # their capacity: back off, try again
    FAILED = "failed"  # their error, or a broken connection: back off, try again
    REJECTED = "rejected"  # our request: never try again
    STOPPED = "stopped"  # spend cap, no credit, bad key: every other call will fail too, stop


@dataclass(frozen=True, slots=True)
class Problem:
    """An attempt that failed, classified. `retry_after_s` is the provider's own word (None: it said nothing).

    `unit` and `amount` name the limit of a RATE_LIMITED when the provider told. `message` holds no secrets.
    """

    fault: Fault
    error_type: str
    message: str
    status: int | None = None
    request_id: str | None = None
    retry_after_s: float | None = None
    unit: Unit | None = None
    amount: float | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """A budget you set: at most so much, in all, under this name ("session nightly").

    `amount` is in whole nanodollars (USD), tokens (TOKENS: all input and output) or calls (REQUESTS).
    """

    name: str
    unit: Unit
    amount: int


class Call(Struct, frozen=True):
    """One logical request. `body` is what goes out, byte for byte; `request` is the same, parsed.

    `deadline` and `max_wait_s` are in monotonic seconds. `caps` are the budgets it draws on, besides the engine's own.
    `held_s`: seconds that its door held it before it could stand in line, because too many of its key were in flight.
    """

    id: str
    path: str
    body: bytes
    identity: Identity
    estimate: Estimate
    tenant: str = "default"
    class_: Class = Class.STANDARD
    session: str = ""
    job: str = ""
    label: str = ""
    weight: float = 1.0
    deadline: float | None = None
    max_wait_s: float | None = None
    stream: bool = False
    caps: tuple[Cap, ...] = ()
    held_s: float = 0.0
