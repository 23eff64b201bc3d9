"""Spans and metrics of real calls, as the OpenTelemetry SDK exports them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import headway
from headway import otel
from headway.core.call import Call, Estimate, Identity, Usage
from headway.core.events import Admitted, Settled
from headway.testing.emulated import Emulator
from transport.flavours import FLAVOURS, Flavour, done, everything, hello, opened
from transport.provider import RESET, Provider
from transport.replies import MODEL, as_the_api, error, http, message

PLACE = {"server.address": "api.example.com", "server.port": 443}


class Telemetry:
    """What would be exported."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self._reader])

    def hooks(self, **more: Any) -> headway.Hooks:
        return otel.hooks(
            tracer_provider=self.tracers,
            meter_provider=self.meters,
            **{"base_url": "https://api.example.com"} | more,
        )

    def spans(self) -> list[ReadableSpan]:
        """Ours, in the order in which they ended."""
        return [
            span for span in self._spans.get_finished_spans() if span.instrumentation_scope.name == "headway"
        ]  # type: ignore[union-attr] # a finished span has one

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        scopes = [scope for each in data.resource_metrics for scope in each.scope_metrics] if data else []
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in metrics for point in metric.data.data_points]

    def all_attributes_of_metrics(self) -> list[dict[str, Any]]:
        data = self._reader.get_metrics_data()
        assert data is not None
        return [
            dict(point.attributes)
            for each in data.resource_metrics
            for scope in each.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


@pytest.fixture(params=FLAVOURS, ids=lambda flavour: flavour.name)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    chosen: Flavour = request.param
    return chosen


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider(as_the_api)
    yield running
    running.close()


def engine_for(hooks: headway.Hooks, **settings: Any) -> headway.Engine:
    return headway.Engine(hooks=hooks, **{"api_key": "any", "ledger": "none", "retries": 1} | settings)


def ask(flavour: Flavour, url: str, engine: headway.Engine, **more: Any) -> Any:
    async def scene() -> Any:
        async with opened(flavour.sdk(url, engine, max_retries=0)) as client:
            try:
                reply = await done(client.messages.create(**hello(), **more))
                return await everything(reply) if more.get("stream") else reply
            except Exception as error:
                return error

    return flavour.run(scene)


def test_a_call_is_a_span_under_the_names_of_the_convention(
    flavour: Flavour, provider: Provider, telemetry: Telemetry
) -> None:
    with engine_for(telemetry.hooks()) as engine, headway.session("nightly", tenant="team"):
        ask(flavour, provider.url, engine)
    (span,) = telemetry.spans()
    assert (span.name, span.kind, span.status.status_code) == (
        f"chat {MODEL}",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    attributes = dict(span.attributes or {})
    assert attributes.pop("headway.call.id")
    assert attributes.pop("headway.queue.duration") >= 0.0
    assert attributes == PLACE | {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.response.model": MODEL,
        "gen_ai.conversation.id": "nightly",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "http.response.status_code": 200,
        "headway.attempt": 1,
        "headway.class": "standard",
        "headway.tenant": "team",
        "headway.outcome": "ok",
        "headway.cost": 0.000235,
        "headway.estimated": False,
    }
    assert span.start_time is not None
    assert span.end_time is not None
    assert 0 < span.end_time - span.start_time < 20 * 10**9


def test_a_stream_says_when_it_began_to_speak(
    flavour: Flavour, provider: Provider, telemetry: Telemetry
) -> None:
    with engine_for(telemetry.hooks()) as engine:
        ask(flavour, provider.url, engine, stream=True)
        ask(flavour, provider.url, engine)
    streamed, whole = (dict(span.attributes or {}) for span in telemetry.spans())
    assert streamed["gen_ai.request.stream"] is True
    assert 0.0 < streamed["gen_ai.response.time_to_first_chunk"] < 20.0
    assert not {"gen_ai.request.stream", "gen_ai.response.time_to_first_chunk"} & whole.keys()
    (first,) = telemetry.points("gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 1


@pytest.mark.parametrize("flavour", FLAVOURS[:2], ids=lambda flavour: flavour.name)
def test_the_parent_is_the_span_in_which_the_call_was_made_also_of_a_stream_that_ends_elsewhere(
    flavour: Flavour, provider: Provider, telemetry: Telemetry
) -> None:
    tracer = telemetry.tracers.get_tracer("a program")
    ids = {}

    async def scene() -> None:
        async with opened(flavour.sdk(provider.url, engine, open_telemetry=False)) as client:
            with tracer.start_as_current_span("asking") as asking:
                stream = await done(client.messages.create(**hello(), stream=True))
            with tracer.start_as_current_span("reading") as reading:
                await everything(stream)
        ids.update(asking=asking.get_span_context().span_id, reading=reading.get_span_context().span_id)

    with engine_for(telemetry.hooks()) as engine:
        flavour.run(scene)
    (span,) = telemetry.spans()
    assert span.parent is not None
    assert span.parent.span_id == ids["asking"]
    assert not trace.get_current_span().get_span_context().is_valid


def test_under_the_sdk_s_own_span_each_attempt_is_a_child_of_it(
    flavour: Flavour, provider: Provider, telemetry: Telemetry
) -> None:
    provider.answer = lambda request: (
        [error("overloaded_error", 529)] if request.number == 0 else as_the_api(request)
    )

    async def scene() -> None:
        options = {"tracer_provider": telemetry.tracers}
        async with opened(flavour.sdk(provider.url, engine, open_telemetry=options)) as client:
            await done(client.messages.create(**hello()))

    with engine_for(telemetry.hooks()) as engine:
        flavour.run(scene)
    (theirs,) = [
        span for span in telemetry._spans.get_finished_spans() if span.name == "anthropic.messages.create"
    ]
    ours = telemetry.spans()
    assert [(span.attributes or {})["headway.attempt"] for span in ours] == [1, 2]
    assert all(span.parent and span.parent.span_id == theirs.context.span_id for span in ours)


def test_an_attempt_that_fails_is_an_error_of_its_type_and_no_message_of_it_is_told(
    flavour: Flavour, provider: Provider, telemetry: Telemetry
) -> None:
    provider.answer = lambda request: (
        [error("overloaded_error", 529, "a private text")] if request.number == 0 else as_the_api(request)
    )
    with engine_for(telemetry.hooks()) as engine:
        ask(flavour, provider.url, engine)
    failed, ok = telemetry.spans()
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "overloaded_error")
    attributes = dict(failed.attributes or {})
    assert attributes["error.type"] == "overloaded_error"
    assert (attributes["headway.outcome"], attributes["http.response.status_code"]) == ("overloaded", 529)
    assert "gen_ai.usage.input_tokens" not in attributes
    assert "private" not in failed.to_json()
    assert "error.type" not in (ok.attributes or {})
    errors = {
        point.attributes.get("error.type") for point in telemetry.points("gen_ai.client.operation.duration")
    }
    assert errors == {None, "overloaded_error"}


def test_a_broken_connection_has_no_status(provider: Provider, telemetry: Telemetry) -> None:
    provider.answer = lambda request: [RESET] if request.number == 0 else as_the_api(request)
    with engine_for(telemetry.hooks()) as engine:
        ask(FLAVOURS[0], provider.url, engine)
    attributes = dict(telemetry.spans()[0].attributes or {})
    assert attributes["error.type"] == "connection_error"
    assert "http.response.status_code" not in attributes


def test_metrics_are_histograms_with_the_buckets_of_the_convention(
    provider: Provider, telemetry: Telemetry
) -> None:
    with engine_for(telemetry.hooks()) as engine:
        for _ in range(2):
            ask(FLAVOURS[0], provider.url, engine)
    model = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": MODEL,
    }
    answered = model | PLACE | {"gen_ai.response.model": MODEL}
    tokens = {
        point.attributes["gen_ai.token.type"]: point
        for point in telemetry.points("gen_ai.client.token.usage")
    }
    assert {kind: (point.sum, point.count) for kind, point in tokens.items()} == {
        "input": (24, 2),
        "output": (14, 2),
    }
    assert tokens["input"].explicit_bounds == (
        *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536),
        *(262144, 1048576, 4194304, 16777216, 67108864),
    )
    assert tokens["input"].attributes == answered | {"gen_ai.token.type": "input"}
    (duration,) = telemetry.points("gen_ai.client.operation.duration")
    assert duration.explicit_bounds == (
        *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
        *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    )
    assert duration.attributes == answered | {"headway.outcome": "ok"}
    (queued,) = telemetry.points("headway.queue.duration")
    assert (queued.count, queued.attributes) == (2, model)
    (cost,) = telemetry.points("headway.cost")
    assert (cost.value, cost.attributes) == (pytest.approx(0.00047), answered)


