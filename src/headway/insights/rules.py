"""The rules by name, in the order of the documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from headway.errors import InputError
from headway.insights.batch import BatchWork, PriceStep
from headway.insights.broken import BrokenPrefix
from headway.insights.ceilings import CutReplies, ReservedOutput
from headway.insights.failures import AlwaysFailing, PaidFailures
from headway.insights.history import GrowingHistory
from headway.insights.lifetime import CacheLifetime
from headway.insights.model import ModelChoice
from headway.insights.prefix import UncachedPrefix
from headway.insights.repeats import RepeatedRequests
from headway.insights.unread import UnreadCache
from headway.insights.waits import BindingLimit, IdleQuota
from headway.insights.walk import Rule

RULES: dict[str, Callable[[], Rule]] = {
    "uncached-prefix": UncachedPrefix,
    "broken-prefix": BrokenPrefix,
    "unread-cache": UnreadCache,
    "cache-lifetime": CacheLifetime,
    "growing-history": GrowingHistory,
    "batch": BatchWork,
    "price-step": PriceStep,
    "model-choice": ModelChoice,
    "repeated-requests": RepeatedRequests,
    "cut-replies": CutReplies,
    "paid-failures": PaidFailures,
    "always-failing": AlwaysFailing,
    "binding-limit": BindingLimit,
    "idle-quota": IdleQuota,
    "reserved-output": ReservedOutput,
}


def choose(only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Rule]:
    """Fresh rules: all, or `only` these, without those to `skip`. InputError for a name that no rule has."""
    for name in (*only, *skip):
        known_rule(name)
    return [make() for name, make in RULES.items() if (not only or name in only) and name not in skip]


def known_rule(name: str) -> str:
    """The name, if a rule has it. InputError with the nearest one otherwise."""
    if name in RULES:
        return name
    near = get_close_matches(name, RULES, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise InputError(f"there is no rule {name!r}", hint=f"{hint}The rules are: {', '.join(RULES)}.")
