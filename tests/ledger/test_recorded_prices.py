"""Every recorded reply costs what a calculation by hand says, to the nanodollar.

The recordings are not part of the project: where they are missing this is skipped. Nothing here is shared with what is
tested: prices are typed from the provider's page (https://platform.claude.com/docs/en/about-claude/pricing, 2026-09-01; of
retired models as that page last had them), the arithmetic is decimal, usage is taken as it came.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from headway.ledger.price import Prices
from headway.providers.usage import usage_of

DATA = Path(__file__).resolve().parents[2] / "../shared/data/claude_pairs_dev.jsonl"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="no recorded exchanges beside the repository")

# Dollars per million tokens: input, write for 5 minutes, write for 1 hour, read, output.
PRICES = {
    r"opus-4(-0|-1)?(-2025\d+)?": "15 18.75 30 1.50 75",
    r"opus-(4-[5-8]|5)(-2025\d+)?": "5 6.25 10 0.50 25",
    r"fable-5": "10 12.50 20 1 50",
    r"sonnet-4(-0|-5|-6)?(-2025\d+)?": "3 3.75 6 0.30 15",
    r"sonnet-5": "2 2.50 4 0.20 10",
    r"haiku-4-5(-2025\d+)?": "1 1.25 2 0.10 5",
    r"3-7-sonnet-(latest|20250219)": "3 3.75 6 0.30 15",
    r"3-5-sonnet-(20240620|20241022)": "3 3.75 6 0.30 15",
    r"3-5-haiku-(latest|20241022)": "0.80 1 1.60 0.08 4",
    r"3-opus-(latest|20240229)": "15 18.75 30 1.50 75",
    r"3-haiku-20240307": "0.25 0.30 0.50 0.03 1.25",
    r"2\.1": "8 8 8 8 24",  # had no cache
}
SEARCH = Decimal("0.01")  # dollars each
# Where a recording has no date. Prompts beyond 200,000 tokens have no prices of their own now: the four replies that read
# more are of a model that takes no such prompt, and read several shorter ones, each with what a search had found.
TODAY = datetime(2026, 11, 1, tzinfo=UTC)


def prices_of(model: str) -> list[Decimal]:
    found = [row for name, row in PRICES.items() if re.fullmatch(f"claude-{name}", model)]
    assert len(found) == 1, f"{model} has {len(found)} rows"
    return [Decimal(price) for price in found[0].split()]


def by_hand(raw: dict[str, Any], model: str) -> Decimal:
    """Dollars, exact."""
    fresh, write_5m, write_1h, read, output = prices_of(model)
    written, split = raw.get("cache_creation_input_tokens") or 0, raw.get("cache_creation") or {}
    long = split.get("ephemeral_1h_input_tokens") or 0
    counts = (raw["input_tokens"], written - long, long, raw.get("cache_read_input_tokens") or 0)
    assert raw.get("inference_geo") in (None, "global", "not_available")
    assert raw.get("service_tier") in (None, "standard")
    dollars = sum(
        Decimal(count) * price / 10**6
        for count, price in zip(counts, (fresh, write_5m, write_1h, read), strict=True)
    )
    dollars += Decimal(raw["output_tokens"]) * output / 10**6
    dollars += ((raw.get("server_tool_use") or {}).get("web_search_requests") or 0) * SEARCH
    for part in raw.get("iterations") or []:
        if part["type"] != "message":  # the turns of the message itself are in the counts above
            dollars += by_hand(part, part.get("model") or model)
    return dollars


def recorded() -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in DATA.read_text("utf-8").splitlines()]
    return [
        row
        for row in rows
        if row["response_status"] == 200 and row["usage"] and row["endpoint"].endswith("v1/messages")
    ]


def test_every_recorded_reply_costs_what_it_costs_by_hand() -> None:
    prices, compared, total = Prices(), 0, 0
    with localcontext(prec=60):
        for row in recorded():
            raw, model = row["usage"], row["response_model"] or row["model"]
            date = row["ratelimit_headers"].get("date")
            at = parsedate_to_datetime(date) if date else TODAY
            cost = prices.cost(
                row["model"], usage_of(raw, row["response_model"] or ""), int(at.timestamp()) * 10**9
            )
            hand = (by_hand(raw, model) * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
            assert cost.nanousd == int(hand), (row["id"], model, cost, hand)
            compared, total = compared + 1, total + int(hand)
    assert compared > 700
    assert total > 10**9
