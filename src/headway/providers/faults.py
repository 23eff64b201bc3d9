"""What went wrong with a whole Anthropic reply, in the one way that matters: what to do about it.

Statuses, types and codes: https://platform.claude.com/docs/en/api/errors and .../api/rate-limits, and the anthropic SDK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from headway.core.call import Fault, Problem, Unit
from headway.providers.headers import number, retry_after
from headway.providers.parsed import parse_object
from headway.providers.sse import parse_stream

STREAM_BROKEN = "stream_broken"
MALFORMED_REPLY = "malformed_reply"

_BY_TYPE = {
    "invalid_request_error": Fault.REJECTED,
    "authentication_error": Fault.STOPPED,
    "permission_error": Fault.STOPPED,
    "billing_error": Fault.STOPPED,
    "not_found_error": Fault.REJECTED,
    "conflict_error": Fault.FAILED,
    "request_too_large": Fault.REJECTED,
    "rate_limit_error": Fault.RATE_LIMITED,
    "api_error": Fault.FAILED,
    "timeout_error": Fault.FAILED,
    "overloaded_error": Fault.OVERLOADED,
}
_BY_STATUS = {
    400: Fault.REJECTED,
    401: Fault.STOPPED,
    402: Fault.STOPPED,
    403: Fault.STOPPED,
    404: Fault.REJECTED,
    408: Fault.FAILED,
    409: Fault.FAILED,
    413: Fault.REJECTED,
    429: Fault.RATE_LIMITED,
    503: Fault.OVERLOADED,
    529: Fault.OVERLOADED,
}
_SPEND_CODES = ("spend_limit_reached", "billing_unavailable")
_SPENT = re.compile(r"specified (workspace )?API usage limits|credit balance is too low", re.I)
_SPENT_TOO = re.compile(r"spend(ing)? (limit|cap)|out of credit|usage limits", re.I)  # in a 429, not in a 400
_OTHER_BODIES = ("jsonl", "octet-stream", "image/", "pdf", "zip", "csv")  # results and files, not messages
_REPLY_KEYS = frozenset({"type", "id", "data", "usage", "input_tokens", "content", "choices"})
_ONE_MODEL = re.compile(r"\bmodel\b", re.I)
_LIMIT = re.compile(r"([\d,]+)\s+((?:input |output )?tokens|requests)\s+per\s+minute", re.I)
_UNITS = {
    "requests": Unit.REQUESTS,
    "tokens": Unit.TOKENS,
    "input tokens": Unit.INPUT_TOKENS,
    "output tokens": Unit.OUTPUT_TOKENS,
}
_SECRET = re.compile(
    r"sk-[A-Za-z0-9_-]{6,}|Bearer\s+\S+"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.I,
)
_LONGEST = 300
_FAST = ("anthropic-fast-input-tokens-limit", "anthropic-fast-output-tokens-limit")


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Problem | None:
    """Say what went wrong with a whole reply. None: nothing."""
    if status < 300:
        return _in_good_reply(status, headers, body)
    return _problem(status, headers, parse_object(body) or {})


def problem_of_event(data: Mapping[str, Any], request_id: str | None = None) -> Problem:
    """What an `error` event in the middle of a stream means. `data` is the whole event."""
    error = data.get("error")
    error = error if isinstance(error, Mapping) else {}
    kind, message = _text(error.get("type")) or "error", _text(error.get("message"))
    code = _code(error)
    fault = _fault(200, kind, code, message, {})
    unit, amount = _named_limit(message) if fault is Fault.RATE_LIMITED else (None, None)
    return Problem(fault, code or kind, scrub(message), 200, request_id, unit=unit, amount=amount)


def scrub(message: str) -> str:
    """A message without keys and ids of organisations, on one line, at most 300 characters."""
    clean = _SECRET.sub("***", " ".join(message.split()))
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


def _in_good_reply(status: int, headers: Mapping[str, str], body: bytes) -> Problem | None:
    """Whether a 200 is what it says. Bodies that are no JSON by their type (results, files) are left alone."""
    request_id = headers.get("request-id")
    kind = headers.get("content-type", "").lower()
    start = body[:64].lstrip()[:1]
    if status == 204 or any(other in kind for other in _OTHER_BODIES):
        return None
    if "event-stream" in kind or start in (b"e", b"d", b":", b"\xef"):
        return _in_stream(body, request_id)
    reply = parse_object(body) if start == b"{" else None
    if reply is None:
        return Problem(
            Fault.FAILED,
            MALFORMED_REPLY,
            "the reply is neither a JSON object nor a stream",
            status,
            request_id,
        )
    if reply.get("type") == "error" or (isinstance(reply.get("error"), Mapping) and "type" not in reply):
        return _problem(status, headers, reply)
    if _REPLY_KEYS.isdisjoint(reply):
        return Problem(Fault.FAILED, MALFORMED_REPLY, "the reply is no message", status, request_id)
    return None


def _in_stream(body: bytes, request_id: str | None) -> Problem | None:
    if (
        body.endswith(b"\n\n")
        and b"event: message_stop\ndata: " in body[-512:]
        and b"event: error" not in body
    ):
        return None  # nearly always; a line feed inside data is escaped, so this cannot be text of the reply
    ended = False
    for name, data in parse_stream(body):
        if name == "error" or (name == "message" and b'"error"' in data[:40]):
            return problem_of_event(parse_object(data) or {}, request_id)
        if data == b"[DONE]" or (
            (name == "message_stop" or b'"message_stop"' in data[:60]) and parse_object(data)
        ):
            ended = True
    if ended:
        return None
    return Problem(Fault.FAILED, STREAM_BROKEN, "the stream ended before the message did", 200, request_id)


def _problem(status: int, headers: Mapping[str, str], reply: Mapping[str, Any]) -> Problem:
    error = reply.get("error")
    error = error if isinstance(error, Mapping) else {}
    kind, message = _text(error.get("type")), _text(error.get("message")) or _text(reply.get("message"))
    unit, amount = _named_limit(message) if status == 429 else (None, None)
    return Problem(
        fault=_fault(status, kind, _code(error), message, headers),
        error_type=_code(error) or kind or f"http_{status}",
        message=scrub(message) or f"HTTP {status} without a readable error",
        status=status,
        request_id=headers.get("request-id") or _text(reply.get("request_id")) or None,
        retry_after_s=retry_after(headers),
        unit=unit,
        amount=amount,
    )


def _fault(status: int, kind: str, code: str, message: str, headers: Mapping[str, str]) -> Fault:
    """What to do about an error.

    A 429 without `retry-after` is not taken for a spend cap by that alone: only code or text say so. One that says
    nothing ("Error", no headers: seen for clients that were throttled by shape) is our quota without a named limit.
    """
    if _is_spent(status, code, message, headers):
        return Fault.STOPPED
    if status == 429 and any(headers.get(name) == "0" for name in _FAST):
        return Fault.REJECTED  # fast mode is not provisioned: waiting never helps, standard speed might
    if code == "ramp_limit_exceeded":
        return Fault.RAMP_LIMITED
    if kind == "permission_error" and _ONE_MODEL.search(message):
        return Fault.REJECTED  # this key may not use this model; it may use others
    if status == 403 and not kind:
        return Fault.FAILED  # a page of something in between, not the API's verdict on the key
    unknown = Fault.FAILED if status >= 500 or status < 300 else Fault.REJECTED
    fault = _BY_TYPE.get(kind) or _BY_STATUS.get(status) or unknown
    retry = headers.get("x-should-retry")
    if retry == "false" and fault is Fault.FAILED:
        return Fault.REJECTED
    if retry == "true" and fault is Fault.REJECTED and kind not in _BY_TYPE and status not in _BY_STATUS:
        return Fault.FAILED
    return fault


def _is_spent(status: int, code: str, message: str, headers: Mapping[str, str]) -> bool:
    """A spend cap or an empty account. With `retry-after` it is a limit that clears (workspaces of Claude Code)."""
    if any(part in code for part in _SPEND_CODES):
        return True
    if "retry-after" in headers:
        return False
    return bool(_SPENT.search(message) or (status == 429 and _SPENT_TOO.search(message)))


def _named_limit(message: str) -> tuple[Unit | None, float | None]:
    match = _LIMIT.search(message)
    return (_UNITS[match[2].lower()], number(match[1])) if match else (None, None)


def _code(error: Mapping[str, Any]) -> str:
    details = error.get("details")
    return _text(details.get("error_code")) if isinstance(details, Mapping) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
