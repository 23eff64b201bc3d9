"""Replays your own traffic through the engine: what would have waited, and what if something were other.

The calls of a time range of the ledger run once as it was (with the limits known now), and once for each what-if; each of
these also without headway, by clients that send at once and retry as the SDKs do. Nothing waits: an hour takes a second.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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
class Alone:
    """The same traffic from clients without headway: `failed` calls got a 429 three times. Seconds."""

    attempts: int
    refusals: int
    failed: int
    waits: Waits


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scenario went. `waits` are of everybody, `groups` by tenant and class. Whole nanodollars.

    `sources` says for each pool where its limits are from. `bound` are other things that calls waited for, seconds.
    `ends_s` is when the last call was over. `stopped` says why it was not replayed to the end ("": it was).
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
    stopped: str
    unpaced: Alone | None


@dataclass(frozen=True, slots=True)
class Replay:
    """`begins_ns` is the arrival of the first call (ns since 1970 UTC), `span_s` from there to the end of the last.

    `gone_ns`: single attempts from before then may have been removed from the ledger (0: none were)."""

    begins_ns: int
    span_s: float
    gone_ns: int
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
    end_ns = 2**63 - 1 if until_ns is None else until_ns
    rows = Rows(ledger, since_ns, end_ns)
    runner = Runner(rows, Limits(config, ledger, since_ns, end_ns, time.time_ns()), config, tell)
    baseline, *others = (runner.run(what_if, unpaced=unpaced) for what_if in scenarios)
    survey = rows.survey
    gone_ns = survey.pruned_ns if since_ns < survey.pruned_ns else 0
    return Replay(survey.begins_ns, survey.span_s, gone_ns, baseline, tuple(others))


@dataclass(slots=True)
class Runner:
    """Runs scenarios over the same rows."""

    rows: Rows
    limits: Limits
    config: Config
    tell: Callable[[str, float], None] = lambda _what, _share: None

    def run(self, what_if: WhatIf, *, unpaced: bool) -> Outcome:
        """One scenario, with headway, and without if `unpaced`."""
        changes = self._changes(what_if)
        paced = self.paced(what_if, changes)
        return _outcome(
            what_if,
            self._known(what_if),
            self.rows.survey.span_s,
            paced,
            self.alone(what_if) if unpaced else None,
            changes,
        )

    def paced(self, what_if: WhatIf, changes: Changes | None = None) -> Ran:
        """Through the engine."""
        changed = (changes or self._changes(what_if)).of(iter(self.rows))
        with _seldom_collecting():
            return Paced(self._scenario(what_if), Prices(), partial(self.tell, what_if.text)).run(changed)

    def alone(self, what_if: WhatIf) -> Ran:
        """By clients without headway."""
        changed = self._changes(what_if).of(iter(self.rows))
        with _seldom_collecting():
            return Unpaced(
                self._scenario(what_if), partial(self.tell, f"{what_if.text}, without headway")
            ).run(changed)

    def _changes(self, what_if: WhatIf) -> Changes:
        return Changes(what_if.changes, Prices(), self.rows.survey.begins_ns)

    def _scenario(self, what_if: WhatIf) -> Scenario:
        survey, config = self.rows.survey, self.config
        return Scenario(
            what_if,
            self._known(what_if),
            _Free(),
            survey.begins_ns,
            survey.span_s,
            config.max_wait_s,
            config.concurrency,
        )

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
    what_if: WhatIf, known: dict[str, Known], span_s: float, paced: Ran, naive: Ran | None, changes: Changes
) -> Outcome:
    tally = paced.tally
    uses, others = _uses(paced, max(span_s, tally.ended_at))
    return Outcome(
        name=what_if.text,
        calls=tally.calls,
        answered=tally.calls - tally.refused_by_budget - tally.refused_to_wait - tally.failed,
        waits=tally.all(),
        groups=tally.groups(),
        bins=tally.bins(),
        limits=uses,
        bound=others,
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
        stopped=paced.stopped,
        unpaced=None if naive is None else _alone(naive),
    )


def _alone(ran: Ran) -> Alone:
    return Alone(ran.attempts, ran.refusals, ran.tally.failed, ran.tally.all())


def _uses(paced: Ran, seconds: float) -> tuple[tuple[LimitUse, ...], tuple[tuple[str, str, float], ...]]:
    """How each limit was used over so many seconds, and what else calls waited for."""
    uses, others = [], dict(paced.bound_s)
    for name, pool in paced.pools.items():
        used = pool.used(seconds)
        for limit in pool.limits:
            peak, unit = used[limit.unit], limit.unit.value
            bound_s = others.pop((name, unit), 0.0)
            uses.append(
                LimitUse(name, unit, limit.amount, limit.period_s, peak.mean, peak.fullest_minute, bound_s)
            )
    return tuple(uses), tuple((pool, what, each) for (pool, what), each in others.items() if each > 0.0)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """A replay makes a dozen objects a call that die at once, in no cycles: looking for some costs 4 % of the time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
