"""What users write against headway, under `mypy --strict`. Nothing here is run: the type checker is the test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_never, assert_type

import anthropic
import httpx2
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

import headway
from headway import context
from headway.config import Config, load
from headway.core.call import Call, Problem, Unit, Usage
from headway.core.limit import Limit
from headway.core.ports import Level
from headway.core.totals import Total
from headway.errors import (
    BudgetExceeded,
    ConfigError,
    ConnectionFailed,
    HeadwayError,
    InputError,
    LimitError,
    MachineError,
    ProviderError,
    RequestTooLarge,
    WouldWaitTooLong,
)
from headway.testing.emulated import Emulator, EmulatorProcess, Profile, parse_profile, spawn


def emulate_in_a_thread() -> None:
    with Emulator("claude-opus-4/tier-4?seed=7") as emulator:
        assert_type(emulator, Emulator)
        assert_type(emulator.url, str)
        assert_type(emulator.stats(markers=True), dict[str, Any])
        assert_type(emulator.profile, Profile)
        emulator.reset()
    with Emulator(parse_profile("any/unlimited"), host="127.0.0.1", port=0) as emulator:
        assert_type(emulator.profile.burst_s, float)


def emulate_in_a_process() -> None:
    with spawn("any/unlimited") as emulator:
        assert_type(emulator, EmulatorProcess)
        assert_type(emulator.pid, int)


@pytest.mark.headway_profile("claude-opus-4/tier-1?overloaded=0.1")
def a_test(headway_emulator: Emulator) -> None:
    assert headway_emulator.stats()["completed"] == 0


def settings() -> Config:
    config = load({"ANTHROPIC_API_KEY": "any"}, base_url="http://127.0.0.1:8400", ledger="none")
    assert_type(config.retries, int | None)
    assert_type(config.headers(), list[tuple[bytes, bytes]])
    return config


def clients_for_the_sdk() -> None:
    assert_type(headway.client(), httpx2.Client)
    assert_type(headway.async_client(), httpx2.AsyncClient)
    with anthropic.Anthropic(http_client=headway.client()) as client:
        message = client.messages.create(
            model="claude-opus-4-8", max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
        )
        assert_type(message, anthropic.types.Message)
    client = anthropic.Anthropic(http_client=headway.client(tier="tier-2", max_wait="10m", timeout=30.0))
    engine = headway.Engine()
    client = anthropic.Anthropic(http_client=headway.client(engine=engine, http2=True))
    client = anthropic.Anthropic(http_client=headway.client(hooks=headway.Hooks(settled=print)))
    below = httpx2.HTTPTransport(retries=0)
    client = anthropic.Anthropic(http_client=headway.client(transport=below))
    bare = httpx2.Client(transport=headway.Transport(below, engine=engine))
    client = anthropic.Anthropic(http_client=bare)
    client.close()


async def async_clients_for_the_sdk() -> None:
    async with anthropic.AsyncAnthropic(http_client=headway.async_client()) as client:
        await client.messages.create(
            model="claude-opus-4-8", max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
        )
    bare = httpx2.AsyncClient(transport=headway.AsyncTransport(httpx2.AsyncHTTPTransport()))
    client = anthropic.AsyncAnthropic(http_client=bare)
    headway.async_client(engine=headway.Engine(), transport=httpx2.AsyncHTTPTransport())


async def sessions() -> None:
    with headway.session("nightly", budget="2usd", class_="bulk", max_wait="30s", tags={"run": 7}):
        pass
    with headway.session("chat", tenant="team", deadline=timedelta(minutes=1), max_wait=5.0):
        pass
    async with headway.session("chat", deadline=datetime.now(UTC)) as inner:
        assert_type(inner, headway.session)


def engines(path: Path) -> None:
    with headway.Engine(tier="tier-2", ledger=str(path), hooks=[headway.Hooks(), headway.Hooks()]) as engine:
        assert_type(engine, headway.Engine)
        assert_type(engine.usage(), tuple[Total, ...])
        assert_type(engine.levels(), Mapping[str, tuple[Level, ...]])
        assert_type(engine.config, Config)
        engine.flush(timeout_s=1.0)
    headway.Engine(load({}))
    assert_type(headway.engine(), headway.Engine)


def ask() -> None:
    answer = headway.send("Hello", model="claude-opus-4-8")
    assert_type(answer, headway.Answer)
    assert_type(answer.text, str)
    assert_type(answer.stop_reason, str)
    assert_type(answer.model, str)
    assert_type(answer.usage, Usage)
    assert_type(answer.cost_nanousd, int | None)
    assert_type(answer.cost_usd, float | None)
    assert_type(answer.waited_s, float)
    assert_type(answer.attempts, int)
    assert_type(answer.request_id, str | None)
    assert_type(answer.message, Mapping[str, Any])
    assert_type(answer.is_truncated, bool)
    messages = [{"role": "user", "content": "Hello"}]
    headway.send(
        messages, model="x", max_tokens=10, system="Be brief.", engine=headway.Engine(), timeout=60.0
    )


async def ask_asynchronously() -> None:
    assert_type(await headway.async_send("Hello", model="claude-opus-4-8", max_tokens=10), headway.Answer)


def look_at_the_context(history: list[dict[str, Any]]) -> dict[str, Any]:
    fitted = context.fit(
        history,
        "claude-opus-4-8",
        1000,
        strategy="results",
        budget=50_000,
        system="Be brief.",
        tools=[{"name": "read"}],
        pinned=[0, -1],
        cache=True,
    )
    assert_type(fitted, context.Fitted)
    assert_type(fitted.fits, bool)
    assert_type(fitted.messages, list[dict[str, Any]])
    assert_type(fitted.after, context.Count)
    assert_type(fitted.dropped[0].messages, tuple[int, ...])
    assert_type(fitted.breakpoints[0].tokens, int)
    context.fit(fitted.messages, "claude-opus-4-8", 1000, pinned=lambda message: message["role"] == "system")
    explanation = context.explain({"messages": history}, model="claude-opus-4-8")
    assert_type(explanation, context.Explanation)
    assert_type(explanation.items[0].share, float)
    assert_type(explanation.to_dict(), dict[str, Any])
    assert_type(context.count({"messages": history}, "claude-opus-4-8").high, int)
    return fitted.arguments


class Listener:
    """All hooks, with what each is told."""

    def waiting(self, news: headway.Waiting) -> None:
        assert_type(news.call, Call)
        assert_type(news.limit, str)
        assert_type(news.wait_s, float)
        assert_type(news.ahead, int)

    def admitted(self, news: headway.Admitted) -> None:
        assert_type(news.queued_s, float)

    def settled(self, news: headway.Settled) -> None:
        assert_type(news.outcome, str)
        assert_type(news.usage, Usage)
        assert_type(news.problem, Problem | None)
        assert_type(news.cost_nanousd, int | None)

    def refused(self, news: headway.Refused) -> None:
        assert_type(news.wait_s, float | None)

    def limit_learnt(self, news: headway.LimitLearnt) -> None:
        assert_type(news.limit, Limit)
        assert_type(news.before, Limit | None)

    def budget_low(self, news: headway.BudgetLow) -> None:
        assert_type(news.unit, Unit)
        assert_type(news.share, float)

    def hooks(self) -> headway.Hooks:
        return headway.Hooks(
            waiting=self.waiting,
            admitted=self.admitted,
            settled=self.settled,
            refused=self.refused,
            limit_learnt=self.limit_learnt,
            budget_low=self.budget_low,
        )


def telemetry() -> None:
    assert_type(headway.otel.hooks(), headway.Hooks)
    headway.otel.hooks(
        tracer_provider=TracerProvider(),
        meter_provider=MeterProvider(),
        spans=False,
        base_url="https://api.anthropic.com",
    )
    headway.client(hooks=[headway.otel.hooks(), Listener().hooks()])


def explain(error: HeadwayError) -> str:
    match error:
        case WouldWaitTooLong():
            assert_type(error.wait_s, float)
        case BudgetExceeded():
            assert_type(error.cap, float)
            assert_type(error.unit, str)
        case RequestTooLarge():
            assert_type(error.excess, int)
        case ProviderError():
            assert_type(error.status, int | None)
            assert_type(error.request_id, str | None)
        case ConnectionFailed():
            assert_type(error.sent, bool)
        case InputError() | ConfigError() | LimitError() | MachineError():
            assert_type(error.hint, str)
    assert_type(error.exit_code, int)
    return f"{error}. {error.hint}"


def told(
    news: headway.Waiting
    | headway.Admitted
    | headway.Settled
    | headway.Refused
    | headway.LimitLearnt
    | headway.BudgetLow,
) -> Call | None:
    match news:
        case headway.Waiting() | headway.Admitted() | headway.Settled() | headway.Refused():
            return news.call
        case headway.LimitLearnt() | headway.BudgetLow():
            return None
        case _:
            assert_never(news)
