"""What may become of a request: an answer that is ready, a reset connection, or a reply to be served over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import msgspec

from headway.emulator.books import Books
from headway.emulator.checks import Rejected
from headway.emulator.pool import Headers, Refusal
from headway.emulator.replies import Message, error_values

_ENCODE = msgspec.json.Encoder().encode
_JSON = (b"content-type", b"application/json")
_ORGANISATION = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that is ready now."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """No reply: the connection is reset."""


@dataclass(frozen=True, slots=True)
class Serving:
    """An admitted request. Its reply starts at `starts_at` and ends at `ends_at`, whether the client waits or not."""

    headers: Headers
    message: Message
    stream: bool
    starts_at: float
    ends_at: float
    marker: str
    stall_s: float
    books: Books

    def finish(self, outcome: str) -> None:
        """The reply has ended: completed, aborted (the client left), or broken (we broke it off)."""
        self.books.finish(self.marker, outcome, self.message.usage, self.message.script.output_tokens)


class Clerk:
    """Numbers requests and words the answers to them. `instance` keeps the ids of several emulators apart."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._number = 0

    def next_id(self) -> str:
        """The id of a new request."""
        self._number += 1
        return f"{self._instance}{self._number:012d}"

    def answer(self, request_id: str, values: Mapping[str, Any]) -> Answer:
        """A plain JSON answer."""
        return Answer(200, [_JSON, *identity(request_id)], _ENCODE(values))

    def error(
        self,
        request_id: str,
        status: int,
        error_type: str,
        message: str,
        *,
        code: str = "",
        more: Headers | None = None,
    ) -> Answer:
        """An error in the API's shape."""
        body = _ENCODE(error_values(error_type, message, code=code, request_id=f"req_{request_id}"))
        return Answer(status, [_JSON, *identity(request_id), *(more or ())], body)

    def rejected(self, request_id: str, no: Rejected) -> Answer:
        """The API will never take this request as it is."""
        return self.error(request_id, no.status, no.error_type, str(no))

    def rate_limited(self, request_id: str, refusal: Refusal, model: str, limits: Headers) -> Answer:
        """One of the limits binds; the message names it."""
        unit = refusal.unit.replace("_", " ")
        message = (
            f"This request would exceed your organization's rate limit of {int(refusal.limit):,} {unit} per minute "
            f"(org: {_ORGANISATION}, model: {model}). The response headers show the current usage; try again later."
        )
        more = [*limits, *_try_again(refusal.retry_after_s)]
        return self.error(request_id, 429, "rate_limit_error", message, more=more)

    def too_fast(self, request_id: str, wait_s: float) -> Answer:
        """Usage grows faster than it may."""
        message = "This request would exceed your organization's ramp limit: usage is growing too fast."
        more = _try_again(max(1, ceil(wait_s)))
        return self.error(request_id, 429, "rate_limit_error", message, code="ramp_limit_exceeded", more=more)

    def spent(self, request_id: str) -> Answer:
        """The spend cap is reached: no retry-after, waiting does not help."""
        message = "Your organization has reached the spend limit of its tier."
        return self.error(request_id, 429, "rate_limit_error", message, code="enforced_spend_limit_reached")


def identity(request_id: str) -> Headers:
    """The headers every answer has."""
    return [
        (b"request-id", b"req_" + request_id.encode()),
        (b"anthropic-organization-id", _ORGANISATION.encode()),
    ]


def _try_again(seconds: int) -> Headers:
    return [(b"retry-after", b"%d" % seconds), (b"x-should-retry", b"true")]
