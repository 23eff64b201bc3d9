"""The limiters that `limiters.py` compares, each taking one call's share of three limits, and giving the rest back.

Every one is used as its own documentation shows for several units, with its in-memory backend. Those that hold one
unit are asked three times in a row (nothing then makes the three one decision, and what was not used is not given
back). `between` stands for the call itself: it runs while the units are held.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from itertools import count
from threading import Lock
from typing import Any

from headway import runtime
from headway.core.call import Call, Estimate, Identity, Unit, Usage
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.meter import Hold
from headway.core.steps import Reply, Ticket
from headway.drivers.aio import AioDriver
from headway.drivers.sync import SyncDriver
from headway.drivers.turnstile import Watch
from headway.stores.memory import MemoryStore

FAR = 10**12  # a minute: never reached
INPUT, OUTPUT, MOST = 500, 200, 1_024  # tokens: what a call is thought to read, does write, and may write
READ = 480  # what it did read

Sync = Callable[[Callable[[], object]], None]
Async = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Peer:
    """One limiter: what it does for a call, and `make`, which gives a fresh one. `package`: what it comes in."""

    name: str
    package: str
    does: str
    make: Callable[[], Sync] | None = None
    make_async: Callable[[], Async] | None = None
    slow: bool = False

    @property
    def version(self) -> str:
        return version(self.package) if self.package else ""


def nothing() -> Sync:
    """What the loop itself costs."""

    def call(between: Callable[[], object]) -> None:
        between()

    return call


def nothing_async() -> Async:
    async def call(between: Callable[[], Awaitable[object]]) -> None:
        await between()

    return call


_LIMITS = tuple(Limit(unit, FAR) for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS))
_USAGE = Usage(input_tokens=READ, output_tokens=OUTPUT, model="m")
_REPLY = Reply(200, {}, message={}, usage=_USAGE, total_s=1.0)
_USED = {Unit.REQUESTS: 1.0, Unit.INPUT_TOKENS: float(READ), Unit.OUTPUT_TOKENS: float(OUTPUT)}


class _Meters:
    """headway's store alone: `take` and `give_back`, each over all three limits."""

    def __init__(self) -> None:
        self._store, self._number = MemoryStore(), count()
        self._store.set_limits("p", _LIMITS, time.monotonic() - 1.0)  # a start is spaced: let it be past

    def take(self) -> str:
        ticket = f"t{next(self._number)}"
        holds = {
            Unit.REQUESTS: Hold(1.0),
            Unit.INPUT_TOKENS: Hold(float(INPUT), 2_500.0),
            Unit.OUTPUT_TOKENS: Hold(float(OUTPUT), 10_000.0, MOST),
        }
        if self._store.take(ticket, "p", holds, time.monotonic()) is not None:
            raise AssertionError("nothing should wait")
        return ticket

    def give_back(self, ticket: str) -> None:
        self._store.give_back(ticket, _USED, time.monotonic())


class _Line:
    """headway's core: line, forecast, ceiling and meters."""

    def __init__(self) -> None:
        self._engine, self._number = Engine(MemoryStore(), limits=lambda _pool: _LIMITS), count()
        self._engine.pool("p", time.monotonic() - 1.0)

    def _call(self) -> Call:
        return Call(f"c{next(self._number)}", "/v1/messages", b"", Identity("p", "m"), Estimate(INPUT, MOST))

    def take(self) -> Any:
        ticket = self._engine.enter(self._call(), 1, time.monotonic(), 0)
        if ticket is None:
            raise AssertionError("nothing should wait")
        return ticket

    def give_back(self, ticket: Any) -> None:
        self._engine.settle(ticket, _REPLY, _USAGE, False, time.monotonic())


def _around(take: Callable[[], Any], give_back: Callable[[Any], None]) -> Sync:
    """Under one lock, as the drivers hold it."""
    lock = Lock()

    def call(between: Callable[[], object]) -> None:
        with lock:
            held = take()
        between()
        with lock:
            give_back(held)

    return call


def _around_async(take: Callable[[], Any], give_back: Callable[[Any], None]) -> Async:
    async def call(between: Callable[[], Awaitable[object]]) -> None:
        held = take()
        await between()
        give_back(held)

    return call


