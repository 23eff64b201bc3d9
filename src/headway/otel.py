"""OpenTelemetry: a span for each attempt, and metrics, under the names of its conventions for generative AI.

Conventions (in development): https://github.com/open-telemetry/semantic-conventions-genai, gen-ai-spans.md, gen-ai-metrics.md
and anthropic.md. Beside them stand `headway.*` names, for what no convention has: waiting, refusals, money. No prompt, no
reply and no key is in any of it; sessions, tenants and budgets, whose names have no end, are in no metric.
"""

from __future__ import annotations

from collections import OrderedDict
from importlib.metadata import version
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headway.core.call import Call, Unit, Usage
from headway.core.events import Admitted, Refused, Settled
from headway.errors import ConfigError
from headway.hooks import Hooks

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))
_WAITS = (0.001, 0.01, *SECONDS[4:], 163.84, 327.68, 655.36, 3600.0)
_UNDER_WAY, _NAMES = 10_000, 200  # kept at most, so that memory and the number of series have a bound
_OTHER = "_OTHER"
_OPERATIONS = ("count_tokens", "batches")  # the ends of pools that are not of messages


def hooks(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    spans: bool = True,
    base_url: str | None = None,
) -> Hooks:
    """Hooks that report to OpenTelemetry: `headway.client(hooks=headway.otel.hooks())`.

    Providers are the global ones unless given. `spans=False` leaves metrics only, beside the SDK's own spans. `base_url`
    is what `server.address` says; hooks cannot know it. Raises ConfigError if OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.metrics import get_meter_provider
        from opentelemetry.trace import get_tracer_provider
    except ImportError:
        raise ConfigError("OpenTelemetry is not installed", hint="pip install 'headway[otel]'") from None
    place, ours = _place(base_url), version("headway")
    numbers = _Numbers((meter_provider or get_meter_provider()).get_meter("headway", ours), place)
    if not spans:
        return Hooks(admitted=numbers.admitted, settled=numbers.settled, refused=numbers.refused)
    traces = _Spans((tracer_provider or get_tracer_provider()).get_tracer("headway", ours), place)

    def admitted(news: Admitted) -> None:
        traces.admitted(news)
        numbers.admitted(news)

    def settled(news: Settled) -> None:
        traces.settled(news)
        numbers.settled(news)

    return Hooks(admitted=admitted, settled=settled, refused=numbers.refused)


class _Spans:
    """Makes a span of each attempt when it is over, under the span that was current when it was sent: a stream may be
    closed anywhere."""

    def __init__(self, tracer: Tracer, place: dict[str, AttributeValue]) -> None:
        self._tracer = tracer
        self._place = place
        self._under_way: OrderedDict[tuple[str, int], Context] = OrderedDict()
        self._lock = Lock()

    def admitted(self, news: Admitted) -> None:
        from opentelemetry.context import get_current

        with self._lock:
            self._under_way[news.call.id, news.attempt] = get_current()
            if len(self._under_way) > _UNDER_WAY:
                self._under_way.popitem(last=False)

    def settled(self, news: Settled) -> None:
        from opentelemetry.trace import SpanKind, StatusCode

        with self._lock:
            context = self._under_way.pop((news.call.id, news.attempt), None)
        operation, model = _operation(news.call), news.call.identity.model
        span = self._tracer.start_span(
            f"{operation} {model}".rstrip(),
            context,
            SpanKind.CLIENT,
            {**_asked(news.call), **self._place, **_answered(news)},
            start_time=news.at_ns,
        )
        if news.problem is not None:
            span.set_attribute("error.type", news.problem.error_type)
            span.set_status(StatusCode.ERROR, news.problem.error_type)  # its message may quote what was sent
        span.end(news.at_ns + round(news.total_s * 1e9))


class _Numbers:
    """Counts and measures."""

    def __init__(self, meter: Meter, place: dict[str, AttributeValue]) -> None:
        def seconds(name: str, says: str, buckets: tuple[float, ...] = SECONDS) -> Histogram:
            return meter.create_histogram(name, "s", says, explicit_bucket_boundaries_advisory=buckets)

        self._place = place
        self._models, self._errors = _Few(), _Few()
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._duration = seconds("gen_ai.client.operation.duration", "Duration of one attempt.")
        self._first = seconds(
            "gen_ai.client.operation.time_to_first_chunk", "Until a stream began to say something."
        )
        self._queued = seconds("headway.queue.duration", "How long an attempt stood in line.", _WAITS)
        self._refusals = meter.create_counter(
            "headway.refusals", "{refusal}", "Calls refused: by whom, for what."
        )
        self._cost = meter.create_counter("headway.cost", "USD", "What attempts cost that have a price.")

    def admitted(self, news: Admitted) -> None:
        self._queued.record(news.queued_s, self._of(news.call))

    def refused(self, news: Refused) -> None:
        attributes = {**self._of(news.call), "headway.by": news.by, "headway.limit": _limit(news)}
        self._refusals.add(1, attributes)

    def settled(self, news: Settled) -> None:
        attributes = {**self._of(news.call), **self._place}
        if news.usage.model:
            attributes["gen_ai.response.model"] = self._models.name(news.usage.model)
        self._measure(news, attributes)
        if not news.estimated:  # the convention wants counts of the provider, not guesses
            for kind, count in (("input", _all_input(news.usage)), ("output", _all_output(news.usage))):
                if count:
                    self._tokens.record(count, {**attributes, "gen_ai.token.type": kind})
        if news.cost_nanousd:
            self._cost.add(news.cost_nanousd / 1e9, attributes)

    def _measure(self, news: Settled, attributes: dict[str, AttributeValue]) -> None:
        if news.call.stream and news.first_token_s is not None:
            self._first.record(news.first_token_s, attributes)
        ended: dict[str, AttributeValue] = {**attributes, "headway.outcome": news.outcome}
        if news.problem is not None:
            ended["error.type"] = self._errors.name(news.problem.error_type)
        self._duration.record(news.total_s, ended)

    def _of(self, call: Call) -> dict[str, AttributeValue]:
        attributes = _identity(call)
        attributes["gen_ai.request.model"] = self._models.name(call.identity.model)
        return attributes


class _Few:
    """Names that come from outside: the first of them as they are, the rest as one."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def name(self, name: str) -> str:
        if name in self._known:
            return name
        if len(self._known) >= _NAMES:
            return _OTHER
        self._known.add(name)
        return name


