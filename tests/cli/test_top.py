"""`headway top` as it looks at any width, and what it does where there is nothing to look at."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from headway.cli import top as module
from headway.cli.main import app
from headway.cli.topview import picture
from headway.errors import ConnectionFailed, InputError, ProviderError
from transport.provider import Provider
from transport.replies import http

TOKEN = "a-token-that-nobody-guesses"


def limit_of(unit: str, **more: Any) -> dict[str, Any]:
    limit = {
        "unit": unit,
        "amount": 450_000.0,
        "period_s": 60.0,
        "content": 18_000.0,
        "capacity": 37_300.0,
        "in_flight": 100.0,
        "binds": False,
        "bound_s": 0.0,
    }
    return {**limit, **more}


def state_of(**more: Any) -> dict[str, Any]:
    """A gateway with something of everything."""
    state = {
        "version": "0.1.0",
        "at_ns": 1_795_525_935_068_545_404,
        "uptime_s": 11_564.2,
        "upstream": "https://api.anthropic.com",
        "in_flight": 73,
        "waiting": 17,
        "pools": [
            {
                "pool": "anthropic/opus-4",
                "in_flight": 73,
                "waiting": 17,
                "waits_for": "output_tokens",
                "clears_in_s": 0.31,
                "closed_s": 0.0,
                "limits": [limit_of("requests"), limit_of("output_tokens", content=-900.0, binds=True)],
                "line": [
                    {"class": "bulk", "tenant": "nightly", "waiting": 15, "longest_s": 75.0},
                    {"class": "standard", "tenant": "search", "waiting": 2, "longest_s": 0.4},
                ],
                "bound_s": {"output_tokens": 12.0},
            }
        ],
        "budgets": [
            {
                "budget": "tenant search, day 2026-11-24",
                "unit": "usd",
                "cap": 20 * 10**9,
                "spent": 17 * 10**9,
                "held": 10**9,
            }
        ],
        "tenants": [
            {
                "tenant": "search",
                "in_flight": 73,
                "calls": 1234,
                "tokens": 5_600_000,
                "nanousd": 17 * 10**9,
                "refused": 3,
            }
        ],
        "refusals": [
            {
                "at_ns": 1_795_525_935_000_000_000,
                "tenant": "search",
                "by": "headway",
                "limit": "50 requests/min",
                "wait_s": 12.0,
            }
        ]
        * 3,
        "spent_today_nanousd": 1_240_000_000,
        "ledger_problem": None,
    }
    return {**state, **more}


def drawn(state: dict[str, Any], width: int, height: int = 40, note: str = "") -> str:
    page = StringIO()
    Console(file=page, width=width, color_system=None).print(picture(state, width, height, note))
    return page.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_it_shows_what_binds_who_waits_who_took_what_and_who_was_refused(width: int) -> None:
    text = " ".join(drawn(state_of(), width).split())
    for what in (
        "73 in flight 17 waiting $1.24 today",
        "up 3:12:44",
        "next waits for output tokens, for 0.3 s",
        "binds",
        "nightly bulk 15 1:15",
        "$20.00",
        "5.60M",
        "50 requests/min",
    ):
        assert what in text, what


def test_in_line_the_urgent_come_first() -> None:
    text = drawn(state_of(), 80)
    assert text.index("standard") < text.index("bulk")


def test_refusals_alike_are_one_line_with_their_number() -> None:
    [line] = [line for line in drawn(state_of(), 80).splitlines() if "50 requests/min" in line]
    assert line.split()[1:4] == ["3", "headway", "search"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 119, 120, 140, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, drawn(state_of(), width).splitlines())) <= width


@pytest.mark.parametrize("height", [24, 40, 60])
@pytest.mark.parametrize("width", [80, 140])
def test_a_full_house_fits_on_the_screen(width: int, height: int) -> None:
    state = state_of()
    many = {
        "pools": [{**state["pools"][0], "pool": f"anthropic/pool-{number}"} for number in range(9)],
        "tenants": [{**state["tenants"][0], "tenant": f"tenant {number}"} for number in range(50)],
        "budgets": state["budgets"] * 50,
        "refusals": [{**state["refusals"][0], "tenant": f"tenant {number}"} for number in range(50)],
    }
    text = drawn({**state, **many}, width, height)
    assert len(text.rstrip().splitlines()) <= height
    assert "and 4" in text
    assert "pools more" in text


def test_a_bucket_of_which_nothing_is_known_is_learning() -> None:
    pool = {**state_of()["pools"][0], "limits": [limit_of("requests", capacity=None)]}
    assert "learning" in drawn(state_of(pools=[pool]), 80)


def test_a_pool_that_waits_for_one_in_flight_and_one_that_is_closed_say_so() -> None:
    pool = {**state_of()["pools"][0], "clears_in_s": None, "closed_s": 12.0}
    text = drawn(state_of(pools=[pool]), 200)
    assert "until something in flight ends" in text
    assert "closed for 12s: the provider is overloaded" in text


def test_calls_that_their_keys_hold_back_are_said() -> None:
    held = [{"key": "app", "tenant": "search", "waiting": 3, "longest_s": 1.0}]
    assert "17 waiting 3 held by their keys" in " ".join(
        drawn(state_of(gateway={"held_by_keys": held}), 100).split()
    )


def test_a_ledger_that_cannot_be_written_is_said() -> None:
    assert "ledger: the disk is full" in drawn(state_of(ledger_problem="the disk is full"), 80)


def test_before_the_first_call_it_says_so() -> None:
    empty = {"pools": [], "tenants": [], "budgets": [], "refusals": []}
    assert "No call has come yet." in drawn(state_of(**empty), 80)


@given(st.text(max_size=300))
def test_no_name_can_drive_the_terminal(name: str) -> None:
    state = state_of()
    state["tenants"][0]["tenant"] = state["refusals"][0]["limit"] = state["upstream"] = name
    state["pools"][0]["line"][0]["tenant"] = state["pools"][0]["pool"] = name
    assert "\x1b" not in drawn(state, 80, note=name)
    assert all(line.isprintable() for line in drawn(state, 80, note=name).split("\n"))


@pytest.fixture
def gateway() -> Iterator[Provider]:
    """Something that answers as an admin API does."""
    running = Provider(lambda _: [http(json.dumps(state_of()).encode())])
    yield running
    running.close()


def run(*arguments: str, token: str | None = TOKEN) -> Any:
    return CliRunner().invoke(app, ["top", *arguments], env={"HEADWAY_ADMIN_TOKEN": token, "COLUMNS": "80"})


def test_once_draws_once_and_sends_the_token(gateway: Provider) -> None:
    result = run("--url", gateway.url, "--once")
    assert result.exit_code == 0
    assert "anthropic/opus-4" in result.stdout
    assert TOKEN not in result.output


def test_json_is_the_state_as_it_is(gateway: Provider) -> None:
    assert json.loads(run("--url", gateway.url, "--json").stdout) == state_of()


def test_without_a_token_it_says_what_to_set() -> None:
    assert "HEADWAY_ADMIN_TOKEN" in run(token=None).exception.hint


@pytest.mark.parametrize("url", ["localhost:8081", "ftp://x", "", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    assert isinstance(run("--url", url).exception, InputError)


def test_a_gateway_that_is_not_there_is_said_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    error = run("--url", url, "--once").exception
    assert isinstance(error, ConnectionFailed)
    assert url in str(error)
    assert TOKEN not in f"{error} {error.hint}"


@pytest.mark.parametrize(("status", "body"), [(200, b"{}"), (200, b"<html>"), (404, b"{}"), (500, b"")])
def test_something_else_that_answers_is_no_gateway(gateway: Provider, status: int, body: bytes) -> None:
    gateway.answer = lambda _: [http(body, status)]
    assert isinstance(run("--url", gateway.url).exception, ProviderError)


def test_a_wrong_token_is_said(gateway: Provider) -> None:
    gateway.answer = lambda _: [http(b"{}", 401)]
    error = run("--url", gateway.url).exception
    assert isinstance(error, InputError)
    assert TOKEN not in f"{error} {error.hint}"


def test_a_gateway_that_goes_away_is_said_and_what_was_heard_stays(
    gateway: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    class Screen:
        def __init__(self, **_: Any) -> None: ...

        def __enter__(self) -> Screen:
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self, what: Any, **_: Any) -> None:
            page = StringIO()
            Console(file=page, width=120).print(what)
            shown.append(page.getvalue())
            gateway.answer = lambda _: [http(b"", 500)]
            if len(shown) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(module, "Live", Screen)
    with module._client(gateway.url, TOKEN) as client, pytest.raises(KeyboardInterrupt):
        module._watch(client, state_of(), Console(), 0.0)
    assert "last heard" not in shown[0]
    assert "last heard" in shown[1]
    assert "anthropic/opus-4" in shown[1]
