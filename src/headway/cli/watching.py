"""What `headway serve` opens beside the calls: its log, and the admin API on a port of its own."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from headway import otel
from headway.errors import ConfigError, ConnectionFailed
from headway.gateway.app import Gateway
from headway.gateway.budgets import Budgets
from headway.gateway.keys import Keys
from headway.gateway.server import listen, url_of
from headway.gateway.wiring import App
from headway.hooks import Hooks
from headway.runtime import Engine

if TYPE_CHECKING:
    from headway.gateway.operations import Operations


class LogStyle(StrEnum):
    """How the log looks. AUTO: text on a terminal, else JSON."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Admin:
    """Where the admin API listens, and who may ask it."""

    listener: socket.socket
    token: str


class Watching:
    """All that watches one gateway; without the extra `gateway` installed, and without having been asked for, nothing."""

    def __init__(self, style: LogStyle, *, is_wanted: bool) -> None:
        self._operations = _operations(
            style, is_wanted=is_wanted or style in (LogStyle.JSON, LogStyle.CONSOLE)
        )
        self._admin: Admin | None = None

    def hooks(self, base_url: str) -> tuple[Hooks, ...]:
        """What the engine is to be given; `base_url` is what spans say of the API."""
        ours = () if self._operations is None else (self._operations.hooks,)
        return (*ours, otel.hooks(base_url=base_url)) if _is_traced() else ours

    def around(self, app: App) -> App:
        """The application, with a line of log for each request."""
        return app if self._operations is None else self._operations.around(app)

    def listen(self, host: str, port: int | None, beside: int) -> AbstractContextManager[Any]:
        """Open the admin API; None: on the port after that of the calls. Its token is HEADWAY_ADMIN_TOKEN, or on a terminal
        a new one, shown once; elsewhere, where what is shown is kept, there is none without it. Raises ConnectionFailed."""
        if self._operations is not None:
            self._admin = _open(host, (beside + 1) % 65536 if port is None else port)
        return nullcontext() if self._admin is None else closing(self._admin.listener)

    def serving(
        self, engine: Engine, keys: Keys, budgets: Budgets, gateway: Gateway
    ) -> AbstractAsyncContextManager[None]:
        """The admin API is served as long as the block runs."""
        if self._operations is None or self._admin is None:
            return nullcontext()
        return self._operations.admin(
            self._admin.listener,
            engine,
            keys,
            self._admin.token,
            budgets=budgets,
            more=partial(_shown, gateway),
        )


def _operations(style: LogStyle, *, is_wanted: bool) -> Operations | None:
    try:
        from headway.gateway.operations import Operations
    except ModuleNotFoundError as missing:
        if not is_wanted:
            return None
        raise ConfigError(
            f"the log and the admin API need {missing.name}", hint="pip install 'headway[gateway]'"
        ) from None
    match style:
        case LogStyle.AUTO:
            return Operations("console" if sys.stderr.isatty() else "json")
        case LogStyle.NONE:
            return Operations(None)
        case LogStyle.JSON:
            return Operations("json")
        case LogStyle.CONSOLE:
            return Operations("console")


def _is_traced() -> bool:
    """Whether somebody has set up OpenTelemetry in this process, such as `opentelemetry-instrument headway serve`."""
    try:
        from opentelemetry.metrics import get_meter_provider
        from opentelemetry.trace import get_tracer_provider
    except ImportError:
        return False
    providers = (get_tracer_provider(), get_meter_provider())
    return any(type(provider).__module__.startswith("opentelemetry.sdk.") for provider in providers)


def _open(host: str, port: int) -> Admin | None:
    from headway.gateway.admin import token_of

    token, is_new = token_of(os.environ)
    is_terminal = sys.stderr.isatty()
    if is_new and not is_terminal:
        sys.stderr.write("no admin API: HEADWAY_ADMIN_TOKEN is not set\n")
        return None
    try:
        listener = listen(host, port)
    except ConnectionFailed as error:
        hint = "Another one with --admin-port; 0 is any free one."
        raise ConnectionFailed(f"The admin API: {error}", sent=False, hint=hint) from None
    url = url_of(listener)
    if is_terminal:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        shown = f"HEADWAY_ADMIN_TOKEN={token} " if is_new else ""
        console.print(Text(f"Admin API at {url}. Watch it: {shown}headway top --url {url}", style="dim"))
    else:
        sys.stderr.write(f"headway admin at {url}\n")
    return Admin(listener, token)


def _shown(gateway: Gateway) -> dict[str, Any]:
    state = gateway.state()
    return {
        "served": state.served,
        "refused": state.refused,
        "is_draining": state.is_draining,
        "held_by_keys": [asdict(each) for each in state.held],
    }
