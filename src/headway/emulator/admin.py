"""The Admin side of the emulated API: `GET /v1/organizations/rate_limits`, the limits as they are configured.

Shape: entries of `rate_limit` with a group, its models and its limiters, in pages. Source: the anthropic SDK 2.12.0,
types/organization. Needs an Admin key (any that begins as they do); a key of a workspace does not work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from headway.emulator.checks import Rejected
from headway.emulator.profile import Profile
from headway.emulator.tiers import MODELS, TIERS, Limits

_ADMIN = b"sk-ant-admin"
_MOST = 1000
# Batch requests that may wait, by tier. Source: https://platform.claude.com/docs/en/api/rate-limits, copies of late 2025 and
# of 2026-10-04.
_QUEUES = {"tier-1": 100_000, "tier-2": 200_000, "tier-3": 300_000, "tier-4": 500_000}
_QUEUES |= {"start": 200_000, "build": 300_000, "scale": 500_000}
_LIMITERS = (
    ("requests_per_minute", "requests"),
    ("input_tokens_per_minute_cache_aware", "input_tokens"),
    ("output_tokens_per_minute", "output_tokens"),
)


def rate_limits(profile: Profile, headers: Mapping[bytes, bytes], query: bytes) -> dict[str, Any]:
    """One page of the organisation's limits. Raises Rejected, as the API would answer."""
    _check_key(headers)
    asked = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    entries = _entries(profile)
    if kind := asked.get("group_type"):
        entries = [entry for entry in entries if entry["group"]["type"] == kind]
    if model := asked.get("model"):
        entries = [entry for entry in entries if model in (entry["models"] or ())]
        if not entries:
            raise Rejected(404, "not_found_error", f"model: {model}")
    start = _whole(asked.get("page", "0"), "page", 0, len(entries))
    size = _whole(asked.get("limit", str(_MOST)), "limit", 1, _MOST)
    more = start + size < len(entries)
    return {"data": entries[start : start + size], "next_page": str(start + size) if more else None}


def _check_key(headers: Mapping[bytes, bytes]) -> None:
    bearer = headers.get(b"authorization", b"")
    key = headers.get(b"x-api-key") or (bearer[7:] if bearer[:7].lower() == b"bearer " else b"")
    if not key:
        raise Rejected(401, "authentication_error", "x-api-key header is required")
    if not key.startswith(_ADMIN):
        raise Rejected(401, "authentication_error", "invalid x-api-key")
    if not headers.get(b"anthropic-version"):
        raise Rejected(400, "invalid_request_error", "anthropic-version: header is required")


def _whole(text: str, name: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise Rejected(400, "invalid_request_error", f"{name}: Input should be from {least} to {most}")
    return int(text)


def _entries(profile: Profile) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for pool in TIERS:
        models = [name for model in MODELS if model.pool == pool for name in (model.id, *model.aliases)]
        limits = _limiters(profile.limits_of(pool))
        if models and limits:
            group = {"type": "model_group", "display_name": pool.replace("-", " ").title()}
            entries.append(_entry(len(entries), group, models, limits))
    scale = 60.0 / profile.minute_s
    counting, queue = profile.limits.count_requests, _QUEUES.get(profile.tier)
    if counting is not None:
        entries.append(
            _entry(len(entries), {"type": "token_count"}, None, [("requests_per_minute", counting)])
        )
    if queue is not None and profile.limits.requests is not None:
        most = min(profile.limits.requests, 4_000 * scale)
        limits = [("requests_per_minute", most), ("enqueued_batch_requests", queue)]
        entries.append(_entry(len(entries), {"type": "batch"}, None, limits))
    return entries


def _limiters(limits: Limits) -> list[tuple[str, float]]:
    return [(kind, amount) for kind, field in _LIMITERS if (amount := getattr(limits, field)) is not None]


def _entry(
    number: int, group: dict[str, str], models: list[str] | None, limits: list[tuple[str, float]]
) -> dict[str, Any]:
    return {
        "type": "rate_limit",
        "id": f"rl_emulated{number:04d}",
        "group": {"id": f"rlg_emulated{number:04d}", **group},
        "models": models,
        "limits": [{"type": kind, "value": round(amount)} for kind, amount in limits],
    }
