"""Refusals are errors in the provider's form, and say the truth about trying again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headway.errors import (
    BudgetExceeded,
    ConnectionFailed,
    HeadwayError,
    InputError,
    LedgerError,
    RequestTooLarge,
    WouldWaitTooLong,
)
from headway.gateway.refusal import CAPACITY, Denied, Holder, refusal
from headway.providers.faults import classify

INFINITY = float("inf")


def waiting(limit: str = "50 requests/min", wait_s: float = 12.3) -> WouldWaitTooLong:
    return WouldWaitTooLong("too long", limit=limit, level=0.5, wait_s=wait_s, hint="Wait.")


@pytest.mark.parametrize(
    ("error", "status", "kind", "retry_after", "again"),
    [
        (waiting(), 429, "rate_limit_error", "13", "true"),
        (waiting(wait_s=INFINITY), 429, "rate_limit_error", "1", "true"),
        (waiting(wait_s=0.0), 429, "rate_limit_error", "1", "true"),
        (waiting(wait_s=1e9), 429, "rate_limit_error", "86400", "true"),
        (waiting(limit=CAPACITY), 529, "overloaded_error", "13", "true"),
        (BudgetExceeded("spent", used=2.0, cap=1.0), 402, "billing_error", None, "false"),
        (RequestTooLarge("big", what="input", tokens=3, most=2), 400, "invalid_request_error", None, "false"),
        (InputError("odd"), 400, "invalid_request_error", None, "false"),
        (Denied(401, "authentication_error", "who?"), 401, "authentication_error", None, "false"),
        (Denied(503, "overloaded_error", "full"), 503, "overloaded_error", "1", "true"),
        (ConnectionFailed("gone", sent=True), 502, "api_error", None, "false"),
        (LedgerError("disk"), 500, "api_error", None, "false"),
    ],
)
def test_each_error_has_a_status_a_type_and_a_true_word_about_trying_again(
    error: HeadwayError, status: int, kind: str, retry_after: str | None, again: str
) -> None:
    answer = refusal(error, call_id="c-1")
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    body = json.loads(answer.body)
    assert (answer.status, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["error"]["message"].startswith(str(error))
    assert body["request_id"] == headers["headway-call-id"] == "c-1"
    assert headers.get("retry-after") == retry_after
    assert headers["x-should-retry"] == again


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (waiting(), "rate_limited"),
        (waiting(limit=CAPACITY), "overloaded"),
        (BudgetExceeded("spent", used=2.0, cap=1.0), "stopped"),
        (RequestTooLarge("big", what="input", tokens=3, most=2), "rejected"),
        (Denied(401, "authentication_error", "who?"), "stopped"),
        (ConnectionFailed("gone", sent=True), "rejected"),
    ],
)
def test_headway_itself_reads_them_as_it_would_the_providers(error: HeadwayError, fault: str) -> None:
    answer = refusal(error)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    problem = classify(answer.status, headers, answer.body)
    assert problem is not None
    assert problem.fault.value == fault


def test_a_wait_names_the_limit_and_who_holds_it() -> None:
    said = _said(refusal(waiting(), holders=[Holder("search", 3, 1), Holder("nightly", 0, 2)]))
    assert said == {
        "limit": "50 requests/min",
        "level": 0.5,
        "clears_in_s": 12.3,
        "held_by": [
            {"tenant": "search", "in_flight": 3, "waiting": 1},
            {"tenant": "nightly", "in_flight": 0, "waiting": 2},
        ],
    }


def test_a_budget_that_renews_says_when() -> None:
    answer = refusal(BudgetExceeded("spent", used=2.0, cap=1.0, budget="search"), clears_s=90.5)
    assert dict(answer.headers)[b"retry-after"] == b"91"
    assert _said(answer)["clears_in_s"] == 90.5


def _said(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)["headway"]
    return found
