"""One line of a job file: what it asks, or what is wrong with it.

| form | example |
|---|---|
| Message Batches | `{"custom_id": "a", "params": {"model": …, "max_tokens": …, "messages": […]}}` |
| bare prompt | `{"prompt": "…"}`, with an optional `custom_id` and any parameter of the Messages API beside it |
| plain text | the prompt itself, in a file that is not JSON |

The OpenAI Batch form is recognised and refused by name. Parameters go out as they stand in the file, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from headway.errors import JobFileError

PATH = "/v1/messages"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What `--model`, `--max-tokens` and `--system` give to lines that do not say it themselves."""

    model: str | None = None
    max_tokens: int | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A request read from a job file. `request` is parsed; `raw` holds the same parameters as they stand there."""

    custom_id: str
    request: Mapping[str, Any]
    raw: Mapping[str, msgspec.Raw]

    def body(self, *, stream: bool) -> bytes:
        """The request body."""
        fields = {name: value for name, value in self.raw.items() if name != "stream"}
        if stream:
            fields["stream"] = msgspec.Raw(b"true")
        return msgspec.json.encode(fields)


_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_anything = msgspec.json.Decoder()


def read_line(data: bytes, number: int, defaults: Defaults, *, is_text: bool) -> Line:
    """Read line `number` (from 1). Raises JobFileError that says what is wrong with it."""
    if is_text:
        return _prompt_line(data.decode("utf-8", "replace"), f"line-{number}", {}, defaults)
    try:
        fields = _raw_object.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JobFileError(f"not a JSON object: {_short(str(error))}") from None
    if "params" in fields:
        custom_id = _custom_id(fields, None)
        return _params_line(_object(fields["params"], "params"), custom_id, defaults)
    if {"method", "url", "body"} <= fields.keys():
        raise JobFileError(
            "this is a line of the OpenAI Batch API; headway runs Anthropic Message Batches lines",
            hint='Write it as {"custom_id": …, "params": {…}} or {"prompt": …}.',
        )
    if "prompt" in fields:
        prompt = _value(fields.pop("prompt"))
        if not isinstance(prompt, str) or not prompt:
            raise JobFileError("`prompt` must be text, and not empty")
        custom_id = _custom_id(fields, f"line-{number}")
        fields.pop("custom_id", None)
        return _prompt_line(prompt, custom_id, fields, defaults)
    raise JobFileError("has neither `params` nor `prompt`")


def _prompt_line(prompt: str, custom_id: str, fields: dict[str, msgspec.Raw], defaults: Defaults) -> Line:
    messages = [{"role": "user", "content": prompt}]
    return _params_line({"messages": _encoded(messages), **fields}, custom_id, defaults)


def _params_line(raw: dict[str, msgspec.Raw], custom_id: str, defaults: Defaults) -> Line:
    for name, value in (
        ("model", defaults.model),
        ("max_tokens", defaults.max_tokens),
        ("system", defaults.system),
    ):
        if value is not None and name not in raw:
            raw[name] = _encoded(value)
    request = {name: _value(value) for name, value in raw.items()}
    problem = _wrong(request)
    if problem:
        raise JobFileError(problem)
    return Line(custom_id, request, raw)


def _wrong(request: Mapping[str, Any]) -> str:
    """What is wrong with the parameters as such, or nothing. The catalog judges their size."""
    model, max_tokens, messages = request.get("model"), request.get("max_tokens"), request.get("messages")
    if not isinstance(model, str) or not model:
        return "no `model` (give it in the line, or with --model)"
    if max_tokens is None:
        return "no `max_tokens` (give it in the line, or with --max-tokens)"
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 0:
        return f"`max_tokens` must be a whole number, not {_short(repr(max_tokens))}"
    if not isinstance(messages, list) or not messages:
        return "`messages` must be a list with at least one message"
    if not all(
        isinstance(message, dict) and "role" in message and "content" in message for message in messages
    ):
        return "each of `messages` needs a `role` and a `content`"
    return ""


def custom_id_of(data: bytes) -> str | None:
    """The `custom_id` of a line, as far as it can be read, for reporting what is wrong with it."""
    try:
        value = _anything.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    custom_id = value.get("custom_id") if isinstance(value, dict) else None
    return custom_id if isinstance(custom_id, str) and custom_id else None


def _custom_id(fields: Mapping[str, msgspec.Raw], default: str | None) -> str:
    raw = fields.get("custom_id")
    if raw is None:
        if default is None:
            raise JobFileError("no `custom_id`")
        return default
    value = _value(raw)
    if not isinstance(value, str) or not value:
        raise JobFileError(f"`custom_id` must be text, and not empty, not {_short(repr(value))}")
    return value


def _object(raw: msgspec.Raw, name: str) -> dict[str, msgspec.Raw]:
    try:
        return _raw_object.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise JobFileError(f"`{name}` must be an object") from None


def _value(raw: msgspec.Raw) -> Any:
    try:
        return _anything.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JobFileError(f"not JSON: {_short(str(error))}") from None


def _encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "…"
