from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

import pytest

from headway.core.call import Usage
from headway.errors import (
    BudgetExceeded,
    ConfigError,
    ConnectionFailed,
    InputError,
    ProviderError,
    RequestTooLarge,
    WouldWaitTooLong,
)
from headway.exchange.scope import session
from headway.plain.send import async_send, send
from headway.runtime import Engine
from headway.testing.emulated import Emulator
from plain.conftest import KEY, Ask
from transport.provider import CLOSE, RESET, End, Provider, Request
from transport.replies import MODEL, USAGE, error, http, message

Put = Callable[[Callable[[Request], Iterable[bytes | End]]], None]


def test_an_answer_says_what_came_back_and_what_it_took(ask: Ask, provider: Provider) -> None:
    answer = ask()
    assert (str(answer), answer.text) == ("Hello there", "Hello there")
    assert answer.usage == Usage(input_tokens=12, output_tokens=7, model=MODEL, raw=USAGE)
    assert answer.cost_nanousd == 12 * 5_000 + 7 * 25_000  # $5 and $25 a million tokens
    assert answer.cost_usd == pytest.approx(0.000235)
    assert (answer.model, answer.stop_reason, answer.is_truncated) == (MODEL, "end_turn", False)
    assert (answer.request_id, answer.attempts, answer.message) == ("req_1", 1, message())
    assert 0.0 <= answer.waited_s < 10.0


def test_the_request_is_what_was_asked(ask: Ask, provider: Provider) -> None:
    ask("Wie geht's? 你好", system="Be brief.", max_tokens=7)
    (request,) = provider.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.json == {
        "model": MODEL,
        "max_tokens": 7,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Wie geht's? 你好"}],
    }
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("headway/")


def test_messages_are_sent_as_they_are_and_nothing_is_added(ask: Ask, provider: Provider) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Again?"},
    ]
    ask(messages)
    assert provider.requests[0].json == {"model": MODEL, "max_tokens": 4096, "messages": messages}


def test_the_address_and_the_version_of_the_api_are_those_of_the_settings(provider: Provider) -> None:
    url = f"{provider.url}/relay/"
    with Engine(base_url=url, auth_token="a-token", api_version="2026-10-21", ledger="none") as engine:
        send("Hello", model=MODEL, engine=engine)
    (request,) = provider.requests
    assert request.path == "/relay/v1/messages"
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert request.headers["authorization"] == "Bearer a-token"
    assert "x-api-key" not in request.headers


def test_without_an_engine_it_is_that_of_the_settings_at_hand(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ANTHROPIC_BASE_URL", provider.url), ("ANTHROPIC_API_KEY", KEY)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HEADWAY_LEDGER", "none")
    assert send("Hello", model=MODEL).text == "Hello there"
    assert asyncio.run(async_send("Hello", model=MODEL)).text == "Hello there"
    assert [request.headers["x-api-key"] for request in provider.requests] == [KEY, KEY]


def test_only_text_is_text(ask: Ask, script: Put) -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "One"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        {"type": "text", "text": " two"},
    ]
    script(lambda _: [http(message(content=content))])
    answer = ask()
    assert answer.text == "One two"
    assert answer.message["content"] == content


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_an_answer_that_was_cut_off_says_so(ask: Ask, script: Put, reason: str) -> None:
    script(lambda _: [http(message(stop_reason=reason))])
    assert ask().is_truncated


def test_a_model_of_unknown_price_has_no_cost_rather_than_none_at_all(ask: Ask, script: Put) -> None:
    script(lambda _: [http(message(model="x-1"))])
    answer = ask(model="x-1")
    assert (answer.cost_nanousd, answer.cost_usd) == (None, None)


def test_a_reply_that_does_not_say_what_it_took_has_no_cost(ask: Ask, script: Put) -> None:
    script(lambda _: [http({key: value for key, value in message().items() if key != "usage"})])
    answer = ask()
    assert (answer.text, answer.model, answer.cost_nanousd) == ("Hello there", MODEL, None)


