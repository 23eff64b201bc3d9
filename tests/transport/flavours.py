"""The SDK with threads, on asyncio and on trio: scenes are written once, in async clothes, and run in all three."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import anthropic
import anyio

import headway
from headway.runtime import Engine
from transport.replies import MODEL


@dataclass(frozen=True)
class Flavour:
    """How the SDK is used. "sync" runs its scenes on asyncio too, and blocks it, which harms nobody here."""

    name: str

    @property
    def is_async(self) -> bool:
        return self.name != "sync"

    def run(self, scene: Callable[[], Awaitable[Any]]) -> Any:
        return anyio.run(scene, backend="trio" if self.name == "trio" else "asyncio")

    def bare(self, url: str, **options: Any) -> Any:
        """The SDK without headway."""
        kind = anthropic.AsyncAnthropic if self.is_async else anthropic.Anthropic
        return kind(**{"base_url": url, "api_key": "any"} | options)

    def sdk(self, url: str, engine: Engine | None = None, **options: Any) -> Any:
        """The SDK with headway below."""
        make = headway.async_client if self.is_async else headway.client
        ours = options.pop("client_options", {})
        return self.bare(url, http_client=make(engine=engine, **ours), **options)


FLAVOURS = [Flavour("sync"), Flavour("asyncio"), Flavour("trio")]


async def done(value: Any) -> Any:
    """The result of a call, whether it must be awaited or not."""
    return await value if isawaitable(value) else value


async def into(seen: list[Any], stream: Any) -> list[Any]:
    """Put what a stream of either flavour yields into `seen`, which has it also if the stream breaks off."""
    if hasattr(stream, "__aiter__"):
        async for each in stream:
            seen.append(each)  # noqa: PERF401 # what came before an error must be there
    else:
        seen.extend(stream)
    return seen


async def everything(stream: Any) -> list[Any]:
    """All that a stream yields."""
    return await into([], stream)


@asynccontextmanager
async def opened(manager: Any) -> AsyncIterator[Any]:
    """Enter a context manager of either flavour."""
    if hasattr(manager, "__aenter__"):
        async with manager as entered:
            yield entered
    else:
        with manager as entered:
            yield entered


def hello(text: str = "Hello", **more: Any) -> dict[str, Any]:
    """The arguments of a small message."""
    return {
        "model": MODEL,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": text}],
    } | more


async def wrong(call: Any) -> Any:
    """The error that a call of the SDK raises."""
    try:
        await done(call())
    except Exception as raised:
        return raised
    raise AssertionError("nothing was raised")
