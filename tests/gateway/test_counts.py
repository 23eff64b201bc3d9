"""What is counted, under which names, and that names from outside cannot make more than so many series."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.core.call import Call, Class, Estimate, Fault, Identity, Problem, Usage
from headway.core.events import Admitted, Refused, Settled
from headway.core.pool import WARMING
from headway.gateway.counts import DAY_NS, OTHER, Counts, Spread, kind_of
from headway.gateway.keys import Key
from headway.gateway.lanes import bound_of
from headway.providers.catalog import Catalog

OPUS = "claude-opus-4-8"


def call_of(model: str = OPUS, tenant: str = "search", *, known: bool = True, **more: Any) -> Call:
    identity = Identity("anthropic/opus-4" if known else f"anthropic/{model}", model, known)
    return Call("c-1", "/v1/messages", b"", identity, Estimate(10.0, 20), tenant=tenant, **more)


def settled(call: Call, **more: Any) -> Settled:
    usage = Usage(
        input_tokens=10,
        cache_read_tokens=3,
        cache_write_5m_tokens=2,
        cache_write_1h_tokens=1,
        output_tokens=5,
    )
    news = Settled(call, 1, "ok", 200, None, usage, False, 1000, 0.0, 0.2, 1.0, 0)
    return replace(news, **more)


def tell(counts: Counts, *news: Admitted | Settled | Refused) -> None:
    for each in news:
        counts.hooks().tell(each)


def test_a_call_that_is_tried_again_is_one_call_and_two_attempts() -> None:
    counts, call = Counts(), call_of()
    problem = Problem(Fault.OVERLOADED, "overloaded_error", "")
    tell(
        counts,
        Admitted(call, 1, 0.5, 10, 20),
        settled(call, outcome="overloaded", status=529, problem=problem, usage=Usage(), cost_nanousd=0),
        Admitted(call, 2, 0.25, 10, 20),
        settled(call, attempt=2),
    )
    [row] = counts.rows.values()
    assert (row.calls, row.retries, dict(row.attempts)) == (1, 1, {"overloaded": 1, "ok": 1})
    assert (row.nanousd, row.unpriced, row.waits.total) == (1000, 0, 0.75)


def test_tokens_are_in_disjoint_kinds_and_parts_count() -> None:
    counts = Counts()
    part = Usage(input_tokens=100, output_tokens=50)
    tell(
        counts,
        settled(call_of(), usage=Usage(input_tokens=10, cache_read_tokens=3, output_tokens=5, parts=(part,))),
    )
    [row] = counts.rows.values()
    kinds = (row.input, row.cache_read, row.cache_write_5m, row.cache_write_1h, row.output)
    assert kinds == (110, 3, 0, 0, 55)


def test_an_attempt_without_a_price_is_counted_as_such() -> None:
    counts = Counts()
    tell(counts, settled(call_of(), cost_nanousd=None))
    [row] = counts.rows.values()
    assert (row.nanousd, row.unpriced) == (0, 1)


@given(
    st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20), st.sampled_from(list(Class))), max_size=60)
)
@example([("CLAUDE.SONNET.3", "", Class.BULK), ("sonnet", "", Class.BULK)])
def test_names_from_outside_make_a_bounded_number_of_series(said: list[tuple[str, str, Class]]) -> None:
    counts = Counts(tenants=3)
    for model, tenant, class_ in said:
        tell(counts, settled(call_of(model, tenant, known=False, class_=class_)))
    assert len({names.tenant for names in counts.rows}) <= 4
    assert {names.model for names in counts.rows} <= {
        OTHER,
        "",
        *(facts.id for facts in Catalog.load().models),
    }
    assert {names.pool for names in counts.rows} <= {OTHER}
    assert sum(row.attempts["ok"] for row in counts.rows.values()) == len(said)


def test_spellings_of_one_model_are_one_series() -> None:
    counts = Counts()
    for spelling in (OPUS, f"{OPUS}-20260101", f"{OPUS}-20260202", f"anthropic.{OPUS}"):
        tell(counts, settled(call_of(spelling)))
    assert [names.model for names in counts.rows] == [OPUS]


@pytest.mark.parametrize(
    ("news", "limit"),
    [
        (Refused(call_of(), "provider", "input_tokens", None, 3.0), "input_tokens"),
        (Refused(call_of(), "provider", "acceleration_limit", None, 3.0), OTHER),
        (Refused(call_of(), "headway", "30,000 input tokens/min", 5.0, 3.0), "input_tokens"),
        (Refused(call_of(), "headway", "session requests", 5.0, None), "budget"),
        (Refused(call_of(), "headway", "the provider's capacity", 0.0, 3.0), "capacity"),
        (Refused(call_of(), "headway", WARMING, 0.0, float("inf")), "warming"),
        (Refused(call_of(), "headway", "a place among 20 calls in flight", 0.0, float("inf")), "in_flight"),
    ],
)
def test_a_refusal_is_counted_by_what_said_no(news: Refused, limit: str) -> None:
    counts = Counts()
    tell(counts, news)
    assert counts.refusals == {("anthropic/opus-4", "standard", news.by, limit): 1}


def test_the_bound_of_a_key_is_about_calls_in_flight_whatever_the_key_is_called() -> None:
    assert kind_of(bound_of(Key("requests", "t", Class.STANDARD, most_in_flight=2))) == "in_flight"


@given(st.text(max_size=60))
def test_whatever_a_limit_is_called_it_is_one_of_few_words(name: str) -> None:
    words = {"requests", "input_tokens", "output_tokens", "tokens", "in_flight", "usd", "budget", "capacity"}
    assert kind_of(name) in words | {"learning", "warming", "turn", OTHER}


@given(st.lists(st.floats(0, 1e5), max_size=50), st.lists(st.floats(0, 1e5), max_size=50))
def test_two_spreads_are_together_what_one_of_all_would_be(some: list[float], more: list[float]) -> None:
    edges = (0.1, 1.0, 60.0)
    left, right, whole = Spread(edges), Spread(edges), Spread(edges)
    for value in some:
        left.add(value)
        whole.add(value)
    for value in more:
        right.add(value)
        whole.add(value)
    left.merge(right)
    assert left.counts == whole.counts
    assert left.total == pytest.approx(whole.total)
    assert left.counts[0] == sum(value <= 0.1 for value in (*some, *more))


def test_what_is_in_flight_is_what_was_admitted_and_is_not_over() -> None:
    counts, call = Counts(), call_of()
    tell(counts, Admitted(call, 1, 0.0, 10, 20), Admitted(call, 1, 0.0, 10, 20))
    [row] = counts.rows.values()
    assert row.in_flight == 2
    tell(counts, settled(call, outcome="failed"), Admitted(call, 2, 0.0, 10, 20), settled(call))
    assert row.in_flight == 1


def test_what_is_spent_today_begins_anew_each_day() -> None:
    counts, call = Counts(), call_of()
    for day in (10, 10, 11, 10):  # the last one began before midnight, and ended after
        tell(counts, settled(call, at_ns=day * DAY_NS + 5))
    assert (counts.spent_on(10), counts.spent_on(11), counts.spent_on(12)) == (0, 1000, 0)
