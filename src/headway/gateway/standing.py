"""Who is in line and in flight, call by call: for refusals that name names, and for whoever watches the gateway."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from headway.core.events import Event, Settled, Waiting
from headway.gateway.refusal import Holder


class Standing(msgspec.Struct):
    """One call that lives. `limit` is what it waited for (empty: nothing); `cost` nanodollars, None: not known."""

    pool: str
    tenant: str
    model: str
    session: str
    key: str
    began: float
    is_sent: bool = False
    limit: str = ""
    cost: int | None = 0


@dataclass(frozen=True, slots=True)
class State:
    """What the gateway is doing now. Counts are since it started."""

    calls: tuple[Standing, ...]
    served: int
    refused: int
    is_draining: bool


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

    def holders(self, pool: str, most: int = 3) -> tuple[Holder, ...]:
        """Who has most calls in this pool."""
        counts: dict[str, list[int]] = {}
        for call in tuple(self.calls.values()):
            if call.pool == pool:
                counts.setdefault(call.tenant, [0, 0])[not call.is_sent] += 1
        ranked = sorted(counts.items(), key=lambda each: (-sum(each[1]), each[0]))
        return tuple(Holder(name, *numbers) for name, numbers in ranked[:most])
