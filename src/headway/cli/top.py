"""`headway top`: what a gateway does now."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import typer
from rich.console import Console
from rich.live import Live

from headway.cli.topview import picture
from headway.errors import ConfigError, ConnectionFailed, HeadwayError, InputError, ProviderError

URL = "http://127.0.0.1:8081"
_PATIENCE_S = 5.0
_PLAIN_HEIGHT = 60  # lines, where nobody scrolls


def top(
    url: Annotated[str, typer.Option(help="Where the admin API of the gateway is.")] = URL,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="HEADWAY_ADMIN_TOKEN",
            help="The token that `headway serve` showed, or was given. Better in the environment: others can read flags.",
            show_envvar=True,
        ),
    ] = None,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1, max=60.0)] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once, as text.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The state once, as JSON.")] = False,
) -> None:
    """Watch a gateway: limits and what binds, who waits for what, who used what. Ctrl-C ends it.

    Examples:

        headway top                          the gateway on this machine

        headway top --once                   one picture, for a terminal that is no terminal

        headway top --json | jq .waiting     for scripts
    """
    if not token:
        raise ConfigError(
            "no token of the admin API", hint="export HEADWAY_ADMIN_TOKEN=... as headway serve shows it."
        )
    with _client(url, token) as client:
        state = look(client)
        console = Console(highlight=False)
        if as_json:
            typer.echo(json.dumps(state))
        elif once or not console.is_terminal:
            console.print(picture(state, console.width, _PLAIN_HEIGHT))
        else:
            _watch(client, state, console, every)


def look(client: httpx2.Client) -> dict[str, Any]:
    """The state now. Raises ConnectionFailed, InputError for a wrong token, ProviderError for any other answer."""
    try:
        response = client.get("/headway/v1/state")
    except httpx2.HTTPError as error:
        raise ConnectionFailed(
            f"no gateway answers at {client.base_url}: {type(error).__name__}",
            sent=False,
            hint="Is headway serve running, and is this its admin address? Say it with --url.",
        ) from None
    if response.status_code == 401:
        raise InputError(
            f"{client.base_url} does not take this token", hint="It is the one that headway serve has."
        )
    try:
        state = response.json()
    except ValueError:
        state = None
    if response.status_code == 200 and isinstance(state, dict) and "pools" in state:
        return state
    raise ProviderError(
        f"what answers at {client.base_url} is no admin API of a gateway",
        status=response.status_code,
        error_type="unknown",
        hint="The admin API has a port of its own, beside that of the calls.",
    )


def _client(url: str, token: str) -> httpx2.Client:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"--url: {url[:100]!r} is no URL", hint=f"Like {URL}.")
    near = parts.hostname in ("localhost", "127.0.0.1", "::1")
    headers = {"authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=url, headers=headers, timeout=_PATIENCE_S, trust_env=not near)


def _watch(client: httpx2.Client, state: dict[str, Any], console: Console, every: float) -> None:
    note = ""
    with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            live.update(picture(state, console.width, console.height, note), refresh=True)
            time.sleep(every)
            try:
                state, note = look(client), ""
            except HeadwayError as error:
                note = f"{error}: what is shown is what was last heard"
