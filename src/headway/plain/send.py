"""`headway.send("Hello", model="claude-opus-4-8")`: ask a model, get its answer.

A call like any other: it waits for its turn, is tried again, recorded, and counted in the session around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx2

from headway.plain.asked import Answer, Asked
from headway.plain.connections import Trips, async_connections, connections
from headway.runtime import Engine
from headway.transport.aio import AsyncTransport
from headway.transport.inner import proxies
from headway.transport.sync import Transport

T = TypeVar("T")
MAX_TOKENS = 4096  # what every model can put out; only what is produced is paid for


def send(
    prompt: str | Sequence[Mapping[str, Any]],
    *,
    model: str,
    max_tokens: int = MAX_TOKENS,
    system: str | None = None,
    engine: Engine | None = None,
    timeout: float | None = None,
) -> Answer:
    """Ask a model and wait for its answer. `prompt` is a text, or messages with `role` and `content`.

    `timeout` is how many seconds the API may take for one attempt (default 600); how long the call may wait for its turn
    is said by `headway.session(max_wait=...)`. Key and address come from the settings (`ANTHROPIC_API_KEY`), or
    from `engine`.

    Raises InputError for what cannot be a call, ConfigError without a key, RequestTooLarge, WouldWaitTooLong or
    BudgetExceeded before anything is sent, ProviderError for an error of the API that stays one, and ConnectionFailed.
    """
    asked = Asked.of(prompt, model, max_tokens, system, engine, timeout)

    def through(proxy: str | None) -> Transport:
        return Transport(connections(proxy), engine=asked.engine)

    client = httpx2.Client(
        transport=through(None), mounts=_mounts(through)
    )  # light, and never closed: what it holds stays
    trips = Trips()
    try:
        response = client.send(asked.request(client, trips))
    except httpx2.RequestError as error:
        raise asked.failure(error) from error
    return asked.answer(response, trips)


async def async_send(
    prompt: str | Sequence[Mapping[str, Any]],
    *,
    model: str,
    max_tokens: int = MAX_TOKENS,
    system: str | None = None,
    engine: Engine | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 # of the connection, as in `send`; not a scope around the call
) -> Answer:
    """The same as `send`, on asyncio or trio."""
    asked = Asked.of(prompt, model, max_tokens, system, engine, timeout)
    ours = await async_connections()

    def through(proxy: str | None) -> AsyncTransport:
        return AsyncTransport(ours.through(proxy), engine=asked.engine)

    client = httpx2.AsyncClient(transport=through(None), mounts=_mounts(through))
    trips = Trips()
    try:
        response = await client.send(asked.request(client, trips))
    except httpx2.RequestError as error:
        raise asked.failure(error) from error
    return asked.answer(response, trips)


def _mounts(through: Callable[[str], T]) -> dict[str, T | None]:
    return {pattern: None if proxy is None else through(proxy) for pattern, proxy in proxies().items()}
