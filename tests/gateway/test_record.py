"""One line for each request: what is in it, and that it is there however the request ends."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.serving import BODY, STREAM, Serving, post, status, talk
from gateway.test_rights import write_keys
from gateway.watched import Watch, Watched, watching
from headway.gateway.logs import open_log
from headway.gateway.record import CallLog
from transport.provider import PATIENCE_S, Provider, wait_until

JSON = {"content-type": "application/json"}


@pytest.fixture
def watch(start: Callable[..., Serving]) -> Iterator[Watch]:
    yield from watching(start)


def line_of(watched: Watched) -> dict[str, Any]:
    """The one line that there must be in a moment."""
    wait_until(lambda: len(watched.lines()) == 1)
    return watched.lines()[0]


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
def test_a_call_has_what_it_took(watch: Watch, body: bytes) -> None:
    watched = watch()
    answer = watched.calls.post(
        "/v1/messages?beta=true", content=body, headers={**JSON, "headway-class": "bulk"}
    )
    line, [total] = line_of(watched), watched.serving.engine.usage()
    assert line["call"] == answer.headers["headway-call-id"]
    assert (line["event"], line["method"], line["path"], line["status"]) == (
        "call",
        "POST",
        "/v1/messages",
        200,
    )
    assert (line["tenant"], line["class"], line["model"]) == ("default", "bulk", "claude-opus-4-8")
    assert (line["outcome"], line["attempts"]) == ("ok", 1)
    assert (line["input_tokens"], line["output_tokens"]) == (total.input_tokens, total.output_tokens)
    assert line["cost_usd"] == pytest.approx(total.nanousd / 1e9)
    assert line["total_ms"] >= line["first_token_ms"] >= 0.0
    assert line["waited_ms"] >= 0.0


def test_a_refused_call_says_by_which_limit(watch: Watch) -> None:
    watched = watch(limits="requests=1/min", burst="60s")
    for _ in range(2):
        watched.calls.post("/v1/messages", content=BODY, headers={**JSON, "headway-max-wait": "1s"})
    wait_until(lambda: len(watched.lines()) == 2)
    line = watched.lines()[1]
    assert (line["status"], line["outcome"], line["limit"]) == (429, "refused", "1 requests/min")
    assert "cost_usd" not in line


def test_a_request_without_a_good_key_has_a_line_and_no_tenant(watch: Watch) -> None:
    watched = watch(is_open=False)
    watched.calls.post("/v1/messages", content=BODY, headers={**JSON, "x-api-key": "hw-nobody-guess"})
    line = line_of(watched)
    assert line["status"] == 401
    assert "tenant" not in line
    assert b"guess" not in watched.log.getvalue()


def test_what_draws_on_no_limit_has_a_line_with_its_call(watch: Watch) -> None:
    watched = watch()
    answer = watched.calls.get("/v1/models?limit=1")
    line = line_of(watched)
    assert (line["path"], line["call"]) == ("/v1/models", answer.headers["headway-call-id"])


def test_health_has_no_line(watch: Watch) -> None:
    watched = watch()
    assert watched.calls.get("/healthz").status_code == 200
    watched.calls.get("/v1/models")  # on the same connection: whatever there is of the first is before it
    assert line_of(watched)["path"] == "/v1/models"


def test_the_key_and_its_tenant_are_in_the_line_also_of_what_is_refused(watch: Watch, tmp_path: Path) -> None:
    path, secret = write_keys(tmp_path / "keys.json", "app", tenant="search", models=("claude-haiku-*",))
    watched = watch(keyfile=path, is_open=False)
    headers = {**JSON, "x-api-key": secret}
    assert watched.calls.post("/v1/messages", content=BODY, headers=headers).status_code == 403
    haiku = BODY.replace(b"claude-opus-4-8", b"claude-haiku-4-5")
    assert watched.calls.post("/v1/messages", content=haiku, headers=headers).status_code == 200
    assert watched.calls.get("/v1/models", headers=headers).status_code == 200
    wait_until(lambda: len(watched.lines()) == 3)
    assert [(line["key"], line["tenant"], line["status"]) for line in watched.lines()] == [
        ("app", "search", 403),
        ("app", "search", 200),
        ("app", "search", 200),
    ]
    assert secret.encode() not in watched.log.getvalue()


def test_what_a_call_waited_for_others_of_its_key_is_in_the_line(
    watch: Watch, provider: Provider, tmp_path: Path
) -> None:
    path, secret = write_keys(tmp_path / "keys.json", "app", max_in_flight=1)
    watched = watch(keyfile=path, is_open=False)
    may_go, usual = threading.Event(), provider.answer

    def answer(request: Any) -> Any:
        assert may_go.wait(PATIENCE_S)
        return usual(request)

    provider.answer = answer
    request = post(BODY, "/v1/messages", f"x-api-key: {secret}")
    with ThreadPoolExecutor(2) as pool:
        replies = [pool.submit(talk, watched.serving.port, request) for _ in range(2)]
        wait_until(lambda: bool(watched.state()["gateway"]["held_by_keys"]) and len(provider.requests) == 1)
        impatient = talk(
            watched.serving.port, post(BODY, "/v1/messages", f"x-api-key: {secret}", "headway-max-wait: 0")
        )
        assert status(impatient) == 429
        [refusal] = watched.state()["refusals"]
        assert (refusal["tenant"], refusal["limit"]) == ("app", "1 call at a time of the key 'app'")
        may_go.set()
        assert [status(reply.result()) for reply in replies] == [200, 200]
    wait_until(lambda: len(watched.lines()) == 3)
    refused, first, second = watched.lines()
    assert (refused["key"], refused["outcome"], refused["limit"]) == ("app", "refused", refusal["limit"])
    assert second["waited_ms"] > first["waited_ms"]


def test_a_client_that_hangs_up_in_line_has_a_line_without_a_status(watch: Watch) -> None:
    watched = watch(limits="requests=1/min", burst="60s")
    watched.calls.post("/v1/messages", content=BODY, headers=JSON)
    with socket.create_connection(("127.0.0.1", watched.serving.port)) as client:
        client.sendall(post())
        wait_until(lambda: watched.state()["waiting"] == 1)
    wait_until(lambda: len(watched.lines()) == 2)
    assert watched.lines()[1]["status"] is None


def test_a_failure_of_the_application_has_a_line_too_and_comes_through() -> None:
    out = io.BytesIO()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the prompt of somebody")

    async def never(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "GET", "path": "/v1/x"}
    with pytest.raises(RuntimeError):
        asyncio.run(CallLog(open_log("json", out)).around(app)(scope, never, never))
    assert json.loads(out.getvalue())["status"] is None
    assert b"prompt" not in out.getvalue()


def test_requests_at_the_same_time_do_not_mix(watch: Watch) -> None:
    """Each is told of in its own task."""
    watched = watch()

    async def ask(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", watched.serving.port)
        writer.write(post(BODY, "/v1/messages", f"headway-class: {'bulk' if number % 2 else 'standard'}"))
        await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def ask_all() -> None:
        await asyncio.gather(*(ask(number) for number in range(20)))

    asyncio.run(ask_all())
    wait_until(lambda: len(watched.lines()) == 20)
    lines = watched.lines()
    assert sorted(line["class"] for line in lines) == ["bulk"] * 10 + ["standard"] * 10
    assert len({line["call"] for line in lines}) == 20
    assert all(line["attempts"] == 1 for line in lines)
