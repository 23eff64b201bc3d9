"""headway paces, meters and schedules traffic to LLM APIs.

    import anthropic, headway

    client = anthropic.Anthropic(http_client=headway.client())

`client`, `async_client`: what goes into an SDK. `Transport`, `AsyncTransport`: the same around a transport of yours.
`session`: whose calls these are. `Engine`: one quota, shared. `Hooks`: be told, with a `Waiting`, `Settled` and so on.
`send`, `async_send`: without an SDK, an `Answer`. `context`: what fills a context window. `otel`: OpenTelemetry.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway import context as context
    from headway import otel as otel
    from headway.core.events import Admitted as Admitted
    from headway.core.events import BudgetLow as BudgetLow
    from headway.core.events import LimitLearnt as LimitLearnt
    from headway.core.events import Refused as Refused
    from headway.core.events import Settled as Settled
    from headway.core.events import Waiting as Waiting
    from headway.errors import BudgetExceeded as BudgetExceeded
    from headway.errors import ConnectionFailed as ConnectionFailed
    from headway.errors import HeadwayError as HeadwayError
    from headway.errors import ProviderError as ProviderError
    from headway.errors import RequestTooLarge as RequestTooLarge
    from headway.errors import WouldWaitTooLong as WouldWaitTooLong
    from headway.exchange.scope import session as session
    from headway.hooks import Hooks as Hooks
    from headway.plain.asked import Answer as Answer
    from headway.plain.send import async_send as async_send
    from headway.plain.send import send as send
    from headway.runtime import Engine as Engine
    from headway.runtime import engine as engine
    from headway.transport.aio import AsyncTransport as AsyncTransport
    from headway.transport.client import async_client as async_client
    from headway.transport.client import client as client
    from headway.transport.sync import Transport as Transport

__version__ = "0.1.0"

_WHERE = {
    "Admitted": "headway.core.events",
    "Answer": "headway.plain.asked",
    "AsyncTransport": "headway.transport.aio",
    "BudgetExceeded": "headway.errors",
    "BudgetLow": "headway.core.events",
    "ConnectionFailed": "headway.errors",
    "Engine": "headway.runtime",
    "HeadwayError": "headway.errors",
    "Hooks": "headway.hooks",
    "LimitLearnt": "headway.core.events",
    "ProviderError": "headway.errors",
    "Refused": "headway.core.events",
    "RequestTooLarge": "headway.errors",
    "Settled": "headway.core.events",
    "Transport": "headway.transport.sync",
    "Waiting": "headway.core.events",
    "WouldWaitTooLong": "headway.errors",
    "async_client": "headway.transport.client",
    "async_send": "headway.plain.send",
    "client": "headway.transport.client",
    "engine": "headway.runtime",
    "send": "headway.plain.send",
    "session": "headway.exchange.scope",
}
_MODULES = ("context", "otel")
__all__ = ["__version__", *_MODULES, *_WHERE]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing before: `import headway` costs a program nothing that it does not use."""
    if name in _MODULES:
        return import_module(f"headway.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_WHERE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
