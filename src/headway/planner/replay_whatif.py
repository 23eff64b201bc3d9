"""Reads what-ifs as people write them: `tier=build`, `budget tenant=x 20usd/day and load=2x`.

A what-if is one change or several with `and` between them. A change is a verb, then whose calls it is about (`tenant=`,
`job=`, `class=`, `session=`, `model=`, with `*` for anything; nothing: all), then to what:

    tier=TIER              the published limits of another tier
    limits=LIMITS          other limits: input_tokens=1M/min,requests=50/min; pool=POOL for one pool only
    burst=BURST            what full buckets hold: 5s, or requests=10
    load=2x                so many times the calls, spread like those there are
    model=OLD:NEW          calls of one model go to another: its pool, its price
    budget 20usd/day       a budget, written as for a key of the gateway
    weight 3               another share of a tenant beside others of its class
    class bulk             another class
    max_wait=30s           no call waits longer, it is refused instead
    concurrency=20         at most so many calls in flight
    drop                   as if these calls had not been
    batch                  these calls go to the Message Batches API: off the limits, at its price
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NoReturn

from headway.core.call import Class
from headway.core.limit import Limit, parse_duration, parse_limits, with_burst
from headway.errors import ConfigError, InputError
from headway.gateway.period import Plan, parse_plan
from headway.planner.replay_rows import Asked
from headway.providers.catalog import Catalog

_WHOSE = ("tenant", "job", "class", "session", "model")
_VERBS = (
    "tier", "limits", "burst", "load", "model", "budget", "weight", "class", "max_wait", "concurrency", "drop", "batch",
)  # fmt: skip
_EXAMPLES = {
    "tier": "tier=build",
    "limits": "limits=input_tokens=1M/min",
    "burst": "burst=5s",
    "load": "load=2x",
    "model": "model=claude-opus-4-5:claude-sonnet-5-5",
    "budget": "budget tenant=x 20usd/day",
    "weight": "weight tenant=x 3",
    "class": "class tenant=x bulk",
    "max_wait": "max_wait=30s",
    "concurrency": "concurrency=20",
    "drop": "drop job=nightly",
    "batch": "batch job=nightly",
}
_TIMES = re.compile(r"(\d+(?:\.\d+)?)x?", re.IGNORECASE)
_MOST_LOAD, _MOST_WEIGHT = 100.0, 1_000.0


@dataclass(frozen=True, slots=True)
class Whose:
    """Which calls: by field, a pattern with * and ?. Nothing: all."""

    patterns: tuple[tuple[str, str], ...] = ()

    def are(self, asked: Asked) -> bool:
        """Whether this call is one of them."""
        for name, pattern in self.patterns:
            value = asked.class_.value if name == "class" else getattr(asked, name)
            if value != pattern and not fnmatchcase(value, pattern):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Budgeted:
    """These calls have a budget, one for each tenant."""

    whose: Whose
    plan: Plan


@dataclass(frozen=True, slots=True)
class Moved:
    """These calls go to another model."""

    whose: Whose
    model: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """These calls have another class, or weight."""

    whose: Whose
    class_: Class | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """These calls are dropped, or go to the Message Batches API."""

    whose: Whose
    to_batch: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """So many times these calls."""

    whose: Whose
    times: float


Change = Budgeted | Moved | Ranked | Taken | Loaded


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What is other than it was. `limits` are for all pools (""), or for one. Seconds."""

    text: str = "as it was"
    tier: str | None = None
    limits: tuple[tuple[str, tuple[Limit, ...]], ...] = ()
    burst: str | None = None
    max_wait_s: float | None = None
    concurrency: int | None = None
    changes: tuple[Change, ...] = ()


@dataclass(slots=True)
class _Draft:
    text: str
    tier: str | None = None
    limits: list[tuple[str, tuple[Limit, ...]]] = field(default_factory=list)
    burst: str | None = None
    max_wait_s: float | None = None
    concurrency: int | None = None
    changes: list[Change] = field(default_factory=list)


def parse_what_if(text: str) -> WhatIf:
    """Read one what-if. InputError that says which word, and what would do."""
    draft = _Draft(" ".join(text.split()))
    for part in re.split(r"\s+and\s+", draft.text):
        try:
            words = shlex.split(part)
        except ValueError:
            words = part.split()
        if not words:
            _wrong(text, "there is nothing to change", f"Write for example {_EXAMPLES['tier']}.")
        try:
            _read(draft, text, words)
        except InputError as error:
            if str(error).startswith("what if"):
                raise
            raise InputError(f"what if {text!r}: {error}", hint=error.hint) from None
        except ConfigError as error:
            raise InputError(f"what if {text!r}: {error}", hint=error.hint) from None
    return WhatIf(
        draft.text, draft.tier, tuple(draft.limits), draft.burst, draft.max_wait_s, draft.concurrency, tuple(draft.changes)
    )  # fmt: skip


