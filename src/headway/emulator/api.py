"""The wire side: a raw ASGI application that carries out what `organisation` decides, in real time."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Any, assert_never

import msgspec

from headway.emulator.admin import rate_limits
from headway.emulator.answers import Answer, Clerk, HangUp, Serving
from headway.emulator.checks import MAX_BODY_BYTES, Rejected
from headway.emulator.organisation import Organisation
from headway.emulator.replies import events, whole
from headway.emulator.script import Mishap

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_TOO_LARGE = Rejected(413, "request_too_large", "Request exceeds the maximum size")
_NO_PLACE = Rejected(404, "not_found_error", "Not Found")
_BROKEN = frozenset((Mishap.CUT, Mishap.SHORT, Mishap.STREAM_ERROR))
_TIMER_S = 0.0005
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_ENCODE = msgspec.json.Encoder().encode


class Api:
    """One emulated API. The server must put its transport into the scope's state, so that connections can be broken."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self._admin = Clerk("admin")

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope["state"]["transport"]
        try:
            await self._handle(scope, transport, receive, send)
        except asyncio.CancelledError:
            if not transport.is_closing():  # only a server that stops cancels us, and it hangs up before
                raise

    async def _handle(self, scope: Any, transport: asyncio.Transport, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        match scope["method"], scope["path"]:
            case "POST", "/v1/messages":
                await self._message(scope, body, transport, receive, send)
            case method, path:
                await _answer(self._other(method, path, scope, body), send)

    def _other(self, method: str, path: str, scope: Any, body: bytes | None) -> Answer:
        headers, now = dict(scope["headers"]), time.monotonic()
        match method, path:
            case "POST", "/v1/messages/count_tokens" if body is not None:
                return self.organisation.count(headers, body, now)
            case "GET", _ if path == "/v1/models" or path.startswith("/v1/models/"):
                return self.organisation.models(headers, path[len("/v1/models/") :])
            case "GET", "/v1/organizations/usage_report/messages":
                return self.organisation.usage_report(headers, scope["query_string"], time.time())
            case "GET", "/v1/organizations/rate_limits":
                return self._rate_limits(headers, scope["query_string"])
            case "GET", "/emulator/stats":
                markers = b"markers=1" in scope["query_string"]
                return _json(self.organisation.stats(now, markers=markers))
            case "POST", "/emulator/reset":
                self.organisation.reset(now)
                return _json({"reset": True})
            case _:
                return self.organisation.reject(_NO_PLACE if body is not None else _TOO_LARGE)

    def _rate_limits(self, headers: Mapping[bytes, bytes], query: bytes) -> Answer:
        try:
            values = rate_limits(self.organisation.profile, headers, query)
        except Rejected as no:
            return self.organisation.reject(no)
        return self._admin.answer(self._admin.next_id(), values)

    async def _message(
        self, scope: Any, body: bytes | None, transport: asyncio.Transport, receive: Receive, send: Send
    ) -> None:
        if body is None:
            await _answer(self.organisation.reject(_TOO_LARGE), send)
            return
        decision = self.organisation.message(dict(scope["headers"]), body, time.monotonic(), time.time())
        match decision:
            case Answer():
                await _answer(decision, send)
            case HangUp():
                await _break_off(transport, receive, reset=True)
            case Serving():
                await self._serve(decision, transport, receive, send)
            case _:
                assert_never(decision)

    async def _serve(
        self, serving: Serving, transport: asyncio.Transport, receive: Receive, send: Send
    ) -> None:
        if serving.stream:
            await _stream(serving, transport, receive, send)
        else:
            await _send_whole(serving, transport, receive, send)
        if serving.message.script.mishap is Mishap.CUT:
            await _break_off(transport, receive, reset=False)


async def _stream(serving: Serving, transport: asyncio.Transport, receive: Receive, send: Send) -> None:
    """Play a reply to its end. If the client has left, the end is waited for all the same: it is billed."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS, *serving.headers]}
    )
    late_s = 0.0
    parts = events(serving.message)
    ahead = next(parts)
    while True:
        (at_s, part), following = ahead, next(parts, None)
        late_s = late_s or await _stall(serving, receive, at_s)
        await _wait_until(serving.starts_at + at_s + late_s)
        if following is None:
            _finish(serving, transport)
        if not transport.is_closing():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if following is None:
            break
        ahead = following
    if serving.message.script.mishap is not Mishap.CUT:
        await send({"type": "http.response.body", "body": b""})


async def _send_whole(serving: Serving, transport: asyncio.Transport, receive: Receive, send: Send) -> None:
    late_s = await _stall(serving, receive, serving.ends_at - serving.starts_at)
    await _wait_until(serving.ends_at + late_s)
    body = whole(serving.message)
    cut = serving.message.script.mishap is Mishap.CUT
    _finish(serving, transport)
    headers = [_JSON, (b"content-length", b"%d" % len(body)), *serving.headers]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(
        {"type": "http.response.body", "body": body[: len(body) // 2] if cut else body, "more_body": cut}
    )


def _finish(serving: Serving, transport: asyncio.Transport) -> None:
    """Book the end just before its last byte leaves, so that a client that has it finds it in the books."""
    ours = "broken" if serving.message.script.mishap in _BROKEN else "completed"
    serving.finish("aborted" if transport.is_closing() else ours)


async def _stall(serving: Serving, receive: Receive, at_s: float) -> float:
    """Fall silent once `at_s` is beyond the place the script names; returns the seconds lost by it."""
    script = serving.message.script
    if script.mishap is not Mishap.STALL or at_s < script.produced_s * script.break_at:
        return 0.0
    if serving.stall_s < inf:
        return serving.stall_s
    await _gone(receive)
    return _TIMER_S


async def _wait_until(moment: float) -> None:
    left_s = moment - time.monotonic()
    if left_s > _TIMER_S:
        await asyncio.sleep(left_s)


async def _break_off(transport: asyncio.Transport, receive: Receive, *, reset: bool) -> None:
    """Close the connection in the middle of a reply (what was written still arrives), or reset it (nothing does)."""
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(answer: Answer, send: Send) -> None:
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None: it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        size += len(message["body"])
        if size > MAX_BODY_BYTES:
            return None
        parts.append(message["body"])
        more = message["more_body"]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _json(values: Any) -> Answer:
    return Answer(200, [_JSON], _ENCODE(values))
