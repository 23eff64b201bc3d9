"""Reads what comes back, whole or as it streams by, for the engine and without changing it for the caller."""

from __future__ import annotations

from collections.abc import Iterable

from headway.core.call import Fault, Problem, Usage
from headway.core.steps import Reply, Ticket
from headway.drivers.turnstile import Watch
from headway.exchange.asked import draws_tokens
from headway.providers.faults import STREAM_BROKEN
from headway.providers.headers import wanted
from headway.providers.stream import StreamWatch
from headway.providers.whole import read_reply
from headway.runtime import Engine

TOLD_CHARS = 200  # of output, between one report to the meters and the next


class Attempt:
    """One exchange, from sending to the end of its body."""

    __slots__ = ("_began", "_engine", "_headers", "_is_message", "_status", "_ticket", "_watch", "streamed")

    def __init__(self, engine: Engine, ticket: Ticket, watch: Watch) -> None:
        self._engine = engine
        self._ticket = ticket
        self._watch = watch
        self._is_message = draws_tokens(ticket.call.identity)
        self._began = engine.turnstile.clock()
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self.streamed: Streamed | None = None

    def failed(self, error: Exception, *, sent: bool, gave_up: bool = False) -> Reply:
        """The connection failed before the body was there. `sent`: something of the request had left. `gave_up`: the caller's
        own patience ended it, so whether to try again is the caller's to say."""
        if self.streamed is not None:
            return self.streamed.reply(error, delivered=gave_up)
        kind = "timeout" if gave_up else "connection_error"
        return Reply(
            self._status,
            self._headers,
            problem=Problem(Fault.FAILED, kind, type(error).__name__, self._status),
            total_s=self._engine.turnstile.clock() - self._began,
            sent=sent,
            delivered=gave_up,
        )

    def is_whole(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Take in the head. Whether the body should be read at once: errors and JSON; streams and files go to the caller."""
        self._status = status
        self._headers = wanted(headers)
        kind = self._headers.get("content-type", "")
        if self._status == 200 and kind.partition(";")[0].strip() != "application/json":
            self._watch.headed(self._engine.provider.read_limits(self._headers), ok=True)
            if kind.startswith("text/event-stream"):
                self.streamed = Streamed(self._engine, self._ticket, self._watch, self._headers, self._began)
            return False
        return True

    @property
    def is_coded(self) -> bool:
        """Whether the body is compressed."""
        return self._headers.get("content-encoding", "identity") != "identity"

    def whole(self, body: bytes) -> Reply:
        """The body of an error, or of a reply that is not streamed."""
        status, headers, engine = self._status or 0, self._headers, self._engine
        if self._is_message:
            problem, usage, reason = read_reply(status, headers, body)
        else:
            problem, usage, reason = engine.provider.classify(status, headers, body), None, ""
        self._watch.headed(engine.provider.read_limits(headers), ok=problem is None)
        if problem is None and (usage is None or not self._is_message):
            usage = Usage(model=self._ticket.call.identity.model)
        took = engine.turnstile.clock() - self._began
        first_s = took if problem is None else None
        return Reply(status, headers, None, usage, problem, first_s, took, stop_reason=reason)

    def downloaded(self) -> None:
        """A body that is no message went to the caller, and has ended."""
        took = self._engine.turnstile.clock() - self._began
        usage = Usage(model=self._ticket.call.identity.model)
        self._watch.finish(Reply(self._status, self._headers, usage=usage, total_s=took, delivered=True))

    def dropped(self) -> None:
        """The same, where a destructor may be the caller: it never waits for a lock."""
        if not self._watch.is_over:
            self._engine.turnstile.later(self.downloaded)


class Streamed:
    """A stream of events that goes by."""

    __slots__ = (
        "_began",
        "_engine",
        "_first_s",
        "_has_begun",
        "_headers",
        "_tell_at",
        "_ticket",
        "_watch",
        "stream",
    )

    def __init__(
        self, engine: Engine, ticket: Ticket, watch: Watch, headers: dict[str, str], began: float
    ) -> None:
        self._engine = engine
        self._ticket = ticket
        self._watch = watch
        self._headers = headers
        self._began = began
        self._first_s: float | None = None
        self._has_begun = False
        self._tell_at = 1
        self.stream = StreamWatch(headers.get("request-id"))

    def see(self, chunk: bytes) -> None:
        """Bytes on their way to the caller."""
        stream = self.stream
        stream.feed(chunk)
        if not self._has_begun and stream.started:
            self._has_begun = True
            self._watch.began()
        characters = stream.produced_chars
        if characters >= self._tell_at:
            self._tell_at = characters + TOLD_CHARS
            if self._first_s is None:
                self._first_s = self._engine.turnstile.clock() - self._began
            self._watch.produced(self._engine.density.tokens(characters))

    @property
    def may_go(self) -> bool:
        """Whether something of the reply is there: before that a failure can be tried again unseen."""
        return self.stream.has_content

    @property
    def is_decided(self) -> bool:
        """Whether it is known what the caller will get: content, or an error, whose stream need not be waited for."""
        return self.stream.has_content or self.stream.error is not None

    def reply(self, error: Exception | None = None, *, early: bool = False, delivered: bool = True) -> Reply:
        """What came of it: to its end, to a broken connection (`error`), or until the caller read no more (`early`)."""
        stream, engine = self.stream, self._engine
        problem = stream.error
        early = early and not stream.complete and problem is None
        if problem is None and not stream.complete and not early:
            text = "the stream ended without message_stop" if error is None else type(error).__name__
            problem = Problem(Fault.FAILED, STREAM_BROKEN, text, 200, self._headers.get("request-id"))
        usage = stream.usage(self._ticket.call.identity.model)
        if problem is None and not early and usage is not None:
            engine.density.learn(stream.produced_chars, usage.output_tokens)
        return Reply(
            200,
            self._headers,
            None,
            usage,
            problem,
            self._first_s,
            engine.turnstile.clock() - self._began,
            engine.density.tokens(stream.produced_chars),
            delivered=delivered,
            cancelled=early,
            stop_reason=stream.stop_reason,
        )

    def finish(self, error: Exception | None = None) -> None:
        """The caller has read it to its end, or it broke off."""
        if not self._watch.is_over:
            self._watch.finish(self.reply(error))

    def drop(self) -> None:
        """The caller will read no more of it. A destructor may be what says so: this never waits for a lock."""
        if not self._watch.is_over:
            self._watch.drop(self.reply(early=True))
