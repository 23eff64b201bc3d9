"""A finding: what is wrong, how we know, what it costs, what to change. Never a word of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Certainty = Literal["sure", "likely", "question"]
Nature = Literal["prefix", "repeat", "discount", "wait"]


@dataclass(frozen=True, slots=True)
class Example:
    """An attempt to look at in the ledger. `at_ns` is nanoseconds since 1970 UTC."""

    attempt_id: str
    at_ns: int
    tenant: str
    session: str
    job: str
    label: str


@dataclass(frozen=True, slots=True)
class Quota:
    """What of a limit would come free: `a_minute` of `unit`, on average over the minutes in which `pool` is used.

    `share` is that as a part of what the pool's calls count against the limit now.
    """

    pool: str
    unit: str
    a_minute: float
    share: float


@dataclass(frozen=True, slots=True)
class Saving:
    """Money in this window, whole nanodollars: `nanousd` if this finding alone is acted on, `counted_nanousd` beside those
    ranked above it. `error_nanousd` is two standard errors of `nanousd`, for its projection to other days."""

    nanousd: int = 0
    error_nanousd: int = 0
    counted_nanousd: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule says of its own accord. `claims` is the money by slice of the traffic (numbers of `Group`s), nanodollars.

    `sample` is how many calls it rests on, `least` how many it must have. `ids` are rows of the ledger, as examples.
    `quota` is (pool, unit, amount over the whole window, of how much: 0 for all that the pool counts).
    """

    rule: str
    title: str
    where: Mapping[str, str]
    certainty: Certainty
    nature: Nature
    sample: int
    least: int
    evidence: tuple[str, ...]
    numbers: Mapping[str, int | float | str]
    change: str
    snippet: str = ""
    claims: Mapping[int, int] = field(default_factory=dict)
    spread: float = 0.0
    quota: tuple[tuple[str, str, float, float], ...] = ()
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding as it is shown, with its rank among the others."""

    rank: int
    found: Found
    saving: Saving
    quota: tuple[Quota, ...]
    examples: tuple[Example, ...]
    overlaps: tuple[int, ...]