def test_what_failed_on_the_way_is_tried_again_and_counted(ask: Ask, script: Put, provider: Provider) -> None:
    script(lambda request: [error("overloaded_error", 529)] if request.number == 0 else [http(message())])
    answer = ask()
    assert answer.attempts == 2
    assert answer.waited_s > 0.0
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    ("prompt", "named", "said"),
    [
        ("", {}, "the prompt is empty"),
        (" \n", {}, "the prompt is empty"),
        ([], {}, "neither a text nor a list"),
        (7, {}, "neither a text nor a list"),
        ([{"role": "user"}], {}, "message 0 of the prompt needs a role and content"),
        (["Hello"], {}, "message 0"),
        ("Hello", {"max_tokens": 0}, "max_tokens must be a whole number from 1"),
        ("Hello", {"max_tokens": True}, "max_tokens"),
        ("Hello", {"max_tokens": 1.5}, "max_tokens"),
        ("Hello", {"model": ""}, "model is empty"),
        ("Hello", {"timeout": 0}, "timeout must be more than 0"),
        ("Hello", {"timeout": float("inf")}, "timeout must be more than 0"),
    ],
)
def test_nonsense_is_said_before_anything_is_sent(
    ask: Ask, provider: Provider, prompt: object, named: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        ask(prompt, **named)
    assert not provider.requests


def test_without_a_key_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="no API key") as caught:
        send("Hello", model=MODEL)
    assert "ANTHROPIC_API_KEY" in caught.value.hint
    with (
        Engine(base_url=provider.url, ledger="none") as engine,
        pytest.raises(ConfigError, match="no API key"),
    ):
        send("Hello", model=MODEL, engine=engine)


def test_what_its_model_can_never_serve_is_not_sent(ask: Ask, provider: Provider) -> None:
    with pytest.raises(RequestTooLarge) as caught:
        ask(max_tokens=1_000_000)
    assert (caught.value.what, caught.value.tokens) == ("max_tokens", 1_000_000)
    assert not provider.requests


@pytest.mark.parametrize(
    ("reply", "status", "kind", "hint"),
    [
        (error("authentication_error", 401), 401, "authentication_error", "Check the key"),
        (error("permission_error", 403), 403, "permission_error", "permissions"),
        (
            error("invalid_request_error", 400, "Your credit balance is too low to access the API."),
            400,
            "invalid_request_error",
            "billing",
        ),
        (error("billing_error", 402), 402, "billing_error", "billing"),
        (error("request_too_large", 413), 413, "request_too_large", "Shorten"),
        (error("invalid_request_error", 400), 400, "invalid_request_error", "message says why"),
        (error("overloaded_error", 529), 529, "overloaded_error", "try again later"),
        (error("api_error", 500), 500, "api_error", "try again later"),
        (http({"type": "message_batch_list"}), 200, "malformed_reply", "try again later"),
        (http(b"<html>", 502, kind="text/html"), 502, "http_502", "try again later"),
    ],
)
def test_an_error_that_stays_one_is_raised_with_what_to_do(
    ask: Ask, script: Put, reply: bytes, status: int, kind: str, hint: str
) -> None:
    script(lambda _: [reply])
    with pytest.raises(ProviderError, match=kind) as caught:
        ask()
    raised = caught.value
    assert (raised.status, raised.error_type) == (status, kind)
    assert hint in raised.hint
    if reply.find(b"req_e") > 0:
        assert raised.request_id == "req_e"


def test_an_unknown_model_gets_the_nearest_name_as_a_hint(ask: Ask, script: Put) -> None:
    script(lambda _: [error("not_found_error", 404, "model: claude-opsu-4-8")])
    with pytest.raises(ProviderError, match="404 not_found_error: model") as caught:
        ask(model="claude-opsu-4-8")
    assert caught.value.hint == "Did you mean claude-opus-4-8?"
    with pytest.raises(ProviderError) as caught:
        ask(model="zzz")
    assert caught.value.hint == "Check the name of the model."


def test_how_often_a_failed_call_was_tried_is_said(ask: Ask, script: Put, provider: Provider) -> None:
    script(lambda _: [error("overloaded_error", 529)])
    with pytest.raises(ProviderError, match=r"\(tried 2 times\)"):
        ask()
    assert len(provider.requests) == 2


