from __future__ import annotations

from collections.abc import Callable

import pytest

from headway.emulator.answers import HangUp, Serving
from headway.emulator.script import Mishap

from .conftest import Customer

Start = Callable[[str], Customer]
LONG = [{"type": "text", "text": "The rules of the house. " * 400, "cache_control": {"type": "ephemeral"}}]


def test_a_429_names_the_limit_says_when_and_shows_the_levels(customer: Start) -> None:
    client = customer("claude-opus-4/tier-1?burst=1s")
    client.admitted()
    status, headers, body = client.refused()
    assert status == 429
    assert headers["retry-after"] == "2"
    assert headers["x-should-retry"] == "true"
    assert headers["anthropic-ratelimit-requests-limit"] == "50"
    assert body["error"]["type"] == "rate_limit_error"
    assert "rate limit of 50 requests per minute (org: " in body["error"]["message"]
    assert "details" not in body["error"]


def test_large_limits_are_written_with_separators_and_units_as_words(customer: Start) -> None:
    client = customer("claude-opus-4/tier-1?requests=none")
    client.admitted(system="x " * 6_000)
    assert "rate limit of 30,000 input tokens per minute" in client.refused()[2]["error"]["message"]


def test_retry_after_is_kept_to_the_second(customer: Start) -> None:
    client = customer("claude-opus-4/tier-1?requests=none&input_error=0&ttft=0")
    client.admitted(system="x " * 20_000)
    wait_s = int(client.refused()[1]["retry-after"])
    assert client.refused(wait_s - 1.0)[0] == 429
    client.admitted(float(wait_s))


def test_models_of_one_class_share_a_pool_and_other_classes_do_not(customer: Start) -> None:
    client = customer("claude-opus-4/tier-1?burst=1s")
    client.admitted(model="claude-opus-4-5")
    assert client.refused(model="claude-opus-4-6")[0] == 429
    client.admitted(model="claude-haiku-4-5")


def test_headers_show_the_moment_of_admission_so_the_output_of_the_call_itself_is_not_in_them(
    customer: Start,
) -> None:
    client = customer("claude-opus-4/tier-1?remaining=minute")
    serving = client.admitted(output=1_000)
    headers = {name.decode(): value.decode() for name, value in serving.headers}
    assert headers["anthropic-ratelimit-output-tokens-remaining"] == "8000"
    assert headers["anthropic-ratelimit-requests-remaining"] == "49"


def test_cache_reads_cost_no_input_quota(customer: Start) -> None:
    client = customer("claude-opus-4/tier-1?requests=none&input_error=0&ttft=0&burst=60s")
    first = client.admitted(0.0, system=LONG, model="claude-opus-4-8")
    after_write = client.organisation.stats(1.0)["levels"]["claude-opus-4"]["input_tokens"]["level"]
    second = client.admitted(1.0, system=LONG, model="claude-opus-4-8")
    after_read = client.organisation.stats(1.0)["levels"]["claude-opus-4"]["input_tokens"]["level"]
    assert second.message.usage.read == first.message.usage.write_5m > 1_024
    assert after_write - after_read == second.message.usage.fresh < 20


def test_a_refused_request_leaves_nothing_in_the_cache(customer: Start) -> None:
    client = customer("claude-opus-4/tier-1?burst=1s&ttft=0")
    client.admitted()
    client.refused(system=LONG)
    assert client.admitted(60.0, system=LONG).message.usage.read == 0


def test_the_spend_cap_stops_everything_without_retry_after(customer: Start) -> None:
    client = customer("any?spend_cap=2requests")
    client.admitted()
    client.admitted()
    status, headers, body = client.refused()
    assert status == 429
    assert "retry-after" not in headers
    assert body["error"]["details"]["error_code"] == "enforced_spend_limit_reached"
    assert client.organisation.stats(0.0)["stopped"] == {"spend_cap": 1}


def test_the_spend_cap_can_be_in_dollars(customer: Start) -> None:
    client = customer("any?spend_cap=1usd")
    client.admitted(output=1_000, model="claude-opus-4-20250514")  # 7.5 cents
    assert client.organisation.stats(0.0)["spent_usd"] == pytest.approx(0.075, rel=0.01)
    for _ in range(13):
        client.admitted(output=1_000, model="claude-opus-4-20250514")
    assert client.refused()[0] == 429


def test_growing_too_fast_is_a_429_with_its_own_code_and_a_retry_after(customer: Start) -> None:
    client = customer("any?ramp=2&ramp_floor=3")
    for _ in range(3):
        client.admitted()
    status, headers, body = client.refused()
    assert status == 429
    assert body["error"]["details"]["error_code"] == "ramp_limit_exceeded"
    client.admitted(float(headers["retry-after"]))
    assert client.organisation.stats(0.0)["rate_limited"] == {"ramp": 1}


