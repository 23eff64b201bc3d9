"""The transport for `anthropic.Anthropic` and every other synchronous httpx2 client."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2

from headway.core.steps import Reply, Ticket
from headway.drivers.sync import SyncDriver
from headway.drivers.turnstile import Watch
from headway.errors import HeadwayError
from headway.exchange.asked import call_of
from headway.exchange.attempt import Attempt, Streamed
from headway.providers.parsed import parse_object
from headway.runtime import Engine
from headway.transport.door import Door
from headway.transport.inner import plain
from headway.transport.reply import final, had_left, is_own_timeout, replace_body
from headway.transport.request import Asked, ask
from headway.transport.sdk import for_sdk


class Transport(Door, httpx2.BaseTransport):
    """Paces, retries, meters and records the calls that go through `inner`; without one, through what `make` makes, which
    is a transport like the SDK's own, and is made anew in a forked child.

    `engine` is what they are paced by; None: the one that this process has for the address of the request. Raises what
    `inner` raises, and HeadwayError for calls that are refused before they are sent.
    """

    def __init__(
        self,
        inner: httpx2.BaseTransport | None = None,
        *,
        engine: Engine | None = None,
        make: Callable[[], httpx2.BaseTransport] = plain,
    ) -> None:
        super().__init__(engine)
        self._make = make if inner is None else None
        self._inner = make() if inner is None else inner

    def renew(self) -> None:
        """In a forked child: connections are the parent's, if we made them."""
        super().renew()
        if self._make is not None:
            self._inner = self._make()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request when its turn has come."""
        try:
            engine = self.engine_for(request.url)
            asked = ask(request, engine)
            if asked.identity.pool is None:
                return self._pass(asked, engine)
            body = asked.request.read()  # of what is sent, which may be a copy
            call = call_of(asked.path, parse_object(body) or {}, asked.scope, engine, body)
        except HeadwayError as error:
            raise for_sdk(error) from None
        self.stop_if_given_up(asked, body)
        exchange = _Exchange(self._inner, asked.request, engine)
        driver = SyncDriver(engine.turnstile, exchange, provider=engine.provider.name, retry=engine.retry)
        outcome = driver.begin(call)
        if outcome is not None and outcome.error is not None:
            raise for_sdk(outcome.error)
        if exchange.error is not None:
            raise self.given_up(exchange.error, asked, body)
        assert exchange.response is not None
        return exchange.response if outcome is None or outcome.problem is None else final(exchange.response)

    def _pass(self, asked: Asked, engine: Engine) -> httpx2.Response:
        """A call that draws on no limit goes straight through, and is recorded."""
        passing = self.passing(asked, engine)
        try:
            response = self._inner.handle_request(asked.request)
        except BaseException:
            passing.ended(None)
            raise
        passing.ended(response.status_code, response.headers.get("request-id"))
        return response

    def close(self) -> None:
        """Close the connections. The engine goes on."""
        self._inner.close()


class _Exchange:
    """Sends the attempts of one call; a `drivers.sync.Sender`. Afterwards `response` or `error` is how the last one ended."""

    __slots__ = ("_engine", "_inner", "_request", "error", "response")

    def __init__(self, inner: httpx2.BaseTransport, request: httpx2.Request, engine: Engine) -> None:
        self._inner = inner
        self._request = request
        self._engine = engine
        self.response: httpx2.Response | None = None
        self.error: httpx2.RequestError | None = None

    def send(self, ticket: Ticket, watch: Watch) -> Reply | None:
        attempt = Attempt(self._engine, ticket, watch)
        self.response = self.error = None
        try:
            response = self._inner.handle_request(self._request)
            if attempt.is_whole(response.status_code, response.headers.raw):
                body = _read(response, is_coded=attempt.is_coded)
                self.response = replace_body(response, httpx2.ByteStream(body), decoded=attempt.is_coded)
                return attempt.whole(body)
            return self._hand_over(attempt, response)
        except httpx2.RequestError as error:
            self.error = error
            return attempt.failed(error, sent=had_left(error), gave_up=is_own_timeout(error))

    def _hand_over(self, attempt: Attempt, response: httpx2.Response) -> Reply | None:
        """Give the body to the caller to read, once something of the reply is there. Raises TransportError before that."""
        coded, stream = attempt.is_coded, response.stream
        assert isinstance(stream, httpx2.SyncByteStream)
        chunks = response.iter_bytes() if coded else iter(stream)
        streamed, first, ended = attempt.streamed, [], False
        if streamed is not None:
            try:
                while not ended and not streamed.is_decided:
                    chunk = next(chunks, None)
                    ended = chunk is None
                    if chunk is not None:
                        first.append(chunk)
                        streamed.see(chunk)
            except BaseException:
                stream.close()
                raise
            if not streamed.may_go:
                stream.close()
                self.response = replace_body(response, httpx2.ByteStream(b"".join(first)), decoded=coded)
                return streamed.reply(delivered=False)
        body: _Body | _Download = (
            _Body(first, chunks, stream, streamed) if streamed else _Download(chunks, stream, attempt)
        )
        self.response = replace_body(response, body, decoded=coded)
        return None


def _read(response: httpx2.Response, *, is_coded: bool) -> bytes:
    """The whole body, decoded."""
    if is_coded:
        return response.read()
    stream = response.stream
    assert isinstance(stream, httpx2.SyncByteStream)
    try:
        return b"".join(stream)
    finally:
        stream.close()


class _Body(httpx2.SyncByteStream):
    """The stream of a reply as its caller reads it. However that ends, the call is settled once."""

    def __init__(
        self, first: list[bytes], chunks: Iterator[bytes], stream: httpx2.SyncByteStream, streamed: Streamed
    ) -> None:
        self._first = first
        self._chunks = chunks
        self._stream = stream
        self._streamed = streamed

    def __iter__(self) -> Iterator[bytes]:
        yield from self._first
        see = self._streamed.see
        try:
            for chunk in self._chunks:
                see(chunk)
                yield chunk
        except Exception as error:
            self._streamed.finish(error)
            raise
        self._streamed.finish()

    def close(self) -> None:
        self._streamed.drop()  # not `finish`: the collector closes generators of the SDK, and with them this
        self._stream.close()

    def __del__(self) -> None:
        self._streamed.drop()


class _Download(httpx2.SyncByteStream):
    """A body that is no message: results of a batch, a file."""

    def __init__(self, chunks: Iterator[bytes], stream: httpx2.SyncByteStream, attempt: Attempt) -> None:
        self._chunks = chunks
        self._stream = stream
        self._attempt = attempt

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    def close(self) -> None:
        self._attempt.dropped()
        self._stream.close()

    def __del__(self) -> None:
        self._attempt.dropped()
