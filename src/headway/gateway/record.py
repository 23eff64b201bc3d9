"""One line of the log for each request that came in: who asked which model, what came of it, what it took.

    {"event": "call", "call": "3f9a-17", "tenant": "search", "model": "claude-opus-4-8", "status": 200, "waited_ms": 812, ...}

No prompt, reply, key, body or header is in it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from headway.core.call import Call, Usage
from headway.core.events import Admitted, Refused, Settled
from headway.hooks import Hooks

App = Callable[[Any, Any, Any], Awaitable[None]]
_NOT_LOGGED = ("/healthz", "/readyz")  # asked every few seconds, and they say nothing


@dataclass(slots=True)
class _Took:
    """What is known of one request so far. The engine tells of a call in the task that serves it."""

    call: str = ""
    tenant: str = ""
    class_: str = ""
    model: str = ""
    status: int | None = None
    attempts: int = 0
    outcome: str = ""
    error: str = ""
    limit: str = ""
    waited_s: float = 0.0
    first_token_s: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    nanousd: int = 0
    is_priced: bool = True
    is_estimated: bool = False

    def of(self, call: Call) -> None:
        """Whose it is."""
        self.call, self.tenant, self.class_ = call.id, call.tenant, call.class_.value
        self.model = call.identity.model

    def add(self, news: Settled) -> None:
        """An attempt is over."""
        self.attempts = news.attempt
        self.outcome = news.outcome
        self.error = news.problem.error_type if news.problem else ""
        self.first_token_s = news.first_token_s
        self.nanousd += news.cost_nanousd or 0
        self.is_priced &= news.cost_nanousd is not None
        self.is_estimated |= news.estimated
        self._use(news.usage)

    def _use(self, usage: Usage) -> None:
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_tokens += usage.cache_read_tokens
        self.cache_write_tokens += usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
        for part in usage.parts:
            self._use(part)

    def shown(self) -> dict[str, Any]:
        """What there is to say, in an order for eyes."""
        texts = ("call", "tenant", "model", "outcome", "error", "limit")
        shown: dict[str, Any] = {name: value for name in texts if (value := getattr(self, name))}
        if self.class_:
            shown["class"] = self.class_
        if not self.attempts:
            return shown
        shown |= {
            "attempts": self.attempts,
            "waited_ms": _ms(self.waited_s),
            "input_tokens": self.input_tokens,
            "cache_read_tokens": self.cache_read_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.nanousd / 1e9 if self.is_priced else None,
        }
        if self.first_token_s is not None:
            shown["first_token_ms"] = _ms(self.first_token_s)
        if self.is_estimated:
            shown["estimated"] = True
        return shown


_current: ContextVar[_Took | None] = ContextVar("headway_request", default=None)


class CallLog:
    """`hooks` for the engine, and `around` the application: both are needed for whole lines. `log` is structlog's."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def hooks(self) -> Hooks:
        """What the engine has to tell."""
        return Hooks(admitted=_admitted, settled=_settled, refused=_refused)

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
    if not took.call:
        for name, value in message["headers"]:
            if name == b"headway-call-id":
                took.call = value.decode("latin-1")


def _admitted(news: Admitted) -> None:
    took = _current.get()
    if took is not None:
        took.of(news.call)
        took.waited_s += news.queued_s


def _settled(news: Settled) -> None:
    took = _current.get()
    if took is not None:
        took.add(news)


def _refused(news: Refused) -> None:
    took = _current.get()
    if took is not None and news.by == "headway":
        took.of(news.call)
        took.outcome, took.limit = "refused", news.limit


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 1)
