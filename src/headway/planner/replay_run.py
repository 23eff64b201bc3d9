"""Replays one scenario through the engine, or without it: as a client would do that sends at once and retries as SDKs do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from headway.core.budget import Budget
from headway.core.call import Call, Cap, Estimate, Identity, Unit, Usage
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.rolling import RollingBudget
from headway.core.steps import Outcome
from headway.drivers.virtual import Agenda, VirtualDriver
from headway.errors import BudgetExceeded
from headway.gateway.grants import Grant, Group
from headway.gateway.period import Rolling
from headway.ledger.price import Prices
from headway.planner.replay_limits import Known, as_kept
from headway.planner.replay_rows import Asked
from headway.planner.replay_source import Overwhelmed, Source
from headway.planner.replay_tally import Tally
from headway.planner.replay_whatif import Budgeted, WhatIf
from headway.planner.replay_world import Pool, Provider, Replayed
from headway.stores.memory import MemoryStore

SDK_RETRIES = 2  # of the anthropic and openai SDKs, which wait what `retry-after` says
_PATH = "/v1/messages"
_EVERY = 2_000  # calls, between two looks at progress
_NONE = (
    Limit(Unit.REQUESTS, 6e10, burst=6e10),
)  # where no limit is known, so that the engine does not look for one


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is replayed: what is other, the limits of each pool, which models read their caches for free, wall time at 0."""

    what_if: WhatIf
    known: Mapping[str, Known]
    free: Mapping[str, bool]
    begins_ns: int
    span_s: float
    max_wait_s: float | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """How it went. `bound_s` is for how long each limit held back the next call of a pool, seconds. `stopped` says why it did
    not get to the end ("": it did)."""

    tally: Tally
    pools: Mapping[str, Pool]
    attempts: int
    refusals: int
    bound_s: Mapping[tuple[str, str], float]
    off_limits: int
    stopped: str


class Paced:
    """Replays through the engine."""

    def __init__(self, scenario: Scenario, prices: Prices, tell: Callable[[float], None]) -> None:
        self._scenario, self._prices, self._tell = scenario, prices, tell
        self._pools = pools_of(scenario)
        self._world = Provider(self._pools, scenario.free)
        what_if = scenario.what_if
        engine = Engine(
            MemoryStore(),
            limits=lambda pool: scenario.known[pool].limits or _NONE,
            lessons=lambda pool: scenario.known[pool].lessons,
            most_in_flight=what_if.concurrency or scenario.concurrency,
            cost=_cost_of if _budgets(what_if) else None,
            expect=self._expect,
            cache_is_free=scenario.free.__getitem__,
        )
        engine.books.caps.recall = _recall
        self._engine = engine
        self._driver = VirtualDriver(engine, self._world, ended=self._ended, epoch_ns=scenario.begins_ns)
        self._tally = Tally(scenario.span_s)
        self._budgets = Budgets(what_if) if _budgets(what_if) else None
        self._max_wait_s = what_if.max_wait_s or scenario.max_wait_s
        self._serial = count(1)
        self._identities: dict[tuple[str, str], Identity] = {}
        self._off_limits = 0
        self._source: Source

    def run(self, rows: Iterator[Asked]) -> Ran:
        """Replay `rows` to the end."""
        self._source = Source(self._driver, rows, self._begin)
        stopped = _play(self._driver, self._source)
        bound = {
            (name, what): seconds
            for name, pool in self._engine.pools.items()
            for what, seconds in pool.bound_s.items()
        }
        world = self._world
        return Ran(self._tally, self._pools, world.attempts, world.refusals, bound, self._off_limits, stopped)

    def _begin(self, asked: Asked) -> None:
        number = next(self._serial)
        if number % _EVERY == 0:
            self._tell(self._driver.now / max(self._scenario.span_s, 1e-9))
        if not asked.pool:
            self._off_limits += 1
            asked.sent_at = self._driver.now
            self._driver.at(self._driver.now + asked.total_s, self._over, asked)
            return
        self._driver.begin(self._call(asked, number))

    def _call(self, asked: Asked, number: int) -> Replayed:
        identity = self._identities.get((asked.pool, asked.model))
        if identity is None:
            identity = self._identities[asked.pool, asked.model] = Identity(asked.pool, asked.model)
        caps: tuple[Cap, ...] = ()
        if self._budgets is not None:
            at_ns = self._scenario.begins_ns + round(self._driver.now * 1e9)
            caps = self._budgets.of(asked, at_ns)
        estimated = float(asked.estimated_input)
        if (
            asked.read and self._scenario.free[asked.model]
        ):  # the engine knows what it has seen written to a cache
            total = asked.input + asked.read + asked.written_5m + asked.written_1h
            estimated = max(estimated * (1.0 - asked.read / total), 1.0)
        return Replayed(
            str(number),
            _PATH,
            b"",
            identity,
            Estimate(estimated, asked.most_output),
            asked.tenant,
            asked.class_,
            asked.session,
            asked.job,
            "",
            asked.weight,
            None,
            self._max_wait_s,
            asked.stream,
            caps,
            asked=asked,
        )

    def _expect(self, call: Call, input_tokens: float, output_tokens: float) -> int | None:
        assert isinstance(call, Replayed)
        whole = round(input_tokens) + call.asked.read * self._scenario.free[call.asked.model]
        at_ns = self._scenario.begins_ns + round(self._driver.now * 1e9)
        return self._prices.estimate(call.identity.model, whole, round(output_tokens), at_ns)

    def _over(self, asked: Asked) -> None:
        self._tally.answered(asked, 0.0, self._driver.now)
        self._source.ended(asked)

    def _ended(self, outcome: Outcome) -> None:
        call, now = outcome.call, self._driver.now
        assert isinstance(call, Replayed)
        asked = call.asked
        if asked.sent_at >= 0.0:
            self._pools[asked.pool].over(asked)
        if outcome.error is not None:
            self._tally.refused(asked, by_budget=isinstance(outcome.error, BudgetExceeded))
        elif outcome.problem is not None and asked.sent_at < 0.0:
            self._tally.gave_up(asked, now - asked.arrived_at, now)
        else:
            self._tally.answered(asked, asked.sent_at - asked.arrived_at, now)
        self._source.ended(asked)


