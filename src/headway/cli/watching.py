"""What `headway serve` opens beside the calls: its log, and the admin API on a port of its own."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from headway.errors import ConfigError, ConnectionFailed
from headway.gateway.server import listen, url_of

if TYPE_CHECKING:
    from headway.gateway.app import Gateway
    from headway.gateway.budgets import Budgets
    from headway.gateway.keys import Keys
    from headway.gateway.operations import Operations
    from headway.runtime import Engine


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

    def serving(
        self,
        operations: Operations,
        engine: Engine,
        keys: Keys,
        budgets: Budgets,
        gateway: Gateway,
    ) -> AbstractAsyncContextManager[None]:
        """It is served as long as the block runs."""
        return operations.admin(
            self.listener, engine, keys, self.token, budgets=budgets, more=partial(_shown, gateway)
        )


def _shown(gateway: Gateway) -> dict[str, Any]:
    state = gateway.state()
    return {"served": state.served, "refused": state.refused, "is_draining": state.is_draining}


def operations_of(style: LogStyle) -> Operations:
    """What watches the gateway. Raises ConfigError if the extra is not installed."""
    try:
        from headway.gateway.operations import Operations
    except ImportError as error:
        raise ConfigError(
            f"the gateway needs {error.name or 'more'}, which is not installed",
            hint="pip install 'headway[gateway]'",
        ) from None
    match style:
        case LogStyle.AUTO:
            return Operations("console" if sys.stderr.isatty() else "json")
        case LogStyle.NONE:
            return Operations(None)
        case LogStyle.JSON | LogStyle.CONSOLE:
            return Operations("json" if style is LogStyle.JSON else "console")


def open_admin(host: str, port: int | None, beside: int) -> Admin | None:
    """The admin API; by default on the port after that of the calls. Its token is HEADWAY_ADMIN_TOKEN, or on a terminal a
    new one, shown once; elsewhere, where what is shown is kept, there is none without it. Raises ConnectionFailed."""
    from headway.gateway.admin import token_of

    token, is_new = token_of(os.environ)
    if is_new and not sys.stderr.isatty():
        sys.stderr.write("no admin API: HEADWAY_ADMIN_TOKEN is not set\n")
        return None
    try:
        listener = listen(host, (beside + 1) % 65536 if port is None else port)
    except ConnectionFailed as error:
        hint = "Another one with --admin-port; 0 is any free one."
        raise ConnectionFailed(f"The admin API: {error}", sent=False, hint=hint) from None
    url = url_of(listener)
    if sys.stderr.isatty():
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        shown = f"HEADWAY_ADMIN_TOKEN={token} " if is_new else ""
        console.print(Text(f"Admin API at {url}. Watch it: {shown}headway top --url {url}", style="dim"))
    else:
        sys.stderr.write(f"headway admin at {url}\n")
    return Admin(listener, token)


def nothing() -> AbstractAsyncContextManager[None]:
    """No admin API."""
    return nullcontext()