def _identity(call: Call) -> dict[str, AttributeValue]:
    return {
        "gen_ai.operation.name": _operation(call),
        "gen_ai.provider.name": (call.identity.pool or "").partition("/")[0] or _OTHER,
    }


def _operation(call: Call) -> str:
    end = (call.identity.pool or "").partition("/")[2]
    return end if end in _OPERATIONS else "chat"


def _asked(call: Call) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        **_identity(call),
        "gen_ai.request.model": call.identity.model,
        "headway.call.id": call.id,
        "headway.class": call.class_.value,
        "headway.tenant": call.tenant,
    }
    if call.stream:
        attributes["gen_ai.request.stream"] = True
    if call.session:
        attributes["gen_ai.conversation.id"] = call.session
    if call.estimate.max_output_tokens:
        attributes["gen_ai.request.max_tokens"] = call.estimate.max_output_tokens
    return attributes


def _answered(news: Settled) -> dict[str, AttributeValue]:
    usage, status = news.usage, news.status
    attributes: dict[str, AttributeValue] = {
        "headway.attempt": news.attempt,
        "headway.outcome": news.outcome,
        "headway.queue.duration": news.queued_s,
    }
    if status is not None:
        attributes["http.response.status_code"] = status
    if news.call.stream and news.first_token_s is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = news.first_token_s
    if news.cost_nanousd is not None:
        attributes["headway.cost"] = news.cost_nanousd / 1e9
    if usage.model:
        attributes["gen_ai.response.model"] = usage.model
    if _all_input(usage) or _all_output(usage):
        attributes["gen_ai.usage.input_tokens"] = _all_input(usage)
        attributes["gen_ai.usage.output_tokens"] = _all_output(usage)
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read_tokens
        attributes["gen_ai.usage.cache_write.input_tokens"] = _written(usage)
        attributes["headway.estimated"] = news.estimated
    if usage.thinking_tokens:
        attributes["gen_ai.usage.reasoning.output_tokens"] = usage.thinking_tokens
    return attributes


def _all_input(usage: Usage) -> int:
    """Cached and fresh, iterations included: all that is billed as input."""
    own = usage.input_tokens + usage.cache_read_tokens + _written(usage)
    return own + sum(_all_input(part) for part in usage.parts)


def _all_output(usage: Usage) -> int:
    return usage.output_tokens + sum(_all_output(part) for part in usage.parts)


def _written(usage: Usage) -> int:
    return usage.cache_write_5m_tokens + usage.cache_write_1h_tokens


def _limit(news: Refused) -> str:
    """The kind of the limit that said no. Its name may be one that people gave."""
    name = news.limit.replace("_", " ")
    if news.by == "headway" and (name == "the budget" or (news.wait_s is None and news.level is not None)):
        return "budget"
    return next((unit.value for unit in Unit if unit.replace("_", " ") in name), _OTHER)


def _place(base_url: str | None) -> dict[str, AttributeValue]:
    if base_url is None:
        return {}
    url = urlsplit(base_url)
    port = url.port or (80 if url.scheme == "http" else 443)
    return {"server.address": url.hostname or base_url, "server.port": port}
