"""How much of each budget is spent, how fast, and how long the rest lasts at that rate. Out of the ledger.

Budgets are those of the gateway's keys, and those of the settings: of each session, and of each job.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from headway.config import Config
from headway.core.call import Unit
from headway.core.cap import parse_cap
from headway.errors import LedgerError
from headway.gateway.grants import Group
from headway.gateway.keyfile import Stored
from headway.gateway.period import Always, Plan, Rolling, parse_plan, span_at
from headway.ledger.columns import HOUR_NS
from headway.ledger.file import read_file
from headway.ledger.parts import END_NS
from headway.ledger.report import prepare
from headway.ledger.spent import Spent, read_spent

_DAY_NS = 24 * HOUR_NS


@dataclass(frozen=True, slots=True)
class Whose:
    """A budget as written: whose (`tenant` None: anybody's), and where that stands."""

    tenant: str | None
    plan: Plan
    source: str


@dataclass(frozen=True, slots=True)
class Burning:
    """One budget in its present period, in whole nanodollars, tokens or requests. `last_hour`, `last_day`: spent in them.

    `clears_ns`: when it begins anew (None: never, or bit by bit).
    """

    budget: str
    source: str
    unit: str
    amount: int
    spent: int
    last_hour: int
    last_day: int
    soft: bool
    window_s: int | None
    clears_ns: int | None

    @property
    def left(self) -> int:
        """Below 0: so much over."""
        return self.amount - self.spent

    def lasts_s(self, rate_per_s: float) -> float | None:
        """Seconds until it is used up at this rate. None: never, as nothing is used, or as more comes back than goes."""
        if self.left <= 0:
            return 0.0
        if rate_per_s <= 0 or (self.window_s is not None and rate_per_s * self.window_s <= self.amount):
            return None
        return self.left / rate_per_s


def known_budgets(config: Config, keys: Sequence[Stored]) -> list[Whose]:
    """Those of keys that are not revoked, the least where they differ in nothing but amount, and those of the settings."""
    least: dict[tuple[str, Plan], Whose] = {}
    for key in keys:
        for text in key.budgets if key.revoked is None else ():
            plan = parse_plan(text)
            there = least.get((key.tenant, plan.kind))
            if there is None or plan.amount < there.plan.amount:
                least[key.tenant, plan.kind] = Whose(key.tenant, plan, f"key {key.name}")
    found = list(least.values())
    if config.session.budget is not None:
        cap = parse_cap(config.session.budget, repr(config.session.budget))
        plan = Plan(cap.unit, cap.amount, Always(), ("session",))
        found.append(Whose(None, plan, config.sources.get("session.budget", "settings")))
    if config.max_cost_usd is not None:
        plan = Plan(Unit.USD, round(config.max_cost_usd * 1e9), Always(), ("job",))
        found.append(Whose(None, plan, config.sources.get("max_cost", "settings")))
    return found


def read_burning(path: Path, budgets: Sequence[Whose], now_ns: int) -> list[Burning]:
    """Each budget, and of those for each session, job or model each one that was used; the fullest first.

    LedgerError if the ledger cannot be read. Without one, nothing was spent.
    """
    if not path.exists():
        return [each for budget in budgets for each in _burning(budget, {}, {}, {}, now_ns)]
    prepare(path)
    try:
        with closing(read_file(path)) as db:
            db.execute("BEGIN")
            books = _Books(db)
            found: list[Burning] = []
            for budget in budgets:
                plan = budget.plan
                start_ns = span_at(plan.period, now_ns).start_ns
                if isinstance(plan.period, Rolling):
                    start_ns = now_ns - plan.period.seconds * 10**9 + 1
                spent = books.since(plan.per, start_ns)
                hour, day = (books.since(plan.per, now_ns - ago) for ago in (HOUR_NS, _DAY_NS))
                found += _burning(budget, spent, hour, day, now_ns)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    return sorted(found, key=lambda each: -each.spent / each.amount if each.amount else 0.0)


_Amounts = dict[tuple[str, tuple[str, ...]], dict[Unit, int]]  # by tenant and session, job, model


class _Books:
    """What was spent since some moment, read once for all budgets that ask for it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._read: dict[tuple[tuple[str, ...], int], _Amounts] = {}

    def since(self, per: tuple[str, ...], start_ns: int) -> _Amounts:
        if (per, start_ns) not in self._read:
            found: _Amounts = defaultdict(lambda: dict.fromkeys(Unit, 0))
            for each in read_spent(self._db, per, (), (max(0, start_ns), END_NS)):
                _add(found[each.tenant, each.values[: len(per)]], each)
            self._read[per, start_ns] = dict(found)
        return self._read[per, start_ns]


def _add(amounts: dict[Unit, int], spent: Spent) -> None:
    amounts[Unit.USD] += spent.nanousd
    amounts[Unit.TOKENS] += spent.tokens
    amounts[Unit.REQUESTS] += spent.requests


def _burning(budget: Whose, spent: _Amounts, hour: _Amounts, day: _Amounts, now_ns: int) -> Iterator[Burning]:
    plan = budget.plan
    whose = [
        (tenant, values)
        for tenant, values in spent
        if tenant == budget.tenant or (budget.tenant is None and any(values))
    ]
    if not plan.per:
        whose = [(budget.tenant or "", ())]
    span = span_at(plan.period, now_ns)
    for tenant, values in whose:
        named = Group(tenant, plan).grant(values, now_ns).name
        yield Burning(
            *(named, budget.source, plan.unit.value, plan.amount),
            spent=spent.get((tenant, values), {}).get(plan.unit, 0),
            last_hour=hour.get((tenant, values), {}).get(plan.unit, 0),
            last_day=day.get((tenant, values), {}).get(plan.unit, 0),
            soft=plan.soft,
            window_s=plan.period.seconds if isinstance(plan.period, Rolling) else None,
            clears_ns=span.end_ns,
        )
