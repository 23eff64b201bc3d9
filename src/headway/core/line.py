"""The line: the calls waiting for a pool, and who is at its head.

Only the head asks the meters. Everyone else sleeps, so waiting costs nothing, large calls are not overtaken for ever
by small ones, and the order is fair:
- between classes, and within a class between tenants, service is shared by weight (start-time fair queueing, P. Goyal,
  H. Vin, H. Cheng, 1996): each flow has a virtual time that grows by cost ÷ weight, and the least goes first;
- once a call is over its flows have paid for what it took, whatever was expected of it;
- a flow that comes back starts at the present virtual time: it neither catches up for its absence nor pays for it;
- within a tenant, first come, first served; who is set aside meanwhile comes back to the front.
Class weights are far apart, so a class above practically always goes first, yet none below it starves.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice

from msgspec import Struct

from headway.core.aside import Aside
from headway.core.call import Call, Class

IDLE_KEPT = (
    1000  # tenants that have just been served; beyond, those whose service is made up for are forgotten
)
TENANTS_SEEN = 100  # at most, when somebody new asks how many will go before
STALE_KEPT = 64  # entries in a heap of tenants who wait no more, beside one for each who does
CLASS_WEIGHTS = {Class.INTERACTIVE: 100.0, Class.STANDARD: 10.0, Class.BULK: 1.0}


class Place(Struct, eq=False):
    """One call's place in line, for its attempt `number`.

    `give_up_at` is when it may wait no longer, `is_out` that it has left the line, `aside` what it is set aside for.
    `waited_for` is what kept it waiting last when it was in front, as `Pool.waits_for` says it.
    `ahead`: how many calls of the same tenant and class stood before it when it joined; they go first.
    """

    call: Call
    joined_at: float
    number: int = 1
    give_up_at: float | None = None
    is_out: bool = False
    aside: str = ""
    ahead: int = 0
    waited_for: str = ""


def place_of(call: Call, number: int, now: float) -> Place:
    """A place for this attempt, not yet in line."""
    end = call.deadline
    if call.max_wait_s is not None:
        end = now + call.max_wait_s if end is None else min(end, now + call.max_wait_s)
    return Place(call, now, number, end)


@dataclass(slots=True)
class _Tenant:
    virtual: float
    serial: int = 0  # of its present stay in line
    places: OrderedDict[Place, None] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class _Rank:
    weight: float
    virtual: float = 0.0
    now: float = 0.0  # virtual time of what was served last
    tenants: dict[str, _Tenant] = field(default_factory=dict)  # those who wait
    queue: list[tuple[float, int, _Tenant]] = field(
        default_factory=list
    )  # a heap of them, and of some who left
    idle: dict[str, _Tenant] = field(
        default_factory=dict
    )  # those who do not, while their virtual times matter
    waiting: int = 0
    serial: int = 0

    def tenant(self, name: str) -> _Tenant:
        """The tenant of that name, who waits from now on."""
        tenant = self.tenants.get(name)
        if tenant is None:
            tenant = self.idle.pop(name) if name in self.idle else _Tenant(self.now)
            self.tenants[name] = tenant
            if tenant.virtual < self.now:
                tenant.virtual = self.now
            self.put(tenant)
        return tenant

    def put(self, tenant: _Tenant) -> None:
        """Into the heap, anew: what it has of the tenant already is void."""
        self.serial += 1
        tenant.serial = self.serial
        heappush(self.queue, (tenant.virtual, self.serial, tenant))

    def tidy(self) -> None:
        """Throw away what is void in the heap, once it is too much. Whoever is in it waits."""
        if len(self.queue) > 2 * len(self.tenants) + STALE_KEPT:
            self.queue = [entry for entry in self.queue if entry[2].places and entry[2].serial == entry[1]]
            heapify(self.queue)

    def first(self) -> _Tenant:
        """The tenant with the least virtual time. Somebody waits."""
        queue = self.queue
        while True:
            _, serial, tenant = queue[0]
            if tenant.places and tenant.serial == serial:
                return tenant
            heappop(queue)

    def forget(self) -> None:
        """Whoever is idle and has no service to make up for need not be remembered."""
        if len(self.idle) > IDLE_KEPT:
            self.idle = {name: each for name, each in self.idle.items() if each.virtual > self.now}

    def gone(self, name: str, tenant: _Tenant) -> None:
        """One place less; the last of a tenant takes it out."""
        self.waiting -= 1
        if tenant.places:
            return
        del self.tenants[name]
        if tenant.virtual > self.now:
            self.idle[name] = tenant
        self.forget()
        self.tidy()


class Line:
    """Decides who is next."""

    def __init__(self) -> None:
        self._ranks = {class_: _Rank(weight) for class_, weight in CLASS_WEIGHTS.items()}
        self._now = 0.0
        self.size = 0  # everybody, those set aside included
        self._waiting = 0
        self._ends: list[tuple[float, int, Place]] = []  # a heap of who may not wait for ever
        self._order = 0
        self._aside: Aside[Place] = Aside()

    def __len__(self) -> int:
        return self.size

    def before(self, place: Place) -> float:
        """How many calls of its class will go before this one, the last of its tenant: those of its own, and of each other
        tenant as many as its weight lets go meanwhile, if so many wait."""
        mine = place.call
        count = float(place.ahead)
        for name, tenant in islice(self._ranks[mine.class_].tenants.items(), TENANTS_SEEN):
            if name != mine.tenant:
                weight = next(iter(tenant.places)).call.weight
                count += min(len(tenant.places), place.ahead * weight / mine.weight)
        return count

    def join(self, place: Place) -> None:
        """Stand at the end of one's tenant's queue."""
        self.size += 1
        place.ahead = len(self._enter(place).places) - 1
        if place.give_up_at is not None:
            self._order += 1
            heappush(self._ends, (place.give_up_at, self._order, place))

    def _enter(self, place: Place) -> _Tenant:
        rank = self._ranks[place.call.class_]
        if not rank.waiting:
            rank.virtual = max(rank.virtual, self._now)
        tenant = rank.tenant(place.call.tenant)
        tenant.places[place] = None
        rank.waiting += 1
        self._waiting += 1
        return tenant

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
    def next_due(self) -> float | None:
        """When something happens by itself: one may not wait any longer, or those set aside come back."""
        while self._ends and self._ends[0][2].is_out:
            heappop(self._ends)
        back, end = self._aside.next_due, self._ends[0][0] if self._ends else None
        return end if back is None else back if end is None else min(end, back)

    def front(self) -> Place | None:
        """Who is next, or None when nobody waits but those set aside."""
        if not self._waiting:
            return None
        return next(iter(self._next()[1].places))

    def head(self) -> Place | None:
        """Who is next; if all are set aside, the first of them: somebody has to ask again."""
        return self.front() or next(iter(self._aside), None)

    def leave(self, place: Place) -> bool:
        """Step out of the line; False if not in it any more."""
        if place.aside:
            self._aside.remove(place, place.aside)
            place.aside = ""
        elif not self._take_out(place):
            return False
        self.size -= 1
        place.is_out = True
        return True

    def _take_out(self, place: Place) -> bool:
        rank = self._ranks[place.call.class_]
        tenant = rank.tenants.get(place.call.tenant)
        if tenant is None or place not in tenant.places:
            return False
        del tenant.places[place]
        self._waiting -= 1
        rank.gone(place.call.tenant, tenant)
        return True

    def serve(self, cost: float) -> Place:
        """Take the one in front out of the line and charge its flows `cost`, in seconds of the limit it draws on most."""
        rank, tenant = self._next()
        place, _ = tenant.places.popitem(last=False)
        place.is_out = True
        self._now, rank.now = max(self._now, rank.virtual), max(rank.now, tenant.virtual)
        rank.virtual += cost / rank.weight
        tenant.virtual += cost / place.call.weight
        if tenant.places:
            heapreplace(rank.queue, (tenant.virtual, tenant.serial, tenant))
        else:
            heappop(rank.queue)
        self.size -= 1
        self._waiting -= 1
        rank.gone(place.call.tenant, tenant)
        return place

    def pass_by(self, place: Place, cost: float) -> None:
        """One goes that need not stand in line, as nobody does: its flows are charged as by `serve`."""
        rank = self._ranks[place.call.class_]
        if rank.virtual > self._now:
            self._now = rank.virtual
        rank.virtual = self._now + cost / rank.weight
        name = place.call.tenant
        tenant = rank.idle.get(name)
        if tenant is None:
            tenant = rank.idle[name] = _Tenant(rank.now)
        if tenant.virtual > rank.now:
            rank.now = tenant.virtual
        tenant.virtual = rank.now + cost / place.call.weight
        place.is_out = True
        rank.forget()

    def correct(self, call: Call, cost: float) -> None:
        """A call that was served took so much more than its flows were charged, or less."""
        rank, name = self._ranks[call.class_], call.tenant
        rank.virtual += cost / rank.weight
        tenant = rank.tenants.get(name)
        if tenant is not None:
            tenant.virtual += cost / call.weight
            rank.put(tenant)
            rank.tidy()
        elif name in rank.idle:
            rank.idle[name].virtual += cost / call.weight

    @property
    def has_aside(self) -> bool:
        """Whether anybody is set aside."""
        return len(self._aside) > 0

    def set_aside(self, place: Place, what: str, until: float) -> None:
        """Let others pass a place that waits for `what`, until it has happened, or that time at the latest."""
        if self._take_out(place):
            place.aside = what
            self._aside.put(place, what, until)

    def bring_back(self, what: str) -> None:
        """It has happened: whoever waited for it stands in front of their tenants' queues again."""
        for place in reversed(self._aside.take(what)):
            place.aside = ""
            self._enter(place).places.move_to_end(place, last=False)

    def bring_back_late(self, now: float) -> None:
        """Whoever was set aside for as long as may be stands in line again."""
        for what in self._aside.due(now):
            self.bring_back(what)

    def places(self) -> list[Place]:
        """Everyone who waits, in no order."""
        queues = (tenant.places for rank in self._ranks.values() for tenant in rank.tenants.values())
        return [*(place for queue in queues for place in queue), *self._aside]

    def _next(self) -> tuple[_Rank, _Tenant]:
        """Whose turn it is: the class, and within it the tenant, with the least virtual time."""
        rank: _Rank | None = None
        for each in self._ranks.values():
            if each.waiting and (rank is None or each.virtual < rank.virtual):
                rank = each
        assert rank is not None
        return rank, rank.first()
