"""The organisation's limits: over real sockets, page by page, kept for later, and never at the price of the key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.writing import NOW
from headway.catalog import organisation
from headway.catalog.limits import by_pool, pool_of
from headway.catalog.matrix import claude_rows
from headway.catalog.organisation import Api, Group, keep, recall
from headway.emulator.server import Emulator
from headway.errors import ConfigError, ConnectionFailed, LedgerError, ProviderError
from headway.providers.catalog import Catalog

KEY = "sk-ant-admin01-very-secret"
NAMES = (
    "id",
    "group",
    "type",
    "display_name",
    "models",
    "limits",
    "value",
    "max_tokens",
    "max_input_tokens",
    "lifecycle",
    "retires_at",
)
GROUPS = (
    Group("model_group", "Claude Opus 4.x", ("claude-opus-4-8",), {"requests_per_minute": 77}),
    Group("telepathy", "rlg_1", (), {"thoughts_per_second": 3}),
)


@contextmanager
def answering(
    *bodies: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers in turn; yields its address and the paths asked for."""
    asked: list[str] = []
    left = list(bodies)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = left.pop(0)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def api(url: str, key: str = KEY) -> Api:
    return Api(url, key, "2023-06-01")


def test_the_emulators_limits_are_read_over_several_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organisation, "_PAGE", 2)
    with Emulator("claude-opus-4/tier-1") as emulator:
        groups = api(emulator.url).rate_limits()
    opus = next(group for group in groups if "claude-opus-4-20250514" in group.models)
    assert opus.kind == "model_group"
    assert opus.limits == {
        "requests_per_minute": 50,
        "input_tokens_per_minute_cache_aware": 30_000,
        "output_tokens_per_minute": 8_000,
    }
    assert {group.kind for group in groups} == {"model_group", "token_count", "batch"}


def test_the_emulators_models_are_read() -> None:
    with Emulator("claude-opus-4/tier-1") as emulator:
        found = {live.id: live for live in api(emulator.url).models()}
    assert found["claude-opus-4-20250514"].context_tokens == 200_000
    assert found["claude-opus-4-20250514"].max_output_tokens == 32_000
    assert found["claude-opus-4-20250514"].status == "active"


def test_kinds_and_limiters_that_nobody_knows_are_kept_and_what_is_odd_is_passed_over() -> None:
    entry = {
        "type": "rate_limit",
        "group": {"type": "telepathy", "id": "rlg_1"},
        "models": None,
        "limits": [
            {"type": "thoughts_per_second", "value": 3},
            {"type": "x"},
            "y",
            {"type": "z", "value": None},
        ],
    }
    with answering({"data": [entry, "odd", {"group": None, "limits": None}], "next_page": None}) as (url, _):
        first, empty = api(url).rate_limits()
    assert first == Group("telepathy", "rlg_1", (), {"thoughts_per_second": 3})
    assert empty.limits == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_no_entry_is_so_odd_that_it_cannot_be_read_kept_and_placed(entry: dict[str, Any]) -> None:
    group = organisation._group(entry)
    live = organisation._live(entry)
    assert all(isinstance(amount, int) for amount in group.limits.values())
    assert live.context_tokens is None or live.context_tokens > 0
    assert pool_of(group, Catalog.load())
    by_pool((group,), Catalog.load(), NOW)
    claude_rows("2026-11-24", NOW, {}, (live,))


def test_both_ways_to_the_next_page_are_followed_to_the_end() -> None:
    pages = [
        {"data": [{"id": "a", "lifecycle": "active", "max_tokens": 5}], "has_more": True, "last_id": "a"},
        {"data": [{"id": "b", "retires_at": "2026-11-30T00:00:00Z"}], "has_more": False, "last_id": "b"},
    ]
    with answering(*pages) as (url, asked):
        first, second = api(url).models()
    assert (first.id, first.max_output_tokens, second.retires) == ("a", 5, "2026-11-30")
    assert "after_id=a" in asked[1]
    with answering({"data": [], "next_page": "p 2"}, {"data": []}) as (url, asked):
        api(url).rate_limits()
    assert "page=p+2" in asked[1] or "page=p%202" in asked[1]


def test_a_server_that_never_ends_is_left() -> None:
    endless = [{"data": [], "next_page": "again"}] * 200
    with answering(*endless) as (url, asked):
        assert api(url).rate_limits() == ()
    assert len(asked) == 100


@pytest.mark.parametrize(
    ("status", "word"), [(401, "Admin key"), (403, "Admin key"), (404, "does not have it"), (500, "later")]
)
def test_a_refusal_says_what_to_do_and_nothing_of_the_key(status: int, word: str) -> None:
    with answering({"error": KEY}, status=status) as (url, _), pytest.raises(ProviderError) as caught:
        api(url).rate_limits()
    assert word in caught.value.hint
    assert str(status) in str(caught.value)
    assert KEY not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"", b"\xff"])
def test_an_answer_that_is_no_object_is_an_error(body: bytes) -> None:
    with answering(body) as (url, _), pytest.raises(ProviderError, match="no JSON object"):
        api(url).rate_limits()


def test_a_redirection_is_not_followed_with_the_key() -> None:
    with answering({}, status=302, headers={"location": "http://127.0.0.1:9/"}) as (url, asked):
        with pytest.raises(ProviderError, match="302"):
            api(url).rate_limits()
        assert len(asked) == 1


def test_nobody_there_is_said_without_the_key() -> None:
    with answering() as (url, _):
        pass
    with pytest.raises(ConnectionFailed, match="does not answer") as caught:
        api(url).rate_limits()
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize("url", ["http://api.example.com", "ftp://x", "https://user:secret@api.example.com"])
def test_a_key_is_sent_nowhere_without_encryption_nor_to_an_odd_address(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        api(url)
    assert KEY not in f"{caught.value!r} {caught.value.hint}"
    assert "secret" not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize("key", ["", "sk ant", "sk\nant", "schlüssel"])
def test_a_key_that_is_none_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(ConfigError, match="characters that no key has"):
        api("https://api.anthropic.com", key)


def test_what_was_told_is_kept_by_address_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    keep(path, "https://a.example", GROUPS[:1], NOW)
    keep(path, "https://a.example/", GROUPS, NOW + 1)
    kept = recall(path, "https://a.example")
    assert kept is not None
    assert kept.groups == GROUPS
    assert kept.at_ns == NOW + 1
    assert recall(path, "https://b.example") is None
    assert KEY.encode() not in path.read_bytes()


def test_a_ledger_without_it_or_with_something_else_tells_nothing(tmp_path: Path) -> None:
    assert recall(tmp_path / "none.sqlite3", "https://a.example") is None
    text = tmp_path / "text"
    text.write_text("no ledger" * 1000)
    assert recall(text, "https://a.example") is None
    with pytest.raises(LedgerError):
        keep(text, "https://a.example", GROUPS, NOW)


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(api("https://api.anthropic.com"))
