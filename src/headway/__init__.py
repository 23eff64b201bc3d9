"""headway paces, meters and schedules traffic to LLM APIs.

    import anthropic, headway

    client = anthropic.Anthropic(http_client=headway.client())

`client`, `async_client`: what goes into an SDK. `Transport`, `AsyncTransport`: the same around a transport of yours.
`session`: whose calls these are. `Engine`: one quota, shared. `Hooks`: be told. `send`, `async_send`: without an SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.errors import BudgetExceeded as BudgetExceeded
    from headway.errors import HeadwayError as HeadwayError
    from headway.errors import RequestTooLarge as RequestTooLarge
    from headway.errors import WouldWaitTooLong as WouldWaitTooLong
    from headway.hooks import Hooks as Hooks
    from headway.runtime import Engine as Engine
    from headway.transport.aio import AsyncTransport as AsyncTransport
    from headway.transport.client import async_client as async_client
    from headway.transport.client import client as client
    from headway.transport.scope import session as session
    from headway.transport.sync import Transport as Transport

__version__ = "0.1.0"

_WHERE = {
    "AsyncTransport": "headway.transport.aio",
    "BudgetExceeded": "headway.errors",
    "Engine": "headway.runtime",
    "HeadwayError": "headway.errors",
    "Hooks": "headway.hooks",
    "RequestTooLarge": "headway.errors",
    "Transport": "headway.transport.sync",
    "WouldWaitTooLong": "headway.errors",
    "async_client": "headway.transport.client",
    "client": "headway.transport.client",
    "session": "headway.transport.scope",
}
__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing before: `import headway` costs a program nothing that it does not use."""
    if name not in _WHERE:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_WHERE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
