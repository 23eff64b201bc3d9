"""Reads what a provider exports of usage and cost: four formats of Anthropic, told apart by what is in them.

- JSON of the usage report, `GET /v1/organizations/usage_report/messages`: one page, or pages one after the other
- JSON of the cost report, `GET /v1/organizations/cost_report`; its amounts are in cents
- CSV of the Console's usage page: `usage_date_utc`, `model_version`, `usage_input_tokens_no_cache`, …
- CSV of the Console's cost page: `usage_date_utc`, `model`, `token_type`, `cost_usd`, …

https://platform.claude.com/docs/en/api/admin/cost_report and https://support.claude.com/en/articles/9534590, read 2026-11-24.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from headway.errors import InputError

KINDS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "web_searches")
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_HINT = "A CSV of the Console's usage or cost page, or the JSON of usage_report/messages or cost_report."
_USAGE_COLUMNS = {
    "input": "usage_input_tokens_no_cache",
    "cache_read": "usage_input_tokens_cache_read",
    "cache_write_5m": "usage_input_tokens_cache_write_5m",
    "cache_write_1h": "usage_input_tokens_cache_write_1h",
    "output": "usage_output_tokens",
    "web_searches": "web_search_count",
}
_NANOS_A_CENT = 10**7


@dataclass(frozen=True, slots=True)
class Billed:
    """One line of an export: from `start_ns` to `end_ns` (ns since 1970 UTC), one model, as finely as the export goes.

    `counts` are in the order of `KINDS`; all 0 in an export of costs. `cost_nanousd` is None in an export of usage.
    `tier` is as the provider calls it, `batch` for Message Batches.
    """

    start_ns: int
    end_ns: int
    model: str
    counts: tuple[int, ...]
    cost_nanousd: int | None = None
    key: str = ""
    workspace: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """A whole export. `what` is "usage" or "cost"; all lines cover periods of `width_ns`. `complete`: no page is missing.

    `rounding_nanousd` is how far each amount of money may be off for having been rounded, by the digits it is given with.
    """

    what: str
    width_ns: int
    lines: tuple[Billed, ...]
    complete: bool = True
    rounding_nanousd: int = 0


def read_export(data: bytes, name: str) -> Export:
    """The export in `data`; `name` is for errors. InputError: not one that is known, or damaged, with the line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{name} is not UTF-8 text", hint=_HINT) from None
    if text.lstrip()[:1] in ("{", "["):
        return _from_json(text, name)
    return _from_csv(text, name)


def _from_json(text: str, name: str) -> Export:
    lines: list[Billed] = []
    found: set[str] = set()
    seen: set[object] = set()
    more, digits = False, 2
    for page in _pages(text, name):
        more = bool(page.get("has_more"))
        for bucket, result in _results(page, seen, name):
            what = "cost" if "amount" in result else "usage"
            found.add(what)
            try:
                lines.append(_billed(bucket, result, what))
            except (KeyError, TypeError, ValueError, InvalidOperation) as error:
                raise InputError(f"{name}: a result cannot be read: {_said(error)}", hint=_HINT) from None
            digits = max(digits, 2 + _digits(str(result.get("amount", ""))))  # of a dollar: amounts are cents
    if len(found) > 1:
        raise InputError(f"{name} mixes usage and cost", hint="One file of each kind, one after the other.")
    if not found:
        raise InputError(f"{name} has no results", hint=_HINT)
    return _export(found.pop(), lines, name, digits, complete=not more)


def _results(
    page: Mapping[str, Any], seen: set[object], name: str
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each result of a page with its bucket. A bucket is on one page only: twice means the same page twice."""
    for bucket in page["data"]:
        if not isinstance(bucket, dict) or not isinstance(bucket.get("results"), list):
            raise InputError(f"{name} is JSON, but no usage or cost report", hint=_HINT)
        start = str(bucket.get("starting_at"))
        if start in seen:
            raise InputError(
                f"{name} has the period that starts at {start[:40]} twice", hint="Each page once."
            )
        seen.add(start)
        for result in bucket["results"]:
            if not isinstance(result, dict):
                raise InputError(f"{name} is JSON, but no usage or cost report", hint=_HINT)
            yield bucket, result


def _pages(text: str, name: str) -> Iterator[Mapping[str, Any]]:
    """One page, a list of pages, or pages one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} is not JSON: {error}", hint=_HINT) from None
        for page in value if isinstance(value, list) else [value]:
            if not isinstance(page, dict) or not isinstance(page.get("data"), list):
                raise InputError(f"{name} is JSON, but no usage or cost report", hint=_HINT)
            yield page
        while at < len(text) and text[at].isspace():
            at += 1


