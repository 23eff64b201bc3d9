"""Fills the `{field}` places of a prompt. Braces that hold anything but a name stay as they are, so JSON needs no care."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

_PLACE = re.compile(r"\{\{([A-Za-z_]\w*)\}\}|\{([A-Za-z_]\w*)\}")


def places(value: Any) -> tuple[str, ...]:
    """The names of the fields that a text, or any text within a JSON value, wants; in order, each once."""
    found: dict[str, None] = {}
    for text in _texts(value):
        found.update((match[2], None) for match in _PLACE.finditer(text) if match[2])
    return tuple(found)


def filled(value: Any, fields: Mapping[str, Any]) -> Any:
    """The same with its places filled; `{{name}}` becomes `{name}`. Raises KeyError with the name of a missing field."""
    if isinstance(value, str):
        return _PLACE.sub(lambda match: f"{{{match[1]}}}" if match[1] else _text(fields[match[2]]), value)
    if isinstance(value, dict):
        return {key: filled(part, fields) for key, part in value.items()}
    return [filled(part, fields) for part in value] if isinstance(value, list) else value


def split_at_first_place(text: str) -> tuple[str, str]:
    """What stands before the first place, as it goes out, and the rest, still to be filled."""
    for match in _PLACE.finditer(text):
        if match[2]:
            return filled(text[: match.start()], {}), text[match.start() :]
    return filled(text, {}), ""


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
