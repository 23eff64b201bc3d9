"""The Admin API's usage report: what was billed, in buckets of a minute, an hour or a day, by model and key.

https://platform.claude.com/docs/en/api/admin/usage_report. A call counts in the bucket in which it was let in. Pages hold
`limit` buckets; buckets without usage have empty results. Keys get ids that do not show them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from headway.emulator.cache import InputUsage
from headway.emulator.checks import Rejected

_WIDTHS = {
    "1m": (60, 60, 1440),
    "1h": (3600, 24, 168),
    "1d": (86_400, 7, 31),
}  # seconds; buckets a page, and at most
_FIELDS = ("fresh", "read", "write_5m", "write_1h", "output")
_GROUPS = ("model", "api_key_id")
_MOST_BUCKETS = 100_000

_Key = tuple[int, str, str]  # minute (s since 1970), model, id of the key


class Reports:
    """What was billed, minute by minute."""

    def __init__(self) -> None:
        self._billed: dict[_Key, Counter[str]] = {}

    def note(self, at_utc: float, model: str, key: bytes, usage: InputUsage, output_tokens: int) -> None:
        """A call was let in at `at_utc` and is billed for this."""
        minute = int(at_utc) // 60 * 60
        counts = self._billed.setdefault((minute, model, _key_id(key)), Counter())
        amounts = (usage.fresh, usage.read, usage.write_5m, usage.write_1h, output_tokens)
        counts.update(dict(zip(_FIELDS, amounts, strict=True)))

    def usage(self, query: Mapping[str, Sequence[str]], now_utc: float) -> dict[str, Any]:
        """A page of the report that `query` asks for. Raises Rejected for one that makes no sense."""
        width, usual, most = _WIDTHS.get(_one(query, "bucket_width", "1d"), (0, 0, 0))
        if not width:
            raise _wrong(f"bucket_width: one of {', '.join(_WIDTHS)}")
        begin = _seconds(_one(query, "starting_at", ""), "starting_at") // width * width
        end = _seconds(
            _one(query, "ending_at", "") or datetime.fromtimestamp(now_utc, UTC).isoformat(), "ending_at"
        )
        groups = query.get("group_by[]", ())
        if unknown := [group for group in groups if group not in _GROUPS]:
            raise _wrong(f"group_by[]: {unknown[0]} is not emulated")
        limit = min(max(_number(_one(query, "limit", str(usual))), 1), most)
        page = max(_number(_one(query, "page", str(begin)).removeprefix("page_")), begin)
        starts = range(page, min(max(end, page), page + _MOST_BUCKETS * width), width)
        found = self._sums(groups)
        return {
            "data": [_bucket(start, width, found) for start in starts[:limit]],
            "has_more": len(starts) > limit,
            "next_page": f"page_{starts[limit]}" if len(starts) > limit else None,
        }

    def _sums(self, groups: Sequence[str]) -> list[tuple[_Key, Counter[str]]]:
        sums: dict[_Key, Counter[str]] = {}
        for (minute, model, key), counts in self._billed.items():
            group = (minute, model if "model" in groups else "", key if "api_key_id" in groups else "")
            sums.setdefault(group, Counter()).update(counts)
        return sorted(sums.items())


def _bucket(start: int, width: int, found: Iterable[tuple[_Key, Counter[str]]]) -> dict[str, Any]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    for (minute, model, key), counts in found:
        if start <= minute < start + width:
            sums.setdefault((model, key), Counter()).update(counts)
    return {
        "starting_at": _iso(start),
        "ending_at": _iso(start + width),
        "results": [_result(*group, counts) for group, counts in sums.items()],
    }


def _result(model: str, key: str, counts: Counter[str]) -> dict[str, Any]:
    return {
        "uncached_input_tokens": counts["fresh"],
        "cache_read_input_tokens": counts["read"],
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts["write_5m"],
            "ephemeral_1h_input_tokens": counts["write_1h"],
        },
        "output_tokens": counts["output"],
        "server_tool_use": {"web_search_requests": 0},
        "api_key_id": key or None,
        "workspace_id": None,
        "model": model or None,
        "service_tier": None,
        "context_window": None,
    }


def _key_id(key: bytes) -> str:
    return f"apikey_{blake2b(key, digest_size=8).hexdigest()}"


def _one(query: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    found = query.get(name) or [default]
    return found[-1]


def _number(text: str) -> int:
    if not text.isdigit():
        raise _wrong(f"{text[:40]} is no number")
    return int(text)


def _seconds(text: str, name: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(f"{name}: a moment in RFC 3339, like 2026-11-20T00:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _iso(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _wrong(message: str) -> Rejected:
    return Rejected(400, "invalid_request_error", message)
