"""Reads a whole reply in one pass: what went wrong with it, or what it took and why it ended.

The same as `faults.classify` and `usage.read_usage` one after the other, which parse all of it twice: here the content
of a message, nearly all of its bytes, is passed over and never built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from headway.core.call import Problem, Usage
from headway.providers.faults import classify
from headway.providers.parsed import parse_object
from headway.providers.stream import StreamWatch
from headway.providers.usage import read_usage, stop_reason_of, usage_of

_PLAIN = frozenset({"", "application/json", "application/json; charset=utf-8"})


class _Message(msgspec.Struct):
    """What of a message is needed. Anything that does not look like this is read the long way."""

    type: Literal["message"]
    usage: dict[str, Any]
    model: str = ""
    stop_reason: str | None = None


_decode = msgspec.json.Decoder(_Message).decode


def read_reply(
    status: int, headers: Mapping[str, str], body: bytes
) -> tuple[Problem | None, Usage | None, str]:
    """What is wrong with a whole reply (None: nothing), what it took (None: it does not say), and why it ended ("": it does
    not say). Never raises."""
    if status == 200 and body[:1] == b"{" and headers.get("content-type", "") in _PLAIN:
        try:
            if not body.isascii():
                body.decode()  # what is passed over is not checked
            message = _decode(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass
        else:
            reason = message.stop_reason
            return (
                None,
                usage_of(message.usage, message.model),
                stop_reason_of({"stop_reason": reason}) if reason else "",
            )
    problem = classify(status, headers, body)
    return problem, read_usage(body), "" if problem else _stop_reason(body)


def _stop_reason(body: bytes) -> str:
    """The long way: a message of any form, or a stream that was not announced as one."""
    message = parse_object(body)
    if message is not None:
        return stop_reason_of(message)
    watch = StreamWatch()
    watch.feed(body)
    watch.finish()
    return watch.stop_reason
