"""Reads a budget as people write it on a key, and says which period a moment is in.

20usd/day   100usd/month tz=Europe/Berlin   5m tokens/hour   1000 requests/day soft   50usd
10usd/24h rolling   2usd/day per session   500k tokens per job   5usd/day per model
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from headway.core.call import Unit
from headway.core.cap import parse_cap
from headway.errors import InputError

Dimension = Literal["session", "job", "model"]
_DIMENSIONS: tuple[Dimension, ...] = ("session", "job", "model")
_LENGTH = re.compile(r"(\d{1,6})\s*(m|min|h|d)", re.IGNORECASE)
_SECONDS = {"m": 60, "min": 60, "h": 3600, "d": 86400}
_SHORTEST_S, _LONGEST_S = 60, 366 * 86400
_HOUR_NS = 3600 * 10**9
_HINT = "Write it like 20usd/day, 5m tokens/hour, 10usd/24h rolling, 50usd, or 2usd/day per session."


@dataclass(frozen=True, slots=True)
class Calendar:
    """Hours (of UTC), or days or months of a time zone."""

    of: Literal["hour", "day", "month"]
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last so many seconds, at any moment."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Always:
    """In all, for good."""


Period = Calendar | Rolling | Always


@dataclass(frozen=True, slots=True)
class Plan:
    """A budget as written: at most `amount` of `unit` in each period, for the tenant, or for each of its `per`.

    `amount` is in whole nanodollars, tokens or requests. A soft one is told of, but never refuses.
    """

    unit: Unit
    amount: int
    period: Period
    per: tuple[Dimension, ...] = ()
    soft: bool = False

    @property
    def kind(self) -> Plan:
        """What makes it the same budget, whatever its amount."""
        return replace(self, amount=0)


def parse_plan(text: str) -> Plan:
    """Read a budget. Raises InputError that says what cannot be read."""
    soft, rolling, zone, per, words = _options(text)
    amount, slash, every = " ".join(words).partition("/")
    cap = parse_cap(amount, repr(text))
    if slash and not every.strip():
        raise _wrong(text, "a period is missing after the /")
    period = _period(text, every.strip().lower(), rolling, zone)
    return Plan(cap.unit, cap.amount, period, per, soft)


def _options(text: str) -> tuple[bool, bool, str, tuple[Dimension, ...], list[str]]:
    """What stands around the amount and its period, and the words that are left."""
    soft: bool | None = None
    rolling, zone, per = False, "", set[str]()
    left: list[str] = []
    words = iter(text.split())
    for word in words:
        match word.lower():
            case "soft" | "hard" as kind if soft is None:
                soft = kind == "soft"
            case "rolling":
                rolling = True
            case "per":
                per.add(_dimension(text, next(words, "").lower()))
            case lowered if lowered.startswith("tz="):
                zone = _zone(text, word[3:])
            case _:
                left.append(word)
    return bool(soft), rolling, zone, tuple(each for each in _DIMENSIONS if each in per), left


def _dimension(text: str, word: str) -> str:
    if word not in (*_DIMENSIONS, "tenant"):
        raise _wrong(text, f"per what? {word!r} is none of tenant, {', '.join(_DIMENSIONS)}")
    return word


def _zone(text: str, name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError):
        raise _wrong(text, f"there is no time zone {name!r}") from None


def _period(text: str, every: str, rolling: bool, zone: str) -> Period:
    length = _LENGTH.fullmatch({"hour": "1h", "day": "1d"}.get(every, every) if rolling else every)
    period: Period | None = None
    if length is not None:
        seconds = int(length[1]) * _SECONDS[length[2].lower()]
        if not _SHORTEST_S <= seconds <= _LONGEST_S:
            raise _wrong(text, "a rolling period is from 1 minute to 366 days")
        period = Rolling(seconds)
    elif not every and not rolling:
        period = Always()
    elif every in ("hour", "day", "month") and not rolling:
        period = Calendar(every, zone or "UTC")  # type: ignore[arg-type]  # it is one of the three
    if period is None:
        raise _wrong(text, f"cannot read the period {every!r}" + " that rolls" * rolling)
    if zone and not (isinstance(period, Calendar) and period.of != "hour"):
        raise _wrong(text, "only days and months have a time zone")
    return period


def _wrong(text: str, what: str) -> InputError:
    return InputError(f"budget {text!r}: {what}", hint=_HINT)


@dataclass(frozen=True, slots=True)
class Span:
    """The period that a moment is in, from `start_ns` to before `end_ns` (None: it has no end). Wall time, as the name says.

    Those that roll have no start: they are looked back from each moment.
    """

    name: str
    start_ns: int
    end_ns: int | None


def span_at(period: Period, at_ns: int) -> Span:
    """The period of this kind that `at_ns` is in (ns since 1970 UTC). Each moment is in exactly one of them.

    Days and months begin at midnight where clocks are changed, too: such a day is 23 or 25 hours long.
    """
    match period:
        case Always():
            return Span("in all", 0, None)
        case Rolling(seconds):
            return Span(f"last {_length(seconds)}", 0, None)
        case Calendar("hour"):
            start = at_ns - at_ns % _HOUR_NS
            begun = datetime.fromtimestamp(start // 10**9, UTC)
            return Span(f"hour {begun:%Y-%m-%d %H}:00", start, start + _HOUR_NS)
        case Calendar(of, zone):
            return _of_days(of == "month", zone, at_ns)


def _of_days(is_month: bool, zone: str, at_ns: int) -> Span:
    where = UTC if zone == "UTC" else ZoneInfo(zone)
    day = datetime.fromtimestamp(at_ns // 10**9, where).date()
    if is_month:
        day = day.replace(day=1)
        following = (day + timedelta(days=31)).replace(day=1)
        name = f"month {day:%Y-%m}"
    else:
        following = day + timedelta(days=1)
        name = f"day {day}"
    midnights = (
        int(datetime.combine(each, time.min, where).timestamp()) * 10**9 for each in (day, following)
    )
    return Span(name if where is UTC else f"{name} {zone}", *midnights)


def _length(seconds: int) -> str:
    hours, minutes = divmod(seconds, 3600)
    return f"{hours}h" if not minutes else f"{seconds // 60}min"
