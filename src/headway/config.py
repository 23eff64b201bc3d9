"""Arguments, environment and headway.toml become one frozen `Config`; the first of them that has a value wins.

What settings there are: `settings.table`. Which file counts: `settings.file`. Keys of the API come from the environment,
`ANTHROPIC_API_KEY` or `ANTHROPIC_AUTH_TOKEN` (sent as Bearer), or as arguments, else out of the file that `api_key_file`
names, which nobody else may read; never out of headway.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headway.errors import ConfigError
from headway.settings.file import find
from headway.settings.gather import Gathered, error_of, gather
from headway.settings.kinds import API_VERSIONS
from headway.settings.table import SETTINGS

DEFAULT_BASE_URL = "https://api.anthropic.com"


@dataclass(frozen=True, slots=True)
class SessionDefaults:
    """What callers get that say nothing themselves. `budget` is as written: "2usd"; see `core.cap`."""

    tenant: str | None = None
    class_: str | None = None
    budget: str | None = None
    max_wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """What one engine is started with.

    `limits`, `pool_limits` and `burst` are as written by people (None: learnt); `max_cost_usd` is a cap in dollars.
    `sources` says where each setting that is not a default came from: a file and line, a variable, a flag, an argument.
    `retries` None: what the door thinks right, eight for a job and four for a caller who waits. Keys never show in `repr`.
    """

    api_key: str | None = field(default=None, repr=False)
    auth_token: str | None = field(default=None, repr=False)
    api_key_file: str | None = None
    base_url: str = DEFAULT_BASE_URL
    api_version: str = API_VERSIONS[0]
    limits: str | None = None
    pool_limits: Mapping[str, str] = field(default_factory=dict, hash=False)
    tier: str | None = None
    burst: str | None = None
    max_cost_usd: float | None = None
    max_wait_s: float | None = None
    retries: int | None = None
    concurrency: int | None = None
    stream: bool = True
    any_model: bool = False
    ledger: str | None = None
    ledger_keep_s: float | None = None
    fingerprints: bool = True
    session: SessionDefaults = SessionDefaults()
    file: str | None = field(default=None, repr=False, compare=False)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def limits_of(self, pool: str) -> str | None:
        """The limits of one pool, as written; where both name one, those of the pool come last and count."""
        return ",".join(filter(None, (self.limits, self.pool_limits.get(pool)))) or None

    @contextmanager
    def blaming(self, setting: str) -> Iterator[None]:
        """A ConfigError inside says where the setting at fault (a key of the file) came from."""
        try:
            yield
        except ConfigError as error:
            source = self.sources.get(setting, "argument")
            if source == "argument":
                raise
            raise ConfigError(f"{source}: {setting}: {error}", hint=error.hint) from None

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


def load(
    environment: Mapping[str, str], *, folder: Path | None = None, flags: bool = False, **arguments: Any
) -> Config:
    """Settings out of `arguments` that are not None, else `environment`, else the file found from `folder` (default: the
    current one), else defaults. An argument has the name of its key (`max_cost="20usd"`) or field (`max_cost_usd=20.0`).

    Raises ConfigError that names everything that cannot be used: where it stands, what it is, what to write instead;
    with `flags` arguments are named as flags of a command.
    """
    file = find(environment, folder or Path.cwd()).file
    gathered = gather(file, environment, arguments, flags=flags)
    if gathered.problems:
        raise error_of(gathered.problems)
    return _config(gathered, file)


def _config(gathered: Gathered, file: Path | None) -> Config:
    fields = {setting.key: setting.field for setting in SETTINGS}
    top: dict[str, Any] = {}
    session: dict[str, Any] = {}
    for key, value in gathered.values.items():
        (session if key.startswith("session.") else top)[fields.get(key, key)] = value
    return Config(
        **top,
        session=SessionDefaults(**session),
        pool_limits=gathered.pools,
        file=str(file) if file else None,
        sources=gathered.sources,
    )
