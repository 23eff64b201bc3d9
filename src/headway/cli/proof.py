"""Proves that a limit bites: the same calls at once, without headway and with it, to a private emulator with a tiny limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import httpx2

from headway.config import Config
from headway.errors import HeadwayError
from headway.plain.send import send
from headway.runtime import Engine
from headway.testing.emulated import Emulator

CALLS = 10
PER_MINUTE = 300
PROFILE = (
    f"any/unlimited?requests={PER_MINUTE}&burst=400ms&ttft=10ms&speed=5000"  # a full bucket holds two calls
)
_MODEL, _WORDS = "claude-opus-4-8", [{"role": "user", "content": "Say hello."}]
_REQUEST = {"model": _MODEL, "max_tokens": 20, "messages": _WORDS}
_PATIENCE_S = 10.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of `CALLS` calls at once: refused without headway; refused, answered and how long in all with it.

    `waited_for` is what the line waited for, by headway's own account."""

    refused_without: int
    refused_with: int
    answered: int
    took_s: float
    waited_for: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether there was something to be held back, and headway held it back, for the limit that there is."""
        return (
            self.refused_without > 0
            and self.refused_with == 0
            and self.answered == CALLS
            and "requests" in self.waited_for
        )


def prove() -> Proof:
    """Try it. Takes two to three seconds."""
    with Emulator(PROFILE) as emulator:
        refused_without = _bare(emulator.url).count(429)
        emulator.reset()
        config = Config(
            base_url=emulator.url, api_key="any", ledger="none", max_wait_s=_PATIENCE_S, retries=0
        )
        with Engine(config) as engine:
            began = time.monotonic()
            answered = sum(_at_once(lambda: _is_answered(engine)))
            took_s = time.monotonic() - began
            bound = {what for pool in engine.core.pools.values() for what in pool.bound_s}
        refused_with = sum(emulator.stats()["rate_limited"].values())
        return Proof(refused_without, refused_with, answered, took_s, tuple(sorted(bound)))


def _bare(url: str) -> list[int]:
    """The statuses of the calls as they are answered when nobody holds them back."""
    headers = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
    with httpx2.Client(base_url=url, headers=headers, trust_env=False) as client:
        return _at_once(lambda: client.post("/v1/messages", json=_REQUEST).status_code)


def _is_answered(engine: Engine) -> bool:
    try:
        send(_WORDS, model=_MODEL, max_tokens=20, engine=engine, timeout=_PATIENCE_S)
    except HeadwayError:
        return False
    return True


def _at_once(call: Callable[[], T]) -> list[T]:
    with ThreadPoolExecutor(CALLS) as threads:
        return [each.result() for each in [threads.submit(call) for _ in range(CALLS)]]