def test_all_input_counts_cached_and_of_iterations(telemetry: Telemetry) -> None:
    part = Usage(input_tokens=1000, output_tokens=300)
    usage = Usage(1, 20, 300, 4000, 50, 5, parts=(part,), model=MODEL)
    tell(telemetry.hooks(), usage=usage)
    attributes = dict(telemetry.spans()[0].attributes or {})
    assert attributes["gen_ai.usage.input_tokens"] == 5321
    assert attributes["gen_ai.usage.output_tokens"] == 350
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 20
    assert attributes["gen_ai.usage.cache_write.input_tokens"] == 4300
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 5
    sums = {p.attributes["gen_ai.token.type"]: p.sum for p in telemetry.points("gen_ai.client.token.usage")}
    assert sums == {"input": 5321, "output": 350}


def test_a_guess_is_marked_in_its_span_counted_in_cost_and_not_in_tokens(telemetry: Telemetry) -> None:
    tell(
        telemetry.hooks(),
        usage=Usage(10, output_tokens=5),
        outcome="cancelled",
        estimated=True,
        cost_nanousd=7,
    )
    (span,) = telemetry.spans()
    assert (span.attributes or {})["headway.estimated"] is True
    assert span.status.status_code is StatusCode.UNSET
    assert not telemetry.points("gen_ai.client.token.usage")
    assert telemetry.points("headway.cost")[0].value == pytest.approx(7e-9)
    assert (
        telemetry.points("gen_ai.client.operation.duration")[0].attributes["headway.outcome"] == "cancelled"
    )


