"""There is one retry layer. What is final reaches the caller as the SDK's own error, and nothing is tried on top."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import anthropic
import pytest

from headway.core.retry import Retry
from headway.runtime import Engine
from transport.conftest import Ours
from transport.flavours import Flavour, done, everything, hello, into, opened, wrong
from transport.provider import CLOSE, PATIENCE_S, RESET, Answer, End, Provider, Request
from transport.replies import (
    LAST_CHUNK,
    chunk,
    error,
    event,
    http,
    message,
    started,
    stream,
    stream_head,
    text_events,
)

Provide = Callable[[Answer], Provider]
# On trio the SDK leaves generators of its own to the collector when a stream ends with an error, with headway or without.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Async generator '(anthropic|httpx2|httpcore2):ResourceWarning"
)
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def always(*parts: bytes | End) -> Answer:
    return lambda _request: parts


def one_after_another(*answers: Iterable[bytes | End]) -> Answer:
    """The first request gets the first answer, and so on; the last one is repeated."""
    kept = [list(each) for each in answers]
    return lambda request: kept[min(request.number, len(kept) - 1)]


def beginning(events: Sequence[bytes]) -> Iterator[bytes]:
    """A stream that has not ended."""
    yield stream_head()
    for each in events:
        yield chunk(each)


def told(raised: Any) -> Any:
    """What an error of the SDK says."""
    response = getattr(raised, "response", None)
    return (
        type(raised),
        str(raised),
        getattr(raised, "body", None),
        response is not None and (response.status_code, response.headers.get("request-id"), response.content),
    )


TRIED_AGAIN = {
    "529": always(error("overloaded_error", 529)),
    "503": always(error("api_error", 503)),
    "500": always(error("api_error", 500)),
    "504": always(error("timeout_error", 504)),
    "409": always(error("conflict_error", 409)),
    "no JSON": always(http(b"<html>Bad gateway", 502, kind="text/html")),
    "429": always(error("rate_limit_error", 429, retry_after="0")),
}
FINAL = {
    "400": always(error("invalid_request_error", 400)),
    "401": always(error("authentication_error", 401)),
    "402": always(error("billing_error", 402)),
    "403": always(error("permission_error", 403)),
    "404": always(error("not_found_error", 404)),
    "413": always(error("request_too_large", 413)),
    "spend cap": always(error("rate_limit_error", 429, "You have reached your specified API usage limits")),
}


@pytest.mark.parametrize("what", TRIED_AGAIN)
def test_a_failure_is_tried_again_by_us_and_then_is_the_error_of_the_sdk(
    flavour: Flavour, what: str, provide: Provide, ours: Ours, engine: Engine
) -> None:
    provider = provide(TRIED_AGAIN[what])

    async def play() -> None:
        async with opened(flavour.bare(provider.url, max_retries=0)) as bare:
            expected = told(await wrong(lambda: bare.messages.create(**hello())))
        provider.requests.clear()
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            raised = await wrong(lambda: sdk.messages.create(**hello()))
            assert told(raised) == expected
            assert raised.response.headers["x-should-retry"] == "false"

    flavour.run(play)
    assert len(provider.requests) == 2
    assert len(ours.rows()) == 2


@pytest.mark.parametrize("what", FINAL)
def test_what_will_not_change_is_sent_once(
    flavour: Flavour, what: str, provide: Provide, engine: Engine
) -> None:
    provider = provide(FINAL[what])

    async def play() -> None:
        async with opened(flavour.bare(provider.url, max_retries=0)) as bare:
            expected = told(await wrong(lambda: bare.messages.create(**hello())))
        provider.requests.clear()
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            assert told(await wrong(lambda: sdk.messages.create(**hello()))) == expected

    flavour.run(play)
    assert len(provider.requests) == 1


@pytest.mark.parametrize("end", [RESET, CLOSE])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_connection_that_breaks_each_time_is_tried_as_often_as_we_say(
    flavour: Flavour, end: End, streamed: bool, provide: Provide, ours: Ours, engine: Engine
) -> None:
    provider = provide(always(end))

    async def play() -> None:
        tries = 1 if end is RESET and streamed else 0  # which take time, as the SDK sleeps
        async with opened(flavour.sdk(provider.url, engine, max_retries=tries)) as sdk:
            raised = await wrong(lambda: sdk.messages.create(**hello(), stream=streamed))
            assert type(raised) is anthropic.APIConnectionError

    flavour.run(play)
    assert len(provider.requests) == 2
    assert ours.outcomes() == ["failed", "failed"]


def test_nobody_there_is_an_error_of_the_sdk_and_costs_nothing(
    flavour: Flavour, provide: Provide, ours: Ours, engine: Engine
) -> None:
    provider = provide(always(CLOSE))
    provider.close()

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine, max_retries=0)) as sdk:
            raised = await wrong(lambda: sdk.messages.create(**hello()))
            assert type(raised) is anthropic.APIConnectionError

    flavour.run(play)
    assert [(row["input_tokens"], row["estimated"]) for row in ours.rows()] == [(0, 0), (0, 0)]


def test_a_new_call_is_not_answered_with_what_an_equal_one_ended_with(
    flavour: Flavour, provide: Provide, engine: Engine
) -> None:
    held = threading.Event()

    def answer(request: Request) -> Iterator[bytes | End]:
        if request.number < 2:
            yield RESET
        elif request.number == 2:
            held.wait(PATIENCE_S)
            yield CLOSE
        else:
            yield http(message())

    provider = provide(answer)

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine, max_retries=1)) as sdk:
            await wrong(lambda: sdk.messages.create(**hello()))
            again = await done(sdk.with_options(timeout=0.1).messages.create(**hello()))
            assert again.content[0].text == "Hello there"
            held.set()

    flavour.run(play)
    assert [request.headers["x-stainless-retry-count"] for request in provider.requests] == [
        "0",
        "0",
        "0",
        "1",
    ]


def test_a_wait_that_the_provider_asks_for_is_kept(
    flavour: Flavour, provide: Provide, ours: Ours, engine: Engine
) -> None:
    engine.retry = Retry()
    provider = provide(
        one_after_another([error("rate_limit_error", 429, retry_after="1")], [http(message())])
    )

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            await done(sdk.messages.create(**hello()))

    flavour.run(play)
    refused, admitted = ours.rows()
    assert [refused["outcome"], admitted["outcome"]] == ["rate_limited", "ok"]
    assert admitted["at_ns"] - refused["at_ns"] >= 1e9


BEFORE_CONTENT = {
    "an error event": [*beginning([started(), OVERLOADED]), LAST_CHUNK],
    "an error event first": [*beginning([OVERLOADED]), LAST_CHUNK],
    "a reset": [*beginning([started()]), RESET],
    "a cut": [*beginning([started()]), CLOSE],
    "an early end": [*beginning([started()]), LAST_CHUNK],
    "nothing at all": [*beginning([]), LAST_CHUNK],
}


@pytest.mark.parametrize("what", BEFORE_CONTENT)
def test_a_stream_that_fails_before_its_content_is_tried_again_unseen(
    flavour: Flavour, what: str, provide: Provide, ours: Ours, engine: Engine
) -> None:
    provider = provide(one_after_another(BEFORE_CONTENT[what], stream(text_events())))

    async def play() -> None:
        async with (
            opened(flavour.sdk(provider.url, engine)) as sdk,
            opened(sdk.messages.stream(**hello())) as running,
        ):
            assert "".join(await everything(running.text_stream)) == "Hello there"

    flavour.run(play)
    assert len(provider.requests) == 2
    assert ours.outcomes()[1] == "ok"


SOME = text_events()[:4]
AFTER_CONTENT = {
    "an error event": [*beginning([*SOME, OVERLOADED]), LAST_CHUNK],
    "a reset": [*beginning(SOME), RESET],
    "a cut": [*beginning(SOME), CLOSE],
    "an early end": [*beginning(SOME), LAST_CHUNK],
}


async def read_to_the_end(sdk: Any) -> Any:
    """What the SDK shows of a stream, and how that ends."""
    seen: list[Any] = []
    try:
        reading = await done(sdk.messages.create(**hello(), stream=True))
        await into(seen, reading)
    except Exception as raised:
        return seen, type(raised), getattr(raised, "body", None)
    return seen, None, None


@pytest.mark.parametrize("what", AFTER_CONTENT)
def test_a_stream_that_breaks_after_its_content_began_is_seen_as_it_is(
    flavour: Flavour, what: str, provide: Provide, ours: Ours, engine: Engine
) -> None:
    provider = provide(always(*AFTER_CONTENT[what]))

    async def play() -> None:
        async with opened(flavour.bare(provider.url)) as bare:
            expected = await read_to_the_end(bare)
        provider.requests.clear()
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            assert await read_to_the_end(sdk) == expected

    flavour.run(play)
    assert len(provider.requests) == 1
    (row,) = ours.rows()
    assert row["outcome"] in ("failed", "overloaded")
    assert row["estimated"] == 1
    assert row["input_tokens"] == 12


def test_a_stream_that_fails_each_time_before_its_content_ends_as_it_does_without_us(
    flavour: Flavour, provide: Provide, ours: Ours, engine: Engine
) -> None:
    provider = provide(always(*BEFORE_CONTENT["an error event"]))

    async def play() -> None:
        async with opened(flavour.bare(provider.url)) as bare:
            expected = await read_to_the_end(bare)
        provider.requests.clear()
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            assert await read_to_the_end(sdk) == expected

    flavour.run(play)
    assert len(provider.requests) == 2
    assert ours.outcomes() == ["overloaded", "overloaded"]


class Stalled:
    """A provider that says nothing more after `parts`, until the test is over."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.over = threading.Event()

    def __call__(self, request: Request) -> Iterator[bytes | End]:
        yield from self.parts
        self.over.wait(PATIENCE_S)
        yield CLOSE


