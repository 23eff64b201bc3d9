"""The kinds of value that settings have, and how each is written; one reader for each.

A reader takes what a file, a variable or an argument holds: text, or a value that is ready. What an amount, a limit or a
budget looks like is the same as in `core.limit` and `core.cap`, where they get their meaning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

API_VERSIONS = ("2023-06-01", "2026-10-21")
CLASSES = ("interactive", "standard", "bulk")
LIMITED = ("requests", "input_tokens", "output_tokens", "tokens")

_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SWITCH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_DIGITS = r"(\d[\d_,]*(?:\.\d+)?)\s*"
_AMOUNT = re.compile(_DIGITS + r"[kmg]?(?:\s*/\s*(?:s|sec|second|min|m|minute|h|hour|d|day))?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|)", re.IGNORECASE)
_BUDGETS = (  # of at least something
    re.compile(rf"(?=.*[1-9])(?:\$\s*{_DIGITS}|{_DIGITS}(?:usd|dollars?|\$))", re.IGNORECASE),
    re.compile(rf"(?=.*[1-9]){_DIGITS}[kmg]?\s*(?:tokens?|requests?|calls?)", re.IGNORECASE),
)
_PARTS = re.compile(r",(?!\d{3}\b)")  # but not the comma of 1,000
_LONGEST_NAME = 200
_LIMITS_HINT = 'Write "requests=50/min,input_tokens=30k/min".'


def read_value(kind: str, value: Any) -> Any:
    """The value of a setting of this kind. Raises ValueError: a sentence about what to write instead."""
    return _READERS[kind](value)


def _number(digits: str) -> float:
    return float(digits.replace(",", "").replace("_", ""))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("Write a text, in quotes in the file.")
    return value.strip()


def _path(value: Any) -> str:
    return str(Path(_text(value)).expanduser())


def _name(value: Any) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"Write a name of 1 to {_LONGEST_NAME} printable characters, in quotes in the file.")
    return name


def _tier(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
        raise ValueError("Write the name of a tier, such as tier-2 or build.")
    return str(value).strip()


def _version(value: Any) -> str:
    text = value.isoformat() if isinstance(value, date) else value  # people leave out the quotes
    if text not in API_VERSIONS:
        raise ValueError(f"Known: {', '.join(API_VERSIONS)}.")
    return str(text)


def _class(value: Any) -> str:
    word = str(value).strip().lower()
    if word not in CLASSES:
        raise ValueError(f"Write one of {', '.join(CLASSES)}.")
    return word


def _switch(value: Any) -> bool:
    read = _SWITCH.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(read, bool):
        raise ValueError("Write true or false.")
    return read


def _whole(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        text = value.strip() if isinstance(value, str) else ""
        number = int(text) if text.isdecimal() and text.isascii() else value
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(f"Write a whole number, {least} or more.")
        return number

    return read


def _dollars(value: Any) -> float:
    try:
        bare = str(value).strip().lower().removeprefix("$").removesuffix("usd").strip()
        dollars = math.nan if isinstance(value, bool) else float(bare.replace(",", ""))
    except ValueError:
        dollars = math.nan
    if not 0.0 < dollars < math.inf:
        raise ValueError("Write dollars, more than 0, such as 20usd.")
    return dollars


def _seconds(value: Any) -> float:
    wanted = ValueError("Write a duration, such as 30s, 10m or 1.5h.")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0.0 <= value < math.inf:
            raise wanted
        return float(value)
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise wanted
    return float(found[1]) * _SECONDS[found[2].lower()]


def _days(value: Any) -> float:
    try:
        seconds = _seconds(value) if isinstance(value, str) else 0.0
    except ValueError:
        seconds = 0.0
    if seconds < 86400.0:
        raise ValueError("Write a day or more, such as 90d.")
    return seconds


def _limit(value: Any) -> str:
    """One amount per period, `50/min`, `30k` (a minute) or 50, as text."""
    text = str(value).strip()
    found = None if isinstance(value, bool) else _AMOUNT.fullmatch(text)
    if found is None or _number(found[1]) <= 0:
        raise ValueError("Write an amount per period, more than 0, such as 30k/min or 10/s.")
    return text


def _limits(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(_LIMITS_HINT)
    for part in filter(None, (piece.strip() for piece in _PARTS.split(value))):
        name, _, amount = (piece.strip() for piece in part.partition("="))
        if name not in LIMITED:
            near = get_close_matches(name, LIMITED, n=1)
            raise ValueError(f"Did you mean {near[0]}?" if near else f"Known limits: {', '.join(LIMITED)}.")
        _limit(amount)
    return value.strip()


def _burst(value: Any) -> str:
    if isinstance(value, str) and "=" in value:
        return _limits(value)
    try:
        _seconds(value)
    except ValueError:
        raise ValueError("Write seconds of refill, such as 5s, or requests=100,input_tokens=50k.") from None
    return str(value).strip()


def _budget(value: Any) -> str:
    text = str(value).strip()
    if isinstance(value, bool) or not any(form.fullmatch(text) for form in _BUDGETS):
        raise ValueError("Write dollars, tokens or requests, such as 2usd, 500k tokens or 100 requests.")
    return text


_READERS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "path": _path,
    "name": _name,
    "tier": _tier,
    "version": _version,
    "class": _class,
    "switch": _switch,
    "number": _whole(0),
    "count": _whole(1),
    "dollars": _dollars,
    "seconds": _seconds,
    "days": _days,
    "limit": _limit,
    "limits": _limits,
    "burst": _burst,
    "budget": _budget,
}
