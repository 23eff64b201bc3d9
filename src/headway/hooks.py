"""Callables that are told what happens to calls: each gets one frozen dataclass of `core.events`.

A hook runs in the thread or task of whoever caused the news, outside every lock. It should be quick. What it raises is
logged (logger "headway") and harms no call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction

from headway.core.events import Admitted, BudgetLow, Event, LimitLearnt, Refused, Settled, Waiting
from headway.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Hooks:
    """One callable for each kind of news; None: nobody wants to know."""

    waiting: Callable[[Waiting], object] | None = None
    admitted: Callable[[Admitted], object] | None = None
    settled: Callable[[Settled], object] | None = None
    refused: Callable[[Refused], object] | None = None
    limit_learnt: Callable[[LimitLearnt], object] | None = None
    budget_low: Callable[[BudgetLow], object] | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if iscoroutinefunction(getattr(self, name)):
                raise ConfigError(
                    f"the hook {name} is an async function, which nobody would await",
                    hint="Give a plain function, which may put the news into a queue or start a task.",
                )

    def tell(self, news: Event) -> None:
        """Hand the news to whoever wants this kind."""
        match news:
            case Waiting():
                hook: Callable[..., object] | None = self.waiting
            case Admitted():
                hook = self.admitted
            case Settled():
                hook = self.settled
            case Refused():
                hook = self.refused
            case LimitLearnt():
                hook = self.limit_learnt
            case BudgetLow():
                hook = self.budget_low
        if hook is not None:
            hook(news)


def teller(hooks: Hooks | Sequence[Hooks]) -> Callable[[Event], None] | None:
    """One callable for all the hooks; None if there are none, so that nothing is made for nobody."""
    several = [hooks] if isinstance(hooks, Hooks) else list(hooks)
    wanted = [each for each in several if each != Hooks()]
    if not wanted:
        return None
    if len(wanted) == 1:
        return wanted[0].tell

    def tell(news: Event) -> None:
        failed: Exception | None = None
        for each in wanted:
            try:
                each.tell(news)
            except Exception as error:  # the others shall hear it all the same
                failed = failed or error
        if failed is not None:
            raise failed

    return tell
