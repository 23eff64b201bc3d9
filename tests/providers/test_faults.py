"""Every way in which a reply can fail is sorted by what to do about it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Fault, Unit
from headway.providers.faults import MALFORMED_REPLY, STREAM_BROKEN, classify, scrub

MESSAGE = b'{"type":"message","content":[],"usage":{"input_tokens":1,"output_tokens":1}}'
START = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def error(kind: str, message: str = "no", code: str = "") -> bytes:
    inner: dict[str, Any] = {"type": kind, "message": message}
    if code:
        inner["details"] = {"error_code": code}
    return json.dumps({"type": "error", "error": inner, "request_id": "req_body"}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "fault"),
    [
        (400, "invalid_request_error", Fault.REJECTED),
        (401, "authentication_error", Fault.STOPPED),
        (402, "billing_error", Fault.STOPPED),
        (403, "permission_error", Fault.STOPPED),
        (404, "not_found_error", Fault.REJECTED),
        (408, "timeout", Fault.FAILED),
        (409, "conflict_error", Fault.FAILED),
        (413, "request_too_large", Fault.REJECTED),
        (418, "teapot_error", Fault.REJECTED),
        (429, "rate_limit_error", Fault.RATE_LIMITED),
        (500, "api_error", Fault.FAILED),
        (502, "bad_gateway", Fault.FAILED),
        (503, "unavailable", Fault.OVERLOADED),
        (504, "timeout_error", Fault.FAILED),
        (522, "origin", Fault.FAILED),
        (529, "overloaded_error", Fault.OVERLOADED),
    ],
)
def test_each_status_and_type_has_its_fault(status: int, kind: str, fault: Fault) -> None:
    problem = classify(status, {}, error(kind))
    assert problem is not None
    assert (problem.fault, problem.error_type, problem.status) == (fault, kind, status)
    assert problem.request_id == "req_body"


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        (
            "exceed your organization's rate limit of 30,000 input tokens per minute (org: x)",
            Unit.INPUT_TOKENS,
            30_000,
        ),
        ("exceed your rate limit of 8,000 output tokens per minute", Unit.OUTPUT_TOKENS, 8_000),
        ("Number of requests: rate limit of 50 requests per minute", Unit.REQUESTS, 50),
        ("Error", None, None),
    ],
)
def test_a_429_names_its_limit_where_the_text_does(
    text: str, unit: Unit | None, amount: float | None
) -> None:
    problem = classify(429, {"retry-after": "505", "request-id": "req_1"}, error("rate_limit_error", text))
    assert problem is not None
    assert (problem.fault, problem.unit, problem.amount) == (Fault.RATE_LIMITED, unit, amount)
    assert (problem.retry_after_s, problem.request_id) == (505.0, "req_1")


@pytest.mark.parametrize("code", ["enforced_spend_limit_reached", "contract_spend_limit_reached"])
def test_a_spend_cap_is_a_stop_and_no_rate_limit(code: str) -> None:
    problem = classify(429, {}, error("rate_limit_error", "paused", code))
    assert problem is not None
    assert (problem.fault, problem.error_type) == (Fault.STOPPED, code)


@pytest.mark.parametrize(
    "text",
    [
        "Your credit balance is too low to access the Anthropic API.",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
        "You have reached your specified workspace API usage limits.",
    ],
)
def test_a_400_that_speaks_of_money_is_a_stop(text: str) -> None:
    problem = classify(400, {}, error("invalid_request_error", text))
    assert problem is not None
    assert problem.fault is Fault.STOPPED


def test_a_spend_limit_that_clears_is_waited_for() -> None:
    problem = classify(429, {"retry-after": "60"}, error("rate_limit_error", "specified API usage limits"))
    assert problem is not None
    assert (problem.fault, problem.retry_after_s) == (Fault.RATE_LIMITED, 60.0)


def test_a_429_without_retry_after_is_no_stop_by_that_alone() -> None:
    problem = classify(429, {}, error("rate_limit_error", "Error"))
    assert problem is not None
    assert (problem.fault, problem.unit, problem.retry_after_s) == (Fault.RATE_LIMITED, None, None)


def test_growing_too_fast_is_a_fault_of_its_own() -> None:
    problem = classify(
        429, {"retry-after": "7"}, error("rate_limit_error", "slow down", "ramp_limit_exceeded")
    )
    assert problem is not None
    assert (problem.fault, problem.retry_after_s) == (Fault.RAMP_LIMITED, 7.0)


def test_a_key_that_may_not_use_one_model_may_use_others() -> None:
    problem = classify(
        403, {}, error("permission_error", "Your account may not use the model claude-mythos-5")
    )
    assert problem is not None
    assert problem.fault is Fault.REJECTED


def test_a_403_page_of_something_in_between_does_not_stop_everything() -> None:
    problem = classify(403, {}, b"<html>blocked</html>")
    assert problem is not None
    assert (problem.fault, problem.error_type) == (Fault.FAILED, "http_403")


@pytest.mark.parametrize(
    ("status", "said", "fault"),
    [
        (500, "false", Fault.REJECTED),
        (418, "true", Fault.FAILED),
        (400, "true", Fault.REJECTED),
        (529, "false", Fault.OVERLOADED),
    ],
)
def test_x_should_retry_decides_where_the_status_leaves_it_open(status: int, said: str, fault: Fault) -> None:
    problem = classify(status, {"x-should-retry": said}, error("odd_error"))
    assert problem is not None
    assert problem.fault is fault


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("overloaded_error", Fault.OVERLOADED),
        ("api_error", Fault.FAILED),
        ("rate_limit_error", Fault.RATE_LIMITED),
        ("invalid_request_error", Fault.REJECTED),
        ("new_error", Fault.FAILED),
    ],
)
def test_an_error_in_the_middle_of_a_stream_is_found(kind: str, fault: Fault) -> None:
    body = START + b"event: error\ndata: " + error(kind, "Overloaded") + b"\n\n"
    problem = classify(200, {"content-type": "text/event-stream", "request-id": "req_2"}, body)
    assert problem is not None
    assert (problem.fault, problem.error_type, problem.request_id) == (fault, kind, "req_2")


def test_a_stream_that_ends_early_is_broken_wherever_it_is_cut() -> None:
    body = START + STOP
    assert classify(200, {}, body) is None
    for end in range(len(START) - 2, len(body) - len("}\n\n")):
        problem = classify(200, {"content-type": "text/event-stream"}, body[:end])
        assert problem is not None, body[:end]
        assert (problem.fault, problem.error_type) == (Fault.FAILED, STREAM_BROKEN)


def test_a_text_that_speaks_of_the_end_or_of_errors_is_neither() -> None:
    text = json.dumps(
        {"type": "content_block_delta", "delta": {"text": "event: error\nevent: message_stop\ndata: "}}
    )
    cut = START + b"event: content_block_delta\ndata: " + text.encode() + b"\n\n"
    broken = classify(200, {}, cut)
    assert broken is not None
    assert broken.error_type == STREAM_BROKEN
    assert classify(200, {}, cut + STOP) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>ok</html>", b"{}", b'{"detail": "x"}', b"true"])
def test_a_good_status_with_a_body_that_is_no_reply_is_a_failure(body: bytes) -> None:
    problem = classify(200, {"content-type": "application/json"}, body)
    assert problem is not None
    assert (problem.fault, problem.error_type) == (Fault.FAILED, MALFORMED_REPLY)


@pytest.mark.parametrize(
    "body", [MESSAGE, b'{"input_tokens": 5}', b'{"data": [], "has_more": false}', b'{"id": "msgbatch_1"}']
)
def test_good_replies_are_no_problem(body: bytes) -> None:
    assert classify(200, {"content-type": "application/json", "retry-after": "9"}, body) is None


def test_bodies_of_another_type_are_left_alone() -> None:
    assert (
        classify(200, {"content-type": "application/x-jsonl"}, b'{"custom_id":1}\n{"custom_id":2}\n') is None
    )
    assert classify(204, {}, b"") is None


def test_an_error_with_a_good_status_is_an_error() -> None:
    problem = classify(200, {}, error("overloaded_error"))
    assert problem is not None
    assert problem.fault is Fault.OVERLOADED


def test_messages_hold_no_keys_and_no_ids_of_organisations() -> None:
    text = (
        "invalid x-api-key sk-ant-api03-AbC_dEf-1234567890 Bearer abcdefghijk "
        "(org: 12345678-9abc-def0-1234-56789abcdef0)\nsecond line " + "y" * 900
    )
    clean = scrub(text)
    assert "sk-ant" not in clean
    assert "abcdefghijk" not in clean
    assert "9abc-def0" not in clean
    assert "\n" not in clean
    assert len(clean) == 300


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["retry-after", "content-type", "date", "x-should-retry"]), st.text()),
    st.binary() | st.builds(error, st.text(), st.text(), st.text()),
)
def test_nothing_that_comes_back_makes_it_fail(status: int, headers: dict[str, str], body: bytes) -> None:
    problem = classify(status, headers, body)
    assert problem is not None or status < 300
    assert problem is None or len(problem.message) <= 300


def test_a_fast_mode_that_is_not_provisioned_is_not_waited_for() -> None:
    headers = {"anthropic-fast-input-tokens-limit": "0", "retry-after": "3"}
    problem = classify(429, headers, error("rate_limit_error"))
    assert problem is not None
    assert problem.fault is Fault.REJECTED
