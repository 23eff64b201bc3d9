"""Prometheus reads what it is given; every metric is on the page, and what it says is what happened."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_text

from gateway.serving import BODY, STREAM, Serving
from gateway.test_counts import call_of, settled
from gateway.watched import Watch, watching
from headway.core.cap import parse_cap
from headway.gateway.metrics import TENANTS, Metrics
from headway.gateway.series import METRICS
from headway.runtime import Engine

PAGE = Path(__file__).resolve().parents[2] / "docs/operations.md"
JSON = {"content-type": "application/json"}
OF = 'class="standard",model="claude-opus-4-8",pool="anthropic/opus-4",tenant="default"'


@pytest.fixture
def watch(start: Callable[..., Serving]) -> Iterator[Watch]:
    yield from watching(start)


def test_every_metric_is_on_the_page_with_its_labels_and_no_other_is() -> None:
    rows = re.findall(
        r"^\| `(headway_\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text("utf-8"), flags=re.MULTILINE
    )
    listed = {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert listed == {(metric.name, metric.kind, metric.labels) for metric in METRICS}


def test_names_end_as_prometheus_wants_them() -> None:
    for metric in METRICS:
        assert metric.name.endswith("_total") is (metric.kind == "counter"), metric.name
        assert metric.name.endswith("_seconds") or metric.kind != "histogram"
        assert metric.says.endswith(".")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")],
)
def test_both_forms_can_be_read_and_have_all_metrics(watch: Watch, accept: str, kind: str) -> None:
    watched = watch()
    watched.calls.post("/v1/messages", content=BODY, headers=JSON)
    answer = watched.admin.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(kind)
    read = read_open if "open" in kind else read_text
    found = {family.name for family in read(answer.text)}
    assert {metric.name.removesuffix("_total") for metric in METRICS} <= {
        name.removesuffix("_total") for name in found
    }
    assert {name for name in found if not name.startswith(("headway_", "process_"))} == set()


def test_calls_tokens_money_and_times_are_those_of_the_calls(watch: Watch) -> None:
    watched = watch()
    for body in (BODY, STREAM):
        assert watched.calls.post("/v1/messages", content=body, headers=JSON).status_code == 200
    shown = watched.metrics()
    [total] = watched.serving.engine.usage()
    assert shown[f"headway_calls_total{{{OF}}}"] == 2
    assert shown[f"headway_cost_usd_total{{{OF}}}"] == pytest.approx(total.nanousd / 1e9)
    tokens = {
        kind: shown[
            f'headway_tokens_total{{class="standard",kind="{kind}",model="claude-opus-4-8",pool="anthropic/opus-4",tenant="default"}}'
        ]
        for kind in ("input", "output")
    }
    assert tokens == {"input": total.input_tokens, "output": total.output_tokens}
    assert shown['headway_wait_seconds_count{class="standard",pool="anthropic/opus-4"}'] == 2
    of_replies = 'model="claude-opus-4-8",pool="anthropic/opus-4"'
    assert shown[f"headway_duration_seconds_count{{{of_replies}}}"] == 2
    assert shown[f"headway_first_token_seconds_count{{{of_replies}}}"] == 1
    assert shown['headway_in_flight_calls{pool="anthropic/opus-4"}'] == 0
    assert shown["headway_ledger_problem"] == 0


def test_limits_and_refusals_are_shown(watch: Watch) -> None:
    watched = watch(limits="requests=1/min", burst="60s")
    for expected in (200, 429):
        answer = watched.calls.post("/v1/messages", content=BODY, headers={**JSON, "headway-max-wait": "1s"})
        assert answer.status_code == expected
    shown = watched.metrics()
    names = 'limit="requests",pool="anthropic/opus-4"'
    assert shown[f"headway_limit{{{names}}}"] == 1
    assert shown[f"headway_limit_capacity{{{names}}}"] == 1
    assert 0 <= shown[f"headway_limit_level{{{names}}}"] < 0.5
    refusals = 'by="headway",class="standard",limit="requests",pool="anthropic/opus-4"'
    assert shown[f"headway_refusals_total{{{refusals}}}"] == 1


def test_requests_are_counted_by_whether_they_were_served(watch: Watch) -> None:
    watched = watch(is_open=False)
    for _ in range(3):
        assert watched.calls.post("/v1/messages", content=BODY, headers=JSON).status_code == 401
    shown = watched.metrics()
    assert shown['headway_requests_total{answer="refused"}'] == 3
    assert shown['headway_requests_total{answer="served"}'] == 0


def test_models_that_nobody_knows_are_one_series(watch: Watch) -> None:
    watched = watch()
    for number in range(5):
        body = json.dumps({**json.loads(BODY), "model": f"made-up-{number}"})
        watched.calls.post("/v1/messages", content=body, headers=JSON)
    page = watched.admin.get("/metrics").text
    assert "made-up" not in page
    assert 'headway_in_flight_calls{pool="other"}' in page


def test_tenants_beyond_the_first_are_one_series_and_nothing_is_lost() -> None:
    metrics = Metrics()
    for number in range(2 * TENANTS):
        call = call_of(tenant=f"tenant {number}")
        metrics.hooks().tell(settled(call))
    with Engine(base_url="http://127.0.0.1:1", api_key="any", ledger="none") as engine:
        page = metrics.page(engine, 0)[0].decode()
    found = dict(re.findall(r'headway_cost_usd_total\{.*tenant="([^"]*)"\} (\S+)', page))
    assert len(found) == TENANTS + 1
    assert float(found["other"]) == pytest.approx(TENANTS * 1000e-9)


def test_a_budget_of_a_session_has_no_series_and_one_of_a_tenant_goes_on_from_day_to_day() -> None:
    with Engine(base_url="http://127.0.0.1:1", api_key="any", ledger="none") as engine:
        for name in (
            "tenant a, day 2026-11-23",
            "tenant a, day 2026-11-24",
            "tenant a, month 2026-11",
            "session x",
        ):
            cap = parse_cap(f"{len(engine.core.books.caps.budgets) + 1}usd", name)
            engine.core.books.caps.meet(cap)
        page, _ = Metrics().page(engine, 0)
    caps = dict(re.findall(r'headway_budget_cap\{budget="([^"]*)",unit="usd"\} (\S+)', page.decode()))
    assert caps == {"tenant a, day": "2.0", "tenant a, month": "3.0"}
