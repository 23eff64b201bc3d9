"""A customer of the emulated provider in virtual time, and the official SDK against a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from headway.emulator.answers import Answer, HangUp, Serving
from headway.emulator.organisation import Organisation
from headway.emulator.profile import parse_profile
from headway.emulator.server import Emulator

MODEL = "claude-opus-4-5"


class Customer:
    """Sends requests to an organisation at times of its own choosing, in seconds."""

    def __init__(self, profile: str) -> None:
        self.organisation = Organisation(parse_profile(profile), 0.0)

    def send(
        self,
        now: float = 0.0,
        *,
        headers: dict[bytes, bytes] | None = None,
        output: int | None = None,
        **request: Any,
    ) -> Answer | HangUp | Serving:
        sent = {b"x-api-key": b"k", b"anthropic-version": b"2023-06-01"} | (headers or {})
        if output is not None:
            sent[b"emulator-output-tokens"] = b"%d" % output
        body = {
            "model": MODEL,
            "max_tokens": 1000,
            "messages": [{"role": "user", "content": "Hello"}],
        } | request
        return self.send_raw(json.dumps(body).encode(), sent, now)

    def send_raw(
        self, body: bytes, headers: dict[bytes, bytes], now: float = 0.0
    ) -> Answer | HangUp | Serving:
        return self.organisation.message(headers, body, now, 1_700_000_000.0 + now)

    def admitted(self, now: float = 0.0, **request: Any) -> Serving:
        decision = self.send(now, **request)
        assert isinstance(decision, Serving), decision
        return decision

    def refused(self, now: float = 0.0, **request: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
        decision = self.send(now, **request)
        assert isinstance(decision, Answer), decision
        return decision.status, named(decision.headers), json.loads(decision.body)

    def refused_as_is(self, body: bytes, key: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
        decision = self.send_raw(body, {b"x-api-key": key, b"anthropic-version": b"2023-06-01"})
        assert isinstance(decision, Answer), decision
        return decision.status, named(decision.headers), json.loads(decision.body)


def named(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


@pytest.fixture
def customer() -> Callable[[str], Customer]:
    return Customer


@pytest.fixture
def start() -> Iterator[Callable[[str], tuple[Emulator, anthropic.Anthropic]]]:
    """Start an emulator and the official client against it; both end with the test."""
    running: list[tuple[Emulator, anthropic.Anthropic]] = []

    def begin(profile: str) -> tuple[Emulator, anthropic.Anthropic]:
        emulator = Emulator(profile).__enter__()
        client = anthropic.Anthropic(base_url=emulator.url, api_key="k", max_retries=0, timeout=20.0)
        running.append((emulator, client))
        return emulator, client

    yield begin
    for emulator, client in running:
        client.close()
        emulator.stop()