def test_keys_and_prompts_are_in_no_error(ask: Ask, script: Put) -> None:
    script(lambda _: [error("authentication_error", 401, f"invalid x-api-key {KEY}")])
    with pytest.raises(ProviderError) as caught:
        ask("a very private question")
    said = repr(caught.value) + str(caught.value.__dict__)
    assert KEY not in said
    assert "private" not in said


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_a_connection_that_breaks_is_said_and_may_have_been_billed(ask: Ask, script: Put, end: End) -> None:
    script(lambda _: [http(message())[:-5], end])
    with pytest.raises(ConnectionFailed, match="no reply from http:") as caught:
        ask()
    assert caught.value.sent


def test_who_is_not_there_was_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Engine(base_url=f"http://127.0.0.1:{port}", api_key=KEY, ledger="none", retries=0) as engine:
        with pytest.raises(ConnectionFailed, match="refused") as caught:
            send("Hello", model=MODEL, engine=engine)
        assert not caught.value.sent
        with pytest.raises(ConnectionFailed) as caught:
            asyncio.run(async_send("Hello", model=MODEL, engine=engine))
        assert not caught.value.sent
    assert "ANTHROPIC_BASE_URL" in caught.value.hint


def test_silence_longer_than_the_timeout_is_said_and_not_tried_again(
    ask: Ask, script: Put, provider: Provider
) -> None:
    def silent(request: Request) -> Iterable[bytes | End]:
        provider.until(lambda: request.number < len(heard))
        yield CLOSE

    heard: list[str] = []
    script(silent)
    with pytest.raises(ConnectionFailed, match=r"no reply from \S+ in 0.2 s") as caught:
        ask(timeout=0.2)
    heard.append("over")
    assert caught.value.sent
    assert len(provider.requests) == 1


def test_a_session_around_it_counts_it_and_its_budget_holds(
    ask: Ask, engine: Engine, provider: Provider
) -> None:
    with session("nightly", budget="1 requests"):
        ask()
        with pytest.raises(BudgetExceeded) as caught:
            ask()
    assert caught.value.budget == "session nightly"
    assert len(provider.requests) == 1
    assert [(total.session, total.calls) for total in engine.usage()] == [("nightly", 1)]


def test_who_may_not_wait_is_told_at_once(provider: Provider) -> None:
    limits = "requests=1/min,input_tokens=1000/min,output_tokens=1000/min"
    with Engine(base_url=provider.url, api_key=KEY, limits=limits, burst="1s", ledger="none") as engine:
        send("Hello", model=MODEL, engine=engine)
        with session("impatient", max_wait="1s"), pytest.raises(WouldWaitTooLong) as caught:
            send("Hello", model=MODEL, engine=engine)
    assert caught.value.wait_s > 1.0


def test_every_call_is_on_file(ask: Ask, engine: Engine) -> None:
    ask()
    engine.flush()
    with closing(sqlite3.connect(str(engine.config.ledger))) as ledger:
        rows = ledger.execute("SELECT model_served, outcome, cost_nanousd FROM attempts").fetchall()
    assert rows == [(MODEL, "ok", 235_000)]


@pytest.mark.headway_profile("any/unlimited?ttft=0&speed=100000&key=sk-ant-right")
def test_the_emulator_answers_as_the_api_does(headway_emulator: Emulator) -> None:
    url = headway_emulator.url
    with Engine(base_url=url, api_key="sk-ant-right", ledger="none") as engine:
        answer = send("Hello", model="claude-opus-4-8", max_tokens=5, engine=engine)
        assert answer.usage.output_tokens == 5
        assert answer.is_truncated
        assert json.loads(json.dumps(answer.message)) == answer.message
    with Engine(base_url=url, api_key="sk-ant-wrong", ledger="none") as engine:
        with pytest.raises(ProviderError) as caught:
            send("Hello", model="claude-opus-4-8", engine=engine)
        assert caught.value.status == 401
