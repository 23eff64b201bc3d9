"""The rules, in the order of the documentation, and how each is explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from headway.errors import InputError
from headway.insights.prefix import UncachedPrefix
from headway.insights.walk import Rule

RULES: dict[str, Callable[[], Rule]] = {
    "uncached-prefix": UncachedPrefix,
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