@pytest.fixture
def stalled(provide: Provide) -> Iterator[Callable[..., Provider]]:
    scripts: list[Stalled] = []

    def start(*parts: bytes) -> Provider:
        scripts.append(Stalled(*parts))
        return provide(scripts[-1])

    yield start
    for script in scripts:
        script.over.set()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_timeout_of_the_caller_is_its_own_and_each_of_its_tries_is_one_attempt(
    flavour: Flavour, streamed: bool, stalled: Callable[..., Provider], ours: Ours, engine: Engine
) -> None:
    provider = stalled()

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine, max_retries=1)) as sdk:
            hasty = sdk.with_options(timeout=0.1)
            raised = await wrong(lambda: hasty.messages.create(**hello(), stream=streamed))
            assert type(raised) is anthropic.APITimeoutError

    flavour.run(play)
    assert [request.headers["x-stainless-retry-count"] for request in provider.requests] == ["0", "1"]
    assert [(row["outcome"], row["estimated"], row["error_type"]) for row in ours.rows()] == [
        ("failed", 1, "timeout")
    ] * 2
    provider.until(lambda: provider.open_connections() == 0)


def test_a_stream_that_falls_silent_ends_as_it_does_without_us(
    flavour: Flavour, stalled: Callable[..., Provider], ours: Ours, engine: Engine
) -> None:
    provider = stalled(*beginning(SOME))

    async def play() -> None:
        async with opened(flavour.bare(provider.url, timeout=0.1, max_retries=0)) as bare:
            expected = await read_to_the_end(bare)
        async with opened(flavour.sdk(provider.url, engine, timeout=0.1, max_retries=0)) as sdk:
            assert await read_to_the_end(sdk) == expected

    flavour.run(play)
    assert ours.outcomes() == ["failed"]
    provider.until(lambda: provider.open_connections() == 0)


def test_time_in_line_does_not_count_against_a_timeout(
    flavour: Flavour, provider: Provider, ours: Ours
) -> None:
    engine = ours.again(limits="requests=120", burst="requests=1")

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine, timeout=0.2, max_retries=0)) as sdk:
            for _ in range(2):
                await done(sdk.messages.create(**hello()))

    flavour.run(play)
    assert ours.rows()[1]["queued_ms"] > 300.0


def test_after_an_error_event_nobody_waits_for_the_end_of_the_stream(
    flavour: Flavour, stalled: Callable[..., Provider], ours: Ours, engine: Engine
) -> None:
    provider = stalled(*beginning([started(), OVERLOADED]))

    async def play() -> None:
        async with opened(flavour.sdk(provider.url, engine, timeout=60.0)) as sdk:
            seen, kind, _ = await read_to_the_end(sdk)
            assert (len(seen), kind) == (1, anthropic.APIStatusError)

    flavour.run(play)
    assert ours.outcomes() == ["overloaded", "overloaded"]
    provider.until(lambda: provider.open_connections() == 0)
