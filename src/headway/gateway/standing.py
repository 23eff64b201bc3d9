"""Who is in line and in flight, call by call: for refusals that name names, and for whoever watches the gateway."""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgspec

from headway.core.events import Event, Settled, Waiting
from headway.gateway.refusal import Holder


class Standing(msgspec.Struct):
    """One call that lives. `limit` is what it waited for (empty: nothing); `cost` nanodollars, None: not known. `is_held`:
    it is not in line yet, as its key has as many calls as it may."""

    pool: str
    tenant: str
    model: str
    session: str
    key: str
    began: float
    is_sent: bool = False
    is_held: bool = False
    limit: str = ""
    cost: int | None = 0


@dataclass(frozen=True, slots=True)
class Held:
    """Calls that wait until others of their key end; the first of them for `longest_s`."""

    key: str
    tenant: str
    waiting: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class State:
    """What the gateway is doing now. Counts are since it started."""

    calls: tuple[Standing, ...]
    served: int
    refused: int
    is_draining: bool
    held: tuple[Held, ...] = ()


class Standings:
    """All calls that live, by id."""

    def __init__(self) -> None:
        self.calls: dict[str, Standing] = {}

    def hear(self, news: Event) -> None:
        """What the engine tells of its calls. May be told in any thread."""
        match news:
            case Waiting():
                call = self.calls.get(news.call.id)
                if call is not None:
                    call.limit = call.limit or news.limit
            case Settled():
                call = self.calls.get(news.call.id)
                if call is not None and call.cost is not None:
                    call.cost = None if news.cost_nanousd is None else call.cost + news.cost_nanousd
            case _:
                pass

    def held(self) -> tuple[Held, ...]:
        """What the bounds of keys hold back, the largest number first."""
        found: dict[tuple[str, str], list[float]] = {}
        for call in tuple(self.calls.values()):
            if call.is_held:
                found.setdefault((call.key, call.tenant), []).append(call.began)
        now = time.monotonic()
        held = [Held(*who, len(since), now - min(since)) for who, since in found.items()]
        return tuple(sorted(held, key=lambda each: (-each.waiting, each.key)))

    def holders(self, *, pool: str = "", key: str = "", most: int = 3) -> tuple[Holder, ...]:
        """Who has most calls in this pool, or by this key."""
        counts: dict[str, list[int]] = {}
        for call in tuple(self.calls.values()):
            if (call.key == key) if key else (call.pool == pool):
                counts.setdefault(call.tenant, [0, 0])[not call.is_sent] += 1
        ranked = sorted(counts.items(), key=lambda each: (-sum(each[1]), each[0]))
        return tuple(Holder(name, *numbers) for name, numbers in ranked[:most])
