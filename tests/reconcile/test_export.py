"""Four formats are read, told apart by what is in them; anything else is refused with the place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InputError
from headway.reconcile.export import KINDS, Billed, read_export
from reconcile.conftest import DAY, DAY_NS, HOUR_NS, csv_line, csv_of

COST_HEADER = "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type"


def page(*results: dict[str, Any], more: bool = False) -> dict[str, Any]:
    bucket = {
        "starting_at": "2026-11-20T00:00:00Z",
        "ending_at": "2026-11-21T00:00:00Z",
        "results": list(results),
    }
    return {"data": [bucket], "has_more": more, "next_page": None}


USAGE = {
    "uncached_input_tokens": 1500,
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200,
    "output_tokens": 400,
    "server_tool_use": {"web_search_requests": 10},
    "api_key_id": "apikey_1",
    "workspace_id": None,
    "model": "claude-opus-4-8",
    "service_tier": "batch",
}


def test_the_usage_page_of_the_console() -> None:
    export = read_export(csv_of(csv_line("2026-11-20", "claude-opus-4-8", 100, 20, read=7)), "usage.csv")
    assert (export.what, export.width_ns) == ("usage", DAY_NS)
    assert export.lines == (
        Billed(DAY, DAY + DAY_NS, "claude-opus-4-8", (100, 7, 0, 0, 20, 0), None, "main", "Default", ""),
    )


def test_hours_of_the_usage_page() -> None:
    export = read_export(csv_of(csv_line("2026-11-20 13:00", "claude-opus-4-8", 1, 2)), "usage.csv")
    assert (export.lines[0].start_ns, export.width_ns) == (DAY + 13 * HOUR_NS, HOUR_NS)


def test_the_cost_page_of_the_console_to_the_nanodollar() -> None:
    text = f"{COST_HEADER}\n2026-11-20,Claude Haiku 4.5,Default,main,message,≤ 200k,output,0.020000001,0.02,token\n"
    export = read_export(text.encode(), "cost.csv")
    assert export.what == "cost"
    assert (export.lines[0].model, export.lines[0].cost_nanousd) == ("Claude Haiku 4.5", 20_000_001)


def test_the_usage_report_of_the_admin_api() -> None:
    export = read_export(json.dumps(page(USAGE)).encode(), "usage.json")
    assert dict(zip(KINDS, export.lines[0].counts, strict=True)) == {
        "input": 1500,
        "cache_read": 200,
        "cache_write_5m": 500,
        "cache_write_1h": 1000,
        "output": 400,
        "web_searches": 10,
    }
    assert (export.lines[0].tier, export.lines[0].key, export.lines[0].workspace) == ("batch", "apikey_1", "")


def test_amounts_of_the_cost_report_are_cents() -> None:
    result = {
        "currency": "USD",
        "amount": "123.78912",
        "model": "claude-opus-4-8",
        "token_type": "output_tokens",
    }
    export = read_export(json.dumps(page(result)).encode(), "cost.json")
    assert export.lines[0].cost_nanousd == 1_237_891_200  # $1.2378912


def test_pages_one_after_the_other_are_one_export() -> None:
    pages = "\n".join(json.dumps(page(USAGE, more=more)) for more in (True, False)).replace(
        "2026-11-20T", "2026-11-19T", 1
    )
    pages = pages.replace("2026-11-21T", "2026-11-20T", 1)
    export = read_export(pages.encode(), "pages.jsonl")
    assert (len(export.lines), export.complete) == (2, True)
    assert not read_export(json.dumps(page(USAGE, more=True)).encode(), "first.json").complete


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no export of usage or cost"),
        (b"a,b\n1,2\n", "is no export of usage or cost"),
        (b"\xff\xfe", "is not UTF-8"),
        (b'{"data": [', "is not JSON"),
        (b'{"object": "list"}', "no usage or cost report"),
        (b'{"data": []}', "has no results"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"data": [7]}', "no usage or cost report"),
        (json.dumps([page(USAGE), page(USAGE)]).encode(), "twice"),
        (
            csv_of(csv_line("2026-11-20", "m", 1, 1), csv_line("2026-11-20", "m", 1, 1)),
            "line 3: the same as line 2",
        ),
        (csv_of(), "has no lines"),
        (csv_of(csv_line("yesterday", "m", 1, 1)), "line 2"),
        (
            csv_of(csv_line("2026-11-20", "m", 1, 1), csv_line("2026-11-20 01:00", "m", 1, 1)),
            "different length",
        ),
    ],
)
def test_what_is_no_export_is_refused_with_the_reason(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        read_export(data, "file")
    assert str(refused.value).startswith("file")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_odd_bytes_are_an_export_or_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(InputError):
        read_export(data, "file")
