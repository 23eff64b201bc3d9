"""Keys that may have only so many calls at a time: who comes then waits outside the line, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque

from headway.errors import WouldWaitTooLong
from headway.gateway.keys import Key


class Lanes:
    """Counts the calls of each key that has such a bound. Belongs to one event loop."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def is_full(self, key: Key) -> bool:
        """Whether who comes now must wait."""
        return key.most_in_flight is not None and self._taken.get(key.id, 0) >= key.most_in_flight

    async def enter(self, key: Key, patience_s: float) -> None:
        """Wait for a place, seconds. Whoever has one ends it with `leave`. Raises WouldWaitTooLong."""
        most = key.most_in_flight
        if most is None:
            return
        if not self.is_full(key):
            self._taken[key.id] = self._taken.get(key.id, 0) + 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key.id, deque()).append(place)
        try:
            async with asyncio.timeout(patience_s):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self.leave(key)  # it came together with the end of the patience
            else:
                self._forget(key.id, place)
            if isinstance(error, TimeoutError):
                raise _too_long(key, most, patience_s) from None
            raise

    def leave(self, key: Key) -> None:
        """Give the place to the one who has waited longest, or back."""
        if key.most_in_flight is None:
            return
        waiting = self._waiting.get(key.id)
        while waiting:
            place = waiting.popleft()
            if not waiting:
                del self._waiting[key.id]
            if not place.done():
                place.set_result(None)
                return
        left = self._taken[key.id] - 1
        if left:
            self._taken[key.id] = left
        else:
            del self._taken[key.id]

    def _forget(self, name: str, place: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(name)
        if waiting is not None and place in waiting:
            waiting.remove(place)
            if not waiting:
                del self._waiting[name]


def bound_of(key: Key) -> str:
    """What a call waits for that does not get in."""
    calls = "1 call" if key.most_in_flight == 1 else f"{key.most_in_flight} calls"
    return f"{calls} at a time of the key {key.id!r}"


def _too_long(key: Key, most: int, waited_s: float) -> WouldWaitTooLong:
    return WouldWaitTooLong(
        f"waited {waited_s:,.1f} s: the key {key.id!r} may have {most} call{'s' * (most != 1)} at a time",
        limit=bound_of(key),
        level=0.0,
        wait_s=float("inf"),
        hint="Let fewer calls run at a time, or allow the key more.",
    )
