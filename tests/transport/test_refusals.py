"""What headway itself refuses is raised at once, as an error of headway that the SDK lets through, and nothing is sent."""

from __future__ import annotations

import pickle
import time
from datetime import timedelta
from typing import Any

import anthropic
import pytest

import headway
from headway.errors import BudgetExceeded, HeadwayError, InputError, RequestTooLarge, WouldWaitTooLong
from headway.runtime import Engine
from transport.conftest import Ours
from transport.flavours import Flavour, done, hello, opened, wrong
from transport.provider import Provider

SLOW = {"limits": "requests=1", "burst": "requests=1"}  # a minute between calls


def check(raised: Any, kind: type[HeadwayError], began: float) -> None:
    """It is both of headway and of the SDK, nobody slept, and in another process it is headway's alone."""
    assert isinstance(raised, kind)
    assert isinstance(raised, anthropic.AnthropicError)
    assert not isinstance(raised, anthropic.APIError)
    assert raised.__cause__ is None
    assert raised.hint
    assert time.monotonic() - began < 0.4  # the SDK sleeps 0.38 s before its first try again
    alone = pickle.loads(pickle.dumps(raised))
    assert type(alone) in type(raised).__bases__
    assert (str(alone), alone.__dict__) == (str(raised), raised.__dict__)


@pytest.mark.parametrize(
    "scope",
    [{"max_wait": 5}, {"max_wait": "5s"}, {"deadline": "5s"}, {"deadline": timedelta(seconds=5)}],
    ids=str,
)
def test_a_wait_longer_than_allowed_is_refused_at_once(
    flavour: Flavour, scope: dict[str, Any], provider: Provider, ours: Ours
) -> None:
    engine = ours.again(**SLOW)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await done(sdk.messages.create(**hello()))
            with headway.session("hasty", **scope):
                began = time.monotonic()
                raised = await wrong(lambda: sdk.messages.create(**hello()))
            check(raised, WouldWaitTooLong, began)
            assert raised.limit == "1 requests/min"
            assert raised.level < 1.0
            assert 50.0 < raised.wait_s <= 60.5
            for said in ("requests", "level", "clears in"):
                assert said in str(raised)

    flavour.run(play)
    assert len(provider.requests) == 1
    assert ours.outcomes() == ["ok"]


def test_headers_refuse_as_scopes_do(flavour: Flavour, provider: Provider, ours: Ours) -> None:
    engine = ours.again(**SLOW)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await done(sdk.messages.create(**hello()))
            for header in ("headway-max-wait", "headway-deadline"):
                began = time.monotonic()
                raised = await wrong(lambda: sdk.messages.create(**hello(), extra_headers={header: "1s"}))  # noqa: B023 # called at once
                check(raised, WouldWaitTooLong, began)

    flavour.run(play)
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("budget", "unit"), [("1 request", "requests"), ("0.01usd", "usd"), ("150 tokens", "tokens")]
)
def test_a_budget_that_is_used_up_is_refused_at_once_and_says_so(
    flavour: Flavour, budget: str, unit: str, provider: Provider, ours: Ours, engine: Engine
) -> None:
    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            with headway.session("thrifty", budget=budget):
                raised, calls = None, 0
                while raised is None and calls < 100:
                    began, calls = time.monotonic(), calls + 1
                    try:
                        await done(sdk.messages.create(**hello()))
                    except anthropic.AnthropicError as error:
                        raised = error
            check(raised, BudgetExceeded, began)
            assert isinstance(raised, BudgetExceeded)
            assert (raised.unit, raised.budget) == (unit, "session thrifty")
            assert raised.used <= raised.cap
            await done(sdk.messages.create(**hello()))  # outside it, calls go on

    flavour.run(play)
    assert len(provider.requests) == len(ours.rows()) >= 2


def test_what_can_never_fit_is_not_sent(
    flavour: Flavour, provider: Provider, ours: Ours, engine: Engine
) -> None:
    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            began = time.monotonic()
            raised = await wrong(lambda: sdk.messages.create(**hello(max_tokens=10**7), stream=True))
            check(raised, RequestTooLarge, began)
            assert (raised.tokens, raised.what) == (10**7, "max_tokens")
            assert raised.excess == raised.tokens - raised.most

    flavour.run(play)
    assert provider.requests == []
    assert ours.rows() == []


@pytest.mark.parametrize(
    ("header", "value", "said"),
    [
        ("headway-sesion", "a", "headway-session"),
        ("headway-Budgets", "1usd", "headway-budget"),
        ("headway-zzz", "a", "headway-tags"),
        ("headway-class", "urgent", "interactive"),
        ("headway-deadline", "soon", "30s"),
        ("headway-budget", "1usd", "headway-session"),
        ("headway-session", "", "characters"),
    ],
)
def test_a_header_that_cannot_be_meant_is_an_error_that_helps(
    flavour: Flavour, header: str, value: str, said: str, provider: Provider, engine: Engine
) -> None:
    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            for call in (lambda **h: sdk.messages.create(**hello(), **h), sdk.models.list):
                began = time.monotonic()
                raised = await wrong(lambda: done(call(extra_headers={header: value})))  # noqa: B023 # called at once
                check(raised, InputError, began)
                assert said in raised.hint

    flavour.run(play)
    assert provider.requests == []


def test_an_error_of_a_wait_is_one_that_except_clauses_of_both_find(provider: Provider, ours: Ours) -> None:
    engine = ours.again(**SLOW, max_wait="1s")
    with anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        sdk.messages.create(**hello())
        for kind in (headway.WouldWaitTooLong, headway.HeadwayError, anthropic.AnthropicError):
            with pytest.raises(kind):
                sdk.messages.create(**hello())