@pytest.mark.parametrize(
    ("mishap", "status", "error_type"),
    [("overloaded", 529, "overloaded_error"), ("error", 500, "api_error")],
)
def test_a_mishap_instead_of_a_reply_charges_nothing(
    customer: Start, mishap: str, status: int, error_type: str
) -> None:
    client = customer(f"claude-opus-4/tier-1?{mishap}=1")
    answered, headers, body = client.refused()
    assert (answered, body["error"]["type"]) == (status, error_type)
    assert "retry-after" not in headers
    stats = client.organisation.stats(0.0)
    assert (stats["admitted"], stats["faults"]) == (0, {mishap: 1})
    assert all(bucket["level"] == bucket["capacity"] for bucket in stats["levels"]["claude-opus-4"].values())


def test_a_reset_is_no_answer_at_all(customer: Start) -> None:
    assert customer("any?reset=1").send() == HangUp()


def test_a_reply_that_breaks_off_is_billed_for_what_was_produced(customer: Start) -> None:
    client = customer("claude-opus-4/unlimited?output_tokens=1k&burst=60s&cut=1&ttft=0")
    serving = client.admitted(output=500)
    assert serving.message.script.mishap is Mishap.CUT
    level = client.organisation.stats(serving.ends_at)["levels"]["claude-opus-4"]["output_tokens"]["level"]
    assert 1_000 - 500 < level < 1_000
    serving.finish("broken")
    tokens = client.organisation.stats(99.0)["tokens_by_outcome"]["broken"]
    assert 0 < tokens["output_tokens"] == serving.message.script.output_tokens < 500


def test_the_same_body_fails_or_not_anew_at_each_attempt(customer: Start) -> None:
    client = customer("any?overloaded=0.5")
    for _ in range(40):
        client.send()
    stats = client.organisation.stats(0.0)
    assert stats["admitted"] + stats["faults"]["overloaded"] == 40
    assert 5 < stats["admitted"] < 35


def test_old_models_refuse_what_new_ones_stop_at(customer: Start) -> None:
    client = customer("any?output_mean=60k&output_sigma=0")
    serving = client.admitted(model="claude-opus-4-5", max_tokens=64_000, system="x " * 300_000)
    room = 200_000 - serving.message.usage.fresh
    assert serving.message.script.output_tokens == room
    assert serving.message.script.stop_reason == "model_context_window_exceeded"


def test_markers_tell_calls_apart_by_header_or_user_id(customer: Start) -> None:
    client = customer("any")
    client.admitted(headers={b"emulator-marker": b"line-1"}).finish("completed")
    client.admitted(metadata={"user_id": "line-2"})
    client.admitted(metadata={"user_id": "line-2"})
    assert client.organisation.stats(0.0, markers=True)["markers"] == {
        "line-1": {"admitted": 1, "completed": 1},
        "line-2": {"admitted": 2},
    }
    assert "markers" not in client.organisation.stats(0.0)


def test_a_reset_forgets_all_and_replies_still_running_do_not_enter_the_new_books(customer: Start) -> None:
    client = customer("claude-opus-4/tier-1?burst=1s")
    running = client.admitted()
    client.organisation.reset(1.0)
    running.finish("completed")
    stats = client.organisation.stats(1.0)
    assert (stats["requests"], stats["in_flight"], stats["completed"]) == (0, 0, 0)
    client.admitted(1.0)


def test_the_books_say_how_long_it_took_to_let_all_in(customer: Start) -> None:
    client = customer("any")
    assert client.organisation.stats(0.0)["last_admitted_s"] is None
    for now in (10.0, 12.0, 17.5):
        client.admitted(now)
    stats = client.organisation.stats(99.0)
    assert (stats["last_admitted_s"], stats["in_flight"], stats["max_in_flight"]) == (7.5, 3, 3)


@pytest.mark.parametrize(("setting", "wait_s"), [("free", 2), ("counted", 5)])
def test_a_429_uses_up_a_request_only_where_the_profile_says_so(
    customer: Start, setting: str, wait_s: int
) -> None:
    client = customer(f"claude-opus-4/tier-1?burst=1s&refused={setting}")
    client.admitted()
    for _ in range(3):
        client.refused()
    assert int(client.refused()[1]["retry-after"]) == wait_s


@pytest.mark.parametrize("output", ["produced", "reserved"])
def test_a_greedy_client_gets_the_whole_limit_and_no_more(customer: Start, output: str) -> None:
    """Ten minutes of trying ten times a second: what is admitted is the refill and the burst, plus the last debt."""
    client = customer(
        f"any/unlimited?output_tokens=12k&output={output}&burst=10s&ttft=0.5&speed=50&output_mean=200"
    )
    produced = 0
    for tenth in range(6_000):
        decision = client.send(tenth / 10.0, max_tokens=1_000)
        if isinstance(decision, Serving) and decision.ends_at <= 600.0:
            produced += decision.message.script.output_tokens
    in_flight = 200 * 60 if output == "produced" else 1_000
    assert 0.9 * 120_000 <= produced <= 120_000 + 2_000 + in_flight
