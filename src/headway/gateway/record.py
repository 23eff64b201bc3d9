"""One line of the log for each request that came in: who asked which model, what came of it, what it took.

    {"event": "call", "call": "3f9a-17", "tenant": "search", "model": "claude-opus-4-8", "status": 200, "waited_ms": 812, ...}

No prompt, reply, key, body or header is in it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from headway.core.call import Call, Usage
from headway.core.events import Admitted, Refused, Settled
from headway.gateway.keys import OPEN, Key
from headway.gateway.wiring import App
from headway.hooks import Hooks

_NOT_LOGGED = ("/healthz", "/readyz")  # asked every few seconds, and they say nothing


class _Took:
    """What is known of one request so far. The engine tells of a call in the task that serves it."""

    __slots__ = ("call", "call_id", "key", "refused", "settled", "status", "waited_s")

    def __init__(self) -> None:
        self.status: int | None = None
        self.call_id = ""
        self.key: Key | None = None
        self.call: Call | None = None
        self.waited_s = 0.0
        self.settled: list[Settled] = []
        self.refused: Refused | None = None

    def shown(self) -> dict[str, Any]:
        """What there is to say, in an order for eyes."""
        call, key = self.call, self.key
        shown: dict[str, Any] = {}
        if call is not None or self.call_id:
            shown["call"] = self.call_id if call is None else call.id
        if whose := call or key:
            shown["tenant"] = whose.tenant
        if key is not None and key is not OPEN:
            shown["key"] = key.id
        if call is None:
            return shown
        shown |= {"class": call.class_.value, "model": call.identity.model}
        if self.settled:
            shown |= _taken(self.settled, self.waited_s)
        if self.refused is not None:
            shown |= {"outcome": "refused", "limit": self.refused.limit}
        return shown


def _taken(settled: list[Settled], waited_s: float) -> dict[str, Any]:
    """What the attempts of a call took together, and how the last one ended."""
    last = settled[-1]
    costs = [news.cost_nanousd for news in settled]
    known = [cost for cost in costs if cost is not None]
    fresh = read = written = output = 0
    for usage in _parts([news.usage for news in settled]):
        fresh += usage.input_tokens
        read += usage.cache_read_tokens
        written += usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
        output += usage.output_tokens
    shown: dict[str, Any] = {
        "outcome": last.outcome,
        "attempts": last.attempt,
        "waited_ms": _ms(waited_s),
        "input_tokens": fresh,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "output_tokens": output,
        "cost_usd": sum(known) / 1e9 if len(known) == len(costs) else None,
    }
    if last.first_token_s is not None:
        shown["first_token_ms"] = _ms(last.first_token_s)
    if last.problem is not None:
        shown["error"] = last.problem.error_type
    if any(news.estimated for news in settled):
        shown["estimated"] = True
    return shown


def _parts(usages: Sequence[Usage]) -> list[Usage]:
    """They and all that they are made of."""
    return [each for usage in usages for each in (usage, *(_parts(usage.parts) if usage.parts else ()))]


_current: ContextVar[_Took | None] = ContextVar("headway_request", default=None)


def presented(key: Key) -> None:
    """The request that runs here was made with this key."""
    took = _current.get()
    if took is not None:
        took.key = key


def held_back(waited_s: float) -> None:
    """Its call waited for others of its key before it stood in line, seconds."""
    took = _current.get()
    if took is not None:
        took.waited_s += waited_s


class CallLog:
    """`hooks` for the engine, and `around` the application: both are needed for whole lines. `log` is structlog's."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def hooks(self) -> Hooks:
        """What the engine has to tell."""
        return Hooks(admitted=self.admitted, settled=self.settled, refused=self.refused)

    def admitted(self, news: Admitted) -> None:
        """An attempt leaves the line."""
        took = _current.get()
        if took is not None:
            took.call = news.call
            took.waited_s += news.queued_s

    def settled(self, news: Settled) -> None:
        """It is over."""
        took = _current.get()
        if took is not None:
            took.settled.append(news)

    def refused(self, news: Refused) -> None:
        """A call is refused; what the provider refuses is tried again."""
        took = _current.get()
        if took is not None and news.by == "headway":
            took.call, took.refused = news.call, news

    def around(self, app: App) -> App:
        """The application, with a line for each of its requests once that is over."""

        async def logged(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["path"] in _NOT_LOGGED:
                return await app(scope, receive, send)
            took, began = _Took(), time.monotonic()

            def noting(
                message: Any,
            ) -> Any:  # no coroutine of its own: it is called for each piece of a stream
                if message["type"] == "http.response.start":
                    _start(took, message)
                return send(message)

            _current.set(took)
            try:
                return await app(scope, receive, noting)
            finally:
                self._write(scope, took, time.monotonic() - began)

        return logged

    def _write(self, scope: Any, took: _Took, total_s: float) -> None:
        self._log.info(
            "call",
            method=scope["method"],
            path=scope["path"],
            status=took.status,
            total_ms=_ms(total_s),
            **took.shown(),
        )


def _start(took: _Took, message: Any) -> None:
    took.status = message["status"]
    if took.call is None:
        for name, value in message["headers"]:
            if name == b"headway-call-id":
                took.call_id = value.decode("latin-1")


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 1)
