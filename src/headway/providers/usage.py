"""What an Anthropic reply says it took.

Shapes: provider-facts of the project, checked against recorded replies; https://platform.claude.com/docs/en/api/messages
and .../build-with-claude/streaming. Usage events of a stream are cumulative: merged per field, never added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.core.call import Usage
from headway.providers.parsed import parse_object, whole
from headway.providers.sse import parse_stream

_USAGE = b'"usage"'
_REASONS = frozenset(
    (
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    )
)
_LONGEST_REASON = 64  # characters of one that is not among them
_DEEPEST = 8  # objects within objects that are merged, and iterations within iterations that are read: real ones have one


def merge_usage(into: dict[str, Any], new: Mapping[str, Any], depth: int = _DEEPEST) -> None:
    """Lay a later usage object over an earlier one: per field the last value that is not null wins."""
    for key, value in new.items():
        old = into.get(key)
        if isinstance(value, dict) and depth:
            if not isinstance(old, dict):
                old = into[key] = {}
            merge_usage(old, value, depth - 1)
        elif value is not None or key not in into:
            into[key] = value


def read_usage(body: bytes) -> Usage | None:
    """Read a whole reply: a message, an SSE stream of one, or an answer of count_tokens. None: it does not say."""
    found = _from_message(body) if body.lstrip()[:1] == b"{" else _from_stream(body)
    return None if found is None else usage_of(*found)


def usage_of(raw: Mapping[str, Any], model: str = "", depth: int = _DEEPEST) -> Usage:
    """Sort the provider's usage object into disjoint token classes. `raw` is kept as it is."""
    write_5m, write_1h = _cache_writes(raw)
    searches = raw.get("server_tool_use")
    details = raw.get("output_tokens_details")
    return Usage(  # by position: a third cheaper than by name, and it is built for every reply
        whole(raw.get("input_tokens")),
        whole(raw.get("cache_read_input_tokens")),
        write_5m,
        write_1h,
        whole(raw.get("output_tokens")),
        whole(details.get("thinking_tokens")) if isinstance(details, dict) else 0,
        whole(searches.get("web_search_requests")) if isinstance(searches, dict) else 0,
        model,
        _text(raw.get("service_tier")),
        _text(raw.get("speed")),
        _text(raw.get("inference_geo")),
        _parts(raw.get("iterations"), model, depth),
        raw,
    )


def _from_message(body: bytes) -> tuple[dict[str, Any], str] | None:
    reply = parse_object(body)
    if reply is None:
        return None
    usage = reply.get("usage")
    if isinstance(usage, dict):
        return usage, _text(reply.get("model"))
    if set(reply) <= {"input_tokens", "context_management"} and reply:
        return reply, ""  # count_tokens: free of charge, but the truth about an estimate
    return None


def _from_stream(body: bytes) -> tuple[dict[str, Any], str] | None:
    usage: dict[str, Any] = {}
    model = ""
    for event in _events_with_usage(body):
        message = event.get("message")
        if isinstance(message, dict):
            model = _text(message.get("model")) or model
            event = message
        if isinstance(new := event.get("usage"), dict):
            merge_usage(usage, new)
    return (usage, model) if usage else None


def _events_with_usage(body: bytes) -> list[dict[str, Any]]:
    """The events that have a usage. Found by their text, because a long stream has two of them among thousands.

    In the text of a reply the quotes would be escaped. Where a line is no JSON of its own, all events are read one by one.
    """
    found = []
    at = -1 if b"\r" in body else body.find(_USAGE)
    while at >= 0:
        start, end = body.rfind(b"\n", 0, at) + 1, body.find(b"\n", at)
        line = body[start : end if end >= 0 else len(body)]
        event = parse_object(line[6:]) if line.startswith(b"data: ") else None
        if event is None:
            break
        found.append(event)
        at = body.find(_USAGE, start + len(line))
    else:
        if found:
            return found
    return [event for _, data in parse_stream(body) if _USAGE in data and (event := parse_object(data))]


def _cache_writes(raw: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens written for 5 minutes and for 1 hour. Only the start event of a stream has the split; a later total wins.

    What the split does not explain was written as the split was: all for 1 hour if it names nothing else, else for 5 minutes.
    """
    split = raw.get("cache_creation")
    total = raw.get("cache_creation_input_tokens")
    if total == 0:
        return 0, 0
    split = split if isinstance(split, dict) else {}
    short = whole(split.get("ephemeral_5m_input_tokens"))
    long = whole(split.get("ephemeral_1h_input_tokens"))
    if total is None:
        return short, long
    total = whole(total)
    long = total if long and not short else min(long, total)
    return total - long, long


def stop_reason_of(message: Mapping[str, Any]) -> str:
    """Why a reply ended, in the provider's word ("": it does not say). New words come: kept, if they look like one."""
    reason = message.get("stop_reason")
    if not isinstance(reason, str):
        return ""
    return reason if reason in _REASONS else _word(reason)


def _parts(iterations: object, model: str, depth: int) -> tuple[Usage, ...]:
    """Iterations that the top-level counts leave out: everything but the turns of the message itself."""
    if not isinstance(iterations, list) or not depth:
        return ()
    return tuple(
        usage_of(entry, _text(entry.get("model")) or model, depth - 1)
        for entry in iterations
        if isinstance(entry, dict) and entry.get("type") != "message"
    )


def _word(reason: str) -> str:
    kept = (character if character.isprintable() else " " for character in reason[:_LONGEST_REASON])
    return "".join(kept).strip()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
