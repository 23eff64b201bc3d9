"""Whose each budget of a tenant is, in which period, and what it is called."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import count

from headway.core.call import Cap
from headway.gateway.period import Plan, span_at

_PLAIN = re.compile(r"[\w.@:/+-][\w.@:/+ -]*")
_NEVER_NS = 2**63 - 1
_numbers = count()


@dataclass(frozen=True, slots=True)
class Grant(Cap):
    """A cap, and all that is needed to read what was spent of it before."""

    group: Group
    values: tuple[str, ...]
    start_ns: int
    end_ns: int | None


class Group:
    """One plan of one tenant: a budget for all its calls, or one for each session, job or model of it. `is_dropped`: it
    stands on no key any more. `is_known`: what was spent of it before has been read. `number` is that of no other."""

    __slots__ = ("is_dropped", "is_known", "number", "open", "plan", "tenant", "which")

    def __init__(self, tenant: str, plan: Plan, which: str = "") -> None:
        self.tenant = tenant
        self.plan = plan
        self.which = which or " (soft)" * plan.soft
        self.number = next(_numbers)
        self.is_dropped = self.is_known = False
        self.open: dict[tuple[str, ...], Open] = {}

    def values(self, session: str, job: str, model: str) -> tuple[str, ...]:
        """Which of its budgets a call draws on."""
        per = self.plan.per
        if not per:
            return ()
        if len(per) == 1:
            return (session if per[0] == "session" else job if per[0] == "job" else model,)
        named = {"session": session, "job": job, "model": model}
        return tuple([named[each] for each in per])

    def change(self, plan: Plan) -> None:
        """Another amount, of what is otherwise the same."""
        self.plan = plan
        for there in self.open.values():
            there.grant = replace(there.grant, amount=plan.amount)

    def grant(self, values: tuple[str, ...], at_ns: int) -> Grant:
        """The cap of the period that this moment is in."""
        plan, span = self.plan, span_at(self.plan.period, at_ns)
        whose = (("tenant", self.tenant), *zip(plan.per, values, strict=True))
        words = [f"{name} {_shown(value)}" for name, value in whose]
        name = ", ".join([*words, span.name]) + self.which
        return Grant(name, plan.unit, plan.amount, self, values, span.start_ns, span.end_ns)


class Open:
    """A budget in its present period. `is_fresh`: used since it was last looked at."""

    __slots__ = ("end_ns", "grant", "group", "is_fresh", "start_ns", "values")

    def __init__(self, group: Group, values: tuple[str, ...], at_ns: int) -> None:
        self.group = group
        self.values = values
        self.grant = group.grant(values, at_ns)
        self.start_ns = self.grant.start_ns
        self.end_ns = _NEVER_NS if self.grant.end_ns is None else self.grant.end_ns
        self.is_fresh = True


def _shown(value: str) -> str:
    """So that no name can be taken for two names, nor for none."""
    return value if _PLAIN.fullmatch(value) else repr(value) if value else "(none)"
