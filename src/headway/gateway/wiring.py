"""The ASGI side of one request: what goes to the client, and how the connection ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from headway.gateway.refusal import Answer

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Gone(Exception):
    """The client has left, or must be left: the reply cannot be brought to an end."""


class Closing(Protocol):
    """A connection that can be told to end after the reply, although the request has not come whole."""

    def close_after_reply(self) -> None:
        """Take no other request on it."""


async def deliver(answer: Answer, send: Send) -> None:
    """Send a reply that is here whole."""
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def close_after(scope: Mapping[str, Any]) -> None:
    """End the connection after this reply if some of the request has not come yet."""
    connection: Closing | None = scope["state"].get("connection")
    if connection is not None:
        connection.close_after_reply()
