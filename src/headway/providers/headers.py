"""What the headers of a reply say: limits and waits. Every value may be missing, scrubbed or nonsense.

Source: https://platform.claude.com/docs/en/api/rate-limits#response-headers, checked against recorded replies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from headway.core.call import Reading, Unit

_ROUNDING = 500.0  # token amounts left are rounded to the nearest thousand


def _names(family: str) -> tuple[str, str]:
    return f"anthropic-{family}-limit", f"anthropic-{family}-remaining"


_REQUESTS, _COMBINED = _names("ratelimit-requests"), _names("ratelimit-tokens")
_INPUT_OUTPUT = tuple(
    (_names(f"{traffic}-input-tokens"), _names(f"{traffic}-output-tokens"))
    for traffic in ("ratelimit", "fast", "priority")
)
# All that anything here and in `faults` looks at, and how the body is packed.
WANTED = frozenset(
    {
        "request-id",
        "content-type",
        "content-encoding",
        "date",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    }.union(_REQUESTS, _COMBINED, *(names for pair in _INPUT_OUTPUT for names in pair))
)
_WANTED = {name.encode(): name for name in WANTED}


def wanted(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """What is WANTED of headers as they came, by name in lower case. Of a header that is there twice, the last."""
    find = _WANTED.get
    return {name: value.decode("latin-1") for key, value in raw if (name := find(key.lower()))}


def read_limits(headers: Mapping[str, str]) -> tuple[Reading, ...]:
    """Requests, input tokens and output tokens; the combined tokens only where they are a limit of their own.

    `tokens-*` shows the tightest token limit in force (that of a workspace, for one), or else merely the sum of input
    and output, which limits nothing more. Other families are of other traffic: `anthropic-fast-*` and
    `anthropic-priority-*` are read only where a reply has no standard token limits, `-unified-*` (shares of a
    subscription) never.
    """
    requests = _reading(headers, _REQUESTS, Unit.REQUESTS, 0.0)
    combined = _reading(headers, _COMBINED, Unit.TOKENS, _ROUNDING)
    for input_names, output_names in _INPUT_OUTPUT:
        tokens_in = _reading(headers, input_names, Unit.INPUT_TOKENS, _ROUNDING)
        tokens_out = _reading(headers, output_names, Unit.OUTPUT_TOKENS, _ROUNDING)
        if tokens_in or tokens_out or combined:
            break
    if combined is not None and not _limits_more(combined, tokens_in, tokens_out):
        combined = None
    return tuple([each for each in (requests, tokens_in, tokens_out, combined) if each is not None])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms`, or `retry-after` in seconds or as a date (against the `date` header).

    Only errors mean it: Anthropic sends `retry-after` with some replies of status 200 too. None: nothing readable.
    """
    millis = number(headers.get("retry-after-ms"))
    if millis is not None:
        return millis / 1000.0
    text = headers.get("retry-after")
    seconds = number(text)
    if seconds is not None or text is None:
        return seconds
    until, sent = _date(text), _date(headers.get("date"))
    return max(0.0, (until - sent).total_seconds()) if until and sent else None


def number(text: str | None) -> float | None:
    """A finite number that is not negative, thousands separators allowed; None for anything else."""
    if text is None:
        return None
    try:
        value = float(text.replace(",", "") if "," in text else text)
    except ValueError:
        return None
    return value if 0.0 <= value < math.inf else None


def _reading(
    headers: Mapping[str, str], names: tuple[str, str], unit: Unit, rounding: float
) -> Reading | None:
    limit, remaining = names
    amount, left = number(headers.get(limit)), number(headers.get(remaining))
    if amount is None and left is None:
        return None
    return Reading(unit, amount, left, rounding)


def _limits_more(combined: Reading, tokens_in: Reading | None, tokens_out: Reading | None) -> bool:
    """Whether the combined amount is a limit of its own: neither the sum of the others, nor one of them repeated.

    Where only one of the three amounts can be read it proves nothing, so it is taken for no limit; where the headers
    have no other token limits at all (2024), it is the limit.
    """
    if combined.amount is None:
        return False
    if tokens_in is None and tokens_out is None:
        return True
    if tokens_in is None or tokens_out is None or tokens_in.amount is None or tokens_out.amount is None:
        return False
    return combined.amount not in (tokens_in.amount, tokens_out.amount, tokens_in.amount + tokens_out.amount)


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
