"""One line of the output file: the form of Message Batches results, written and read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import msgspec

Result = dict[str, Any]

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Known:
    """A result that is on file. `message` is the reply as it stands there, None for an error."""

    custom_id: str
    succeeded: bool
    message: bytes | None


def succeeded(message: Any) -> Result:
    """The result of a call that was answered."""
    return {"type": "succeeded", "message": message}


def errored(error_type: str, message: str, request_id: str | None = None) -> Result:
    """The result of a call that was not."""
    error: dict[str, Any] = {"type": "error", "error": {"type": error_type, "message": message}}
    if request_id:
        error["request_id"] = request_id
    return {"type": "errored", "error": error}


def write_result(custom_id: str, result: Result) -> bytes:
    """The line, with its end. Whatever a server sent can be written: what JSON cannot hold (NaN) becomes null."""
    line = {"custom_id": custom_id, "result": result}
    try:
        return msgspec.json.encode(line) + b"\n"
    except (UnicodeError, OverflowError, ValueError):
        return json.dumps(_finite(line), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def read_result(line: bytes) -> Known | None:
    """Read a line; None if it is not a result."""
    try:
        fields = _object.decode(line)
        custom_id = msgspec.json.decode(fields["custom_id"], type=str)
        result = _object.decode(fields["result"])
        kind = msgspec.json.decode(result["type"], type=str)
        message = bytes(result["message"]) if kind == "succeeded" else None
    except KeyError:
        return None
    except (msgspec.DecodeError, UnicodeError):
        return _read_slowly(line)
    return Known(custom_id, kind == "succeeded", message)


def _read_slowly(line: bytes) -> Known | None:
    """For what msgspec refuses and JSON allows: lone surrogates, numbers beyond a double."""
    try:
        fields = json.loads(line)
        custom_id, result = fields["custom_id"], fields["result"]
        kind = result["type"]
        message = json.dumps(result["message"]).encode() if kind == "succeeded" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return Known(custom_id, kind == "succeeded", message) if isinstance(custom_id, str) else None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list) else value
