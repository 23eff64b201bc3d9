"""Where the gateway's log goes and how it looks: JSON, or text for eyes. headway's own warnings go the same way.

Names that come from outside are cut, and can drive no terminal. What calls write: `record`.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import structlog
from structlog.typing import Processor

Style = Literal["json", "console"]
_LONGEST = 200


def open_log(style: Style, out: BinaryIO | None = None) -> Any:
    """A log of structlog that writes to `out` (default: standard error), where headway's warnings go from now on, too.
    Nothing global of structlog is changed, so it may be called again."""
    stream = out or sys.stderr.buffer
    render = _to_json if style == "json" else _to_console(stream)
    log = structlog.wrap_logger(
        structlog.BytesLogger(stream),
        processors=[_Stamp(), _clean, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    ).bind()
    _send_on(log)
    return log


class _Stamp:
    """When and how grave, in front of the rest. What structlog has for it is several times slower."""

    def __init__(self) -> None:
        self._second, self._text = 0, ""

    def __call__(self, _: Any, level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        second, rest = divmod(time.time_ns(), 10**9)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return {
            "timestamp": f"{self._text}.{rest // 1000:06d}Z",
            "level": level,
            "event": line.pop("event"),
            **line,
        }


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


def _clean(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in line.items():
        if type(value) is str and not (value.isprintable() and len(value) <= _LONGEST):
            line[name] = "".join(char if char.isprintable() else "�" for char in value[:_LONGEST])
    return line


def _to_json(_: Any, __: str, line: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(line)


def _to_console(stream: BinaryIO) -> Processor:
    draw = structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0, sort_keys=False)

    def render(logger: Any, name: str, line: MutableMapping[str, Any]) -> bytes:
        return draw(logger, name, line).encode("utf-8", "replace")

    return render
