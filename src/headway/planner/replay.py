"""Replays your own traffic through the engine: what would have waited, and what if something were other.

The calls of a time range of the ledger run once as it was (with the limits known now), and once for each what-if; each of
these also without headway, by clients that send at once and retry as the SDKs do. Nothing waits: an hour takes a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headway.config import Config
from headway.ledger.price import Prices
from headway.planner.replay_change import Changes
from headway.planner.replay_limits import Known, Limits
from headway.planner.replay_rows import Rows
from headway.planner.replay_run import Paced, Ran, Scenario, Unpaced
from headway.planner.replay_tally import Bin, Waits
from headway.planner.replay_whatif import Moved, WhatIf, parse_what_if
from headway.providers.catalog import Catalog


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit in one run. `mean` and `fullest_minute` are shares of what it allows; `bound_s` is for how long it held back
    the next call of its pool."""

    pool: str
    unit: str
    amount: float
    period_s: float
    mean: float
    fullest_minute: float
    bound_s: float


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The same traffic from clients without headway: `failed` calls got a 429 three times. Seconds."""

    attempts: int
    refusals: int
    failed: int
    waits: Waits


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scenario went. `waits` are of everybody, `groups` by tenant and class. Whole nanodollars.

    `sources` says for each pool where its limits are from. `bound` are other things that calls waited for, seconds.
    `ends_s` is when the last call was over.
    """

    name: str
    calls: int
    answered: int
    waits: Waits
    groups: tuple[Waits, ...]
    bins: tuple[Bin, ...]
    limits: tuple[LimitUse, ...]
    bound: tuple[tuple[str, str, float], ...]
    sources: tuple[tuple[str, str], ...]
    refusals: int
    attempts: int
    refused_by_budget: int
    refused_to_wait: int
    failed: int
    nanousd: int
    unpriced: int
    refused_nanousd: int
    batched: int
    dropped: int
    off_limits: int
    ends_s: float
    unpaced: Unpacked | None


@dataclass(frozen=True, slots=True)
class Replay:
    """`begins_ns` is the arrival of the first call (ns since 1970 UTC), `span_s` from there to the end of the last."""

    begins_ns: int
    span_s: float
    baseline: Outcome
    what_ifs: tuple[Outcome, ...]


def replay(
    ledger: Path,
    since_ns: int,
    what_ifs: Sequence[str] = (),
    *,
    config: Config,
    until_ns: int | None = None,
    unpaced: bool = True,
    tell: Callable[[str, float], None] = lambda _what, _share: None,
) -> Replay:
    """Run them all. `tell` is told what runs and how far it is (0 to 1), some hundred times.

    InputError for what-ifs that cannot be read and ranges without calls, ConfigError for settings, LedgerError.
    """
    scenarios = [WhatIf(), *map(parse_what_if, what_ifs)]
    rows = Rows(ledger, since_ns) if until_ns is None else Rows(ledger, since_ns, until_ns)
    limits = Limits(config, ledger, since_ns, until_ns or 2**63 - 1)
    runner = _Runner(rows, limits, config, tell, unpaced)
    outcomes = [runner.run(what_if) for what_if in scenarios]
    survey = rows.survey
    span_s = (survey.ends_ns - survey.begins_ns) / 1e9
    return Replay(survey.begins_ns, span_s, outcomes[0], tuple(outcomes[1:]))


@dataclass(slots=True)
class _Runner:
    rows: Rows
    limits: Limits
    config: Config
    tell: Callable[[str, float], None]
    unpaced: bool

    def run(self, what_if: WhatIf) -> Outcome:
        survey = self.rows.survey
        known = self._known(what_if)
        span_s = (survey.ends_ns - survey.begins_ns) / 1e9
        free = _Free()
        scenario = Scenario(
            what_if, known, free, survey.begins_ns, span_s, self.config.max_wait_s, self.config.concurrency
        )
        prices = Prices()
        changes = Changes(what_if.changes, prices, survey.begins_ns)
        paced = Paced(scenario, prices, lambda share: self.tell(what_if.text, share)).run(
            changes.of(iter(self.rows))
        )
        naive = None
        if self.unpaced:
            again = Changes(what_if.changes, prices, survey.begins_ns)
            naive = Unpaced(scenario, lambda share: self.tell(f"{what_if.text}, without headway", share)).run(
                again.of(iter(self.rows))
            )
        return _outcome(what_if, known, span_s, paced, naive, changes)

    def _known(self, what_if: WhatIf) -> dict[str, Known]:
        names = [name for name in self.rows.survey.calls if name]
        catalog = Catalog.load()
        names += [
            facts.pool
            for change in what_if.changes
            if isinstance(change, Moved) and (facts := catalog.model(change.model)) is not None
        ]
        return {
            name: self.limits.of(
                name,
                tier=what_if.tier,
                burst=what_if.burst,
                more=[limit for pool, given in what_if.limits if pool in ("", name) for limit in given],
            )
            for name in dict.fromkeys(names)
        }


class _Free(dict[str, bool]):
    """Whether reads from the cache of a model stay out of the input limit, looked up once."""

    def __missing__(self, model: str) -> bool:
        found = self[model] = Catalog.load().prefix_cache_free(model)
        return found


def _outcome(
    what_if: WhatIf,
    known: dict[str, Known],
    span_s: float,
    paced: Ran,
    naive: Ran | None,
    changes: Changes,
) -> Outcome:
    tally = paced.tally
    seconds = max(span_s, tally.ended_at)
    uses, others = [], dict(paced.bound_s)
    for name, pool in paced.pools.items():
        used = pool.used(seconds)
        for limit in pool.limits:
            peak = used[limit.unit]
            bound_s = others.pop((name, limit.unit.value), 0.0)
            uses.append(
                LimitUse(
                    name,
                    limit.unit.value,
                    limit.amount,
                    limit.period_s,
                    peak.mean,
                    peak.fullest_minute,
                    bound_s,
                )
            )
    answered = tally.calls - tally.refused_by_budget - tally.refused_to_wait - tally.failed
    return Outcome(
        name=what_if.text,
        calls=tally.calls,
        answered=answered,
        waits=tally.all(),
        groups=tally.groups(),
        bins=tally.bins(),
        limits=tuple(uses),
        bound=tuple((pool, what, each) for (pool, what), each in others.items() if each > 0.0),
        sources=tuple((name, each.source) for name, each in known.items()),
        refusals=paced.refusals,
        attempts=paced.attempts,
        refused_by_budget=tally.refused_by_budget,
        refused_to_wait=tally.refused_to_wait,
        failed=tally.failed,
        nanousd=tally.nanousd,
        unpriced=tally.unpriced,
        refused_nanousd=tally.refused_nanousd,
        batched=changes.batched,
        dropped=changes.dropped,
        off_limits=paced.off_limits,
        ends_s=tally.ended_at,
        unpaced=None
        if naive is None
        else Unpacked(naive.attempts, naive.refusals, naive.tally.failed, naive.tally.all()),
    )
