"""A gateway with everything that watches it, on real sockets: its admin API runs in the loop of the gateway, as in life."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2

from gateway.serving import Serving
from headway.gateway.budgets import Budgets
from headway.gateway.keys import Keys
from headway.gateway.operations import Operations
from headway.gateway.server import listen, url_of
from transport.provider import PATIENCE_S

TOKEN = "a-token-that-nobody-guesses"
Watch = Callable[..., "Watched"]


class Watched:
    """`calls` go to the gateway, `admin` to its admin API, with the token."""

    def __init__(
        self,
        start: Callable[..., Serving],
        *,
        keys: Keys | None = None,
        keyfile: Path | None = None,
        **options: Any,
    ) -> None:
        self.log = io.BytesIO()
        self.operations = Operations("json", self.log)
        self.serving = start(
            hooks=self.operations.hooks, around=self.operations.around, keys=keyfile, **options
        )
        listener = listen("127.0.0.1", 0)
        self.url = url_of(listener)
        self._admin = self.operations.admin(
            listener,
            self.serving.engine,
            keys or self.serving.keys,
            TOKEN,
            budgets=Budgets(self.serving.engine),
            more=self._gateway,
        )
        self._run(self._admin.__aenter__())
        self.admin = httpx2.Client(
            base_url=self.url, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False
        )
        self.calls = httpx2.Client(base_url=self.serving.url, trust_env=False, timeout=PATIENCE_S)

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.serving.loop).result(PATIENCE_S)

    def _gateway(self) -> dict[str, Any]:
        state = self.serving.gateway.state()
        return {
            "served": state.served,
            "refused": state.refused,
            "is_draining": state.is_draining,
            "held_by_keys": [asdict(each) for each in state.held],
        }

    def get(self, path: str) -> Any:
        """What the admin API answers; it must be good."""
        answer = self.admin.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def state(self) -> Any:
        return self.get("/headway/v1/state")

    def metrics(self) -> dict[str, float]:
        """Each series with its value."""
        lines = self.admin.get("/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")
        return {name: float(value) for name, value in pairs}

    def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def close(self) -> None:
        self.calls.close()
        self.admin.close()
        self._run(self._admin.__aexit__(None, None, None))


def watching(start: Callable[..., Serving]) -> Iterator[Watch]:
    """What starts watched gateways; they end with the test. For a fixture."""
    running: list[Watched] = []

    def begin(**options: Any) -> Watched:
        running.append(Watched(start, **options))
        return running[-1]

    yield begin
    for each in running:
        each.close()
