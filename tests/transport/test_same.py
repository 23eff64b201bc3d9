"""The official SDK gets from headway what it gets without, and the provider gets the same requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headway.runtime import Engine
from transport.conftest import Ours
from transport.flavours import Flavour, done, everything, hello, opened
from transport.provider import Provider
from transport.replies import BYTES_OF_A_FILE, MODEL

Scene = Callable[[Any], Awaitable[Any]]
TOOLS = [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]


async def create(client: Any) -> Any:
    return await done(client.messages.create(**hello()))


async def create_streamed(client: Any) -> Any:
    return await everything(await done(client.messages.create(**hello(), stream=True)))


async def stream(client: Any) -> Any:
    async with opened(client.messages.stream(**hello())) as running:
        events = await everything(running)
        return events, await done(running.get_final_message())


async def stream_of_text(client: Any) -> Any:
    async with opened(client.messages.stream(**hello())) as running:
        return await everything(running.text_stream), await done(running.get_final_text())


async def stream_of_tools(client: Any) -> Any:
    async with opened(client.messages.stream(**hello(), tools=TOOLS)) as running:
        events = await everything(running)
        return events, await done(running.get_final_message())


async def beta(client: Any) -> Any:
    return await done(client.beta.messages.create(**hello(), betas=["context-1m-2025-08-07"]))


async def raw(client: Any) -> Any:
    response = await done(client.messages.with_raw_response.create(**hello()))
    return (
        dict(response.headers),
        response.status_code,
        response.http_response.content,
        await done(response.parse()),
    )


async def raw_streamed(client: Any) -> Any:
    response = await done(client.messages.with_raw_response.create(**hello(), stream=True))
    return dict(response.headers), await everything(await done(response.parse()))


async def bytes_streamed(client: Any) -> Any:
    async with opened(client.messages.with_streaming_response.create(**hello(), stream=True)) as response:
        return b"".join(await everything(response.iter_bytes())), dict(response.headers)


async def lines_streamed(client: Any) -> Any:
    async with opened(client.messages.with_streaming_response.create(**hello())) as response:
        return await everything(response.iter_lines())


async def read_streamed(client: Any) -> Any:
    async with opened(client.messages.with_streaming_response.create(**hello())) as response:
        return await done(response.read()), await done(response.parse())


async def count(client: Any) -> Any:
    return await done(client.messages.count_tokens(model=MODEL, messages=hello()["messages"]))


async def models(client: Any) -> Any:
    return await everything(client.models.list())


async def model(client: Any) -> Any:
    return await done(client.models.retrieve(MODEL))


async def missing(client: Any) -> Any:
    try:
        return await done(client.models.retrieve("no-such-model"))
    except Exception as error:
        return type(error), str(error)


async def batch(client: Any) -> Any:
    requests = [{"custom_id": "a", "params": hello()}]
    return await done(client.messages.batches.create(requests=requests))


async def batch_retrieved(client: Any) -> Any:
    return await done(client.messages.batches.retrieve("msgbatch_1"))


async def batch_results(client: Any) -> Any:
    return await everything(await done(client.messages.batches.results("msgbatch_1")))


async def upload(client: Any) -> Any:
    return await done(client.files.upload(file=("notes.txt", b"notes", "text/plain")))


async def download(client: Any) -> Any:
    content = await done(client.files.download("file_1"))
    data = await done(content.read())
    assert data == BYTES_OF_A_FILE
    return data


SCENES = [
    create,
    create_streamed,
    stream,
    stream_of_text,
    stream_of_tools,
    beta,
    raw,
    raw_streamed,
    bytes_streamed,
    lines_streamed,
    read_streamed,
    count,
    models,
    model,
    missing,
    batch,
    batch_retrieved,
    batch_results,
    upload,
    download,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_sdk_gets_and_sends_what_it_would_without(
    flavour: Flavour, scene: Scene, provider: Provider, ours: Ours, engine: Engine
) -> None:
    async def play() -> None:
        async with opened(flavour.bare(provider.url)) as bare:
            expected = await scene(bare)
        sent = [_as_sent(request) for request in provider.requests]
        provider.requests.clear()
        async with opened(flavour.sdk(provider.url, engine)) as sdk:
            assert await scene(sdk) == expected
        got = [_as_sent(request) for request in provider.requests]
        assert got == sent

    flavour.run(play)
    assert len(ours.rows()) == len(provider.requests)
    provider.until(lambda: provider.open_connections() == 0)


def _as_sent(request: Any) -> Any:
    """All of a request but what is drawn anew for each: the boundary between the parts of a form."""
    boundary = request.headers.get("content-type", "").partition("boundary=")[2]
    body = request.body.replace(boundary.encode(), b"") if boundary else request.body
    headers = request.headers.items()
    named = [f"{name}: {value.replace(boundary, '') if boundary else value}" for name, value in headers]
    return [f"{request.method} {request.path}", *named, body]
