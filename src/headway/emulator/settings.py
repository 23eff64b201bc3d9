"""How a profile's settings are written: `600k`, `5s`, `0.05`, `20requests`; one reader for each kind of value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NUMBER = re.compile(r"\$?([0-9][0-9_,]*\.?[0-9]*(?:e[+-]?[0-9]+)?)([a-z]*)", re.IGNORECASE)
_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "m": 60.0, "min": 60.0, "h": 3600.0}
_CAP_UNITS = {"": "usd", "usd": "usd", "requests": "requests", "request": "requests"}


@dataclass(frozen=True, slots=True)
class SpendCap:
    """What may be spent before every request gets the spend-cap 429. `unit` is "usd" or "requests"."""

    amount: float
    unit: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One `key=value` of a profile string: which field it sets, how it is read, what it says to a reader."""

    key: str
    field: str
    read: Callable[[str], Any]
    says: str


def amount(text: str) -> float | None:
    """A number above 0 with an optional k, M or G; `none` is None: not limited."""
    return None if text == "none" else positive(text)


def number(text: str) -> float:
    """A number with an optional k, M or G."""
    return _scaled(text, _SCALE, "a number such as 600k")


def seconds(text: str) -> float:
    """A duration in seconds, or with ms, s, m or h."""
    return _scaled(text, _SECONDS, "a duration such as 5s")


def some_seconds(text: str) -> float:
    """A duration above 0."""
    value = seconds(text)
    if value <= 0.0:
        raise ValueError("a duration above 0")
    return value


def silence(text: str) -> float:
    """A duration; `never` is endless."""
    return math.inf if text == "never" else seconds(text)


def share(text: str) -> float:
    """A probability or a share, 0 to 1."""
    value = number(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError("a share between 0 and 1")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    value = number(text)
    if value <= 0.0:
        raise ValueError("a number above 0")
    return value


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number") from None


def spend_cap(text: str) -> SpendCap:
    """`20` or `20usd`: dollars; `20requests`: requests."""
    value, unit = _split(text, "an amount such as 20usd or 500requests")
    if unit not in _CAP_UNITS:
        raise ValueError("an amount such as 20usd or 500requests")
    return SpendCap(value, _CAP_UNITS[unit])


def _scaled(text: str, scale: dict[str, float], wanted: str) -> float:
    value, unit = _split(text, wanted)
    if unit not in scale:
        raise ValueError(wanted)
    return value * scale[unit]


def _split(text: str, wanted: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError(wanted)
    return float(found[1].replace(",", "").replace("_", "")), found[2].lower()
