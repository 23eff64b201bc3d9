"""Settings: environment and arguments become one frozen `Config`.

| setting | environment | default |
|---|---|---|
| key | `ANTHROPIC_API_KEY`, or `ANTHROPIC_AUTH_TOKEN` (sent as Bearer) | none |
| base URL | `ANTHROPIC_BASE_URL` | https://api.anthropic.com |
| ledger | `HEADWAY_LEDGER` | the platform's data folder |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headway.errors import ConfigError

DEFAULT_BASE_URL = "https://api.anthropic.com"
API_VERSIONS = ("2023-06-01", "2026-10-21")


@dataclass(frozen=True, slots=True)
class Config:
    """What one engine is started with.

    `limits` and `burst` are as written by people (None: learnt); `max_cost_usd` is a cap in dollars. Keys never show in
    `repr`.
    """

    api_key: str | None = field(default=None, repr=False)
    auth_token: str | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    api_version: str = API_VERSIONS[0]
    limits: str | None = None
    tier: str | None = None
    burst: str | None = None
    max_cost_usd: float | None = None
    max_wait_s: float | None = None
    retries: int = 8
    concurrency: int | None = None
    stream: bool = True
    any_model: bool = False
    ledger: str | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that every request carries. Raises ConfigError if there is no key."""
        if self.api_key:
            credential = (b"x-api-key", self.api_key.encode())
        elif self.auth_token:
            credential = (b"authorization", b"Bearer " + self.auth_token.encode())
        else:
            raise ConfigError(
                "no API key",
                hint="Set ANTHROPIC_API_KEY, or add --emulate to try it on the built-in emulator, without a key.",
            )
        return [credential, (b"anthropic-version", self.api_version.encode())]


def load(environment: Mapping[str, str], **arguments: Any) -> Config:
    """Settings from the environment, with those of `arguments` that are not None on top.

    Raises ConfigError for a value that cannot be used.
    """
    config = Config(
        api_key=_key(environment, "ANTHROPIC_API_KEY"),
        auth_token=_key(environment, "ANTHROPIC_AUTH_TOKEN"),
        base_url=environment.get("ANTHROPIC_BASE_URL", "").strip() or DEFAULT_BASE_URL,
        ledger=environment.get("HEADWAY_LEDGER") or None,
    )
    config = replace(config, **{name: value for name, value in arguments.items() if value is not None})
    if config.api_version not in API_VERSIONS:
        raise ConfigError(
            f"unknown API version {config.api_version!r}", hint=f"Known: {', '.join(API_VERSIONS)}."
        )
    if config.concurrency is not None and config.concurrency < 1:
        raise ConfigError(f"--concurrency must be at least 1, not {config.concurrency}")
    if config.retries < 0:
        raise ConfigError(f"--retries must be 0 or more, not {config.retries}")
    if config.max_cost_usd is not None and not 0 < config.max_cost_usd < float("inf"):
        raise ConfigError(f"--max-cost must be more than 0, not {config.max_cost_usd}")
    return config


def _key(environment: Mapping[str, str], name: str) -> str | None:
    """A key without the blanks and line ends that copying leaves around it. Its value is in no message."""
    key = environment.get(name, "").strip()
    if any(not "!" <= character <= "~" for character in key):
        raise ConfigError(f"{name} holds characters that no key has", hint="Copy the key again.")
    return key or None
