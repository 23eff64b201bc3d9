"""The line: the calls waiting for a pool, and who is at its head.

Only the head asks the meters. Everyone else sleeps, so waiting costs nothing, large calls are not overtaken for ever
by small ones, and the order is fair:
- between classes, and within a class between tenants, service is shared by weight (start-time fair queueing, P. Goyal,
  H. Vin, H. Cheng, 1996): each flow has a virtual time that grows by cost ÷ weight, and the least goes first;
- a flow that comes back starts at the present virtual time: it neither catches up for its absence nor pays for it;
- within a tenant, first come, first served.
Class weights are far apart, so a class above practically always goes first, yet none below it starves.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from headway.core.call import Call, Class

IDLE_KEPT = (
    1000  # tenants that have just been served; beyond, those whose service is made up for are forgotten
)
CLASS_WEIGHTS = {Class.INTERACTIVE: 100.0, Class.STANDARD: 10.0, Class.BULK: 1.0}


@dataclass(slots=True, eq=False)
class Place:
    """One call's place in line, for its attempt `number`.

    `give_up_at` is when it may wait no longer, `is_out` that it has left the line.
    """

    call: Call
    joined_at: float
    number: int = 1
    give_up_at: float | None = None
    is_out: bool = False


@dataclass(slots=True)
class _Tenant:
    virtual: float = 0.0
    places: deque[Place] = field(default_factory=deque)


@dataclass(slots=True)
class _Rank:
    weight: float
    virtual: float = 0.0
    now: float = 0.0  # virtual time of what was served last
    tenants: dict[str, _Tenant] = field(default_factory=dict)  # those who wait
    idle: dict[str, float] = field(
        default_factory=dict
    )  # virtual times of those who do not, while they matter
    waiting: int = 0


class Line:
    """Decides who is next."""

    def __init__(self) -> None:
        self._ranks = {class_: _Rank(weight) for class_, weight in CLASS_WEIGHTS.items()}
        self._now = 0.0
        self._size = 0
        self._ends: list[tuple[float, int, Place]] = []  # a heap of who may not wait for ever
        self._order = 0

    def __len__(self) -> int:
        return self._size

    def join(self, place: Place) -> None:
        """Stand at the end of one's tenant's queue."""
        rank = self._ranks[place.call.class_]
        tenant = rank.tenants.get(place.call.tenant)
        if tenant is None:
            virtual = max(rank.idle.pop(place.call.tenant, 0.0), rank.now)
            tenant = rank.tenants[place.call.tenant] = _Tenant(virtual)
        if not rank.waiting:
            rank.virtual = max(rank.virtual, self._now)
        tenant.places.append(place)
        rank.waiting += 1
        self._size += 1
        if place.give_up_at is not None:
            self._order += 1
            heappush(self._ends, (place.give_up_at, self._order, place))

    @property
    def has_ends(self) -> bool:
        """Whether anybody may not wait for ever."""
        return bool(self._ends)

    def overdue(self, now: float, *, at_once: bool = False) -> list[Place]:
        """Whose time was up before `now`; with `at_once`, also whose time is up at this very moment."""
        late = []
        while self._ends and (
            self._ends[0][2].is_out or self._ends[0][0] < now or (at_once and self._ends[0][0] == now)
        ):
            place = heappop(self._ends)[2]
            if not place.is_out:
                late.append(place)
        return late

    @property
    def next_overdue(self) -> float | None:
        """When the next one may not wait any longer."""
        while self._ends and self._ends[0][2].is_out:
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def head(self) -> Place | None:
        """Who is next, or None when nobody waits."""
        if not self._size:
            return None
        return self._next()[1].places[0]

    def leave(self, place: Place) -> bool:
        """Step out of the line; False if not in it any more."""
        rank = self._ranks[place.call.class_]
        tenant = rank.tenants.get(place.call.tenant)
        if tenant is None or place not in tenant.places:
            return False
        tenant.places.remove(place)
        place.is_out = True
        self._count_out(rank, place.call.tenant, tenant)
        return True

    def serve(self, cost: float) -> Place:
        """Take the head out of the line and charge its flows `cost`, in seconds of the limit it draws on most."""
        rank, tenant = self._next()
        place = tenant.places.popleft()
        place.is_out = True
        self._now, rank.now = rank.virtual, tenant.virtual
        rank.virtual += cost / rank.weight
        tenant.virtual += cost / place.call.weight
        self._count_out(rank, place.call.tenant, tenant)
        return place

    def places(self) -> list[Place]:
        """Everyone who waits, in no order."""
        return [
            place
            for rank in self._ranks.values()
            for tenant in rank.tenants.values()
            for place in tenant.places
        ]

    def _next(self) -> tuple[_Rank, _Tenant]:
        """Whose turn it is: the class, and within it the tenant, with the least virtual time."""
        rank: _Rank | None = None
        for each in self._ranks.values():
            if each.waiting and (rank is None or each.virtual < rank.virtual):
                rank = each
        assert rank is not None
        tenant: _Tenant | None = None
        for other in rank.tenants.values():
            if tenant is None or other.virtual < tenant.virtual:
                tenant = other
        assert tenant is not None
        return rank, tenant

    def _count_out(self, rank: _Rank, name: str, tenant: _Tenant) -> None:
        rank.waiting -= 1
        self._size -= 1
        if not tenant.places:
            del rank.tenants[name]
            if tenant.virtual > rank.now:
                rank.idle[name] = tenant.virtual
            if len(rank.idle) > IDLE_KEPT:
                rank.idle = {name: virtual for name, virtual in rank.idle.items() if virtual > rank.now}
