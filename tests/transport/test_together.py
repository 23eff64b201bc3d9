"""One engine under threads, asyncio and trio at the same time: one line, no wake-up lost, no limit passed."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import anthropic
import anyio
import pytest

import headway
from headway.runtime import Engine
from transport.conftest import Ours
from transport.flavours import FLAVOURS, Flavour, done, hello, opened
from transport.provider import PATIENCE_S, Provider, wait_until
from transport.replies import MODEL


def in_line(engine: Engine) -> int:
    return sum(len(pool.line) for pool in engine.core.pools.values())


def until_in_line(engine: Engine, count: int) -> None:
    wait_until(lambda: in_line(engine) == count)


def in_threads(count: int, act: Callable[[int], Any]) -> list[threading.Thread]:
    threads = [threading.Thread(target=act, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def join_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_two_hundred_threads_leave_in_the_order_in_which_they_came(provider: Provider, ours: Ours) -> None:
    engine = ours.again(limits="requests=12k", burst="requests=20")
    with anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        gate = ours.closed_gate()
        threads: list[threading.Thread] = []
        for number in range(200):
            threads += in_threads(1, lambda _, of=number: call(sdk, f"{of}"))
            until_in_line(engine, len(threads))
        gate()
        join_all(threads)
    left = sorted((row["at_ns"], int(row["session"])) for row in ours.rows())  # some leave at the same moment
    assert [number for _, number in left] == list(range(200))
    assert len({at_ns for at_ns, _ in left}) > 50
    assert len(provider.requests) == 200
    assert len(engine.usage()) == 200


def call(sdk: anthropic.Anthropic, session: str) -> None:
    sdk.messages.create(**hello(), extra_headers={"headway-session": session})


def test_urgent_calls_go_first_and_tenants_take_turns(provider: Provider, ours: Ours) -> None:
    engine = ours.again(limits="requests=6k", burst="requests=1")
    with anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        gate = ours.closed_gate()
        threads: list[threading.Thread] = []
        who = [("bulk", "a")] * 3 + [("standard", "a")] * 6 + [("standard", "b")] * 3 + [("interactive", "b")]
        for class_, tenant in who:
            extra = {"headway-class": class_, "headway-tenant": tenant}
            threads += in_threads(1, lambda _, h=extra: sdk.messages.create(**hello(), extra_headers=h))
            until_in_line(engine, len(threads))
        gate()
        join_all(threads)
    rows = ours.rows()
    assert rows[0]["class"] == "interactive"
    standard = [row["tenant"] for row in rows if row["class"] == "standard"]
    assert sorted(standard[:4]) == ["a", "a", "b", "b"]


def run_calls(flavour: Flavour, url: str, engine: Engine, count: int, streamed: bool = False) -> None:
    """Run many calls at the same time in a loop of this thread."""

    async def play() -> None:
        async with opened(flavour.sdk(url, engine)) as sdk:

            async def one() -> None:
                reply = await done(sdk.messages.create(**hello(), stream=streamed))
                if streamed:
                    async for _ in reply:
                        pass

            async with anyio.create_task_group() as group:
                for _ in range(count):
                    group.start_soon(one)

    flavour.run(play)


def test_threads_asyncio_and_trio_share_one_engine_and_no_wake_up_is_lost(
    provider: Provider, ours: Ours
) -> None:
    engine = ours.again(limits="requests=60k", burst="requests=50", concurrency=3)
    with anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        threads = in_threads(8, lambda _: [sdk.messages.create(**hello()) for _ in range(10)])
        loops = [
            threading.Thread(
                target=run_calls, args=(flavour, provider.url, engine, 40, streamed), daemon=True
            )
            for flavour in FLAVOURS[1:]
            for streamed in (False, True)
        ]
        for loop in loops:
            loop.start()
        join_all([*threads, *loops])
    assert len(provider.requests) == len(ours.rows()) == 80 + 160
    assert set(ours.outcomes()) == {"ok"}
    (total,) = engine.usage()
    assert (total.attempts, total.in_flight, total.output_tokens) == (240, 0, 240 * 7)


def test_never_more_in_flight_than_allowed(provider: Provider, ours: Ours) -> None:
    engine = ours.again(concurrency=2)
    most, now, lock = 0, 0, threading.Lock()
    whole = provider.answer

    def answer(request: Any) -> Any:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        parts = list(whole(request))
        with lock:
            now -= 1
        yield from parts

    provider.answer = answer
    threads = [
        threading.Thread(target=run_calls, args=(flavour, provider.url, engine, 20), daemon=True)
        for flavour in FLAVOURS[1:]
    ]
    for thread in threads:
        thread.start()
    join_all(threads)
    assert most <= 2


@pytest.mark.parametrize("flavour", FLAVOURS[1:], ids=lambda flavour: flavour.name)
def test_a_loop_may_end_and_another_begin_on_the_same_engine(
    flavour: Flavour, provider: Provider, engine: Engine
) -> None:
    for _ in range(3):
        run_calls(flavour, provider.url, engine, 3)
    assert len(provider.requests) == 9


def test_clients_with_default_arguments_share_one_engine_for_each_origin(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, provide: Callable[..., Provider]
) -> None:
    monkeypatch.setenv("HEADWAY_LEDGER", "none")
    other = provide(provider.answer)
    engines = []
    for url in (provider.url, provider.url + "/relay", other.url):
        with (
            headway.client() as http,
            anthropic.Anthropic(base_url=url, api_key="any", http_client=http) as sdk,
        ):
            if url == provider.url:
                sdk.messages.create(**hello())
            engines.append(http._transport.engine_for(http.build_request("POST", url).url))

    async def play() -> None:
        async with headway.async_client() as http:
            engines.append(http._transport.engine_for(http.build_request("POST", provider.url).url))

    FLAVOURS[1].run(play)
    assert engines[0] is engines[1] is engines[3]
    assert engines[2] is not engines[0]
    (total,) = engines[0].usage()
    assert (total.model, total.calls) == (MODEL, 1)


def test_clients_with_settings_or_hooks_have_an_engine_of_their_own(provider: Provider) -> None:
    with (
        headway.client(ledger="none") as one,
        headway.client(hooks=headway.Hooks(waiting=print), ledger="none") as two,
    ):
        assert one._transport.engine is not None
        assert one._transport.engine is not two._transport.engine


def test_copies_of_a_client_of_the_sdk_share_the_transport(
    provider: Provider, ours: Ours, engine: Engine
) -> None:
    with anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        for copy in (sdk.with_options(timeout=5), sdk.copy(api_key="other"), sdk):
            copy.messages.create(**hello())
    assert len(ours.rows()) == 3
    assert provider.connections == 1


def impatient(flavour: Flavour, url: str, engine: Engine, seed: int) -> None:
    """Sixty calls at the same time, most of which are cancelled somewhere on their way."""
    chance = random.Random(seed)

    async def play() -> None:
        async with opened(flavour.sdk(url, engine)) as sdk:

            async def one(patience_s: float, streamed: bool) -> None:
                with anyio.move_on_after(patience_s):
                    reply = await sdk.messages.create(**hello(), stream=streamed)
                    if streamed:
                        async for _ in reply:
                            await anyio.lowlevel.checkpoint()

            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(one, chance.choice((0.0, 0.01, 0.05, 0.1, 5.0)), chance.random() < 0.5)

    flavour.run(play)


@pytest.mark.filterwarnings("ignore:Async generator '(anthropic|httpx2|httpcore2|headway):ResourceWarning")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_cancelled_when_the_engine_is_left_clean(
    seed: int, provider: Provider, ours: Ours
) -> None:
    engine = ours.again(limits="requests=30k", burst="requests=30", concurrency=4)
    loops = [
        threading.Thread(target=impatient, args=(flavour, provider.url, engine, seed), daemon=True)
        for flavour in FLAVOURS[1:]
    ]
    with anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        threads = in_threads(3, lambda _: [sdk.messages.create(**hello()) for _ in range(5)])
        for loop in loops:
            loop.start()
        join_all([*threads, *loops])
    ours.is_clean()
    assert ours.outcomes().count("ok") >= 15
    for levels in engine.levels().values():
        assert [level.in_flight for level in levels] == [pytest.approx(0.0, abs=1e-6)] * len(levels)
    provider.until(lambda: provider.open_connections() == 0)
