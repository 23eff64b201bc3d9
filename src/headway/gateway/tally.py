"""What the gateway did lately, for eyes: what each tenant took since the start, the last refusals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from headway.core.events import Refused
from headway.gateway.counts import Counts
from headway.hooks import Hooks

REFUSALS_KEPT = 50


@dataclass(slots=True)
class Tenant:
    """What one tenant took since the start. `refused` are its calls that headway refused; its tokens are of all kinds."""

    tenant: str
    in_flight: int = 0
    calls: int = 0
    retries: int = 0
    tokens: int = 0
    nanousd: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal: `by` "headway" or "provider", `at_ns` wall time. `wait_s` None: never, or not known."""

    at_ns: int
    tenant: str
    class_: str
    pool: str
    model: str
    by: str
    limit: str
    level: float | None
    wait_s: float | None


class Tally:
    """`wall` is nanoseconds since 1970 UTC."""

    def __init__(self, wall: Callable[[], int]) -> None:
        self.started_ns = wall()
        self._wall = wall
        self._refusals: deque[Refusal] = deque(maxlen=REFUSALS_KEPT)

    def hooks(self) -> Hooks:
        """What the engine has to tell."""
        return Hooks(refused=self.refused)

    def refused(self, news: Refused) -> None:
        """A call is refused, here or there."""
        call = news.call
        names = (call.tenant, call.class_.value, call.identity.pool or "", call.identity.model[:100])
        self._refusals.append(Refusal(self._wall(), *names, news.by, news.limit, news.level, news.wait_s))

    def refusals(self) -> tuple[Refusal, ...]:
        """The last ones, the latest first."""
        return tuple(reversed(self._refusals.copy()))


def tenants_of(counts: Counts) -> tuple[Tenant, ...]:
    """What each tenant took, those with most in flight first, then the dearest."""
    found: dict[str, Tenant] = {}
    with counts.lock:
        for names, row in counts.rows.items():
            tenant = found.setdefault(names.tenant, Tenant(names.tenant))
            tenant.in_flight += row.in_flight
            tenant.calls += row.calls
            tenant.retries += row.retries
            tenant.tokens += row.tokens
            tenant.nanousd += row.nanousd
            tenant.refused += row.refused
    return tuple(sorted(found.values(), key=lambda each: (-each.in_flight, -each.nanousd, each.tenant)))