def _billed(bucket: Mapping[str, Any], result: Mapping[str, Any], what: str) -> Billed:
    start, end = _moment(bucket["starting_at"]), _moment(bucket["ending_at"])
    common = (_ns(start), _ns(end), str(result.get("model") or ""))
    who = tuple(str(result.get(name) or "") for name in ("api_key_id", "workspace_id", "service_tier"))
    if what == "cost":
        cost = _whole(Decimal(str(result["amount"])) * _NANOS_A_CENT)
        return Billed(*common, (0,) * len(KINDS), cost, *who)
    written = result.get("cache_creation") or {}
    tools = result.get("server_tool_use") or {}
    counts = (
        result.get("uncached_input_tokens"),
        result.get("cache_read_input_tokens"),
        written.get("ephemeral_5m_input_tokens"),
        written.get("ephemeral_1h_input_tokens"),
        result.get("output_tokens"),
        tools.get("web_search_requests"),
    )
    return Billed(*common, tuple(int(count or 0) for count in counts), None, *who)


def _from_csv(text: str, name: str) -> Export:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = {column.strip() for column in rows.fieldnames or ()}
    if {"usage_date_utc", "model_version", "usage_output_tokens"} <= columns:
        return _export("usage", _each(rows, _usage_line, name), name)
    if {"usage_date_utc", "model", "cost_usd"} <= columns:
        lines = _each(rows, _cost_line, name)
        return _export("cost", lines, name, _finest(text))
    raise InputError(f"{name} is no export of usage or cost that is known", hint=_HINT)


def _each(rows: csv.DictReader[str], line: Callable[[Mapping[str, str]], Billed], name: str) -> list[Billed]:
    found = []
    seen: dict[tuple[object, ...], int] = {}
    for row in rows:
        before = seen.setdefault(tuple(map(str, row.values())), rows.line_num)
        if before != rows.line_num:
            raise InputError(
                f"{name}, line {rows.line_num}: the same as line {before}", hint="Each line once."
            )
        clean = {
            (key or "").strip(): (value or "").strip() for key, value in row.items() if isinstance(value, str)
        }
        try:
            found.append(line(clean))
        except (KeyError, ValueError, InvalidOperation) as error:
            raise InputError(f"{name}, line {rows.line_num}: {_said(error)}", hint=_HINT) from None
    return found


def _usage_line(row: Mapping[str, str]) -> Billed:
    counts = tuple(
        int(Decimal(row.get(column, "").replace(",", "") or "0")) for column in _USAGE_COLUMNS.values()
    )
    return Billed(*_period(row), row["model_version"], counts, None, *_who(row))


def _cost_line(row: Mapping[str, str]) -> Billed:
    cost = _whole(Decimal(row["cost_usd"].replace(",", "") or "0") * 10**9)
    return Billed(*_period(row), row["model"], (0,) * len(KINDS), cost, *_who(row))


def _who(row: Mapping[str, str]) -> tuple[str, ...]:
    tier = row.get("usage_type", "")
    return row.get("api_key", ""), row.get("workspace", ""), "" if tier == "message" else tier


def _period(row: Mapping[str, str]) -> tuple[int, int]:
    text = row["usage_date_utc"]
    start = _moment(text.replace("/", "-"))
    return _ns(start), _ns(start + (_HOUR if len(text) > len("2026-11-24") else _DAY))


def _moment(text: object) -> datetime:
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def _whole(value: Decimal) -> int:
    if not value.is_finite():
        raise ValueError(f"{value} is no amount")
    return int(value.to_integral_value())


def _said(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__


def _export(
    what: str, lines: Iterable[Billed], name: str, digits: int = 0, *, complete: bool = True
) -> Export:
    kept = tuple(lines)
    widths = {line.end_ns - line.start_ns for line in kept}
    if not kept:
        raise InputError(f"{name} has no lines", hint=_HINT)
    if len(widths) > 1 or min(widths) <= 0:
        raise InputError(
            f"{name} has periods of different length", hint="Export days, hours or minutes, not a mix."
        )
    rounding = 5 * 10 ** (8 - digits) if what == "cost" and digits <= 8 else 0
    return Export(what, widths.pop(), kept, complete, rounding)


def _finest(text: str) -> int:
    """Digits after the point of the finest amount of a cost CSV: it is rounded to them."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return max(2, *(_digits((row.get("cost_usd") or "").strip()) for row in rows))


def _digits(amount: str) -> int:
    return len(amount.partition(".")[2])
