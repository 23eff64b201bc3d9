"""Sends the attempts of one call to the provider, and holds on to what the last one brought."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from headway.core.steps import Reply, Ticket
from headway.drivers.turnstile import Watch
from headway.errors import ConnectionFailed
from headway.exchange.asked import draws_tokens
from headway.exchange.attempt import Attempt, Streamed
from headway.gateway.coded import Decoder, decoder_of
from headway.gateway.refusal import Answer
from headway.runtime import Engine
from headway.wire import Client
from headway.wire import Reply as WireReply

HELD = 256 * 1024  # bytes of a stream that are held back while none of its content is there
_KEPT_BACK = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "content-length",
        "set-cookie",  # of the gateway's own connection
        "alt-svc",  # where else the provider is, not the gateway
        "strict-transport-security",
    }
)


class Sending:
    """One request on its way; a `drivers.aio.Sender`.

    Afterwards one of three says how the last attempt ended: `answer` (a reply that is here whole), `body` (the rest of it
    comes while it is read), or `error` (no reply). `queued_s` is how long it stood in line in all.
    """

    __slots__ = (
        "_body",
        "_client",
        "_engine",
        "_headers",
        "_method",
        "_target",
        "answer",
        "body",
        "error",
        "queued_s",
        "ticket",
    )

    def __init__(
        self,
        engine: Engine,
        client: Client,
        method: str,
        target: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
    ) -> None:
        self._engine = engine
        self._client = client
        self._method = method
        self._target = target
        self._headers = headers
        self._body = body
        self.queued_s = 0.0
        self.ticket: Ticket | None = None
        self.answer: Answer | None = None
        self.body: Streaming | None = None
        self.error: ConnectionFailed | None = None

    async def send(self, ticket: Ticket, watch: Watch) -> Reply | None:
        """One attempt. None: its reply is to be read from `body`."""
        self.ticket, self.answer, self.body, self.error = ticket, None, None, None
        self.queued_s += ticket.queued_s
        attempt = Attempt(self._engine, ticket, watch)
        try:
            reply = await self._client.send(self._method, self._target, self._headers, self._body)
        except ConnectionFailed as error:
            self.error = error
            return attempt.failed(error, sent=error.sent)
        try:
            headers = raw(reply.headers)
            is_whole = attempt.is_whole(reply.status, headers)
            if is_whole or (attempt.streamed is None and draws_tokens(ticket.call.identity)):
                return await self._whole(attempt, reply, headers)
            return await self._hand_over(attempt, reply, headers)
        except ConnectionFailed as error:
            self.error = error
            await reply.close()
            return attempt.failed(error, sent=error.sent)
        except BaseException:
            await reply.close()
            raise

    async def _whole(self, attempt: Attempt, reply: WireReply, headers: list[tuple[bytes, bytes]]) -> Reply:
        body = await reply.read()
        self.answer = Answer(reply.status, headers, body)
        if attempt.is_coded:
            body = decoder_of(reply.headers).whole(body)
        return attempt.whole(body)

    async def _hand_over(
        self, attempt: Attempt, reply: WireReply, headers: list[tuple[bytes, bytes]]
    ) -> Reply | None:
        """Let the body be read by the client, once something of the reply is there."""
        streamed = attempt.streamed
        if streamed is None:
            self.body = Streaming(reply, headers, [], None, attempt, None)
            return None
        decoder = decoder_of(reply.headers) if attempt.is_coded else None
        first: list[bytes] = []
        held = 0
        async for chunk in reply:
            first.append(chunk)
            streamed.see(chunk if decoder is None else decoder.feed(chunk))
            held += len(chunk)
            if streamed.is_decided or held > HELD:
                break
        if not streamed.may_go and held <= HELD:
            await reply.close()
            self.answer = Answer(reply.status, headers, b"".join(first))
            return streamed.reply(delivered=False)
        self.body = Streaming(reply, headers, first, streamed, attempt, decoder)
        return None


class Streaming:
    """A reply that is read by the client as it comes. However that ends, `end` is called, once or more."""

    __slots__ = ("_attempt", "_decoder", "_first", "_reply", "_streamed", "headers", "status")

    def __init__(
        self,
        reply: WireReply,
        headers: list[tuple[bytes, bytes]],
        first: list[bytes],
        streamed: Streamed | None,
        attempt: Attempt,
        decoder: Decoder | None,
    ) -> None:
        self._reply = reply
        self._first = deque(first)
        self._streamed = streamed
        self._attempt = attempt
        self._decoder = decoder
        self.status = reply.status
        self.headers = headers

    @property
    def is_events(self) -> bool:
        """Whether it is a stream of events, into which a comment may be written."""
        return self._streamed is not None and self._decoder is None

    def __aiter__(self) -> Streaming:
        """The body, piece by piece, as it came. Raises ConnectionFailed where it breaks off."""
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            return self._first.popleft()
        streamed, decoder = self._streamed, self._decoder
        try:
            chunk = await anext(self._reply)
            if streamed is not None:
                streamed.see(chunk if decoder is None else decoder.feed(chunk))
        except StopAsyncIteration:
            self._finish(None)
            raise
        except ConnectionFailed as error:
            self._finish(error)
            raise
        return chunk

    def _finish(self, error: ConnectionFailed | None) -> None:
        if self._streamed is not None:
            self._streamed.finish(error)
        else:
            self._attempt.downloaded()

    async def end(self) -> None:
        """The client has it, or will read no more of it."""
        if self._streamed is not None:
            self._streamed.drop()
        else:
            self._attempt.dropped()
        await self._reply.close()


def raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers of a reply that go on to the client."""
    return [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.items()
        if name not in _KEPT_BACK
    ]


def with_key(
    headers: Iterable[tuple[bytes, bytes]], key: list[tuple[bytes, bytes]], *, has_version: bool
) -> list[tuple[bytes, bytes]]:
    """The headers of a request to the provider: the client's, and the key of the upstream; `key` ends with the version."""
    return [*headers, *(key[:1] if has_version else key)]
