"""Counts text with `ctok`, where it is installed: an offline reconstruction of the tokenizers, nearly exact.

    pip install "headway[exact]"        # Python 3.12 or later

It counts the text of one user message. What else is in a request (frame, tools, images) is left to our fit.
Source: https://pypi.org/project/ctok/ 1.3.0 (MIT). It reads some 120 to 285 kB a second, so long requests are left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from headway.context.counting import Count, facts_of, judged, plain
from headway.providers.catalog import ModelFacts
from headway.providers.shares import Scale, Weight, shares

_LONGEST = 400_000  # bytes of text: two or three seconds
_FRAMES = {"3.0": 7, "4.7": 11, "4.8": 6}  # tokens around the text of one message
_ERROR = 0.005  # relative standard deviation of what it counts
_ALONE = frozenset(
    {"model", "messages", "max_tokens", "stream", "metadata", "stop_sequences", "service_tier"}
)


def refined(request: Mapping[str, Any], facts: ModelFacts | None) -> Count | None:
    """The count with its text counted by `ctok`. None: it is not installed, or the request is not for it."""
    if facts is None or sys.version_info < (3, 12) or find_spec("ctok") is None:
        return None
    texts = _texts(plain(request))
    if not texts or sum(map(len, texts)) > _LONGEST:
        return None
    return recounted(plain(request), facts, import_module("ctok").token_count)


def refined_all(requests: Sequence[Mapping[str, Any]]) -> list[Count] | None:
    """The counts of some requests, if there is one of every one of them."""
    found = [refined(request, facts_of(str(request.get("model")))) for request in requests]
    counts = [count for count in found if count is not None]
    return counts if counts and len(counts) == len(found) else None


def recounted(request: Mapping[str, Any], facts: ModelFacts, token_count: Callable[[str, str], int]) -> Count:
    """The count of a request with its text counted by `token_count`, which is told the family of the tokenizer."""
    family, texts = family_of(facts), _texts(request)
    exact = [token_count(text, family) for text in texts]
    if _is_one_text(request, texts):
        return judged(Weight(float(exact[0])), _ERROR, "ctok")
    scale, frame = Scale.of(facts), _FRAMES[family]
    rest, variance = 0.0, 0.0
    for share in shares(request, facts):
        rest += share.weight.tokens
        variance += share.weight.variance
    rest -= sum(scale.text(text) for text in texts)
    known = float(sum(exact) - frame * len(exact))
    variance += (scale.error * rest) ** 2 + (_ERROR * known) ** 2
    return judged(Weight(rest + known, variance), 0.0, "ctok")


def family_of(facts: ModelFacts) -> str:
    """Which tokenizer of `ctok` a model has."""
    if facts.tokenizer == "3":
        return "3.0"
    return "4.7" if facts.generation == "4.7" else "4.8"


def _is_one_text(request: Mapping[str, Any], texts: list[str]) -> bool:
    return len(texts) == 1 and len(request["messages"]) == 1 and request.keys() <= _ALONE


def _texts(request: Mapping[str, Any]) -> list[str]:
    """The texts of system prompt and messages, results of tools included."""
    found: list[str] = []
    _collect(request.get("system"), found)
    messages = request.get("messages")
    for message in messages if isinstance(messages, list) else []:
        _collect(message.get("content") if isinstance(message, dict) else None, found)
    return [text for text in found if text]


def _collect(content: object, found: list[str]) -> None:
    if isinstance(content, str):
        found.append(content)
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str):
                found.append(block["text"])
            elif isinstance(block, dict) and block.get("type") == "tool_result":
                _collect(block.get("content"), found)
