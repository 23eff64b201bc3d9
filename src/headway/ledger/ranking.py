"""Puts the lines of a report in another order, and adds them up as time goes by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from headway.errors import InputError
from headway.ledger.report import TIMES, Line, Report, keys_of

Sort = Literal["cost", "tokens", "calls", "waiting"]
_VALUES: dict[Sort, Callable[[Line], int]] = {
    "cost": lambda line: line.cost_nanousd,
    "tokens": lambda line: line.tokens,
    "calls": lambda line: line.calls,
    "waiting": lambda line: line.queued_total_ms,
}


@dataclass(frozen=True, slots=True)
class Running:
    """What was used up to the end of a line, by what its first key names, or in all if that is a time."""

    attempts: int
    tokens: int
    cost_nanousd: int


def ranked(report: Report, sort: Sort | None, top: int | None) -> Report:
    """The lines with the most first (None: as they are), the first `top` of them. With two keys: of the first key. The total
    stays that of all."""
    lines = list(report.lines)
    if sort is not None:
        value, of_key = _VALUES[sort], Counter[str]()
        for line in lines:
            of_key[line.key] += value(line)
        is_in_time = report.by.rpartition(",")[2].strip() in TIMES and "," in report.by
        lines.sort(key=lambda line: (-of_key[line.key], line.key, 0 if is_in_time else -value(line)))
    if top is not None:
        kept = list(dict.fromkeys(line.key for line in lines))[:top]
        lines = [line for line in lines if line.key in kept]
    return replace(report, lines=tuple(lines))


def by_time(by: str) -> str:
    """`by` with a time at its end, as running sums need: tenant is tenant,day; session is session,hour."""
    keys = keys_of(by)
    if keys[-1] in TIMES:
        return by
    if len(keys) == 2:
        raise InputError(
            f"running sums by {by!r} have no time", hint="By one word and a time, like tenant,day."
        )
    return f"{by},{'hour' if by == 'session' else 'day'}"


def running(report: Report) -> tuple[Running, ...]:
    """For each line, in its order, all up to its end."""
    found, sofar = [], dict[str, Running]()
    for line in report.lines:
        whose = line.key if line.second else ""
        before = sofar.get(whose, Running(0, 0, 0))
        sofar[whose] = Running(
            before.attempts + line.attempts,
            before.tokens + line.tokens,
            before.cost_nanousd + line.cost_nanousd,
        )
        found.append(sofar[whose])
    return tuple(found)
