"""Rules of a call in flight: when its length is guessed anew, what it teaches, and what limits are charged with."""

from __future__ import annotations

import pytest

from headway.core.call import Estimate, Unit, Usage
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.running import used_by
from headway.core.steps import Reply
from headway.stores.memory import MemoryStore
from world import POOL, a_call

PLENTY = (Limit(Unit.REQUESTS, 6e9, burst=6e9),)
TOOK = Usage(100, cache_read_tokens=1000, cache_write_5m_tokens=20, cache_write_1h_tokens=30, output_tokens=5)


def ran(engine: Engine, estimate: Estimate, usage: Usage, *, estimated: bool = False) -> None:
    engine.pool(POOL, -1000.0)
    engine.join(a_call(estimate=estimate), 1, 1000.0)
    ((_, ticket),) = engine.pump(POOL, 1000.0, 0).admitted
    engine.settle(ticket, Reply(200, {}, usage=usage), usage, estimated, 1001.0)


def taught(estimate: Estimate, usage: Usage, *, estimated: bool = False) -> tuple[float, int]:
    """The ratio and the number of lengths that one call has taught."""
    engine = Engine(MemoryStore(), limits=lambda _pool: PLENTY)
    ran(engine, estimate, usage, estimated=estimated)
    like = a_call(estimate=estimate)
    return engine.forecast.ratio(like).value, engine.forecast.lengths(like).taught


def test_a_call_that_ended_well_teaches_both_input_and_output() -> None:
    ratio, lengths = taught(Estimate(100.0, 1000), Usage(400, output_tokens=50))
    assert ratio > 1.5
    assert lengths == 1


@pytest.mark.parametrize(
    "estimate",
    [Estimate(0.0, 0), Estimate(0.0, 1000), Estimate(100.0, 0)],
    ids=["neither", "input", "output"],
)
def test_a_call_that_was_not_estimated_teaches_nothing(estimate: Estimate) -> None:
    """Token counts and batches: their usage is empty, and would make all replies look short."""
    assert taught(estimate, Usage()) == (1.0, 0)


def test_a_call_that_broke_off_teaches_nothing() -> None:
    assert taught(Estimate(100.0, 1000), Usage(400, output_tokens=50), estimated=True) == (1.0, 0)


@pytest.mark.parametrize(("is_free", "charged"), [(True, 150), (False, 1150)])
def test_what_is_read_from_the_cache_is_charged_only_where_it_is_not_free(
    is_free: bool, charged: int
) -> None:
    used = used_by(TOOK, cache_is_free=is_free, requests=1.0)
    assert used == {
        Unit.REQUESTS: 1.0,
        Unit.INPUT_TOKENS: charged,
        Unit.OUTPUT_TOKENS: 5,
        Unit.TOKENS: charged + 5,
    }
