"""What the gateway did lately, for eyes: what each tenant took, the last refusals, what was spent today.

Kept in memory since the start, and bounded; the ledger has it for good, and of other processes, too.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from headway.core.events import Admitted, Refused, Settled
from headway.core.totals import tokens_of
from headway.hooks import Hooks

TENANTS_KEPT, REFUSALS_KEPT = 1000, 50
OTHERS = "(others)"
DAY_NS = 86_400 * 10**9


@dataclass(slots=True)
class Tenant:
    """What one tenant took since the start. `refused_here` by headway, `refused_there` by the provider (tried again)."""

    tenant: str
    in_flight: int = 0
    calls: int = 0
    tokens: int = 0
    nanousd: int = 0
    refused_here: int = 0
    refused_there: int = 0
    last_ns: int = 0


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
    """`wall` is nanoseconds since 1970 UTC. Hooks may come from several threads."""

    def __init__(self, wall: Callable[[], int], tenants: int = TENANTS_KEPT) -> None:
        self.started_ns = wall()
        self._wall = wall
        self._most = tenants
        self._lock = Lock()
        self._tenants: OrderedDict[str, Tenant] = OrderedDict()
        self._refusals: deque[Refusal] = deque(maxlen=REFUSALS_KEPT)
        self._day, self._today = self.started_ns // DAY_NS, 0

    def hooks(self) -> Hooks:
        """What the engine has to tell."""
        return Hooks(admitted=self._admitted, settled=self._settled, refused=self._refused)

    def tenants(self) -> tuple[Tenant, ...]:
        """All tenants, the dearest first."""
        with self._lock:
            known = [replace(each) for each in self._tenants.values()]
        return tuple(sorted(known, key=lambda each: (-each.in_flight, -each.nanousd, each.tenant)))

    def refusals(self) -> tuple[Refusal, ...]:
        """The last ones, the latest first."""
        with self._lock:
            return tuple(reversed(self._refusals))

    def spent_today(self) -> int:
        """Nanodollars of attempts that ended since midnight UTC, by this process."""
        with self._lock:
            self._turn_page()
            return self._today

    def _admitted(self, news: Admitted) -> None:
        with self._lock:
            tenant = self._tenant(news.call.tenant)
            tenant.in_flight += 1
            tenant.calls += news.attempt == 1
            tenant.last_ns = self._wall()

    def _settled(self, news: Settled) -> None:
        with self._lock:
            tenant = self._tenant(news.call.tenant)
            tenant.in_flight -= 1
            tenant.tokens += tokens_of(news.usage)
            tenant.nanousd += news.cost_nanousd or 0
            self._turn_page()
            self._today += news.cost_nanousd or 0

    def _refused(self, news: Refused) -> None:
        call = news.call
        with self._lock:
            tenant = self._tenant(call.tenant)
            if news.by == "provider":
                tenant.refused_there += 1
            else:
                tenant.refused_here += 1
            names = (call.tenant, call.class_.value, call.identity.pool or "", call.identity.model[:100])
            self._refusals.append(Refusal(self._wall(), *names, news.by, news.limit, news.level, news.wait_s))

    def _tenant(self, name: str) -> Tenant:
        """Its row. Of those with nothing in flight, the one heard of longest ago makes room."""
        tenant = self._tenants.get(name)
        if tenant is None:
            if len(self._tenants) >= self._most:
                self._make_room()
            tenant = self._tenants[name] = Tenant(name)
        self._tenants.move_to_end(name)
        return tenant

    def _make_room(self) -> None:
        for name, old in self._tenants.items():
            if not old.in_flight and name != OTHERS:
                del self._tenants[name]
                others = self._tenants.setdefault(OTHERS, Tenant(OTHERS))
                others.calls += old.calls
                others.tokens += old.tokens
                others.nanousd += old.nanousd
                others.refused_here += old.refused_here
                others.refused_there += old.refused_there
                return

    def _turn_page(self) -> None:
        day = self._wall() // DAY_NS
        if day != self._day:
            self._day, self._today = day, 0
