"""The traffic that rules look at: every attempt once, in order of time, with its slice of the traffic and its prices.

A slice (`Group`) is what one change would concern: pool, model, tenant, class, job and label without their numbers. Rules
keep state only for what was seen lately (`Recent`), so a ledger of any length is read in bounded memory.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from msgspec import Struct

from headway.insights import marks
from headway.insights.rates import Rate
from headway.providers.catalog import ModelFacts

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
# Labels come from outside: beyond so many slices a label no longer makes one; beyond twice that a job, then a tenant.
MOST_GROUPS = 20_000
_NUMBERS = re.compile(r"[0-9a-f]{8,}(?:-[0-9a-f]{4,}){0,5}|\d+(?:[.:T_-]\d+)*")

Value = TypeVar("Value")


class Group(Struct, eq=False):
    """One slice, and sums over it. Tokens are of attempts that gave a reply ("ok"); `nanousd` is of all.

    `reads_are_free`: cache reads stay out of the input limit.
    """

    number: int
    provider: str
    pool: str
    model: str
    tenant: str
    class_: str
    job: str
    label: str
    facts: ModelFacts | None
    reads_are_free: bool = False
    attempts: int = 0
    ok: int = 0
    nanousd: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def least_cacheable(self) -> int | None:
        """Tokens from which on a beginning of a prompt can be cached; None: this model's caching is not ours to advise on."""
        return self.facts.min_cacheable_tokens if self.facts is not None else None

    @property
    def where(self) -> dict[str, str]:
        """What tells this slice from others, for people."""
        named = {
            "tenant": self.tenant,
            "model": self.model,
            "job": self.job,
            "label": self.label,
            "class": self.class_,
        }
        return {name: value for name, value in named.items() if value}


class Seen(Struct, gc=False):
    """One attempt, as the ledger has it. `total` is all its input. Tokens, milliseconds, nanodollars."""

    group: Group
    rate: Rate | None
    id: int
    at_ns: int
    session: str
    label: str
    outcome: str
    error_type: str
    queued_ms: float
    total_ms: float
    fresh: int
    read: int
    write_5m: int
    write_1h: int
    output: int
    thinking: int
    nanousd: int | None
    estimated: int
    max_output: int
    waited_for: str
    stop_reason: str
    call_id: str
    number: int
    fingerprint: bytes | None
    variant: str
    total: int
    kept_shape: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """What tells one program's requests from another's; the same for all that have no fingerprint."""
        found = self.kept_shape
        if found is None:
            found = self.kept_shape = marks.shape(self.fingerprint) if self.fingerprint else marks.NO_SHAPE
        return found

    @property
    def input_micros(self) -> int:
        """What its input cost, in millionths of a nanodollar. 0 where no price is known."""
        rate = self.rate
        if rate is None:
            return 0
        return (
            self.fresh * rate.input
            + self.read * rate.cache_read
            + self.write_5m * rate.cache_write_5m
            + self.write_1h * rate.cache_write_1h
        )

    @property
    def micros(self) -> int:
        """The same for input and output."""
        return self.input_micros + (self.output * self.rate.output if self.rate is not None else 0)


class Recent(Generic[Value]):
    """What was seen lately, by key: forgotten between one and two `life_ns` later, or sooner if there are very many."""

    __slots__ = ("_life_ns", "_most", "_next_ns", "_old", "_young")

    def __init__(self, life_ns: int, most: int = 200_000) -> None:
        self._life_ns, self._most = life_ns, most
        self._young: dict[object, Value] = {}
        self._old: dict[object, Value] = {}
        self._next_ns = 0

    def get(self, key: object) -> Value | None:
        """The value, if it was put not too long ago."""
        found = self._young.get(key)
        return found if found is not None else self._old.get(key)

    def put(self, key: object, value: Value, at_ns: int) -> list[Value]:
        """Keep a value; returns those forgotten for it."""
        gone: list[Value] = []
        if at_ns >= self._next_ns or len(self._young) >= self._most:
            gone = [value for old, value in self._old.items() if old not in self._young and old != key]
            self._old, self._young = self._young, {}
            self._next_ns = at_ns + self._life_ns
        self._young[key] = value
        return gone

    def rest(self) -> list[Value]:
        """All that is left, at the end."""
        left = {**self._old, **self._young}
        self._old, self._young = {}, {}
        return list(left.values())


def plain_label(label: str) -> str:
    """A label without what makes each call's its own: numbers and ids become #."""
    return _NUMBERS.sub("#", label)[:80]


@dataclass(slots=True)
class PoolMinutes:
    """What a pool's calls counted in each minute: requests, input and output tokens. Only hours with traffic are kept."""

    hours: dict[int, array[int]] = field(default_factory=dict)

    def add(self, at_ns: int, counted_input: int, output: int) -> None:
        minute = at_ns // MINUTE_NS
        hour = self.hours.get(minute // 60)
        if hour is None:
            hour = self.hours[minute // 60] = array("q", bytes(8 * 180))
        at = minute % 60 * 3
        hour[at] += 1
        hour[at + 1] += counted_input
        hour[at + 2] += output

    def of(self, minute: int) -> tuple[int, int, int]:
        """Requests, input and output tokens of one minute (minutes since 1970)."""
        hour = self.hours.get(minute // 60)
        if hour is None:
            return (0, 0, 0)
        at = minute % 60 * 3
        return (hour[at], hour[at + 1], hour[at + 2])

    def active(self) -> list[int]:
        """The minutes with at least one attempt, in order."""
        return [
            hour * 60 + minute
            for hour in sorted(self.hours)
            for minute in range(60)
            if self.hours[hour][minute * 3]
        ]


@dataclass(slots=True)
class Traffic:
    """All of a window but its attempts: slices, pools by the minute, times. `limits` are those known, by pool and unit.

    `has_reply` says whether any call of (tenant, label, model) got a reply.
    """

    groups: list[Group] = field(default_factory=list)
    minutes: dict[str, PoolMinutes] = field(default_factory=dict)
    limits: dict[str, dict[str, float]] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0
    attempts: int = 0
    nanousd: int = 0
    has_reply: Callable[[Sequence[str]], bool] = lambda _: True

    @property
    def days(self) -> float:
        """Days from the first attempt to the last."""
        return (self.last_ns - self.first_ns) / (24 * HOUR_NS)
