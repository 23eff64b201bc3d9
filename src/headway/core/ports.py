"""The seams: what the core asks of the world. One page, so that it can be read at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from headway.core.call import Class, Estimate, Identity, Problem, Reading, Usage


class Provider(Protocol):
    """What an API means. Pure; the same five functions, in this order, in every module of `providers`."""

    name: str

    def identify(self, path: str, request: Mapping[str, Any]) -> Identity:
        """Name the pool and the model of a request. An unknown model gets a pool of its own and `known=False`."""

    def estimate(self, request: Mapping[str, Any]) -> Estimate:
        """Say what the request will take, before it is sent. Never raises on odd input: counts what it can."""

    def read_limits(self, headers: Mapping[str, str]) -> tuple[Reading, ...]:
        """Read the limits out of response headers (names in lower case). Never raises: scrubbed values give None."""

    def read_usage(self, body: bytes) -> Usage | None:
        """Read what a whole reply took, from JSON or from an SSE stream kept verbatim. None: the reply does not say."""

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Problem | None:
        """Say what went wrong with a whole reply, an error inside a 200 stream or a cut stream included. None: nothing."""


class Ledger(Protocol):
    """Where attempts are written down. Both calls return at once and never raise into a call."""

    def open(self, entry: OpenEntry) -> None:
        """Note an attempt before it is sent, with its estimate, so that a killed process leaves a marked trace."""

    def close(self, entry: Entry) -> None:
        """Note how the attempt of the same `attempt_id` ended."""


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """An attempt about to be sent. `at_ns` is wall time, nanoseconds since 1970 UTC. No prompt, no key."""

    attempt_id: str
    call_id: str
    number: int
    at_ns: int
    provider: str
    pool: str
    model: str
    tenant: str
    class_: Class
    session: str
    job: str
    label: str
    estimated_input_tokens: int
    estimated_output_tokens: int
    queued_ms: float
    stream: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """How an attempt ended. `usage` is the provider's own; `estimated` says that it is ours instead.

    `outcome` is "ok", one of `core.call.Fault`, or "cancelled". Times are milliseconds from sending; None: never came.
    """

    attempt_id: str
    outcome: str
    status: int | None
    error_type: str
    request_id: str | None
    usage: Usage
    estimated: bool
    first_token_ms: float | None
    total_ms: float
