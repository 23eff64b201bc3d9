"""The provider's own count of a request: `POST /v1/messages/count_tokens`, free of charge, with a pool of its own.

Paced, retried and recorded by an engine like any other call. What it cannot count it refuses: tools that run at the
provider, sources by URL or file id (https://platform.claude.com/docs/en/build-with-claude/token-counting).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from headway.context.counting import Count
from headway.errors import ConnectionFailed, ProviderError
from headway.providers.faults import scrub
from headway.providers.parsed import parse_object
from headway.runtime import Engine
from headway.transport.client import client

_COUNTED = (
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "speed",
)

_AT_ONCE = 8


class Counter:
    """Asks the provider to count. Use as a context manager. `engine` paces it, and says where the API is and with what key.

    Raises ConfigError without a key.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._headers = [*engine.config.headers(), (b"content-type", b"application/json")]
        self._client = client(engine=engine)

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def count(self, request: Mapping[str, Any]) -> Count:
        """Count one request. Raises ProviderError for what the API refuses, ConnectionFailed, LimitError."""
        body = {name: request[name] for name in _COUNTED if name in request}
        address = self._engine.config.base_url.rstrip("/")
        try:
            response = self._client.post(
                f"{address}/v1/messages/count_tokens",
                content=json.dumps(body).encode(),
                headers=self._headers,
            )
        except httpx2.RequestError as error:
            raise ConnectionFailed(
                f"no count from the API: {scrub(str(error)) or type(error).__name__}",
                sent=False,
                hint="Look at the network and at the base URL (ANTHROPIC_BASE_URL), or count without --exact.",
            ) from error
        return _read(self._engine, response)

    def count_all(self, requests: Sequence[Mapping[str, Any]]) -> list[Count]:
        """Count many at the same time, as fast as the limits of the pool allow. Raises as `count` does."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            try:
                return list(threads.map(self.count, requests))
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise


def _read(engine: Engine, response: httpx2.Response) -> Count:
    headers = {name.lower(): value for name, value in response.headers.items()}
    problem = engine.provider.classify(response.status_code, headers, response.content)
    if problem is not None:
        raise ProviderError(
            f"{problem.error_type}: {problem.message}",
            status=response.status_code,
            error_type=problem.error_type,
            request_id=problem.request_id,
            hint="Without --exact it is counted offline.",
        )
    tokens = (parse_object(response.content) or {}).get("input_tokens")
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise ProviderError(
            "the API gave no count", status=response.status_code, error_type="malformed_reply"
        )
    return Count(tokens, tokens, tokens, "provider")
