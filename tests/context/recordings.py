"""Recorded exchanges beside the repository: requests with the provider's own counts. They are no part of the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[2] / "../shared/data/claude_pairs_dev.jsonl"


def counted_requests() -> list[tuple[dict[str, Any], int]]:
    """Requests to known models, with all input tokens that the API counted. Skips the test where there are none."""
    if not PATH.exists():
        pytest.skip("no recorded exchanges beside the repository")
    found = []
    for line in PATH.read_text("utf-8").splitlines():
        pair = json.loads(line)
        usage, request = pair["usage"], pair["request_body"]
        is_message = pair["response_status"] == 200 and usage and isinstance(request, dict)
        if not is_message or "converse" in pair["endpoint"] or "messages" not in request or not pair["model"]:
            continue
        cached = (usage.get("cache_creation_input_tokens") or 0) + (usage.get("cache_read_input_tokens") or 0)
        if (
            "input_tokens" in usage
            and usage["input_tokens"] + cached
            and "<base64:" not in json.dumps(request)
        ):
            found.append(({**request, "model": pair["model"]}, usage["input_tokens"] + cached))
    return found