def _read(draft: _Draft, text: str, words: list[str]) -> None:
    verb, equals, first = words[0].partition("=")
    verb = verb.replace("-", "_").lower()
    if verb not in _VERBS:
        near = get_close_matches(verb, _VERBS, n=1)
        hint = (
            f"Did you mean {near[0]}, as in {_EXAMPLES[near[0]]}?" if near else f"Known: {', '.join(_VERBS)}."
        )
        _wrong(text, f"nothing is called {verb!r}", hint)
    rest = ([first] if equals else []) + words[1:]
    whose, pool, to = _sort(text, verb, rest)
    if verb in ("drop", "batch"):
        if to or not whose.patterns:
            _wrong(text, f"{verb} which calls?", f"Write for example {_EXAMPLES[verb]}.")
        draft.changes.append(Taken(whose, verb == "batch"))
        return
    if not to:
        _wrong(text, f"{verb}: to what?", f"Write for example {_EXAMPLES[verb]}.")
    if verb in ("tier", "burst", "max_wait", "concurrency", "limits"):
        if whose.patterns:
            _wrong(text, f"{verb} is for all calls, not for some", f"Write for example {_EXAMPLES[verb]}.")
        _set(draft, text, verb, pool, to)
    else:
        draft.changes.append(_change(text, verb, whose, to))


def _sort(text: str, verb: str, words: list[str]) -> tuple[Whose, str, str]:
    """Whose calls, of which pool, and the words that are left."""
    patterns: list[tuple[str, str]] = []
    pool, left = "", []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in _WHOSE:
            if not value and name not in ("job", "session"):
                _wrong(text, f"{name}= what?", f"Write for example {_EXAMPLES[verb]}.")
            patterns.append((name, value))
        elif equals and name == "pool" and verb == "limits":
            pool = value
        elif (
            equals
            and verb in ("budget", "weight", "class", "drop", "batch", "load", "model")
            and name != "tz"
        ):
            near = get_close_matches(name, _WHOSE, n=1)
            _wrong(
                text,
                f"calls have no {name!r}",
                f"Did you mean {near[0]}?" if near else f"Known: {', '.join(_WHOSE)}.",
            )
        else:
            left.append(word)
    return Whose(tuple(patterns)), pool, " ".join(left)


def _set(draft: _Draft, text: str, verb: str, pool: str, to: str) -> None:
    match verb:
        case "tier":
            Catalog.load().tier("", to)
            draft.tier = to
        case "burst":
            with_burst((), to)
            draft.burst = to
        case "max_wait":
            draft.max_wait_s = parse_duration(to, of="max_wait")
        case "limits":
            draft.limits.append((pool, parse_limits(to)))
        case _:
            if not to.isdecimal() or int(to) < 1:
                _wrong(text, f"{to!r} is no number of calls", "Write for example concurrency=20.")
            draft.concurrency = int(to)


def _change(text: str, verb: str, whose: Whose, to: str) -> Change:
    match verb:
        case "budget":
            return Budgeted(whose, parse_plan(to))
        case "class":
            if to not in {class_.value for class_ in Class}:
                _wrong(text, f"there is no class {to!r}", f"One of {', '.join(Class)}.")
            return Ranked(whose, class_=Class(to))
        case "weight":
            return Ranked(whose, weight=_number(text, verb, to, _MOST_WEIGHT))
        case "load":
            return Loaded(whose, _number(text, verb, to, _MOST_LOAD))
        case _:
            return _moved(text, whose, to)


def _moved(text: str, whose: Whose, to: str) -> Moved:
    old, colon, new = to.rpartition(":")
    if Catalog.load().model(new) is None:
        near = Catalog.load().nearest_model(new)
        _wrong(
            text, f"no model {new!r} is known", f"Did you mean {near}?" if near else "Write model=OLD:NEW."
        )
    if colon and old:
        whose = Whose((*whose.patterns, ("model", old)))
    return Moved(whose, new)


def _number(text: str, verb: str, to: str, most: float) -> float:
    found = _TIMES.fullmatch(to)
    number = float(found[1]) if found else 0.0
    if not 0.0 < number <= most:
        _wrong(
            text,
            f"{to!r} is no {verb}",
            f"Write a number above 0, at most {most:,.0f}, such as {_EXAMPLES[verb]}.",
        )
    return number


def _wrong(text: str, what: str, hint: str) -> NoReturn:
    raise InputError(f"what if {text!r}: {what}", hint=hint)