def _meters() -> Sync:
    meters = _Meters()
    return _around(meters.take, meters.give_back)


def _meters_async() -> Async:
    meters = _Meters()
    return _around_async(meters.take, meters.give_back)


def _engine() -> Sync:
    line = _Line()
    return _around(line.take, line.give_back)


def _engine_async() -> Async:
    line = _Line()
    return _around_async(line.take, line.give_back)


@dataclass(slots=True)
class _Sender:
    """Stands for sending: what is between, and a reply that is there at once."""

    between: Callable[[], object]

    def send(self, _ticket: Ticket, _watch: Watch) -> Reply:
        self.between()
        return _REPLY


@dataclass(slots=True)
class _AsyncSender:
    between: Callable[[], Awaitable[object]]

    async def send(self, _ticket: Ticket, _watch: Watch) -> Reply:
        await self.between()
        return _REPLY


def _shared() -> Any:
    """An engine as users hold it, no ledger."""
    engine = runtime.Engine(ledger="none", limits=f"requests={FAR},input_tokens={FAR},output_tokens={FAR}")
    engine.core.pool("p", time.monotonic() - 1.0)
    return engine


def _call(engine: Any) -> Call:
    return Call(engine.new_id(), "/v1/messages", b"", Identity("p", "m"), Estimate(INPUT, MOST))


def _driven() -> Sync:
    engine = _shared()

    def call(between: Callable[[], object]) -> None:
        driver = SyncDriver(engine.turnstile, _Sender(between), provider="p", retry=engine.retry)
        driver.begin(_call(engine))

    return call


def _driven_async() -> Async:
    engine = _shared()

    async def call(between: Callable[[], Awaitable[object]]) -> None:
        driver = AioDriver(engine.turnstile, _AsyncSender(between), provider="p", retry=engine.retry)
        await driver.begin(_call(engine))

    return call


def _aiolimiter() -> Async:
    kind = import_module("aiolimiter").AsyncLimiter
    requests, read, written = kind(FAR), kind(FAR), kind(FAR)

    async def call(between: Callable[[], Awaitable[object]]) -> None:
        await requests.acquire(1)
        await read.acquire(INPUT)
        await written.acquire(OUTPUT)
        await between()

    return call


def _limits() -> Sync:
    limits = import_module("limits")
    limiter = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
    minute = limits.RateLimitItemPerMinute(FAR)

    def call(between: Callable[[], object]) -> None:
        ok = limiter.hit(minute, "requests") and limiter.hit(minute, "input", cost=INPUT)
        if not (ok and limiter.hit(minute, "output", cost=OUTPUT)):
            raise AssertionError("nothing should wait")
        between()

    return call


def _limits_async() -> Async:
    limits = import_module("limits")
    aio = import_module("limits.aio")
    limiter = aio.strategies.FixedWindowRateLimiter(aio.storage.MemoryStorage())
    minute = limits.RateLimitItemPerMinute(FAR)

    async def call(between: Callable[[], Awaitable[object]]) -> None:
        ok = await limiter.hit(minute, "requests") and await limiter.hit(minute, "input", cost=INPUT)
        if not (ok and await limiter.hit(minute, "output", cost=OUTPUT)):
            raise AssertionError("nothing should wait")
        await between()

    return call


def _buckets() -> list[Any]:
    pyrate = import_module("pyrate_limiter")
    rate = pyrate.Rate(FAR, pyrate.Duration.MINUTE)
    return [pyrate.Limiter(pyrate.StateBucket([rate], algorithm=pyrate.TokenBucket())) for _ in range(3)]


def _pyrate() -> Sync:
    requests, read, written = _buckets()

    def call(between: Callable[[], object]) -> None:
        requests.try_acquire("m")
        read.try_acquire("m", weight=INPUT)
        written.try_acquire("m", weight=OUTPUT)
        between()

    return call


def _pyrate_async() -> Async:
    requests, read, written = _buckets()

    async def call(between: Callable[[], Awaitable[object]]) -> None:
        await requests.try_acquire_async("m")
        await read.try_acquire_async("m", weight=INPUT)
        await written.try_acquire_async("m", weight=OUTPUT)
        await between()

    return call


