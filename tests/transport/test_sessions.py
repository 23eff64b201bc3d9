"""Whose calls they are: blocks and headers reach the ledger and the live totals, and never the provider."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import anthropic
import anyio
import pytest

import headway
from headway.runtime import Engine
from transport.conftest import Ours
from transport.flavours import Flavour, done, hello, opened
from transport.provider import PATIENCE_S, Provider
from transport.replies import MODEL


def who(ours: Ours) -> list[tuple[str, str, str, str]]:
    return [(row["session"], row["tenant"], row["class"], row["label"]) for row in ours.rows()]


def test_an_inner_block_wins_and_adds_and_a_header_wins_over_both(
    flavour: Flavour, provider: Provider, ours: Ours, engine: Engine
) -> None:
    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            with headway.session("night", tenant="search", class_="bulk", tags={"run": 7, "team": "a"}):
                await done(sdk.messages.create(**hello()))
                async with headway.session("inner", class_="interactive", tags={"team": "b"}):
                    await done(sdk.messages.create(**hello()))
                    extra = {"headway-session": "head", "Headway-Tenant": "t", "headway-tags": "x, run=8"}
                    await done(sdk.messages.create(**hello(), extra_headers=extra))
                await done(sdk.messages.create(**hello()))
            await done(sdk.messages.create(**hello()))

    flavour.run(play)
    night = ("night", "search", "bulk", "run=7,team=a")
    assert who(ours) == [
        night,
        ("inner", "search", "interactive", "run=7,team=b"),
        ("head", "t", "interactive", "run=8,team=b,x"),
        night,
        ("", "default", "standard", ""),
    ]
    assert not [
        name for request in provider.requests for name in request.headers if name.startswith("headway")
    ]


def test_the_user_that_a_request_names_is_its_session_if_nothing_else_is(
    flavour: Flavour, provider: Provider, ours: Ours, engine: Engine
) -> None:
    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await done(sdk.messages.create(**hello(metadata={"user_id": "u-1"})))
            with headway.session("s"):
                await done(sdk.messages.create(**hello(metadata={"user_id": "u-1"})))

    flavour.run(play)
    assert [row[0] for row in who(ours)] == ["u-1", "s"]


def test_what_draws_on_no_limit_is_recorded_with_its_scope(
    flavour: Flavour, provider: Provider, ours: Ours, engine: Engine
) -> None:
    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            with headway.session("s", tenant="t", job="j"):
                await done(sdk.models.retrieve(MODEL))

    flavour.run(play)
    (row,) = ours.rows()
    assert (row["session"], row["tenant"], row["job"], row["outcome"], row["pool"]) == (
        "s",
        "t",
        "j",
        "ok",
        "",
    )
    assert row["label"].startswith("GET /v1/models/")


def test_tasks_take_the_block_they_were_started_in(provider: Provider, ours: Ours, engine: Engine) -> None:
    async def one(sdk: Any) -> None:
        await sdk.messages.create(**hello())

    async def named(sdk: Any, name: str) -> None:
        async with headway.session(name):
            await anyio.lowlevel.checkpoint()
            await sdk.messages.create(**hello())

    async def play() -> None:
        async with (
            opened(Flavour("trio").sdk(provider.url, engine)) as sdk,
            anyio.create_task_group() as group,
        ):
            with headway.session("outer"):
                group.start_soon(one, sdk)
                group.start_soon(named, sdk, "a")
                group.start_soon(named, sdk, "b")

    Flavour("trio").run(play)
    assert sorted(row[0] for row in who(ours)) == ["a", "b", "outer"]


def test_a_thread_has_no_block_but_its_own_or_one_that_is_handed_to_it(
    provider: Provider, ours: Ours, engine: Engine
) -> None:
    with (
        anthropic.Anthropic(
            base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
        ) as sdk,
        headway.session("outer"),
    ):
        here = contextvars.copy_context()
        for act in (
            lambda: sdk.messages.create(**hello()),
            lambda: here.run(sdk.messages.create, **hello()),
        ):
            thread = threading.Thread(target=act)
            thread.start()
            thread.join(PATIENCE_S)
    assert [row[0] for row in who(ours)] == ["", "outer"]


def test_a_block_may_be_entered_again_and_its_budget_goes_on(provider: Provider, engine: Engine) -> None:
    block = headway.session("again", budget="2 requests")
    with anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        for _ in range(2):
            with block:
                sdk.messages.create(**hello())
        with block, block, pytest.raises(headway.BudgetExceeded):
            sdk.messages.create(**hello())


def test_the_budgets_of_both_blocks_hold(provider: Provider, engine: Engine) -> None:
    with (
        anthropic.Anthropic(
            base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
        ) as sdk,
        headway.session("outer", budget="2 requests"),
    ):
        with headway.session("inner", budget="1 request"):
            sdk.messages.create(**hello())
            with pytest.raises(headway.BudgetExceeded, match="inner"):
                sdk.messages.create(**hello())
        with headway.session("other", budget="9 requests"):
            sdk.messages.create(**hello())
            with pytest.raises(headway.BudgetExceeded, match="outer"):
                sdk.messages.create(**hello())
    assert len(provider.requests) == 2


def test_hooks_are_told_of_each_step_and_do_no_harm(
    flavour: Flavour, provider: Provider, caplog: Any
) -> None:
    told: list[str] = []

    def note(news: Any) -> None:
        told.append(type(news).__name__)
        raise ZeroDivisionError

    hooks = headway.Hooks(waiting=note, admitted=note, settled=note, limit_learnt=note)
    with Engine(ledger="none", hooks=hooks, limits="requests=600", burst="requests=1") as engine:

        async def play() -> None:
            async with opened(flavour.sdk(provider.url, engine)) as sdk:
                for _ in range(2):
                    await done(sdk.messages.create(**hello()))

        flavour.run(play)
    assert told == ["Waiting", "Admitted", "Settled"] * 2
    assert "raised" in caplog.text


def test_neither_prompts_nor_keys_are_told_recorded_or_logged(
    flavour: Flavour, provider: Provider, ours: Ours, caplog: Any
) -> None:
    told: list[Any] = []
    ours.engine.close()
    hooks = headway.Hooks(waiting=told.append, admitted=told.append, settled=told.append)
    ours.engine = engine = Engine(ledger=str(ours.path), hooks=hooks)
    caplog.set_level("DEBUG", logger="headway")

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine, api_key="sk-ant-secret")) as sdk:
            await done(sdk.messages.create(**hello("A very private prompt")))

    flavour.run(play)
    everywhere = f"{told}{ours.rows()}{caplog.text}"
    assert "private" not in everywhere
    assert "sk-ant" not in everywhere
