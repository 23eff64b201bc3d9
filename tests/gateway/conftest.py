"""Gateways in front of a scripted provider; whatever a test does, their engines are left clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.serving import Serving
from transport.provider import Answer, Provider
from transport.replies import as_the_api

Serve = Callable[..., Serving]


@pytest.fixture
def provide() -> Iterator[Callable[[Answer], Provider]]:
    """Start servers that answer as the test says; they end with the test."""
    running: list[Provider] = []

    def start(answer: Answer) -> Provider:
        running.append(Provider(answer))
        return running[-1]

    yield start
    for provider in running:
        provider.close()


@pytest.fixture
def provider(provide: Callable[[Answer], Provider]) -> Provider:
    """A provider at which every call succeeds; a test may set another `answer`."""
    return provide(as_the_api)


@pytest.fixture
def start(tmp_path: Path, provider: Provider) -> Iterator[Serve]:
    """Start gateways, in front of `provider` unless the test says otherwise."""
    running: list[Serving] = []

    def begin(upstream: str = "", **options: Any) -> Serving:
        ledger = tmp_path / f"ledger-{len(running)}.sqlite3"
        running.append(Serving(upstream or provider.url, ledger, **options))
        return running[-1]

    yield begin
    for serving in running:
        serving.close()


@pytest.fixture
def serving(start: Serve) -> Serving:
    """An open gateway."""
    return start()
