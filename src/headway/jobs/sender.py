"""Sends one attempt over the wire and reads its reply to the end, telling the engine as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from headway.core.call import Call, Fault, Problem, Usage
from headway.core.ports import Provider
from headway.core.steps import Reply, Ticket
from headway.drivers.turnstile import Watch
from headway.errors import ConnectionFailed
from headway.providers.density import Density
from headway.providers.faults import MALFORMED_REPLY, STREAM_BROKEN
from headway.providers.message import MessageBuilder
from headway.providers.parsed import parse_object
from headway.providers.sse import Parser
from headway.providers.usage import stop_reason_of, usage_of
from headway.wire.client import Client
from headway.wire.reply import Reply as WireReply


class Listener(Protocol):
    """Who wants to know how attempts fare, before their calls are over."""

    def began(self, call: Call) -> None:
        """The reply has started: what it wrote to the prompt cache can be read from now on."""

    def troubled(self, problem: Problem, *, sent: bool) -> None:
        """An attempt has failed. `sent`: something of it had left, so somebody is there."""


class WireSender:
    """A `drivers.aio.Sender`. `headers` carry the key."""

    def __init__(
        self,
        client: Client,
        provider: Provider,
        headers: Sequence[tuple[bytes, bytes]],
        clock: Callable[[], float],
        listener: Listener,
    ) -> None:
        self._client = client
        self._provider = provider
        self._headers = [*headers, (b"content-type", b"application/json")]
        self._clock = clock
        self._listener = listener
        self._density = Density()

    async def send(self, ticket: Ticket, watch: Watch) -> Reply:
        """The reply, whole; what went wrong is in it."""
        reply = await self._exchange(ticket, watch)
        if reply.problem is not None:
            self._listener.troubled(reply.problem, sent=reply.sent)
        return reply

    async def _exchange(self, ticket: Ticket, watch: Watch) -> Reply:
        began = self._clock()
        call = ticket.call
        try:
            reply = await self._client.send("POST", call.path, self._headers, call.body)
        except ConnectionFailed as error:
            return Reply(None, {}, problem=_broken(error), total_s=self._clock() - began, sent=error.sent)
        try:
            kind = reply.headers.get("content-type", "").lower()
            if reply.status == 200 and kind.startswith("text/event-stream"):
                return await self._stream(ticket, reply, watch, began)
            return await self._whole(ticket, reply, watch, began)
        finally:
            await reply.close()

    async def _whole(self, ticket: Ticket, reply: WireReply, watch: Watch, began: float) -> Reply:
        headers, status = reply.headers, reply.status
        try:
            body = await reply.read()
        except ConnectionFailed as error:
            return Reply(status, headers, problem=_broken(error, status), total_s=self._clock() - began)
        problem = self._provider.classify(status, headers, body)
        message = None
        if problem is None:
            message = parse_object(body) or _from_stream(body)
            if message is None:
                problem = Problem(Fault.FAILED, MALFORMED_REPLY, "the reply is no message", status)
        watch.headed(self._provider.read_limits(headers), ok=problem is None)
        if problem is None:
            self._listener.began(ticket.call)
        took = self._clock() - began
        usage = self._provider.read_usage(body) if problem is None else None
        reason = "" if message is None else stop_reason_of(message)
        return Reply(status, headers, message, usage, problem, took, took, stop_reason=reason)

    async def _stream(self, ticket: Ticket, reply: WireReply, watch: Watch, began: float) -> Reply:
        headers = reply.headers
        watch.headed(self._provider.read_limits(headers), ok=True)
        parser, builder = Parser(), MessageBuilder()
        first: float | None = None
        produced, has_begun = 0.0, False
        problem: Problem | None = None
        try:
            async for chunk in reply:
                for event in parser.feed(chunk):
                    builder.feed(event.name, event.data)
                if builder.started and not has_begun:
                    has_begun = True
                    watch.began()
                    self._listener.began(ticket.call)
                if builder.produced_chars:
                    first = first if first is not None else self._clock() - began
                    produced = self._density.tokens(builder.produced_chars)
                    watch.produced(produced)
        except ConnectionFailed as error:
            problem = _broken(error, reply.status)
        usage = _usage_of(builder, ticket) if builder.started else None
        problem = problem or builder.error
        if problem is None and not builder.complete:
            problem = Problem(
                Fault.FAILED, STREAM_BROKEN, "the stream ended without message_stop", reply.status
            )
        took = self._clock() - began
        if problem is not None:
            reason = builder.stop_reason
            return Reply(
                reply.status, headers, None, usage, problem, first, took, produced, stop_reason=reason
            )
        if usage is not None:
            self._density.learn(builder.produced_chars, usage.output_tokens)
        message, reason = builder.message(), builder.stop_reason
        return Reply(reply.status, headers, message, usage, None, first, took, produced, stop_reason=reason)


def _from_stream(body: bytes) -> dict[str, Any] | None:
    """The message of a stream that was not announced as one."""
    builder = MessageBuilder()
    for event in Parser().feed(body):
        builder.feed(event.name, event.data)
    return builder.message() if builder.complete else None


def _usage_of(builder: MessageBuilder, ticket: Ticket) -> Usage:
    model = builder.message().get("model")
    return usage_of(builder.usage, model if isinstance(model, str) and model else ticket.call.identity.model)


def _broken(error: ConnectionFailed, status: int | None = None) -> Problem:
    return Problem(Fault.FAILED, "connection_error" if status is None else STREAM_BROKEN, str(error), status)