def test_a_price_that_is_not_known_adds_nothing_to_the_cost(telemetry: Telemetry) -> None:
    tell(telemetry.hooks(), usage=Usage(10, output_tokens=5))
    assert "headway.cost" not in (telemetry.spans()[0].attributes or {})
    assert not telemetry.points("headway.cost")


def test_refusals_count_by_whom_and_for_what_kind_of_limit(provider: Provider, telemetry: Telemetry) -> None:
    text = "This request would exceed your rate limit of 80,000 output tokens per minute"
    refusal = error("rate_limit_error", 429, text, retry_after="0")
    provider.answer = lambda request: [refusal] if request.number == 0 else [http(message())]
    sync = FLAVOURS[0]
    with engine_for(telemetry.hooks()) as engine, headway.session("of one person", budget="1 requests"):
        ask(sync, provider.url, engine)
        assert isinstance(ask(sync, provider.url, engine), headway.BudgetExceeded)
    with engine_for(telemetry.hooks(), limits="input_tokens=60/min", burst="1s") as engine:
        ask(sync, provider.url, engine)
        with headway.session("impatient", max_wait="1s"):
            assert isinstance(ask(sync, provider.url, engine), headway.WouldWaitTooLong)
    told = {
        (point.attributes["headway.by"], point.attributes["headway.limit"]): point.value
        for point in telemetry.points("headway.refusals")
    }
    assert told == {
        ("provider", "output_tokens"): 1,
        ("headway", "budget"): 1,
        ("headway", "input_tokens"): 1,
    }


def test_no_prompt_and_no_key_is_anywhere_and_no_name_of_a_person_in_metrics(
    provider: Provider, telemetry: Telemetry
) -> None:
    with (
        engine_for(telemetry.hooks(), base_url=provider.url, api_key="sk-ant-secret") as engine,
        headway.session("of-one-person", tenant="person-7", budget="1 requests", tags={"who": "person-7"}),
    ):
        headway.send("a private question", model=MODEL, system="a private order", engine=engine)
        with pytest.raises(headway.BudgetExceeded):
            headway.send("a private question", model=MODEL, engine=engine)
    spans = "".join(span.to_json() for span in telemetry.spans())
    metrics = repr(telemetry.all_attributes_of_metrics())
    for secret in ("private", "secret", "Hello there"):
        assert secret not in spans + metrics
    assert "person" not in metrics


def test_however_many_models_are_named_metrics_know_a_few(telemetry: Telemetry) -> None:
    hooks = telemetry.hooks(spans=False)
    for number in range(1000):
        tell(hooks, usage=Usage(1, output_tokens=1), model=f"model-{number}")
    models = {
        point.attributes["gen_ai.request.model"]
        for point in telemetry.points("gen_ai.client.operation.duration")
    }
    assert len(models) == 201
    assert "_OTHER" in models