class Unpaced:
    """Replays without headway: every call is sent when it comes; a 429 is tried again twice, after what it says."""

    def __init__(self, scenario: Scenario, tell: Callable[[float], None]) -> None:
        self._scenario, self._tell = scenario, tell
        self._pools = pools_of(scenario)
        self._world = Provider(self._pools, scenario.free)
        self._agenda = Agenda()
        self._tally = Tally(scenario.span_s)
        self._off_limits = 0
        self._begun = 0
        self._source: Source

    def run(self, rows: Iterator[Asked]) -> Ran:
        """Replay `rows` to the end."""
        self._source = Source(self._agenda, rows, self._begin)
        stopped = _play(self._agenda, self._source)
        world = self._world
        return Ran(self._tally, self._pools, world.attempts, world.refusals, {}, self._off_limits, stopped)

    def _begin(self, asked: Asked) -> None:
        self._begun += 1
        if self._begun % _EVERY == 0:
            self._tell(self._agenda.now / max(self._scenario.span_s, 1e-9))
        if not asked.pool:
            self._off_limits += 1
            asked.sent_at = self._agenda.now
            self._agenda.at(self._agenda.now + asked.total_s, self._over, asked)
        else:
            self._send(asked, 0)

    def _send(self, asked: Asked, retries: int) -> None:
        now, world = self._agenda.now, self._world
        world.attempts += 1
        refused = world.admit(asked, self._pools[asked.pool], now)
        if refused is None:
            self._agenda.at(now + asked.total_s, self._over, asked)
        elif retries < SDK_RETRIES:
            self._agenda.at(now + refused[1], self._send, asked, retries + 1)
        else:
            self._tally.gave_up(asked, now - asked.arrived_at, now)
            self._source.ended(asked)

    def _over(self, asked: Asked) -> None:
        self._tally.answered(asked, asked.sent_at - asked.arrived_at, self._agenda.now)
        self._source.ended(asked)


class Budgets:
    """Names the caps of calls, as the gateway does."""

    def __init__(self, what_if: WhatIf) -> None:
        self._plans = _budgets(what_if)
        self._groups: dict[tuple[int, str], Group] = {}
        self._grants: dict[tuple[int, str, tuple[str, ...]], Grant] = {}

    def of(self, asked: Asked, at_ns: int) -> tuple[Cap, ...]:
        """What a call draws on at this wall time."""
        return tuple(
            self._grant(number, budgeted, asked, at_ns)
            for number, budgeted in enumerate(self._plans)
            if budgeted.whose.are(asked)
        )

    def _grant(self, number: int, budgeted: Budgeted, asked: Asked, at_ns: int) -> Grant:
        group = self._groups.get((number, asked.tenant))
        if group is None:
            group = self._groups[number, asked.tenant] = Group(asked.tenant, budgeted.plan, f" #{number + 1}")
        key = (number, asked.tenant, group.values(asked.session, asked.job, asked.model))
        grant = self._grants.get(key)
        if grant is None or not (grant.start_ns <= at_ns and (grant.end_ns is None or at_ns < grant.end_ns)):
            grant = self._grants[key] = group.grant(key[2], at_ns)
        return grant


def _play(agenda: Agenda, source: Source) -> str:
    """To the end, or why not."""
    try:
        source.start()
        agenda.play()
    except Overwhelmed as error:
        return str(error)
    return ""


def pools_of(scenario: Scenario) -> dict[str, Pool]:
    """The provider's side of the limits, full at the start."""
    return {name: Pool(as_kept(known.limits, known.lessons), 0.0) for name, known in scenario.known.items()}


def _budgets(what_if: WhatIf) -> tuple[Budgeted, ...]:
    return tuple(change for change in what_if.changes if isinstance(change, Budgeted))


def _recall(cap: Cap) -> Budget:
    if isinstance(cap, Grant) and isinstance(period := cap.group.plan.period, Rolling):
        window_ns = period.seconds * 10**9
        return RollingBudget(
            cap.amount, window_ns, (), name=cap.name, unit=cap.unit, soft=cap.group.plan.soft
        )
    soft = isinstance(cap, Grant) and cap.group.plan.soft
    return Budget(cap.amount, name=cap.name, unit=cap.unit, soft=soft)


def _cost_of(usage: Usage, _at_ns: int) -> int | None:
    return getattr(usage, "nanousd", None)
