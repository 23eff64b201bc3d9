"""How a profile's settings are written: `600k`, `5s`, `0.05`, `20requests`; one reader for each kind of value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Kind = str | type[StrEnum]

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
    """One `key=value` of a profile string: which field it sets, what kind of value it has, what it says to a reader."""

    key: str
    field: str
    kind: Kind
    says: str


def read_value(kind: Kind, text: str) -> Any:
    """The value of a text: one of the kinds below, or a word of an enumeration. ValueError says what is wanted."""
    if isinstance(kind, str):
        return _READERS[kind](text.strip())
    if text not in list(kind):
        raise ValueError(" or ".join(kind))
    return kind(text)


def _amount(text: str) -> float | None:
    return None if text == "none" else _positive(text)


def _number(text: str) -> float:
    return _scaled(text, _SCALE, "a number such as 600k")


def _seconds(text: str) -> float:
    return _scaled(text, _SECONDS, "a duration such as 5s")


def _some_seconds(text: str) -> float:
    value = _seconds(text)
    if value <= 0.0:
        raise ValueError("a duration above 0")
    return value


def _silence(text: str) -> float:
    return math.inf if text == "never" else _seconds(text)


def _share(text: str) -> float:
    value = _number(text)
    if value > 1.0:
        raise ValueError("a share between 0 and 1")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value <= 0.0:
        raise ValueError("a number above 0")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number") from None


def _spend_cap(text: str) -> SpendCap:
    wanted = "an amount such as 20usd or 500requests"
    value, unit = _split(text, wanted)
    if unit not in _CAP_UNITS:
        raise ValueError(wanted)
    return SpendCap(value, _CAP_UNITS[unit])


def _scaled(text: str, scale: Mapping[str, float], wanted: str) -> float:
    value, unit = _split(text, wanted)
    if unit not in scale:
        raise ValueError(wanted)
    return value * scale[unit]


def _split(text: str, wanted: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(wanted)
    return float(found[1].replace(",", "").replace("_", "")), found[2].lower()


_READERS: dict[str, Callable[[str], Any]] = {
    "amount": _amount,  # per minute; none: not limited
    "number": _number,
    "positive": _positive,
    "seconds": _seconds,
    "some_seconds": _some_seconds,  # above 0
    "silence": _silence,  # seconds; never: endless
    "share": _share,
    "whole": _whole,
    "spend_cap": _spend_cap,
    "text": str,
}