def _throttled() -> Sync:
    throttled = import_module("throttled")
    quota = throttled.rate_limiter.per_min(FAR)
    requests, read, written = (throttled.Throttled(key=key, quota=quota) for key in ("r", "i", "o"))

    def call(between: Callable[[], object]) -> None:
        results = (requests.limit(), read.limit(cost=INPUT), written.limit(cost=OUTPUT))
        if any(result.limited for result in results):
            raise AssertionError("nothing should wait")
        between()

    return call


def _throttled_async() -> Async:
    throttled = import_module("throttled.asyncio")
    quota = import_module("throttled").rate_limiter.per_min(FAR)
    requests, read, written = (throttled.Throttled(key=key, quota=quota) for key in ("r", "i", "o"))

    async def call(between: Callable[[], Awaitable[object]]) -> None:
        results = (await requests.limit(), await read.limit(cost=INPUT), await written.limit(cost=OUTPUT))
        if any(result.limited for result in results):
            raise AssertionError("nothing should wait")
        await between()

    return call


_SPENT = {"usage": {"input_tokens": READ, "output_tokens": OUTPUT}}


def _governor() -> Sync:
    governor = import_module("llm_governor").Governor(model="m", rpm=FAR, itpm=FAR, otpm=FAR)

    def call(between: Callable[[], object]) -> None:
        with governor.slot(estimated_input=INPUT, max_tokens=MOST) as slot:
            between()
            slot.observe(_SPENT)

    return call


def _governor_async() -> Async:
    governor = import_module("llm_governor").Governor(model="m", rpm=FAR, itpm=FAR, otpm=FAR)

    async def call(between: Callable[[], Awaitable[object]]) -> None:
        async with governor.aslot(estimated_input=INPUT, max_tokens=MOST) as slot:
            await between()
            slot.observe(_SPENT)

    return call


_HELD = {"requests": 1, "input_tokens": INPUT, "output_tokens": MOST}
_SPENT_UNITS = {"requests": 1, "input_tokens": READ, "output_tokens": OUTPUT}


def _quotas(throttle: Any) -> Any:
    units = [throttle.Quota(metric=unit, limit=FAR, per_seconds=60) for unit in _HELD]
    return throttle.PerModelConfig(quotas=throttle.UsageQuotas(units))


def _token_throttle() -> Sync:
    throttle = import_module("token_throttle")
    limiter = throttle.SyncRateLimiter(_quotas(throttle), backend=throttle.SyncMemoryBackendBuilder())

    def call(between: Callable[[], object]) -> None:
        held = limiter.acquire_capacity(model="m", usage=_HELD)
        between()
        limiter.refund_capacity(actual_usage=_SPENT_UNITS, reservation=held)

    return call


def _token_throttle_async() -> Async:
    throttle = import_module("token_throttle")
    limiter = throttle.RateLimiter(_quotas(throttle), backend=throttle.MemoryBackendBuilder())

    async def call(between: Callable[[], Awaitable[object]]) -> None:
        held = await limiter.acquire_capacity(model="m", usage=_HELD)
        await between()
        await limiter.refund_capacity(actual_usage=_SPENT_UNITS, reservation=held)

    return call


THREE = "three in a row, nothing given back"
PEERS = (
    Peer("nothing", "", "the loop alone", nothing, nothing_async),
    Peer("headway, meters", "", "all three at once, settled", _meters, _meters_async),
    Peer("headway, engine", "", "line, forecast, meters, settled", _engine, _engine_async),
    Peer("headway, call", "", "the same by a driver, totals, ledger entries made", _driven, _driven_async),
    Peer("aiolimiter", "aiolimiter", THREE, None, _aiolimiter),
    Peer("limits", "limits", f"fixed window; {THREE}", _limits, _limits_async),
    Peer("pyrate-limiter", "pyrate-limiter", f"token bucket; {THREE}", _pyrate, _pyrate_async),
    Peer("throttled-py", "throttled-py", f"token bucket; {THREE}", _throttled, _throttled_async),
    Peer(
        "llm-rate-governor",
        "llm-rate-governor",
        "three, one after the other; output settled",
        _governor,
        _governor_async,
    ),
    Peer(
        "token-throttle",
        "token-throttle",
        "all three at once, settled",
        _token_throttle,
        _token_throttle_async,
        slow=True,
    ),
)
