"""The emulator's usage report: what its books say, in buckets, and what a client's ledger must agree with."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest

from headway.emulator.cache import InputUsage
from headway.emulator.checks import Rejected
from headway.emulator.reports import Reports
from headway.testing.emulated import Emulator

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
USAGE = InputUsage(fresh=100, read=7, write_5m=5, write_1h=3)


def reports() -> Reports:
    found = Reports()
    for at_utc, model, key in ((NOON, "a", b"k1"), (NOON + 59, "a", b"k2"), (NOON + 3600, "b", b"k1")):
        found.note(at_utc, model, key, USAGE, 10)
    return found


def ask(found: Reports, **query: str | list[str]) -> dict[str, Any]:
    given = {
        name.replace("group_by", "group_by[]"): [v] if isinstance(v, str) else v for name, v in query.items()
    }
    return found.usage({"starting_at": ["2026-11-20T00:00:00Z"]} | given, NOON + 7200)


def test_a_day_adds_up_all_that_was_billed() -> None:
    page = ask(reports(), bucket_width="1d")
    (bucket,) = page["data"]
    assert bucket["starting_at"] == "2026-11-20T00:00:00Z"
    (result,) = bucket["results"]
    assert (result["uncached_input_tokens"], result["output_tokens"], result["model"]) == (300, 30, None)
    assert result["cache_creation"] == {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 9}
    assert not page["has_more"]


def test_groups_split_it_and_keys_do_not_show() -> None:
    page = ask(reports(), bucket_width="1d", group_by=["model", "api_key_id"])
    results = page["data"][0]["results"]
    assert [(each["model"], each["output_tokens"]) for each in results] == [("a", 10), ("a", 10), ("b", 10)]
    assert "k1" not in json.dumps(results)


def test_pages_follow_one_another_without_a_gap() -> None:
    found, starts, page = reports(), [], ""
    while True:
        answer = ask(found, bucket_width="1h", limit="5", **({"page": page} if page else {}))
        starts += [bucket["starting_at"] for bucket in answer["data"]]
        if not answer["has_more"]:
            break
        page = answer["next_page"]
    assert starts == [f"2026-11-20T{hour:02}:00:00Z" for hour in range(14)]


@pytest.mark.parametrize(
    "query", [{"bucket_width": "1y"}, {"starting_at": "soon"}, {"limit": "many"}, {"group_by": "mood"}]
)
def test_a_query_that_makes_no_sense_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Rejected):
        ask(reports(), **query)


def test_over_the_wire_it_needs_a_key_and_agrees_with_the_books(headway_emulator: Emulator) -> None:
    headers = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
    body = {"model": "claude-opus-4-8", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    request = urllib.request.Request(
        f"{headway_emulator.url}/v1/messages", json.dumps(body).encode(), headers
    )
    with urllib.request.urlopen(request) as reply:
        usage = json.load(reply)["usage"]
    url = f"{headway_emulator.url}/v1/organizations/usage_report/messages?starting_at=2026-01-01T00:00:00Z&limit=31"
    pages: list[dict[str, Any]] = []
    while not pages or pages[-1]["has_more"]:
        after = f"&page={pages[-1]['next_page']}" if pages else ""
        with urllib.request.urlopen(urllib.request.Request(f"{url}{after}", headers=headers)) as reply:
            pages.append(json.load(reply))
    results = [result for page in pages for bucket in page["data"] for result in bucket["results"]]
    assert sum(result["uncached_input_tokens"] for result in results) == usage["input_tokens"]
    assert sum(result["output_tokens"] for result in results) == usage["output_tokens"]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url)
