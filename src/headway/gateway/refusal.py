"""Refusals in the provider's own error form, so that every SDK reads them, with what headway knows beside it.

| why | status and type | tried again? |
|---|---|---|
| it would wait too long for a limit | 429 `rate_limit_error` | after `retry-after` |
| the provider is overloaded or down | 529 `overloaded_error` | after `retry-after` |
| a budget is used up | 402 `billing_error` | no; `retry-after` says when it has room again |
| the gateway is full | 503 `overloaded_error` | after `retry-after` |
| too large for its model | 400 `invalid_request_error` | no |
| a body beyond the bound | 413 `request_too_large` | no |
| no good key; a model or path that the key may not use | 401, 403 | no |
| the provider cannot be reached | 502 `api_error` | no: it has been tried |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import msgspec

from headway.errors import (
    BudgetExceeded,
    ConnectionFailed,
    HeadwayError,
    InputError,
    RequestTooLarge,
    WouldWaitTooLong,
)

CAPACITY = "the provider's capacity"  # what core.pool says a closed pool waits for
_LONGEST_S = 86_400.0
_encode = msgspec.json.Encoder().encode


class Denied(InputError):
    """A request that goes no further. `status` and `error_type` are those of the reply."""

    def __init__(self, status: int, error_type: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.error_type = error_type


@dataclass(frozen=True, slots=True)
class Holder:
    """A tenant and how many of its calls are in flight and in line."""

    tenant: str
    in_flight: int
    waiting: int


class Answer(msgspec.Struct, frozen=True):
    """A reply, whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Said:
    """`details` is the `headway` object of the body. `retry_s`: when trying again can help, seconds; None: never."""

    status: int
    error_type: str
    code: str
    retry_s: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    is_to_be_tried: bool = False


def refusal(
    error: HeadwayError,
    *,
    call_id: str = "",
    holders: Sequence[Holder] = (),
    clears_s: float | None = None,
) -> Answer:
    """The reply to a call that headway refuses. `holders` are who uses the limit that it would wait for; `clears_s` is when
    a budget that is used up has room again, seconds from now (None: it is not known)."""
    said = _say(error, holders, clears_s)
    message = f"{error} {error.hint}".strip()
    body: dict[str, Any] = {
        "type": "error",
        "error": {"type": said.error_type, "message": message, "details": {"error_code": said.code}},
        "request_id": call_id or None,
        "headway": said.details,
    }
    headers = [
        (b"content-type", b"application/json"),
        (b"date", formatdate(usegmt=True).encode()),
        (b"x-should-retry", b"true" if said.is_to_be_tried else b"false"),
    ]
    if said.retry_s is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(said.retry_s)))
    if call_id:
        headers.append((b"headway-call-id", call_id.encode()))
    return Answer(said.status, headers, _encode(body))


def _say(error: HeadwayError, holders: Sequence[Holder], clears_s: float | None) -> _Said:
    match error:
        case WouldWaitTooLong():
            return _too_long(error, holders)
        case BudgetExceeded():
            details = {"budget": error.budget, "unit": error.unit, "used": error.used, "cap": error.cap}
            details["clears_in_s"] = None if clears_s is None else round(clears_s, 3)
            return _Said(402, "billing_error", "headway_budget_exceeded", clears_s, details)
        case RequestTooLarge():
            details = {"what": error.what, "tokens": error.tokens, "most": error.most}
            return _Said(400, "invalid_request_error", "headway_request_too_large", details=details)
        case Denied():
            again_s = 1.0 if error.status == 503 else None
            return _Said(error.status, error.error_type, "headway_denied", again_s, {}, again_s is not None)
        case InputError():
            return _Said(400, "invalid_request_error", "headway_invalid_input")
        case ConnectionFailed():
            return _Said(502, "api_error", "headway_no_reply", details={"sent": error.sent})
        case _:
            return _Said(500, "api_error", "headway_error")


def _too_long(error: WouldWaitTooLong, holders: Sequence[Holder]) -> _Said:
    is_theirs = error.limit == CAPACITY
    is_known = 0.0 < error.wait_s < math.inf
    wait_s = min(error.wait_s, _LONGEST_S) if is_known else 1.0
    details = {
        "limit": error.limit,
        "level": error.level,
        "clears_in_s": round(error.wait_s, 3) if is_known else None,
        "held_by": [
            {"tenant": each.tenant, "in_flight": each.in_flight, "waiting": each.waiting} for each in holders
        ],
    }
    if is_theirs:
        return _Said(529, "overloaded_error", "headway_provider_overloaded", wait_s, details, True)
    return _Said(429, "rate_limit_error", "headway_would_wait_too_long", wait_s, details, True)
