"""Meters in the memory of one process. Not locked: a driver calls it under its own lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import Struct

from headway.core.bucket import Lesson
from headway.core.call import Reading, Unit
from headway.core.limit import Limit
from headway.core.meter import Hold, Mark, Meter, OutputMeter, StartMeter
from headway.core.ports import Level, Short

_NOTHING = Hold(0.0)


class _Held(Struct, eq=False):
    """What one ticket holds: its pool, a hold for every unit, and a mark on each meter there was."""

    pool: str
    holds: Mapping[Unit, Hold]
    marks: dict[Unit, Mark]


class MemoryStore:
    """Implements `core.ports.Store`."""

    def __init__(self) -> None:
        self._pools: dict[str, dict[Unit, Meter]] = {}
        self._tickets: dict[str, _Held] = {}
        self._lessons: dict[str, Mapping[Unit, Lesson]] = {}
        self._limits: dict[str, tuple[Limit, ...]] = {}  # of pools, until they change

    def limits(self, pool: str) -> tuple[Limit, ...]:
        limits = self._limits.get(pool)
        if limits is None:
            meters = self._pools.get(pool, {}).values()
            limits = self._limits[pool] = tuple(meter.level.limit for meter in meters)
        return limits

    def set_limits(self, pool: str, limits: Sequence[Limit], now: float) -> None:
        meters = self._pools.setdefault(pool, {})
        self._limits.pop(pool, None)
        for limit in limits:
            meter = meters.get(limit.unit)
            if meter is None:
                meters[limit.unit] = self._new_meter(pool, limit, now)
                continue
            for bucket in meter.buckets:
                bucket.resize(limit, now)

    def take(self, ticket: str, pool: str, holds: Mapping[Unit, Hold], now: float) -> Short | None:
        if ticket in self._tickets:
            return None
        meters = self._pools.get(pool, {})
        short: Short | None = None
        for unit, meter in meters.items():
            wait = meter.wait(holds.get(unit, _NOTHING), now)
            if wait > 0.0 and (short is None or wait > short.wait_s):
                short = Short(meter.level.limit, wait, meter.level.content)
        if short is not None:
            return short
        marks: dict[Unit, Mark] = {}
        for unit, meter in meters.items():
            marks[unit] = meter.take(holds.get(unit, _NOTHING), now)
        self._tickets[ticket] = _Held(pool, holds, marks)
        return None

    def confirm(self, ticket: str, now: float) -> None:
        held = self._tickets.get(ticket)
        if held is None:
            return
        meters = self._pools.get(held.pool, {})
        for unit, mark in held.marks.items():
            meters[unit].confirm(mark, now)

    def assume(self, ticket: str) -> None:
        held = self._tickets.get(ticket)
        for meter in self._pools.get(held.pool, {}).values() if held else ():
            for bucket in meter.buckets:
                bucket.assume()

    def read(self, ticket: str, readings: Sequence[Reading], now: float) -> None:
        held = self._tickets.get(ticket)
        if held is None:
            return
        meters = self._pools.setdefault(held.pool, {})
        for reading in readings:
            amount = reading.amount
            if amount is not None and amount <= 0.0:
                continue  # not provisioned, or nonsense: nothing to pace by
            meter = meters.get(reading.unit)
            if meter is None:
                self._learn(held, reading, now)
                continue
            limit = meter.buckets[0].limit
            if amount is not None and _differs(limit, reading):
                self._limits.pop(held.pool, None)
                limit = replace(limit, amount=amount, period_s=reading.period_s)
                for bucket in meter.buckets:
                    bucket.resize(limit, now)
            mark = held.marks.get(reading.unit)
            if limit.given and _is_wider(limit, reading):
                for bucket in meter.buckets:
                    bucket.assume()
            elif mark is not None:
                meter.read(mark, reading)

    def _learn(self, held: _Held, reading: Reading, now: float) -> None:
        """A limit nobody had told us: start its meter from what the header shows, this call included."""
        if reading.amount is None:
            return
        self._limits.pop(held.pool, None)
        limit = Limit(reading.unit, reading.amount, reading.period_s)
        meter = self._pools[held.pool][reading.unit] = self._new_meter(held.pool, limit, now)
        hold = held.holds.get(reading.unit, _NOTHING)
        for bucket in meter.buckets:
            shown = max((reading.remaining or 0.0) - bucket.overstated, 0.0)
            bucket.capacity = max(bucket.capacity, min(shown + hold.need, limit.amount - bucket.overstated))
            bucket.spare = min(shown, bucket.capacity)
        for ticket in self._tickets.values():
            if ticket.pool == held.pool and reading.unit not in ticket.marks:
                ticket.marks[reading.unit] = meter.adopt(ticket.holds.get(reading.unit, _NOTHING))

    def produce(self, ticket: str, produced: float, hold: Hold, now: float) -> None:
        held = self._tickets.get(ticket)
        mark = held.marks.get(Unit.OUTPUT_TOKENS) if held else None
        if held is None or mark is None:
            return
        meter = self._pools[held.pool][Unit.OUTPUT_TOKENS]
        if isinstance(meter, OutputMeter):
            meter.produce(mark, produced, hold, now)

    def refuse(
        self, ticket: str, unit: Unit | None, retry_after_s: float, readings: Sequence[Reading], now: float
    ) -> None:
        held = self._tickets.pop(ticket, None)
        if held is None:
            return
        meters = self._pools.get(held.pool, {})
        for each, mark in held.marks.items():
            for bucket in meters[each].buckets:
                bucket.refill(now)
            meters[each].void(mark)
        shown = {reading.unit: reading for reading in readings}
        for each, mark in held.marks.items():
            if each is unit or unit not in held.marks:
                reading = shown.get(each)
                remaining, rounding = (reading.remaining, reading.rounding) if reading else (None, 0.0)
                meters[each].refuse(mark, remaining, rounding, retry_after_s, now)

    def give_back(self, ticket: str, used: Mapping[Unit, float], now: float) -> None:
        held = self._tickets.pop(ticket, None)
        if held is None:
            return
        meters = self._pools.get(held.pool, {})
        for unit, mark in held.marks.items():
            meter = meters[unit]
            for bucket in meter.buckets:
                bucket.refill(now)
            meter.settle(mark, used.get(unit, 0.0))

    def lessons(self, pool: str) -> Mapping[Unit, Lesson]:
        found = ((unit, meter.level.lesson()) for unit, meter in self._pools.get(pool, {}).items())
        return {unit: lesson for unit, lesson in found if lesson is not None}

    def teach(self, pool: str, lessons: Mapping[Unit, Lesson]) -> None:
        self._lessons[pool] = lessons

    def _new_meter(self, pool: str, limit: Limit, now: float) -> Meter:
        meter = OutputMeter(limit, now) if limit.unit is Unit.OUTPUT_TOKENS else StartMeter(limit, now)
        lesson = self._lessons.get(pool, {}).get(limit.unit)
        if lesson is not None:
            for bucket in meter.buckets:
                bucket.learn(lesson)
        return meter

    def levels(self, pool: str, now: float) -> tuple[Level, ...]:
        levels = []
        for meter in self._pools.get(pool, {}).values():
            bucket = meter.level
            bucket.refill(now)
            levels.append(Level(bucket.limit, bucket.content, bucket.capacity or None, meter.in_flight))
        return tuple(levels)


def _differs(limit: Limit, reading: Reading) -> bool:
    """Whether the provider enforces a tighter limit, or another one than it said before. A limit you set may be lower."""
    assert reading.amount is not None
    if reading.amount == limit.amount and reading.period_s == limit.period_s:
        return False
    rate = reading.amount / reading.period_s
    return rate < limit.rate * 0.999 or (not limit.given and rate > limit.rate * 1.001)


def _is_wider(limit: Limit, reading: Reading) -> bool:
    """Whether the reading is of a larger bucket than the one you allowed: then what remains there is not ours to use."""
    return (
        limit.given and reading.amount is not None and reading.amount / reading.period_s > limit.rate * 1.001
    )
