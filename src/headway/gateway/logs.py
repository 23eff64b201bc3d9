"""The log of the gateway: one line for each request that came in, as JSON or for eyes; beside it headway's own warnings.

    {"event": "call", "call": "3f9a-17", "tenant": "search", "model": "claude-opus-4-8", "status": 200, "waited_ms": 812, ...}

No prompt, reply, key, body or header is in it. Names that come from outside are cut, and can drive no terminal.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Literal

import msgspec
import structlog
from structlog.typing import Processor

from headway.core.call import Usage
from headway.core.events import Settled
from headway.hooks import Hooks

Style = Literal["json", "console"]
KEPT = 10_000  # calls that are told of and not yet written, at most
_LONGEST = 200


@dataclass(slots=True)
class _Took:
    """What the attempts of one call took so far."""

    attempts: int = 0
    outcome: str = ""
    error_type: str = ""
    waited_s: float = 0.0
    first_token_s: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    nanousd: int = 0
    is_priced: bool = True
    is_estimated: bool = False

    def add(self, news: Settled) -> None:
        self.attempts = news.attempt
        self.outcome = news.outcome
        self.error_type = news.problem.error_type if news.problem else ""
        self.waited_s += news.queued_s
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
        shown: dict[str, Any] = {
            "outcome": self.outcome,
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
        if self.error_type:
            shown["error"] = self.error_type
        if self.is_estimated:
            shown["estimated"] = True
        return shown


class CallLog:
    """`hooks` collect what each call took; `write` makes its line, when the client has its answer or has gone."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._lock = Lock()
        self._took: OrderedDict[str, _Took] = OrderedDict()

    def hooks(self) -> Hooks:
        """What the engine has to tell."""
        return Hooks(settled=self._settled)

    def write(
        self,
        *,
        call: str = "",
        status: int | None,
        took_s: float,
        method: str = "POST",
        path: str = "",
        key: str = "",
        tenant: str = "",
        class_: str = "",
        model: str = "",
        error: str = "",
    ) -> None:
        """One request is over. `status` is what the client got (None: it left before that); `error` a type, no message;
        `path` is without its query. Everything is optional that a request without a key or a model does not have."""
        with self._lock:
            took = self._took.pop(call, None)
        given = {
            "call": call,
            "key": key,
            "tenant": tenant,
            "class": class_,
            "model": model,
            "method": method,
            "path": path,
            "status": status,
            "total_ms": _ms(took_s),
            "error": error,
        }
        shown = {name: value for name, value in given.items() if value != ""}
        if took is not None:
            shown |= took.shown()
        self._log.info("call", **shown)

    def _settled(self, news: Settled) -> None:
        with self._lock:
            took = self._took.get(news.call.id)
            if took is None:
                took = self._took[news.call.id] = _Took()
                if len(self._took) > KEPT:
                    self._took.popitem(last=False)
            took.add(news)


def open_log(style: Style, out: BinaryIO | None = None) -> tuple[CallLog, Any]:
    """The log of calls, and one for what happens to the gateway itself. headway's warnings go to the same place, which is
    `out` (default: standard error). Nothing global of structlog is changed, so it may be called again."""
    stream = out or sys.stderr.buffer
    render = _to_json if style == "json" else _to_console(stream)
    before: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _clean,
    ]
    log = structlog.wrap_logger(
        structlog.BytesLogger(stream),
        processors=[*before, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    ).bind()
    _send_on(log)
    return CallLog(log), log


class _Bridge(logging.Handler):
    """Takes the records of the standard library's loggers."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log_to = log

    def emit(self, record: logging.LogRecord) -> None:
        named = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            named |= _where(record.exc_info[1])
        write = self._log_to.error if record.levelno >= logging.ERROR else self._log_to.warning
        write(record.getMessage(), **named)


def _where(error: BaseException) -> dict[str, str]:
    """What kind of error it is and where it was raised. Its text may quote what was asked."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return {"failure": type(error).__name__, "at": place}


def _send_on(log: Any) -> None:
    logger = logging.getLogger("headway")
    for handler in [each for each in logger.handlers if isinstance(each, _Bridge)]:
        logger.removeHandler(handler)
    logger.addHandler(_Bridge(log))
    logger.propagate = False


def _clean(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in line.items():
        if type(value) is str and not (value.isprintable() and len(value) <= _LONGEST):
            line[name] = "".join(char if char.isprintable() else "�" for char in value[:_LONGEST])
    return line


def _to_json(_: Any, __: str, line: MutableMapping[str, Any]) -> bytes:
    first = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    return msgspec.json.encode(first | line)


def _to_console(stream: BinaryIO) -> Processor:
    draw = structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0)

    def render(logger: Any, name: str, line: MutableMapping[str, Any]) -> bytes:
        return draw(logger, name, line).encode("utf-8", "replace")

    return render


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 1)
