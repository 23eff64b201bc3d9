"""Whether the API would take a request at all: key, version, shape, model, window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from headway.emulator.profile import Profile
from headway.emulator.prompt import Prompt
from headway.emulator.tiers import Model, find_model

MAX_BODY_BYTES = 32 * 1024 * 1024
_VERSIONS = (b"2023-06-01", b"2026-10-21")
_REMOVED_2026 = ("temperature", "top_p", "top_k")
_MAX_BREAKPOINTS = 4
_ANY_MODEL = Model("", "", 200_000, 64_000, (15, 75))


class Rejected(Exception):
    """The API's final no: an HTTP status, an error type and a message."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a message or a count that passed the checks."""

    model: Model
    request: Mapping[str, Any]
    stream: bool


def check_headers(headers: Mapping[bytes, bytes], profile: Profile) -> bytes:
    """The key and the API version; returns the version."""
    _check_key(headers, profile)
    version = headers.get(b"anthropic-version", b"")
    if not version:
        raise _invalid("anthropic-version: header is required")
    if version not in _VERSIONS:
        raise _invalid(f"anthropic-version: {version.decode('latin-1')!r} is not a valid version")
    return version


def read_request(body: bytes, version: bytes, profile: Profile, *, counting: bool = False) -> Asked:
    """Parse a body and check its shape. `counting`: a request to count_tokens, which has no max_tokens."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _invalid("The request body is not valid JSON") from None
    if not isinstance(request, dict):
        raise _invalid("The request body must be a JSON object")
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in request:
            raise _invalid(f"{name}: Field required")
    if version == _VERSIONS[1]:
        for name in _REMOVED_2026:
            if name in request:
                raise _invalid(f"{name}: Extra inputs are not permitted")
    _check_messages(request)
    model = _model(request["model"], profile)
    if not counting:
        _check_max_tokens(request["max_tokens"], model)
    return Asked(model, request, request.get("stream") is True)


def check_window(asked: Asked, prompt: Prompt) -> None:
    """Whether the prompt, and on older models the whole reply too, fits into the context window."""
    window, ceiling = asked.model.window, int(asked.request["max_tokens"])
    if prompt.tokens > window:
        raise _invalid(f"prompt is too long: {prompt.tokens} tokens > {window} maximum")
    if asked.model.strict_window and prompt.tokens + ceiling > window:
        total = f"{prompt.tokens} + {ceiling} > {window}"
        raise _invalid(f"input length and `max_tokens` exceed context limit: {total}")
    if prompt.breakpoints > _MAX_BREAKPOINTS:
        found = f"Found {prompt.breakpoints}."
        raise _invalid(f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided. {found}")


def key_in(headers: Mapping[bytes, bytes]) -> bytes:
    """The key. Either header carries it; x-api-key wins."""
    bearer = headers.get(b"authorization", b"")
    return headers.get(b"x-api-key") or (bearer[7:] if bearer[:7].lower() == b"bearer " else b"")


def _check_key(headers: Mapping[bytes, bytes], profile: Profile) -> None:
    """Any key will do, unless the profile names one."""
    key = key_in(headers)
    if not key:
        raise Rejected(401, "authentication_error", "x-api-key header is required")
    if profile.key is not None and key.decode("latin-1") != profile.key:
        raise Rejected(401, "authentication_error", "invalid x-api-key")


def _check_messages(request: Mapping[str, Any]) -> None:
    messages = request["messages"]
    if not isinstance(messages, list):
        raise _invalid("messages: Input should be a valid list")
    if not messages:
        raise _invalid("messages: at least one message is required")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
            raise _invalid(f"messages.{place}: Input does not match the expected shape.")
        if not isinstance(message.get("content"), str | list):
            raise _invalid(f"messages.{place}.content: Field required")


def _model(name: Any, profile: Profile) -> Model:
    if not isinstance(name, str):
        raise _invalid("model: Input should be a valid string")
    model = find_model(name)
    if model is not None:
        return model
    if profile.model_class != "any":
        raise Rejected(404, "not_found_error", f"model: {name}")
    return Model(name, name, _ANY_MODEL.window, _ANY_MODEL.max_output, _ANY_MODEL.prices)


def _check_max_tokens(ceiling: Any, model: Model) -> None:
    if type(ceiling) is not int or ceiling < 0:
        raise _invalid("max_tokens: Input should be a valid integer of at least 0")
    if ceiling > model.max_output:
        limit = f"{ceiling} > {model.max_output}"
        raise _invalid(
            f"max_tokens: {limit}, which is the maximum allowed number of output tokens for {model.id}"
        )


def _invalid(message: str) -> Rejected:
    return Rejected(400, "invalid_request_error", message)
