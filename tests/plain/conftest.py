"""Plain calls in all their ways, against a server that the test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from headway.plain.asked import Answer
from headway.plain.send import async_send, send
from headway.runtime import Engine
from transport.provider import Answer as Script
from transport.provider import Provider
from transport.replies import MODEL, http, message

Ask = Callable[..., Answer]
KEY = "sk-ant-api03-secret"


def on_asyncio(*arguments: Any, **named: Any) -> Answer:
    return asyncio.run(async_send(*arguments, **named))


def on_trio(*arguments: Any, **named: Any) -> Answer:
    answer: Answer = trio.run(partial(async_send, *arguments, **named))
    return answer


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A server on which every call succeeds; a test may set another `answer`."""
    running = Provider(lambda _: [http(message(), request_id="req_1")])
    yield running
    running.close()


@pytest.fixture
def script(provider: Provider) -> Callable[[Script], None]:
    def put(answer: Script) -> None:
        provider.answer = answer

    return put


@pytest.fixture
def engine(provider: Provider, tmp_path: Path) -> Iterator[Engine]:
    """One that tries twice, with a ledger of its own."""
    with Engine(base_url=provider.url, api_key=KEY, ledger=str(tmp_path / "l.sqlite3"), retries=1) as made:
        yield made
        assert made.core.in_flight == 0


@pytest.fixture(params=[send, on_asyncio, on_trio], ids=["sync", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest, engine: Engine) -> Ask:
    """Ask the server for "Hello", in each of the ways; what a test gives wins."""

    def call(prompt: Any = "Hello", **named: Any) -> Answer:
        answer: Answer = request.param(prompt, **{"model": MODEL, "engine": engine} | named)
        return answer

    return call
