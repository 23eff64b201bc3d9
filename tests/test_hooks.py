"""Hooks are told what happens, with the right values, when it happens, and can do no harm."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

import headway
from headway.core.call import Fault, Unit
from headway.core.events import BudgetLow, Refused
from headway.errors import ConfigError, RequestTooLarge
from headway.exchange.asked import call_of
from headway.exchange.scope import Scope
from headway.hooks import Hooks, teller
from headway.runtime import Engine
from transport.flavours import FLAVOURS, Flavour, done, everything, hello, opened
from transport.provider import RESET, End, Provider, Request
from transport.replies import MODEL, as_the_api, error, http, message

LIMITS = {
    "anthropic_ratelimit_requests_limit": "50",
    "anthropic_ratelimit_requests_remaining": "49",
    "anthropic_ratelimit_requests_reset": "2026-01-01T00:00:00Z",
}


class Heard:
    """Hooks that note everything, by kind."""

    def __init__(self) -> None:
        self.news: list[Any] = []
        names = ("waiting", "admitted", "settled", "refused", "limit_learnt", "budget_low")
        self.hooks = Hooks(**dict.fromkeys(names, self.news.append))

    def of(self, kind: type) -> list[Any]:
        return [news for news in self.news if isinstance(news, kind)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(params=FLAVOURS, ids=lambda flavour: flavour.name)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    chosen: Flavour = request.param
    return chosen


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider(as_the_api)
    yield running
    running.close()


def engine_for(hooks: Any, **settings: Any) -> Engine:
    return Engine(hooks=hooks, **{"api_key": "any", "ledger": "none", "retries": 1} | settings)


def ask(flavour: Flavour, provider: Provider, engine: Engine, **more: Any) -> Any:
    """One call of the SDK, to its end; what it raises is returned."""

    async def scene() -> Any:
        async with opened(flavour.sdk(provider.url, engine, max_retries=0)) as client:
            try:
                reply = await done(client.messages.create(**hello(), **more))
                return await everything(reply) if more.get("stream") else reply
            except Exception as error:
                return error

    return flavour.run(scene)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_call_is_admitted_then_settled_with_what_it_took(
    flavour: Flavour, provider: Provider, heard: Heard, stream: bool
) -> None:
    with engine_for(heard.hooks) as engine, headway.session("nightly", tenant="team"):
        ask(flavour, provider, engine, stream=stream)
    admitted, settled = heard.news
    assert isinstance(admitted, headway.Admitted)
    assert isinstance(settled, headway.Settled)
    assert admitted.call is settled.call
    call = settled.call
    assert (call.identity.model, call.session, call.tenant, call.stream) == (MODEL, "nightly", "team", stream)
    assert (admitted.attempt, settled.attempt) == (1, 1)
    assert admitted.input_tokens > 0
    assert admitted.output_tokens > 0
    assert (settled.outcome, settled.status, settled.problem, settled.estimated) == ("ok", 200, None, False)
    assert (settled.usage.input_tokens, settled.usage.output_tokens) == (12, 7)
    assert settled.cost_nanousd == 12 * 5_000 + 7 * 25_000
    assert settled.queued_s == admitted.queued_s
    assert settled.first_token_s is not None
    assert 0.0 < settled.first_token_s <= settled.total_s < 20.0


def test_prompts_replies_and_keys_are_in_no_news(provider: Provider, heard: Heard) -> None:
    with engine_for(heard.hooks, base_url=provider.url, api_key="sk-ant-secret") as engine:
        headway.send("a private question", model=MODEL, system="a private order", engine=engine)
    assert len(heard.news) == 2
    for secret in ("private", "Hello there", "secret"):
        assert secret not in repr(heard.news)


def test_who_must_wait_is_told_for_what(flavour: Flavour, provider: Provider, heard: Heard) -> None:
    def hold(request: Request) -> Iterable[bytes | End]:
        if request.number == 0:
            provider.until(lambda: bool(heard.of(headway.Waiting)))
        yield http(message())

    provider.answer = hold
    with engine_for(heard.hooks, concurrency=1) as engine:
        first = threading.Thread(target=ask, args=(flavour, provider, engine))
        first.start()
        provider.until(lambda: len(provider.requests) == 1)
        ask(flavour, provider, engine)
        first.join()
    (waiting,) = heard.of(headway.Waiting)
    assert waiting.limit == "a place among 1 calls in flight"
    assert (waiting.wait_s, waiting.ahead) == (float("inf"), 0)
    assert max(news.queued_s for news in heard.of(headway.Admitted)) > 0.0


def test_a_wait_for_a_limit_says_when_it_clears(provider: Provider, heard: Heard) -> None:
    with engine_for(heard.hooks, limits="requests=60/min", burst="1s") as engine:
        for _ in range(2):
            ask(FLAVOURS[0], provider, engine)
    waiting = heard.of(headway.Waiting)[-1]
    assert (waiting.limit, waiting.ahead) == ("requests", 0)
    assert waiting.level < 1.0
    assert 0.5 < waiting.wait_s <= 1.0


def test_a_refusal_by_the_provider_is_told_with_its_limit_and_the_call_is_tried_again(
    flavour: Flavour, provider: Provider, heard: Heard
) -> None:
    text = "This request would exceed the rate limit for your organization of 50 requests per minute"
    refusal = error("rate_limit_error", 429, text, retry_after="0")
    provider.answer = lambda request: [refusal] if request.number == 0 else [http(message())]
    with engine_for(heard.hooks) as engine:
        ask(flavour, provider, engine)
    (refused,) = heard.of(headway.Refused)
    assert (refused.by, refused.limit, refused.level, refused.wait_s) == ("provider", "requests", None, 0.0)
    outcomes = [(news.attempt, news.outcome, news.status) for news in heard.of(headway.Settled)]
    assert outcomes == [(1, "rate_limited", 429), (2, "ok", 200)]
    kinds = [type(news) for news in heard.news if not isinstance(news, headway.Waiting)]
    assert kinds[:3] == [headway.Admitted, headway.Refused, headway.Settled]


def test_what_may_not_wait_is_told_as_refused_here(
    flavour: Flavour, provider: Provider, heard: Heard
) -> None:
    with engine_for(heard.hooks, limits="requests=1/min", burst="1s") as engine:
        ask(flavour, provider, engine)
        with headway.session("impatient", max_wait="1s"):
            raised = ask(flavour, provider, engine)
    assert isinstance(raised, headway.WouldWaitTooLong)
    (refused,) = heard.of(headway.Refused)
    assert (refused.by, refused.limit, refused.wait_s) == ("headway", raised.limit, raised.wait_s)
    assert len(heard.of(headway.Admitted)) == 1


def test_budgets_tell_when_they_run_low_and_whom_they_refuse(
    flavour: Flavour, provider: Provider, heard: Heard
) -> None:
    with engine_for(heard.hooks) as engine, headway.session("nightly", budget="5 requests"):
        for _ in range(6):
            raised = ask(flavour, provider, engine)
    assert isinstance(raised, headway.BudgetExceeded)
    told = [(low.name, low.unit, low.used, low.cap, low.share) for low in heard.of(headway.BudgetLow)]
    name, unit = "session nightly", Unit.REQUESTS
    assert told == [(name, unit, 4, 5, 0.8), (name, unit, 5, 5, 1.0)]
    (refused,) = heard.of(headway.Refused)
    assert (refused.by, refused.limit, refused.level, refused.wait_s) == ("headway", name, 0.0, None)


def test_limits_are_told_when_they_are_learnt_and_when_they_change(
    flavour: Flavour, provider: Provider, heard: Heard
) -> None:
    amounts = ["50", "50", "80"]

    def answer(request: Request) -> Iterable[bytes]:
        yield http(message(), **(LIMITS | {"anthropic_ratelimit_requests_limit": amounts[request.number]}))

    provider.answer = answer
    with engine_for(heard.hooks) as engine:
        for _ in amounts:
            ask(flavour, provider, engine)
    told = [
        (news.pool, news.limit.unit, news.limit.amount, news.before and news.before.amount)
        for news in heard.of(headway.LimitLearnt)
    ]
    pool = heard.of(headway.Settled)[0].call.identity.pool
    assert told == [(pool, Unit.REQUESTS, 50.0, None), (pool, Unit.REQUESTS, 80.0, 50.0)]


def test_a_connection_that_breaks_is_settled_as_failed(
    flavour: Flavour, provider: Provider, heard: Heard
) -> None:
    provider.answer = lambda request: [RESET] if request.number == 0 else as_the_api(request)
    with engine_for(heard.hooks) as engine:
        ask(flavour, provider, engine)
    failed, ok = heard.of(headway.Settled)
    assert (failed.outcome, failed.status, ok.outcome) == ("failed", None, "ok")
    assert failed.problem is not None
    assert failed.problem.fault is Fault.FAILED


@pytest.mark.parametrize(
    "flavour", FLAVOURS[:2], ids=lambda flavour: flavour.name
)  # trio warns of the SDK's generators
def test_a_stream_that_is_closed_early_is_settled_as_cancelled_with_a_guess(
    flavour: Flavour, provider: Provider, heard: Heard
) -> None:
    async def scene() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as client:
            stream = await done(client.messages.create(**hello(), stream=True))
            await done(stream.close())

    with engine_for(heard.hooks) as engine:
        flavour.run(scene)
    (settled,) = heard.of(headway.Settled)
    assert (settled.outcome, settled.estimated, settled.problem) == ("cancelled", True, None)
    assert settled.usage.input_tokens > 0


@pytest.mark.parametrize("flavour", FLAVOURS[1:], ids=lambda flavour: flavour.name)
def test_a_task_that_is_cancelled_is_settled_as_cancelled(
    flavour: Flavour, provider: Provider, heard: Heard
) -> None:
    def never(request: Request) -> Iterable[bytes | End]:
        provider.until(lambda: bool(heard.of(headway.Settled)))
        yield RESET

    async def scene() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.messages.create(**hello()))
            await anyio.to_thread.run_sync(lambda: provider.until(lambda: len(provider.requests) == 1))
            tasks.cancel_scope.cancel()

    provider.answer = never
    with engine_for(heard.hooks) as engine:
        flavour.run(scene)
    assert [news.outcome for news in heard.of(headway.Settled)] == ["cancelled"]


def test_what_a_hook_raises_is_logged_and_harms_no_call(
    flavour: Flavour, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(news: object) -> None:
        raise RuntimeError(f"no {type(news).__name__}")

    hooks = Hooks(waiting=broken, admitted=broken, settled=broken, limit_learnt=broken, budget_low=broken)
    provider.answer = lambda _: [http(message(), **LIMITS)]
    with (
        caplog.at_level(logging.ERROR, "headway"),
        engine_for(hooks) as engine,
        headway.session("s", budget="1 requests"),
    ):
        reply = ask(flavour, provider, engine)
        assert engine.core.in_flight == 0
    assert reply.content[0].text == "Hello there"
    said = {record.getMessage() for record in caplog.records if record.name == "headway"}
    assert said == {
        f"a hook for {name} raised" for name in ("Admitted", "LimitLearnt", "BudgetLow", "Settled")
    }
    assert all(record.exc_info for record in caplog.records if record.name == "headway")


def test_a_hook_may_look_at_the_engine_and_even_make_a_call(flavour: Flavour, provider: Provider) -> None:
    seen: dict[str, list[Any]] = defaultdict(list)

    def look(news: object) -> None:
        seen[type(news).__name__].append((engine.usage(), engine.levels()))

    def call(news: headway.Settled) -> None:
        look(news)
        if len(seen["Settled"]) == 1:
            assert headway.send("From a hook", model=MODEL, engine=engine).text == "Hello there"

    hooks = Hooks(waiting=look, admitted=look, settled=call, refused=look, limit_learnt=look, budget_low=look)
    refusal = error("rate_limit_error", 429, retry_after="0")
    provider.answer = lambda request: [refusal if request.number == 2 else http(message(), **LIMITS)]
    with engine_for(hooks, base_url=provider.url, retries=0) as engine:
        with headway.session("s", budget="2 requests"):
            ask(flavour, provider, engine)
            ask(flavour, provider, engine)
        ask(flavour, provider, engine)
    assert {"Admitted", "Settled", "LimitLearnt", "BudgetLow", "Refused"} <= seen.keys()
    (total,) = seen["Settled"][-1][0][:1]
    assert total.calls >= 1


def test_a_hook_runs_where_the_call_was_made(flavour: Flavour, provider: Provider) -> None:
    whose: ContextVar[str] = ContextVar("whose", default="nobody")
    seen: list[tuple[str, int]] = []

    def look(news: object) -> None:
        seen.append((whose.get(), threading.get_ident()))

    with engine_for(Hooks(admitted=look, settled=look)) as engine:
        token = whose.set("the caller")
        ask(flavour, provider, engine)
        whose.reset(token)
    assert seen == [("the caller", threading.get_ident())] * 2


def test_several_hooks_are_all_told(provider: Provider) -> None:
    one, other = Heard(), Heard()
    with engine_for([one.hooks, other.hooks]) as engine:
        ask(FLAVOURS[0], provider, engine)
    assert one.news == other.news
    assert len(one.news) == 2


@pytest.mark.parametrize("hooks", [(), [], Hooks(), [Hooks(), Hooks()]])
def test_without_hooks_no_news_is_made_at_all(hooks: Any) -> None:
    assert teller(hooks) is None
    with engine_for(hooks) as engine:
        assert engine.turnstile.tell is None


def test_a_hook_that_raises_keeps_the_news_from_nobody(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[BudgetLow] = []

    def raises(_news: BudgetLow) -> None:
        raise ValueError("a hook of the user")

    tell = teller([Hooks(budget_low=raises), Hooks(budget_low=heard.append)])
    assert tell is not None
    news = BudgetLow("session s", Unit.USD, 8, 10, 0.8)
    with pytest.raises(ValueError, match="of the user"):  # the turnstile logs it
        tell(news)
    assert heard == [news]


def test_an_async_hook_is_refused_with_a_way_out() -> None:
    async def hook(_news: object) -> None: ...

    with pytest.raises(ConfigError, match="settled is an async function"):
        Hooks(settled=hook)


def test_a_request_that_is_too_large_is_refused_before_it_stands_in_line() -> None:
    heard: list[Refused] = []
    with Engine(ledger="none", hooks=Hooks(refused=heard.append)) as engine:
        request = {"model": MODEL, "max_tokens": 10**7, "messages": [{"role": "user", "content": "Hi"}]}
        with pytest.raises(RequestTooLarge):
            call_of("/v1/messages", request, Scope(), engine)
    assert [(news.by, news.limit) for news in heard] == [("headway", "max_tokens")]
