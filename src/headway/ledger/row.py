"""Turns entries into rows: sums iterations, prices, cleans what a database cannot hold, and keeps secrets out.

A row that SQLite refused would hold up all rows behind it, so nothing odd gets that far: lone surrogates and NULs become
U+FFFD, numbers are held inside what an attempt can be (then the row is marked estimated), NaN becomes NULL.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from headway.core.call import Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.owner import Owner
from headway.ledger.price import Cost, Prices

Row = tuple[Any, ...]

# The columns in the order of the rows made here: texts first, for they are looked at together.
SETTLED = """
    attempt_id call_id provider pool model_asked model_served tenant class session job label outcome error_type request_id
    price_variant waited_for stop_reason usage_json number at_ns status stream queued_ms first_token_ms total_ms
    estimated_input_tokens estimated_output_tokens input_tokens cache_read_tokens cache_write_5m_tokens cache_write_1h_tokens
    output_tokens thinking_tokens web_searches cost_nanousd estimated max_output_tokens cacheable_tokens fingerprint"""
OPEN = """
    attempt_id call_id provider pool model tenant class session job label number at_ns
    estimated_input_tokens estimated_output_tokens queued_ms stream owner_pid owner_boot owner_start"""

_LONGEST = 500  # characters of a text; ids, labels and names of errors are shorter
_LONGEST_USAGE = 16_000  # bytes of usage JSON; beyond it is not usage
_MOST_TOKENS = 10**10  # far beyond any context window, and 10**8 such rows still sum within 64 bits
_MOST_NANOUSD = 10**15  # a million dollars for one attempt
_MOST = 2**63 - 1
_SECRET = re.compile(
    r"(?:(?<![A-Za-z0-9])(?:sk-|rk-|pk-|hw-|AIza|gsk_|xai-|ya29\.)|(?i:bearer)\s+)[A-Za-z0-9_.~+/=-]{12,}"
)
_HINTS = ("sk-", "rk-", "pk-", "hw-", "AIza", "gsk_", "xai-", "ya29.", "earer", "EARER")


def open_row(entry: OpenEntry, owner: Owner, now_ns: int) -> Row:
    """The row of an attempt under way, in the order of `OPEN`."""
    return (
        *_texts(_names(entry)),
        _whole(entry.number, _MOST),
        _whole(entry.at_ns, _MOST) or now_ns,
        _whole(entry.estimated_input_tokens, _MOST_TOKENS),
        _whole(entry.estimated_output_tokens, _MOST_TOKENS),
        _finite(entry.queued_ms),
        int(entry.stream),
        owner.pid,
        owner.boot,
        owner.start,
    )


def settled_row(opened: OpenEntry, entry: Entry, prices: Prices, now_ns: int) -> Row:
    """The row of an attempt that ended, in the order of `SETTLED`."""
    usage = entry.usage
    at_ns = opened.at_ns if 0 < opened.at_ns <= _MOST else now_ns
    counts = _counts(usage)
    cost = _cost(opened.model, entry, counts, prices, at_ns)
    sane = max(counts) <= _MOST_TOKENS and min(counts) >= 0 and (cost.nanousd or 0) <= _MOST_NANOUSD
    if not sane:
        counts = tuple(_whole(count, _MOST_TOKENS) for count in counts)
    names = _names(opened)
    ended = (usage.model or opened.model, entry.outcome, entry.error_type, entry.request_id, cost.variant)
    texts = _texts(names + ended + (opened.waited_for, entry.stop_reason))
    return (
        *texts[:5],
        texts[10],
        *texts[5:10],
        *texts[11:],
        _usage_json(usage),
        _whole(opened.number, _MOST),
        at_ns,
        entry.status,
        int(opened.stream),
        _finite(opened.queued_ms),
        _finite(entry.first_token_ms),
        _finite(entry.total_ms),
        _whole(opened.estimated_input_tokens, _MOST_TOKENS),
        _whole(opened.estimated_output_tokens, _MOST_TOKENS),
        *counts,
        None if cost.nanousd is None else _whole(cost.nanousd, _MOST_NANOUSD),
        int(entry.estimated or not sane),
        _whole(opened.max_output_tokens, _MOST_TOKENS),
        _whole(opened.cacheable_tokens, _MOST_TOKENS),
        opened.fingerprint or None,
    )


def _names(entry: OpenEntry) -> tuple[str, ...]:
    return (
        entry.attempt_id,
        entry.call_id,
        entry.provider,
        entry.pool,
        entry.model,
        entry.tenant,
        str(entry.class_),
        entry.session,
        entry.job,
        entry.label,
    )


def _cost(model: str, entry: Entry, counts: tuple[int, ...], prices: Prices, at_ns: int) -> Cost:
    """A refused attempt used nothing and costs nothing, whether or not its model has a price."""
    if entry.outcome != "ok" and not any(counts):
        return Cost(0, "nothing used")
    return prices.cost(model, entry.usage, at_ns)


def _counts(usage: Usage) -> tuple[int, ...]:
    """All that the attempt used: iterations are not in the top-level counts."""
    counts: tuple[int, ...] = (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.output_tokens,
        usage.thinking_tokens,
        usage.web_searches,
    )
    for part in usage.parts:
        counts = tuple(mine + more for mine, more in zip(counts, _counts(part), strict=True))
    return counts


def _usage_json(usage: Usage) -> str | None:
    if not usage.raw:
        return None
    try:
        text = msgspec.json.encode(usage.raw).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    if len(text) > _LONGEST_USAGE:
        return None
    return _SECRET.sub("[redacted]", text) if _may_hold_secret(text) else text


def _texts(texts: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """All at once where all is well, which one look at the joined text tells."""
    joined = "".join([text for text in texts if text])
    if joined.isascii() and joined.isprintable() and len(joined) <= _LONGEST and not _may_hold_secret(joined):
        return texts
    return tuple(None if text is None else _clean(text) for text in texts)


def _may_hold_secret(text: str) -> bool:
    return any(hint in text for hint in _HINTS)


def _clean(text: str) -> str:
    text = str(text)[: 4 * _LONGEST].replace("\0", "�").encode("utf-8", "replace").decode("utf-8")
    return _SECRET.sub("[redacted]", text)[:_LONGEST]


def _whole(value: float, most: int) -> int:
    return value if type(value) is int and 0 <= value <= most else _held(value, most)


def _held(value: float, most: int) -> int:
    return 0 if value != value or value < 0 else most if value > most else int(value)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
