from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Customer

VERSION_2026 = {b"anthropic-version": b"2026-10-21"}
OPUS_4 = "claude-opus-4-20250514"


@pytest.fixture
def plain(customer: Callable[[str], Customer]) -> Customer:
    return customer("claude-opus-4/tier-4?key=right&burst=60s")


@pytest.mark.parametrize(
    "headers",
    [
        {b"x-api-key": b"right"},
        {b"x-api-key": b"", b"authorization": b"Bearer right"},
        {b"x-api-key": b"right", b"authorization": b"Bearer wrong"},
        {b"x-api-key": b"right"} | VERSION_2026,
    ],
)
def test_either_header_carries_the_key_and_x_api_key_wins(
    plain: Customer, headers: dict[bytes, bytes]
) -> None:
    plain.admitted(headers=headers)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({b"x-api-key": b""}, "x-api-key header is required"),
        ({b"x-api-key": b"wrong"}, "invalid x-api-key"),
        ({b"x-api-key": b"wrong", b"authorization": b"Bearer right"}, "invalid x-api-key"),
    ],
)
def test_no_key_or_a_wrong_one_is_a_401(plain: Customer, headers: dict[bytes, bytes], message: str) -> None:
    status, _, body = plain.refused(headers=headers)
    assert (status, body["error"]["type"], body["error"]["message"]) == (401, "authentication_error", message)


@pytest.mark.parametrize(
    ("status", "message", "request_"),
    [
        (400, "max_tokens: Field required", {"max_tokens": ...}),
        (400, "messages: Field required", {"messages": ...}),
        (400, "messages: at least one message is required", {"messages": []}),
        (400, "messages.0: Input does not match the expected shape.", {"messages": ["Hello"]}),
        (400, "messages.0.content: Field required", {"messages": [{"role": "user"}]}),
        (400, "model: Input should be a valid string", {"model": 4}),
        (400, "max_tokens: Input should be a valid integer of at least 0", {"max_tokens": "many"}),
        (400, "max_tokens: 64001 > 64000, which is the maximum", {"max_tokens": 64_001}),
        (
            400,
            "input length and `max_tokens` exceed context limit: ",
            {"model": OPUS_4, "max_tokens": 32_000, "system": "x " * 345_000},
        ),
        (400, " tokens > 200000 maximum", {"system": "x " * 500_000}),
        (
            400,
            "A maximum of 4 blocks with cache_control",
            {"system": [{"type": "text", "text": "x", "cache_control": {}}] * 5},
        ),
        (404, "model: claude-opus-9", {"model": "claude-opus-9"}),
    ],
)
def test_a_request_that_can_never_run_is_refused_in_the_words_of_the_api(
    plain: Customer, status: int, message: str, request_: dict[str, Any]
) -> None:
    sent = {
        "model": "claude-opus-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    } | request_
    kept = {name: value for name, value in sent.items() if value is not ...}
    answered, headers, body = plain.refused_as_is(json.dumps(kept).encode(), b"right")
    assert answered == status
    assert message in body["error"]["message"]
    assert body["request_id"] == headers["request-id"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe"])
def test_what_is_not_a_json_object_is_a_400(plain: Customer, body: bytes) -> None:
    status, _, answer = plain.refused_as_is(body, b"right")
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_the_new_version_refuses_what_it_removed_and_the_old_one_takes_it(plain: Customer, name: str) -> None:
    key = {b"x-api-key": b"right"}
    plain.admitted(headers=key, **{name: 1})
    status, _, body = plain.refused(headers=key | VERSION_2026, **{name: 1})
    assert (status, body["error"]["message"]) == (400, f"{name}: Extra inputs are not permitted")


@pytest.mark.parametrize("version", [b"", b"2024-01-01"])
def test_a_missing_or_unknown_version_is_a_400(plain: Customer, version: bytes) -> None:
    status, _, _ = plain.refused(headers={b"x-api-key": b"right", b"anthropic-version": version})
    assert status == 400


def test_any_as_the_class_takes_any_model(customer: Callable[[str], Customer]) -> None:
    assert customer("any").admitted(model="my-own-model").message.model == "my-own-model"
