"""The seams: what the core asks of the world. One page, so that it can be read at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct

from headway.core.bucket import Lesson
from headway.core.call import Class, Estimate, Identity, Problem, Reading, Unit, Usage
from headway.core.limit import Limit
from headway.core.meter import Hold


class Provider(Protocol):
    """What an API means. Pure; the same five functions, in this order, in every module of `providers`."""

    name: str

    def identify(self, path: str, request: Mapping[str, Any]) -> Identity:
        """Name the pool and the model of a request. An unknown model gets a pool of its own and `known=False`."""

    def estimate(self, request: Mapping[str, Any], body: bytes = b"") -> Estimate:
        """Say what the request will take, before it is sent. Never raises on odd input: counts what it can.

        `body`: the same as it came, if that is at hand. A conversation that has grown is known again by it, and costs less.
        """

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


class OpenEntry(Struct, frozen=True):
    """An attempt about to be sent. `at_ns` is wall time, nanoseconds since 1970 UTC. No prompt, no key.

    `waited_for` is the limit or budget it waited for last ("": it did not wait), `max_output_tokens` the request's own
    ceiling (0: not known), `cacheable_tokens` what lies before its last cache breakpoint, by estimate. `fingerprint`
    tells which beginnings requests have in common: keyed hashes, see `core.fingerprint`.
    """

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
    waited_for: str = ""
    max_output_tokens: int = 0
    cacheable_tokens: int = 0
    fingerprint: bytes = b""


class Entry(Struct, frozen=True):
    """How an attempt ended. `usage` is the provider's own; `estimated` says that it is ours instead.

    `outcome` is "ok", one of `core.call.Fault`, or "cancelled". Times are milliseconds from sending; None: never came.
    `stop_reason` is the provider's word for why the reply ended ("": not known).
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
    stop_reason: str = ""


class Store(Protocol):
    """Where the meters of pools live. Each method is atomic over all limits of a call, and idempotent by ticket."""

    def limits(self, pool: str) -> tuple[Limit, ...]:
        """The limits known for a pool."""

    def set_limits(self, pool: str, limits: Sequence[Limit], now: float) -> None:
        """Add limits to a pool, or change those it has."""

    def take(self, ticket: str, pool: str, holds: Mapping[Unit, Hold], now: float) -> Short | None:
        """Hold what a call is expected to take, on all its limits or on none. None: taken; else what is short."""

    def confirm(self, ticket: str, now: float) -> None:
        """The provider admitted the call."""

    def assume(self, ticket: str) -> None:
        """The provider admitted the call and says nothing of its limits: suppose a modest burst."""

    def read(self, ticket: str, readings: Sequence[Reading], now: float) -> None:
        """Correct the meters by what the headers of this call's reply say."""

    def produce(self, ticket: str, produced: float, hold: Hold, now: float) -> None:
        """A running call has put out so many tokens and is now expected to take `hold` in all."""

    def refuse(
        self, ticket: str, unit: Unit | None, retry_after_s: float, readings: Sequence[Reading], now: float
    ) -> None:
        """The provider refused the call by this limit (None: it did not say which), with these headers.

        Gives the ticket back.
        """

    def give_back(self, ticket: str, used: Mapping[Unit, float], now: float) -> None:
        """The call is over and took `used`. A second time it does nothing."""

    def lessons(self, pool: str) -> Mapping[Unit, Lesson]:
        """What refusals have taught about the buckets of a pool, for the next run."""

    def teach(self, pool: str, lessons: Mapping[Unit, Lesson]) -> None:
        """What an earlier run was taught. To be told before the pool is used."""

    def levels(self, pool: str, now: float) -> tuple[Level, ...]:
        """How full each limit of a pool is."""


@dataclass(frozen=True, slots=True)
class Short:
    """The limit that a call waits for, and for how many seconds."""

    limit: Limit
    wait_s: float
    level: float


@dataclass(frozen=True, slots=True)
class Level:
    """How full a limit is, for eyes: `content` of `capacity` (None: not known yet), `in_flight` held by calls that run."""

    limit: Limit
    content: float
    capacity: float | None
    in_flight: float
