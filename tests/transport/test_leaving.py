"""Callers leave whenever they like: in line, while sending, in the middle of a reply. Nothing of theirs stays behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anthropic
import anyio
import pytest

import headway
from headway.runtime import Engine
from transport.conftest import Ours
from transport.flavours import FLAVOURS, Flavour, done, hello, opened
from transport.provider import CLOSE, PATIENCE_S, Answer, End, Provider, Request, wait_until
from transport.replies import LAST_CHUNK, chunk, http, message, stream_head, text_events

Scene = Callable[[Any], Awaitable[Any]]
SLOW = {"limits": "requests=1", "burst": "requests=1"}  # a minute between calls
ASYNC = [flavour for flavour in FLAVOURS if flavour.is_async]
# The SDK leaves generators of its own to the collector when a stream is not read to its end.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Async generator '(anthropic|httpx2|httpcore2|headway):ResourceWarning"
)


class Slowly:
    """A provider that goes on with a reply only when told to: `begun` is set by each request, `go` lets all go on."""

    def __init__(self, *first: bytes, then: tuple[bytes | End, ...] = (CLOSE,)) -> None:
        self.first = first
        self.then = then
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, request: Request) -> Iterator[bytes | End]:
        yield from self.first
        self.begun.release()
        self.go.wait(PATIENCE_S)
        yield from self.then


SOME = [stream_head(), *map(chunk, text_events()[:4])]
REST = (*map(chunk, text_events()[4:]), LAST_CHUNK)


@pytest.fixture
def slowly(provide: Callable[[Answer], Provider]) -> Iterator[Callable[..., tuple[Slowly, Provider]]]:
    scripts: list[Slowly] = []

    def start(*first: bytes, **more: Any) -> tuple[Slowly, Provider]:
        scripts.append(Slowly(*first, **more))
        return scripts[-1], provide(scripts[-1])

    yield start
    for script in scripts:
        script.go.set()


def in_line(engine: Engine) -> int:
    return sum(len(pool.line) for pool in engine.core.pools.values())


async def until(happened: Callable[[], Any]) -> None:
    """Let other tasks run until it has happened."""
    with anyio.fail_after(PATIENCE_S):
        while not happened():  # noqa: ASYNC110 # others tell nobody that it has
            await anyio.sleep(0.002)


async def cancelled_while(begun: Callable[[], Any], call: Callable[[], Awaitable[Any]]) -> None:
    """Start a call, cancel it once it has begun."""

    async def one() -> None:
        await call()
        raise AssertionError("it came to its end")

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        await until(begun)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("flavour", ASYNC, ids=lambda flavour: flavour.name)
def test_cancelled_in_line_is_never_sent(flavour: Flavour, provider: Provider, ours: Ours) -> None:
    engine = ours.again(**SLOW)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await sdk.messages.create(**hello())
            await cancelled_while(lambda: in_line(engine), lambda: sdk.messages.create(**hello()))
            assert in_line(engine) == 0
            with anyio.move_on_after(0.05) as scope:
                await sdk.messages.create(**hello(), stream=True)
            assert scope.cancelled_caught

    flavour.run(play)
    assert len(provider.requests) == 1
    assert ours.outcomes() == ["ok"]


HALF_A_REPLY = http(message())[:-20]
BEGUN = {
    "whole, nothing came": (False, []),
    "whole, half came": (False, [HALF_A_REPLY]),
    "streamed, nothing came": (True, []),
    "streamed, its head came": (True, [stream_head()]),
    "streamed, its start came": (True, SOME[:2]),
}


@pytest.mark.parametrize("begun", BEGUN)
@pytest.mark.parametrize("flavour", ASYNC, ids=lambda flavour: flavour.name)
def test_cancelled_while_sending_is_settled_by_estimate(
    flavour: Flavour,
    begun: str,
    slowly: Callable[..., tuple[Slowly, Provider]],
    ours: Ours,
    engine: Engine,
) -> None:
    streamed, first = BEGUN[begun]
    script, provider = slowly(*first)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await cancelled_while(
                lambda: script.begun.acquire(blocking=False),
                lambda: sdk.messages.create(**hello(), stream=streamed),
            )
            assert engine.core.in_flight == 0
            await until(lambda: provider.open_connections() == 0)

    flavour.run(play)
    (row,) = ours.rows()
    assert (row["outcome"], row["estimated"]) == ("cancelled", 1)
    assert row["output_tokens"] > 0


@pytest.mark.parametrize("flavour", ASYNC, ids=lambda flavour: flavour.name)
def test_cancelled_in_the_middle_of_a_reply_is_settled_by_what_came(
    flavour: Flavour, slowly: Callable[..., tuple[Slowly, Provider]], ours: Ours, engine: Engine
) -> None:
    _, provider = slowly(*SOME)

    async def play() -> None:
        seen: list[str] = []

        async def read() -> None:
            async with sdk.messages.stream(**hello()) as running:
                async for text in running.text_stream:
                    seen.append(text)  # noqa: PERF401 # it is cut off

        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await cancelled_while(lambda: seen, read)
            assert engine.core.in_flight == 0
            await until(lambda: provider.open_connections() == 0)

    flavour.run(play)
    (row,) = ours.rows()
    assert (row["outcome"], row["estimated"], row["input_tokens"]) == ("cancelled", 1, 12)


def test_a_task_of_asyncio_that_is_cancelled_raises_cancelled(provider: Provider, ours: Ours) -> None:
    engine = ours.again(**SLOW)

    async def play() -> None:
        async with opened(FLAVOURS[1].sdk(provider.url, engine)) as sdk:
            await sdk.messages.create(**hello())
            task = asyncio.create_task(sdk.messages.create(**hello()))
            await until(lambda: in_line(engine))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    FLAVOURS[1].run(play)


async def leave_the_block(sdk: Any) -> None:
    async with opened(sdk.messages.stream(**hello())) as running:
        await first_of(running)


async def read_nothing(sdk: Any) -> None:
    async with opened(sdk.messages.stream(**hello())):
        pass


async def close_it(sdk: Any) -> None:
    running = await done(sdk.messages.create(**hello(), stream=True))
    await first_of(running)
    await done(running.close())


async def close_a_raw_response(sdk: Any) -> None:
    async with opened(sdk.messages.with_streaming_response.create(**hello(), stream=True)) as response:
        await first_of(response.iter_bytes())


async def forget_it(sdk: Any) -> None:
    running = await done(sdk.messages.create(**hello(), stream=True))
    await first_of(running)


async def forget_it_unread(sdk: Any) -> None:
    await done(sdk.messages.create(**hello(), stream=True))


async def forget_it_in_a_ring(sdk: Any) -> None:
    running = await done(sdk.messages.create(**hello(), stream=True))
    await first_of(running)
    ring: list[Any] = [running]
    ring.append(ring)


async def forget_it_unread_in_a_ring(sdk: Any) -> None:
    ring: list[Any] = [await done(sdk.messages.create(**hello(), stream=True))]
    ring.append(ring)


async def raise_inside(sdk: Any) -> None:
    async def fail() -> None:
        async with opened(sdk.messages.stream(**hello())) as running:
            await first_of(running)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def first_of(stream: Any) -> None:
    if hasattr(stream, "__aiter__"):
        async for _ in stream:
            break
    else:
        for _ in stream:
            break


LEFT = [
    leave_the_block,
    read_nothing,
    close_it,
    close_a_raw_response,
    forget_it,
    forget_it_unread,
    forget_it_in_a_ring,
    raise_inside,
]


@pytest.mark.parametrize("leave", LEFT, ids=lambda leave: leave.__name__)
def test_a_reply_that_is_not_read_to_its_end_leaves_nothing_behind(
    flavour: Flavour, leave: Scene, slowly: Callable[..., tuple[Slowly, Provider]], ours: Ours, engine: Engine
) -> None:
    _, provider = slowly(*SOME)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await leave(sdk)
            gc.collect()
            await until(lambda: engine.core.in_flight == 0)

    flavour.run(play)
    (row,) = ours.rows()
    assert (row["outcome"], row["estimated"], row["input_tokens"]) == ("cancelled", 1, 12)
    provider.until(lambda: provider.open_connections() == 0)


@pytest.mark.parametrize(
    "forget", [forget_it_in_a_ring, forget_it_unread_in_a_ring], ids=lambda forget: forget.__name__
)
def test_the_collector_may_run_while_the_engine_is_locked(
    flavour: Flavour,
    forget: Scene,
    slowly: Callable[..., tuple[Slowly, Provider]],
    ours: Ours,
    engine: Engine,
) -> None:
    _, provider = slowly(*SOME)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            gc.disable()
            try:
                await forget(sdk)
                engine.turnstile.look(gc.collect)
            finally:
                gc.enable()
            await until(lambda: engine.core.in_flight == 0)

    flavour.run(play)
    assert ours.outcomes() == ["cancelled"]


def test_a_reply_that_was_there_to_its_end_counts_as_read(
    flavour: Flavour, provider: Provider, ours: Ours, engine: Engine
) -> None:
    async def play() -> None:
        async with (
            opened(flavour.sdk(provider.url, engine)) as sdk,
            opened(sdk.messages.stream(**hello())) as running,
        ):
            await done(running.until_done())

    flavour.run(play)
    (row,) = ours.rows()
    assert (row["outcome"], row["estimated"], row["output_tokens"]) == ("ok", 0, 7)


def test_a_client_that_is_closed_while_a_reply_is_read_leaves_nothing_behind(
    flavour: Flavour, slowly: Callable[..., tuple[Slowly, Provider]], ours: Ours, engine: Engine
) -> None:
    _, provider = slowly(*SOME)

    async def play() -> None:
        sdk = flavour.sdk(provider.url, engine)
        running = await done(sdk.messages.create(**hello(), stream=True))
        await first_of(running)
        await done(sdk.close())
        await done(running.close())
        await until(lambda: provider.open_connections() == 0)

    flavour.run(play)
    assert len(ours.rows()) == 1


def test_threads_that_are_abandoned_end_their_calls_all_the_same(
    slowly: Callable[..., tuple[Slowly, Provider]], ours: Ours, engine: Engine
) -> None:
    script, provider = slowly(then=(http(message()),))

    async def play() -> None:
        sync = FLAVOURS[0].sdk(provider.url, engine)
        with anyio.move_on_after(0.05):
            await anyio.to_thread.run_sync(lambda: sync.messages.create(**hello()), abandon_on_cancel=True)
        assert engine.core.in_flight == 1
        script.go.set()
        await until(lambda: engine.core.in_flight == 0)
        sync.close()

    FLAVOURS[2].run(play)
    assert ours.outcomes() == ["ok"]


def test_a_loop_that_ends_with_tasks_in_line_takes_them_out(provider: Provider, ours: Ours) -> None:
    engine = ours.again(**SLOW)
    loop = asyncio.new_event_loop()
    sdk = FLAVOURS[1].sdk(provider.url, engine)
    loop.run_until_complete(sdk.messages.create(**hello()))
    waiting = loop.create_task(sdk.messages.create(**hello()))
    loop.run_until_complete(until(lambda: in_line(engine)))
    loop.run_until_complete(sdk.close())
    waiting.cancel()
    loop.run_until_complete(asyncio.wait([waiting]))
    loop.close()
    assert in_line(engine) == 0


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_a_loop_that_is_closed_on_its_tasks_does_not_keep_the_line(provider: Provider, ours: Ours) -> None:
    """Tasks that are thrown away with their loop still stand in line; when their turn comes they are passed over."""
    engine = ours.again(limits="requests=600", burst="requests=1")
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_said: None)  # "task was destroyed but it is pending"
    dead = FLAVOURS[1].sdk(provider.url, engine)
    kept = [loop.create_task(dead.messages.create(**hello())) for _ in range(5)]
    loop.run_until_complete(until(lambda: in_line(engine)))
    loop.run_until_complete(dead.close())
    loop.close()
    with anthropic.Anthropic(
        base_url=provider.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        assert sdk.messages.create(**hello()).content
    kept.clear()
    gc.collect()
    wait_until(lambda: engine.core.in_flight == 0)
    assert in_line(engine) == 0
