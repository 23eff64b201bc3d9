"""The ASGI side of one request: what goes to the client, and how the connection ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from headway.gateway.refusal import Answer

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


class Gone(Exception):
    """The client has left, or must be left: the reply cannot be brought to an end."""


async def deliver(answer: Answer, send: Send) -> None:
    """Send a reply that is here whole."""
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
