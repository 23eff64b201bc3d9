"""The budgets of a call at the gateway, as caps that the engine keeps: held before it is sent, settled after.

What was spent before this process began is read from the ledger when a budget is first met. A budget whose period is over
is forgotten; one that nobody has used for long, where there are many, is put aside.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, replace
from functools import partial

from headway.core.budget import Budget
from headway.core.call import Cap, Unit
from headway.core.rolling import RollingBudget
from headway.gateway.grants import Grant, Group, Open
from headway.gateway.keys import Key
from headway.gateway.past import Past
from headway.gateway.period import Always, Period, Plan, Rolling, parse_plan
from headway.ledger.sqlite import SqliteLedger
from headway.runtime import Engine

KEPT = 10_000  # budgets in memory, beside those in use; names of sessions come from outside
_LOOKED_AT = 4  # old budgets, for each new one
_log = logging.getLogger("headway")


@dataclass(frozen=True, slots=True)
class Level:
    """How much of a budget is used, in the units of `Cap`. `clears_ns` is wall time; None: never, or when calls end."""

    name: str
    unit: str
    used: int
    held: int
    cap: int
    soft: bool
    clears_ns: int | None


class Budgets:
    """Names the caps of calls, and tells the engine what was spent of them before. For the one event loop of a gateway.

    What other processes spend meanwhile is not seen: one quota, one gateway. Where two budgets differ in nothing but
    their amounts, the smaller one holds.
    """

    def __init__(self, engine: Engine, *, kept: int = KEPT) -> None:
        self._engine = engine
        ledger = engine.ledger.path if isinstance(engine.ledger, SqliteLedger) else None
        self._past = Past(ledger, engine.prices)
        self._is_without_ledger = ledger is None
        self._kept = kept
        self._tenants: dict[str, tuple[tuple[str, ...], list[Group]]] = {}
        self._asked: dict[tuple[str, Unit], Group] = {}
        self._all: deque[Open] = deque()
        self._at_ns = 0
        engine.core.books.caps.recall = self._recall

    def caps(self, key: Key, session: str, model: str, job: str, at_ns: int) -> tuple[Cap, ...]:
        """What a call of this key draws on at this time (wall, ns since 1970 UTC)."""
        self._at_ns = at_ns
        found = []
        for group in self._groups(key):
            values = group.values(session, job, model)
            there = group.open.get(values)
            if there is None or not there.start_ns <= at_ns < there.end_ns:
                there = self._open(group, values, at_ns)
            there.is_fresh = True
            found.append(there.grant)
        return tuple(found)

    def asked(self, key: Key, session: str, cap: Cap) -> Cap:
        """The budget that a caller sets on a session itself (`headway-budget`), as one of its tenant.

        So no other tenant can spend or change it, and it takes no memory for good. It is for as long as the gateway runs.
        """
        group = self._asked.get((key.tenant, cap.unit))
        if group is None:
            plan = Plan(cap.unit, cap.amount, Always(), ("session",))
            group = self._asked[key.tenant, cap.unit] = Group(key.tenant, plan, " (asked for)")
            group.is_known = True
        there = group.open.get((session,))
        if there is None:
            there = self._open(group, (session,), 0)
        if there.grant.amount != cap.amount:
            there.grant = replace(there.grant, amount=cap.amount)
        there.is_fresh = True
        return there.grant

    def warm(self, keys: tuple[Key, ...], at_ns: int) -> None:
        """Read what was spent before any call comes: all at once, for it takes long in a large ledger. Raises LedgerError."""
        self._at_ns = at_ns
        alike: dict[tuple[Period, tuple[str, ...]], list[Group]] = {}
        for group in {group.number: group for key in keys for group in self._groups(key)}.values():
            if not group.is_known:
                alike.setdefault((group.plan.period, group.plan.per), []).append(group)
        for groups in alike.values():
            self._look_back(groups)
        meet = self._engine.core.books.caps.meet
        for key in keys:
            for cap in self.caps(key, "", "", "", at_ns):
                if isinstance(cap, Grant) and not cap.values:
                    self._engine.turnstile.look(partial(meet, cap))

    def clears_ns(self, cap: Cap, at_ns: int) -> int | None:
        """When a cap that is used up has room again, wall time. None: never, or as soon as calls in flight end."""
        budget = self._engine.core.books.caps.budgets.get((cap.name, cap.unit))
        if isinstance(budget, RollingBudget):
            clears = self._engine.turnstile.look(budget.clears_ns)
            return None if clears is None else max(clears, at_ns)
        return cap.end_ns if isinstance(cap, Grant) else None

    def levels(self, at_ns: int) -> tuple[Level, ...]:
        """All budgets that are in use at this time, by name."""
        return self._engine.turnstile.look(lambda: self._levels(at_ns))

    def close(self) -> None:
        """Forget what was put aside."""
        self._past.close()

    def _levels(self, at_ns: int) -> tuple[Level, ...]:
        budgets, found = self._engine.core.books.caps.budgets, {}
        for there in self._all:
            cap = there.grant
            budget = budgets.get((cap.name, cap.unit))
            if there.group.is_dropped or budget is None or not there.start_ns <= at_ns < there.end_ns:
                continue
            budget.look(at_ns)
            clears = budget.clears_ns() if isinstance(budget, RollingBudget) else cap.end_ns
            found[cap.name, cap.unit.value] = Level(
                cap.name, cap.unit.value, budget.spent, budget.held, budget.cap, budget.soft, clears
            )
        return tuple(level for _, level in sorted(found.items()))

    def _open(self, group: Group, values: tuple[str, ...], at_ns: int) -> Open:
        there = group.open[values] = Open(group, values, at_ns)
        self._all.append(there)
        return there

    def _groups(self, key: Key) -> list[Group]:
        known = self._tenants.get(key.tenant)
        return known[1] if known is not None and known[0] == key.budgets else self._plan(key)

    def _plan(self, key: Key) -> list[Group]:
        """The budgets of a tenant are new, or others than they were. Those that stay go on as they are."""
        least: dict[Plan, Plan] = {}
        for plan in map(parse_plan, key.budgets):
            kind = plan.kind
            if kind not in least or plan.amount < least[kind].amount:
                least[kind] = plan
        before = {group.plan.kind: group for group in self._tenants.get(key.tenant, ((), []))[1]}
        groups = []
        for kind, plan in least.items():
            group = before.pop(kind, None) or Group(key.tenant, plan)
            group.change(plan)
            groups.append(group)
        for group in before.values():
            self._drop(group)
        if groups and self._is_without_ledger:
            self._is_without_ledger = False
            _log.warning("budgets without a ledger: a restart forgets what was spent")
        self._tenants[key.tenant] = (key.budgets, groups)
        return groups

    def _drop(self, group: Group) -> None:
        """It stands on no key any more. If it comes back, what is spent meanwhile is read from the ledger."""
        group.is_dropped = True
        forget = self._engine.core.books.caps.forget
        self._engine.turnstile.look(lambda: [forget(there.grant) for there in group.open.values()])

    def _look_back(self, groups: list[Group]) -> None:
        self._past.look_back(groups, self._at_ns)
        for group in groups:
            group.is_known = True

    def _recall(self, cap: Cap) -> Budget:
        """A budget at first sight, or after it was put aside. Called under the lock of the engine."""
        if not isinstance(cap, Grant):
            return Budget(cap.amount, name=cap.name, unit=cap.unit)
        self._tidy()
        plan = cap.group.plan
        if not cap.group.is_known:
            self._look_back([cap.group])
        pieces, was_kept = self._past.recall(cap)
        budget: Budget
        if isinstance(plan.period, Rolling):
            window_ns = plan.period.seconds * 10**9
            budget = RollingBudget(
                cap.amount, window_ns, pieces, name=cap.name, unit=cap.unit, soft=plan.soft
            )
        else:
            spent = sum(amount for _, amount in pieces)
            budget = Budget(cap.amount, spent, name=cap.name, unit=cap.unit, soft=plan.soft)
        if was_kept:
            budget.passed()  # has been told
        return budget

    def _tidy(self) -> None:
        """Look at some of the oldest: forget what is over, and put aside what was not used since the last look."""
        caps = self._engine.core.books.caps
        for _ in range(min(_LOOKED_AT, len(self._all))):
            there = self._all.popleft()
            budget = caps.budgets.get((there.grant.name, there.grant.unit))
            if not self._may_go(there) or not caps.forget(there.grant):
                there.is_fresh = False
                self._all.append(there)
                continue
            if there.group.open.get(there.values) is there:
                del there.group.open[there.values]
            if there.end_ns <= self._at_ns:
                self._past.forget(there.group, there.end_ns)
            elif budget is not None and not there.group.is_dropped:
                self._past.keep(there.grant, _pieces(budget))

    def _may_go(self, there: Open) -> bool:
        is_over = there.group.is_dropped or there.end_ns <= self._at_ns
        return is_over or not (there.is_fresh or len(self._all) < self._kept)


def _pieces(budget: Budget) -> list[tuple[int, int]]:
    if isinstance(budget, RollingBudget):
        return budget.pieces
    return [(0, budget.spent)] if budget.spent else []
