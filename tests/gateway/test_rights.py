"""What the bearer of a key may do, and what headers cannot change."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.conftest import Serve
from gateway.serving import BODY, error_of, header, post, status, talk
from headway.core.call import Class
from headway.core.events import Admitted, Event
from headway.errors import InputError
from headway.gateway.head import Head
from headway.gateway.keyfile import Proof, Stored, edit_keys
from headway.gateway.keys import Key, new_secret
from headway.gateway.refusal import Denied
from headway.gateway.rights import AT_ONCE_S, Waits, check_call, check_path, scope_of
from transport.provider import PATIENCE_S, Provider, wait_until

OPUS = Key("opus", "search", Class.STANDARD, models=("claude-opus-4*",))
POOR = Key("poor", "search", Class.STANDARD, budgets=("1usd/day",))
FREE = Key("free", "search", Class.STANDARD)


def head(path: str = "/v1/messages", method: str = "POST", **ours: str) -> Head:
    said = {f"headway-{name.replace('_', '-')}": value for name, value in ours.items()}
    return Head(method, path, path, b"", [], said, True, b"", b"", b"", False, None)


@pytest.mark.parametrize(
    ("asked", "allowed", "got"),
    [
        ("interactive", Class.INTERACTIVE, Class.INTERACTIVE),
        ("interactive", Class.STANDARD, Class.STANDARD),
        ("interactive", Class.BULK, Class.BULK),
        ("standard", Class.INTERACTIVE, Class.STANDARD),
        ("bulk", Class.INTERACTIVE, Class.BULK),
        (None, Class.INTERACTIVE, Class.INTERACTIVE),
        (None, Class.BULK, Class.BULK),
    ],
)
def test_a_call_is_never_more_urgent_than_its_key(asked: str | None, allowed: Class, got: Class) -> None:
    said = {} if asked is None else {"class": asked}
    assert scope_of(head(**said), Key("a", "b", allowed), None).class_ is got


def test_the_tenant_is_the_keys() -> None:
    assert scope_of(head(session="s"), FREE, None).tenant == "search"
    assert scope_of(head(tenant="search"), FREE, None).tenant == "search"
    with pytest.raises(Denied) as refused:
        scope_of(head(tenant="other"), FREE, None)
    assert refused.value.status == 403


def test_what_headers_say_of_a_call_is_read() -> None:
    scope = scope_of(head(session="s", max_wait="2m", budget="2usd", tags="a=b", trailer="1"), FREE, None)
    assert (scope.session, scope.max_wait_s, scope.label) == ("s", 120.0, "a=b")
    assert scope.caps[0].amount == 2_000_000_000


def test_an_unknown_header_is_an_error() -> None:
    with pytest.raises(InputError):
        scope_of(head(sesion="s"), FREE, None)


@pytest.mark.parametrize(
    ("key", "request_", "status"),
    [
        (OPUS, {"model": "claude-opus-4-8"}, None),
        (OPUS, {"model": "claude-haiku-4-5"}, 403),
        (OPUS, {}, 403),
        (OPUS, {"model": ["claude-opus-4-8"]}, 403),
        (OPUS, None, 400),
        (POOR, None, 400),
        (POOR, {"model": "any"}, None),
        (FREE, None, None),
        (FREE, {"model": "any"}, None),
    ],
)
def test_a_key_is_for_the_models_it_names(
    key: Key, request_: dict[str, Any] | None, status: int | None
) -> None:
    for pool in ("anthropic/opus-4", "anthropic/count_tokens"):
        _check(status, lambda pool=pool: check_call(key, head(), pool, request_, b""))


@pytest.mark.parametrize(
    ("key", "models", "status"),
    [
        (OPUS, ["claude-opus-4-8", "claude-opus-4-5"], None),
        (OPUS, ["claude-opus-4-8", "claude-haiku-4-5"], 403),
        (FREE, ["any"], None),
        (POOR, ["any"], 403),
    ],
)
def test_a_batch_is_of_the_models_of_its_key_and_in_no_budget(
    key: Key, models: list[str], status: int | None
) -> None:
    requests = [{"custom_id": str(i), "params": {"model": model}} for i, model in enumerate(models)]
    body = json.dumps({"requests": requests}).encode()
    _check(status, lambda: check_call(key, head(), "anthropic/batches", {}, body))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"requests": 1}', b'{"requests": [{}]}'])
def test_a_batch_that_cannot_be_read_is_refused_for_a_key_with_models(body: bytes) -> None:
    _check(400, lambda: check_call(OPUS, head(), "anthropic/batches", {}, body))


def test_results_of_batches_may_be_fetched() -> None:
    check_call(POOR, head(method="GET"), "anthropic/batches", {}, b"")


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/models", None), ("/v1/files/f", None), ("/v1/complete", 403), ("/v2/new", 403)]
)
def test_a_restricted_key_asks_for_nothing_that_may_cost_unseen(path: str, status: int | None) -> None:
    for key in (OPUS, POOR):
        _check(status, lambda key=key: check_path(key, head(path)))
    check_path(FREE, head(path))


def test_each_class_has_its_wait() -> None:
    assert [Waits(1.0, 2.0, 3.0).of(class_) for class_ in Class] == [1.0, 2.0, 3.0]


def _check(status: int | None, act: Any) -> None:
    if status is None:
        act()
        return
    with pytest.raises(Denied) as refused:
        act()
    assert refused.value.status == status


@pytest.fixture
def keyed(tmp_path: Path) -> tuple[Path, str]:
    """A file of keys with one key in it, and its secret."""
    return write_keys(tmp_path / "keys.json", "app", tenant="search", class_=Class.BULK, weight=3.0)


def write_keys(path: Path, name: str, **more: Any) -> tuple[Path, str]:
    from datetime import UTC, datetime

    secret, digest = new_secret(name)
    with edit_keys(path) as keys:
        keys.append(
            Stored(
                name=name,
                proofs=(Proof(sha256=digest, added=datetime.now(UTC)),),
                **({"tenant": name} | more),
            )
        )
    return path, secret


@pytest.mark.parametrize("header_", ["x-api-key: {}", "Authorization: Bearer {}"])
def test_a_good_key_is_taken_in_either_header(
    start: Serve, provider: Provider, keyed: tuple[Path, str], header_: str
) -> None:
    path, secret = keyed
    serving = start(keys=path, is_open=False)
    assert status(talk(serving.port, post(BODY, "/v1/messages", header_.format(secret)))) == 200
    assert provider.requests[0].headers["x-api-key"] == "sk-upstream"
    assert secret not in str(provider.requests[0].headers)
    [row] = serving.rows()
    assert (row["tenant"], row["class"]) == ("search", "bulk")


@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1/models", "/", "/headway/v1/state", "/metrics", "/healthz/"]
)
@pytest.mark.parametrize("said", [[], ["x-api-key: hw-app-wrong"], ["Authorization: Bearer sk-ant"]])
def test_nothing_is_served_without_a_good_key(
    start: Serve, provider: Provider, keyed: tuple[Path, str], path: str, said: list[str]
) -> None:
    serving = start(keys=keyed[0], is_open=False)
    reply = talk(serving.port, post(BODY, path, *said))
    assert status(reply) == 401
    assert error_of(reply)["error"]["type"] == "authentication_error"
    assert header(reply, "x-should-retry") == "false"
    assert provider.requests == []


@pytest.mark.parametrize(
    "said",
    ["Host: rebound.example", "Origin: https://evil.example", "Origin: null", "Host: 127.0.0.1.evil.example"],
)
def test_an_open_gateway_serves_no_page_of_the_web(start: Serve, provider: Provider, said: str) -> None:
    request = post(BODY, "/v1/messages", said)
    if said.startswith("Host"):
        request = request.replace(b"Host: localhost\r\n", b"")
    assert status(talk(start().port, request)) == 403
    assert provider.requests == []


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:8080", "LOCALHOST"])
def test_an_open_gateway_serves_its_own_machine(start: Serve, host: str) -> None:
    request = post().replace(b"Host: localhost", f"Host: {host}".encode())
    assert status(talk(start().port, request)) == 200


def test_the_weight_of_a_key_is_its_share(start: Serve, provider: Provider, keyed: tuple[Path, str]) -> None:
    path, secret = keyed
    seen: list[float] = []
    serving = start(keys=path, is_open=False)
    tell = serving.engine.turnstile.tell
    assert tell is not None

    def watched(news: Event) -> None:
        if isinstance(news, Admitted):
            seen.append(news.call.weight)
        tell(news)

    serving.engine.turnstile.tell = watched
    talk(serving.port, post(BODY, "/v1/messages", f"x-api-key: {secret}"))
    assert seen == [3.0]


def test_a_revoked_key_ends_with_the_next_reload(start: Serve, keyed: tuple[Path, str]) -> None:
    from datetime import UTC, datetime

    import msgspec

    path, secret = keyed
    serving = start(keys=path, is_open=False)
    request = post(BODY, "/v1/messages", f"x-api-key: {secret}")
    assert status(talk(serving.port, request)) == 200
    with edit_keys(path) as keys:
        keys[0] = msgspec.structs.replace(keys[0], revoked=datetime.now(UTC))
    serving.loop.call_soon_threadsafe(serving.keys.reload)
    deadline = time.monotonic() + 10.0
    while status(talk(serving.port, request)) != 401:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("said", "waits", "got"),
    [
        ({}, Waits(standard=7.0), 7.0),
        ({"class": "bulk"}, Waits(bulk=8.0), 8.0),
        ({"max_wait": "9s"}, Waits(), 9.0),
        ({"session": "s"}, None, None),
        ({}, None, None),
        ({"max_wait": "0"}, None, AT_ONCE_S),
        ({}, Waits(standard=0.0), AT_ONCE_S),
    ],
)
def test_a_wait_is_what_the_call_says_or_its_class(
    said: dict[str, str], waits: Waits | None, got: float | None
) -> None:
    assert scope_of(head(**said), FREE, waits).max_wait_s == got


def test_a_key_with_a_bound_has_no_more_calls_at_a_time(
    start: Serve, provider: Provider, tmp_path: Path
) -> None:
    path, secret = write_keys(tmp_path / "keys.json", "app", max_in_flight=2)
    serving = start(keys=path, is_open=False, limits="requests=10000/s")
    open_, usual, most = threading.Event(), provider.answer, 0

    def answer(request: Any) -> Any:
        nonlocal most
        most = max(most, sum(call.is_sent for call in serving.gateway.state().calls))
        assert open_.wait(PATIENCE_S)
        return usual(request)

    provider.answer = answer
    request = post(BODY, "/v1/messages", f"x-api-key: {secret}")
    with ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(talk, serving.port, request) for _ in range(8)]
        wait_until(lambda: len(serving.gateway.state().calls) == 8 and len(provider.requests) == 2)
        [held] = serving.gateway.state().held
        assert (held.key, held.tenant, held.waiting) == ("app", "app", 6)
        impatient = talk(
            serving.port, post(BODY, "/v1/messages", f"x-api-key: {secret}", "headway-max-wait: 0")
        )
        assert status(impatient) == 429
        assert error_of(impatient)["headway"]["limit"] == "2 calls at a time of the key 'app'"
        assert error_of(impatient)["headway"]["held_by"] == [{"tenant": "app", "in_flight": 2, "waiting": 7}]
        assert header(impatient, "headway-call-id")
        open_.set()
        got = [reply.result() for reply in replies]
    assert [status(reply) for reply in got] == [200] * 8
    assert most == 2
    bounds = [header(reply, "headway-limit") for reply in got]
    assert bounds.count("2 calls at a time of the key 'app'") == 6
    assert all(
        (int(header(reply, "headway-queued-ms") or 0) > 0) == (bound is not None)
        for reply, bound in zip(got, bounds, strict=True)
    )
    waits = [(row["waited_for"], row["queued_ms"] >= 0.5) for row in serving.rows()]
    assert waits.count(("in_flight", True)) == 6
    assert serving.gateway.state().held == ()