def test_attempts_that_never_settle_do_not_fill_the_memory(telemetry: Telemetry) -> None:
    hooks = telemetry.hooks()
    assert hooks.admitted is not None
    for number in range(10_001):
        hooks.admitted(Admitted(call(f"c-{number}"), 1, 0.0, 1.0, 1.0))
    with telemetry.tracers.get_tracer("a program").start_as_current_span("other") as other:
        tell(hooks, id="c-0")
    (span,) = telemetry.spans()  # forgotten, so it falls back to what is current
    assert span.parent is not None
    assert span.parent.span_id == other.get_span_context().span_id


def test_metrics_alone_leave_spans_to_the_sdk(provider: Provider, telemetry: Telemetry) -> None:
    with engine_for(telemetry.hooks(spans=False)) as engine:
        ask(FLAVOURS[0], provider.url, engine)
    assert not telemetry.spans()
    assert telemetry.points("gen_ai.client.token.usage")


def test_counting_tokens_is_an_operation_of_its_own(provider: Provider, telemetry: Telemetry) -> None:
    async def scene() -> None:
        async with opened(FLAVOURS[0].sdk(provider.url, engine)) as client:
            client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "Hi"}])

    provider.answer = lambda _: [http({"input_tokens": 8})]
    with engine_for(telemetry.hooks()) as engine:
        FLAVOURS[0].run(scene)
    assert [span.name for span in telemetry.spans()] == [f"count_tokens {MODEL}"]
    assert not telemetry.points("gen_ai.client.token.usage")


@pytest.mark.headway_profile("any/unlimited?ttft=1ms&speed=100000&overloaded=0.1&seed=3")
def test_what_is_told_adds_up_to_what_the_emulated_api_counts(
    flavour: Flavour, headway_emulator: Emulator, telemetry: Telemetry
) -> None:
    async def scene() -> None:
        async with opened(flavour.sdk(headway_emulator.url, engine)) as client:
            for number in range(6):
                stream = number % 2 == 0
                reply = await done(client.messages.create(**hello(f"Say {number}."), stream=stream))
                if stream:
                    await everything(reply)

    with engine_for(telemetry.hooks(), retries=20) as engine:
        flavour.run(scene)
    stats = headway_emulator.stats()
    sums = {p.attributes["gen_ai.token.type"]: p.sum for p in telemetry.points("gen_ai.client.token.usage")}
    tokens = stats["tokens"]
    assert sums == {"input": tokens["input_tokens"], "output": tokens["output_tokens"]}
    assert len(telemetry.spans()) == stats["requests"] > 6
    assert telemetry.points("headway.cost")[0].value == pytest.approx(stats["spent_usd"])


def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "import sys\nsys.modules['opentelemetry'] = None\nimport headway\n"
        "try:\n    headway.otel.hooks()\n"
        "except headway.HeadwayError as error:\n    print(type(error).__name__, error, error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ConfigError OpenTelemetry is not installed pip install 'headway[otel]'\n"


def test_global_providers_are_used_unless_others_are_given() -> None:
    program = (
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor\n"
        "import headway, sys\n"
        "engine = headway.Engine(base_url=sys.argv[1], api_key='any', ledger='none', hooks=headway.otel.hooks())\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))\n"
        "trace.set_tracer_provider(provider)\n"  # after the hooks were made, as programs do
        "headway.send('Hello', model='claude-opus-4-8', engine=engine)\n"
    )
    running = Provider(as_the_api)
    command = [sys.executable, "-c", program, running.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    running.close()
    assert '"name": "chat claude-opus-4-8"' in done.stdout, done.stderr


def call(id: str = "c-1", model: str = MODEL) -> Call:
    return Call(id, "/v1/messages", b"", Identity("anthropic/opus-4", model), Estimate(8.0, 100))


def tell(
    hooks: headway.Hooks,
    *,
    usage: Usage = Usage(),  # noqa: B008 # it is frozen
    id: str = "c-1",
    model: str = MODEL,
    outcome: str = "ok",
    estimated: bool = False,
    cost_nanousd: int | None = None,
) -> None:
    """Tell of an attempt that is over."""
    assert hooks.settled is not None
    hooks.settled(
        Settled(
            call(id, model), 1, outcome, 200, None, usage, estimated, cost_nanousd, 0.0, None, 1.5, 10**18
        )
    )
