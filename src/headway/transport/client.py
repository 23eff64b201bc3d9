"""Ready clients: what to pass as `http_client=` to the official SDKs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx2

from headway.errors import ConfigError
from headway.hooks import Hooks
from headway.runtime import Engine
from headway.transport.aio import AsyncTransport
from headway.transport.inner import TIMEOUT, plain, plain_async, proxies
from headway.transport.sync import Transport

_OF_CONNECTIONS = ("verify", "cert", "trust_env", "http1", "http2", "limits")
_OF_CLIENTS = (
    "auth",
    "cookies",
    "event_hooks",
    "follow_redirects",
    "headers",
    "max_redirects",
    "params",
    "timeout",
)

_NO_PICKLE = (
    "a client of headway holds connections and a shared engine, and cannot be pickled: make it in the process that uses "
    "it, with headway.client() or headway.async_client()"
)


def client(
    *,
    engine: Engine | None = None,
    hooks: Hooks | Sequence[Hooks] = (),
    transport: httpx2.BaseTransport | None = None,
    **settings: Any,
) -> httpx2.Client:
    """A client to pass to an SDK: `anthropic.Anthropic(http_client=headway.client())`.

    Without arguments nothing needs to be set up: calls share one engine per address in this process, which learns the
    limits from the first reply. With `hooks` or `settings` (those of `headway.Engine`) the client gets an engine of its
    own; `engine` shares one that you made. `transport` is yours, to go below. Options of `httpx2.Client` and its
    transport pass through (`timeout`, `verify`, `http2`, ...).

    Raises ConfigError for settings that cannot be used, or both an engine and settings.
    """
    connections, clients, settings = _sorted(settings)
    ours = _engine(engine, hooks, settings)
    if transport is not None:
        return _Client(transport=Transport(transport, engine=ours), **clients)
    mounts = {
        pattern: None if proxy is None else Transport(make=partial(plain, proxy, **connections), engine=ours)
        for pattern, proxy in _proxies(connections).items()
    }
    return _Client(
        transport=Transport(make=partial(plain, **connections), engine=ours), mounts=mounts, **clients
    )


def async_client(
    *,
    engine: Engine | None = None,
    hooks: Hooks | Sequence[Hooks] = (),
    transport: httpx2.AsyncBaseTransport | None = None,
    **settings: Any,
) -> httpx2.AsyncClient:
    """The same as `client`, for `anthropic.AsyncAnthropic`, on asyncio or trio."""
    connections, clients, settings = _sorted(settings)
    ours = _engine(engine, hooks, settings)
    if transport is not None:
        return _AsyncClient(transport=AsyncTransport(transport, engine=ours), **clients)
    mounts = {
        pattern: None
        if proxy is None
        else AsyncTransport(make=partial(plain_async, proxy, **connections), engine=ours)
        for pattern, proxy in _proxies(connections).items()
    }
    return _AsyncClient(
        transport=AsyncTransport(make=partial(plain_async, **connections), engine=ours),
        mounts=mounts,
        **clients,
    )


class _Client(httpx2.Client):
    def __reduce__(self) -> Any:
        raise TypeError(_NO_PICKLE)


class _AsyncClient(httpx2.AsyncClient):
    def __reduce__(self) -> Any:
        raise TypeError(_NO_PICKLE)


def _sorted(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Options of the connections, of the client, of the engine."""
    limits = options.get("limits")  # of connections, or of the quota as text
    ours = {"limits": options.pop("limits")} if isinstance(limits, str) else {}
    connections = {name: options.pop(name) for name in _OF_CONNECTIONS if name in options}
    clients = {name: options.pop(name) for name in _OF_CLIENTS if name in options}
    return connections, {"timeout": TIMEOUT, "follow_redirects": True, **clients}, {**options, **ours}


def _proxies(connections: dict[str, Any]) -> dict[str, str | None]:
    return proxies() if connections.get("trust_env", True) else {}


def _engine(engine: Engine | None, hooks: Hooks | Sequence[Hooks], settings: dict[str, Any]) -> Engine | None:
    if not settings and not hooks:
        return engine
    if engine is not None:
        raise ConfigError("give either an engine or settings and hooks, not both")
    return Engine(hooks=hooks, **settings)
