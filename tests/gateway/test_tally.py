"""The last refusals, and what each tenant took."""

from __future__ import annotations

from gateway.test_counts import call_of, settled
from headway.core.events import Admitted, Refused
from headway.gateway.counts import Counts
from headway.gateway.tally import REFUSALS_KEPT, Tally, tenants_of


def test_the_last_refusals_are_kept_and_the_latest_comes_first() -> None:
    now = iter(range(10_000))
    tally = Tally(lambda: next(now))
    for number in range(2 * REFUSALS_KEPT):
        tally.hooks().tell(Refused(call_of(tenant=f"t{number}"), "headway", "requests", 1.0, 2.0))
    kept = tally.refusals()
    assert len(kept) == REFUSALS_KEPT
    assert [kept[0].tenant, kept[-1].tenant] == [f"t{2 * REFUSALS_KEPT - 1}", f"t{REFUSALS_KEPT}"]
    assert kept[0].at_ns > kept[1].at_ns > tally.started_ns


def test_a_tenant_is_one_line_over_all_models_and_classes() -> None:
    counts = Counts()
    for model in ("claude-opus-4-8", "claude-sonnet-4-5"):
        counts.hooks().tell(Admitted(call_of(model), 1, 0.0, 1.0, 1.0))
        counts.hooks().tell(settled(call_of(model)))
    counts.hooks().tell(Refused(call_of(), "headway", "requests", 1.0, 2.0))
    [tenant] = tenants_of(counts)
    assert (tenant.tenant, tenant.calls, tenant.in_flight, tenant.refused) == ("search", 2, 0, 1)
    assert (tenant.tokens, tenant.nanousd) == (42, 2000)


def test_who_has_most_in_flight_comes_first_then_who_is_dearest() -> None:
    counts = Counts()
    for name in ("cheap", "dear", "dear"):
        counts.hooks().tell(Admitted(call_of(tenant=name), 1, 0.0, 1.0, 1.0))
        counts.hooks().tell(settled(call_of(tenant=name)))
    counts.hooks().tell(Admitted(call_of(tenant="busy"), 1, 0.0, 1.0, 1.0))
    assert [tenant.tenant for tenant in tenants_of(counts)] == ["busy", "dear", "cheap"]
