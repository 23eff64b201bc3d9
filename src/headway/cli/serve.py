"""`headway serve`: the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.text import Text

from headway.cli.watching import LogStyle, Watching
from headway.config import Config, load
from headway.core.limit import parse_duration
from headway.emulator.process import spawn
from headway.errors import ConfigError
from headway.gateway.app import Gateway
from headway.gateway.bounds import Bounds
from headway.gateway.budgets import Budgets
from headway.gateway.keyfile import default_path
from headway.gateway.keys import Keys
from headway.gateway.server import UPSTREAM, listen, new_loop, url_of
from headway.gateway.server import serve as serve_on
from headway.runtime import Engine
from headway.wire import Client

PROFILE = "claude-opus-4/tier-4"
MOST_UPSTREAM = 10_000


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    keys: Annotated[
        Path | None,
        typer.Option(help="The file of keys; see `headway keys`. Default: HEADWAY_KEYS, or your own."),
    ] = None,
    is_open: Annotated[
        bool,
        typer.Option("--open", help="Serve programs of this machine without a key. On loopback only."),
    ] = False,
    base_url: Annotated[
        str | None, typer.Option(help="Where the API is. Default: ANTHROPIC_BASE_URL.")
    ] = None,
    limits: Annotated[
        str | None, typer.Option(help="Limits to keep, e.g. requests=50/min. Default: learnt.")
    ] = None,
    tier: Annotated[
        str | None, typer.Option(help="Published limits to start from, e.g. tier-2, build.")
    ] = None,
    max_wait: Annotated[
        str | None,
        typer.Option(help="Let no call wait longer. Default: 60 s interactive, 5 m standard, 1 h bulk."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="At most so many calls in flight. Default: as the limits allow.", min=1)
    ] = None,
    ledger: Annotated[
        str | None, typer.Option(help="The ledger's file, or none. Default: the platform's data folder.")
    ] = None,
    drain: Annotated[str, typer.Option(help="How long calls may take to end when it is stopped.")] = "30s",
    admin_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of the admin API; 0: any free one. Default: the one after --port."
        ),
    ] = None,
    admin_host: Annotated[str, typer.Option(help="Address of the admin API.")] = "127.0.0.1",
    log: Annotated[
        LogStyle, typer.Option(help="A line for each request. auto: text on a terminal, else JSON.")
    ] = LogStyle.AUTO,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="In front of the built-in emulator; no key of the API needed.")
    ] = False,
) -> None:
    """Share one quota among many programs: a proxy in front of the Claude API.

    Every SDK works with it by its base URL. Calls that do not fit now wait in line; the order is fair.

    SIGTERM and Ctrl-C stop it once calls have ended, or `--drain` is over; a second one stops it at once. SIGHUP reads
    the keys again.

    Examples:

        headway keys add search && headway serve

        headway serve --open                    for programs of this machine, without keys

        headway serve --open --emulate          to try it, without a key of the API

        headway serve --host 0.0.0.0 --port 8080 --keys /etc/headway/keys.json
    """
    if is_open and not is_loopback(host):
        raise ConfigError(
            f"--open on {host} would let everybody in who can reach it",
            hint="Listen on 127.0.0.1, or leave out --open and give out keys: headway keys add NAME",
        )
    bounds = Bounds(drain_s=parse_duration(drain, of="--drain"))
    known = _keys(keys, is_open=is_open)
    config = load(
        os.environ,
        flags=True,
        base_url=base_url,
        limits=limits,
        tier=tier,
        max_wait=max_wait,
        concurrency=concurrency,
        ledger=ledger,
    )
    watching = Watching(log, is_wanted=admin_port is not None)
    with contextlib.ExitStack() as stack:
        config = stack.enter_context(upstream_of(config, emulate=emulate))
        config.headers()  # a missing key is said before anything is set up
        listener = stack.enter_context(contextlib.closing(listen(host, port)))
        _check_address(config.base_url, listener)
        stack.enter_context(watching.listen(admin_host, admin_port, listener.getsockname()[1]))
        engine = stack.enter_context(Engine(config, hooks=watching.hooks(config.base_url)))
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_serve(engine, known, listener, bounds, watching, is_open=is_open))


async def _serve(
    engine: Engine,
    keys: Keys,
    listener: socket.socket,
    bounds: Bounds,
    watching: Watching,
    *,
    is_open: bool,
) -> None:
    engine.meet(engine.config.base_url)
    stopped = asyncio.Event()
    base_url = engine.config.base_url
    async with Client(base_url, limits=UPSTREAM, max_connections=MOST_UPSTREAM) as upstream:
        budgets = Budgets(engine)
        gateway = Gateway(engine, keys, upstream=upstream, is_open=is_open, bounds=bounds, budgets=budgets)
        _hear(gateway, stopped)
        with contextlib.closing(budgets), contextlib.suppress(asyncio.CancelledError):
            budgets.warm(keys.all(), time.time_ns())
            async with watching.serving(engine, keys, budgets, gateway):
                _announce(url_of(listener), engine.config, is_open=is_open)
                await serve_on(gateway, listener, stopped, app=watching.around(gateway))


def _hear(gateway: Gateway, stopped: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C set `stopped`, and the second of them cancels the task that serves; SIGHUP reads the keys again."""
    loop, serving = asyncio.get_running_loop(), asyncio.current_task()
    assert serving is not None

    def stop() -> None:
        if stopped.is_set():
            serving.cancel()
            return
        stopped.set()
        if calls := len(gateway.state().calls):
            who = f"{calls:,} calls have" if calls > 1 else "1 call has"
            sys.stderr.write(f"{who} {gateway.bounds.drain_s:g} s to end; a second signal ends it at once\n")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, gateway.keys.reload)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def upstream_of(config: Config, *, emulate: bool) -> Iterator[Config]:
    """The settings, or those for an emulator, which lives as long."""
    if not emulate:
        yield config
        return
    with spawn(PROFILE) as emulator:
        ledger = config.ledger or "none"
        yield replace(config, base_url=emulator.url, api_key="sk-emulated", auth_token=None, ledger=ledger)


def _keys(path: Path | None, *, is_open: bool) -> Keys:
    chosen = path or default_path()
    if path is None and is_open and not chosen.exists():
        return Keys(None)
    return Keys(chosen)


def _check_address(base_url: str, listener: socket.socket) -> None:
    """A gateway whose upstream is itself would answer nothing, ever."""
    parts = urlsplit(base_url)
    host, port = listener.getsockname()[:2]
    if parts.port == port and parts.hostname is not None and is_loopback(parts.hostname):
        raise ConfigError(
            f"the API is said to be at {base_url}, which is this gateway ({host}:{port})",
            hint="ANTHROPIC_BASE_URL is for the clients: unset it here, or give --base-url.",
        )


def _announce(url: str, config: Config, *, is_open: bool) -> None:
    if not sys.stderr.isatty():
        sys.stderr.write(f"headway serves {config.base_url} at {url}\n")
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(
        Text.assemble("Serving ", (config.base_url, "bold"), " at ", (url, "bold"), ". Ctrl-C ends it.")
    )
    console.print(f"export ANTHROPIC_BASE_URL={url}")
    if is_open:
        console.print(Text("Open: any program of this machine may use it.", style="yellow"))
