"""Replaying what the engine wrote down gives what it did: the same calls are let in at the same times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from headway.config import Config
from headway.core.call import Call, Class
from headway.core.engine import Engine
from headway.core.ports import Entry, OpenEntry
from headway.drivers.virtual import VirtualDriver
from headway.ledger.price import Prices
from headway.ledger.sqlite import SqliteLedger
from headway.planner.replay_limits import Limits
from headway.planner.replay_rows import Asked, Rows
from headway.planner.replay_run import Paced, Scenario
from headway.planner.replay_whatif import WhatIf
from headway.stores.memory import MemoryStore
from planner.replays import OPUS, OPUS_POOL, START_NS
from world import Provider, Rules, Work, job

RULES = Rules(
    requests=600.0,
    input_tokens=120_000.0,
    output_tokens=60_000.0,
    burst_s=5.0,
    admission="debt",
    head_at="first token",
)


class Recorded:
    """A run of `calls`, each at its time; `admitted` is when each was sent that was answered."""

    def __init__(self, work: Work, times: list[float], rules: Rules, ledger: SqliteLedger) -> None:
        engine = Engine(MemoryStore(), limits=lambda _pool: rules.limits(with_burst=True))
        self.driver = VirtualDriver(engine, Provider(rules, work), record=self._record, epoch_ns=START_NS)
        self.admitted: dict[str, float] = {}
        self._ledger = ledger
        for call, at in zip(work.calls, times, strict=True):
            self.driver.start(call, at)
        self.driver.run(iter(()))
        ledger.flush()

    def _record(self, entry: OpenEntry | Entry) -> None:
        if isinstance(entry, OpenEntry):
            self.admitted[entry.label] = (entry.at_ns - START_NS) / 1e9
            self._ledger.open(entry)
        else:
            self._ledger.close(entry)


def labelled(work: Work, seed: int) -> Work:
    """The calls as of several tenants and classes, each with its id as its job, by which it is found again."""
    draws = Random(seed)

    def labelled_one(call: Call) -> Call:
        tenant, class_ = draws.choice("xyz"), draws.choice(list(Class))
        identity = structs.replace(call.identity, pool=OPUS_POOL, model=OPUS)
        return structs.replace(
            call,
            label=call.id,
            session=f"s{call.id}",
            job="",
            tenant=tenant,
            class_=class_,
            identity=identity,
        )

    return Work(tuple(map(labelled_one, work.calls)), work.truths)


def replayed_times(path: Path, rules: Rules) -> dict[str, float]:
    """When each call was let in, by its session, in seconds of the first run."""
    rows = Rows(path, 0)
    config = Config(
        limits=",".join(f"{limit.unit.value}={limit.amount:.0f}" for limit in rules.limits(with_burst=False)),
        burst=f"{rules.burst_s}s",
    )
    known = {OPUS_POOL: Limits(config, path, 0, 2**63 - 1, 0).of(OPUS_POOL)}
    span_s = (rows.survey.ends_ns - rows.survey.begins_ns) / 1e9
    scenario = Scenario(WhatIf(), known, {OPUS: True}, rows.survey.begins_ns, span_s)
    calls: list[Asked] = list(rows)
    Paced(scenario, Prices(), lambda _share: None).run(iter(calls))
    offset = (rows.survey.begins_ns - START_NS) / 1e9
    return {asked.session.removeprefix("s"): asked.sent_at + offset for asked in calls}


_files = count()


@pytest.fixture
def a_file(tmp_path: Path) -> Callable[[], Path]:
    return lambda: tmp_path / f"{next(_files)}.sqlite3"


def off(
    kind: str, calls: int, over_s: float, tightness: float, stream: bool, seed: int, path: Path
) -> tuple[list[float], float]:
    """By how many seconds each call is let in at another time, least first; and how long the first run was."""
    rules = replace(
        RULES,
        requests=RULES.requests * tightness,
        input_tokens=RULES.input_tokens * tightness,
        output_tokens=RULES.output_tokens * tightness,
    )
    draws = Random(seed)
    work = labelled(job(kind, calls, seed=seed, stream=stream), seed)  # type: ignore[arg-type]  # one of the kinds
    times = sorted(draws.uniform(0.0, over_s) for _ in range(calls))
    with SqliteLedger(path) as ledger:
        recorded = Recorded(work, times, rules, ledger)
    again = replayed_times(path, rules)
    assert again.keys() == recorded.admitted.keys()
    return sorted(abs(again[name] - at) for name, at in recorded.admitted.items()), max(
        recorded.admitted.values()
    )


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes long, a smaller one says no more
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from(["mixed", "output", "short", "two"]),
    calls=st.integers(20, 300),
    over_s=st.floats(1.0, 60.0),
    tightness=st.floats(0.3, 3.0),
    stream=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_a_replay_of_what_was_recorded_lets_the_same_calls_in_at_about_the_same_times(
    a_file: Callable[[], Path],
    kind: str,
    calls: int,
    over_s: float,
    tightness: float,
    stream: bool,
    seed: int,
) -> None:
    seconds, span_s = off(kind, calls, over_s, tightness, stream, seed, a_file())
    assert seconds[len(seconds) // 2] <= 1.5 + 0.12 * span_s


def test_mostly_it_is_the_very_same_times(a_file: Callable[[], Path]) -> None:
    """Of thirty runs, by how much the median call and the one in ten that is most off is off, as a share of the run."""
    draws, medians, nineties = Random(7), [], []
    for _ in range(30):
        kind = draws.choice(["mixed", "output", "short", "two"])
        calls, over_s, tightness = draws.randint(50, 300), draws.uniform(5.0, 60.0), draws.uniform(0.3, 3.0)
        seconds, span_s = off(
            kind, calls, over_s, tightness, draws.random() < 0.5, draws.randrange(2**16), a_file()
        )
        medians.append(seconds[len(seconds) // 2] / span_s)
        nineties.append(seconds[int(0.9 * len(seconds))] / span_s)
    assert sorted(medians)[15] <= 0.002
    assert sorted(nineties)[15] <= 0.03
