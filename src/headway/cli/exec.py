"""`headway exec -- COMMAND`: a program behind a gateway of its own, and what it used."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from headway.cli.display import visible
from headway.cli.serve import MOST_UPSTREAM, upstream_of
from headway.config import load
from headway.core.call import Class
from headway.core.events import Admitted, Refused
from headway.core.totals import Total
from headway.gateway.app import Gateway
from headway.gateway.bounds import Bounds
from headway.gateway.keyfile import Proof, Stored, edit_keys
from headway.gateway.keys import Keys, new_secret
from headway.gateway.server import UPSTREAM, listen, new_loop, serve, url_of
from headway.hooks import Hooks
from headway.runtime import Engine
from headway.wire import Client

NOT_FOUND, NOT_RUNNABLE = 127, 126  # as shells say it
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_BOUNDS = Bounds(drain_s=2.0)


def exec_(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="The program and its arguments.")
    ],
    limits: Annotated[
        str | None, typer.Option(help="Limits to keep, e.g. requests=50/min. Default: learnt.")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="Published limits to start from, e.g. tier-2.")] = None,
    max_cost: Annotated[str | None, typer.Option(help="Let it spend no more, e.g. 2usd.")] = None,
    max_wait: Annotated[str | None, typer.Option(help="Let no call wait longer, e.g. 30s.")] = None,
    class_: Annotated[
        Class, typer.Option("--class", help="How urgent its calls are, among themselves.")
    ] = Class.STANDARD,
    base_url: Annotated[
        str | None, typer.Option(help="Where the API is. Default: ANTHROPIC_BASE_URL.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not say what it used.")] = False,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="In front of the built-in emulator; no key of the API needed.")
    ] = False,
) -> None:
    """Run a program behind a gateway of its own: paced, recorded, and told at the end what it used.

    The program gets ANTHROPIC_BASE_URL and a key that is good for this run only; your own key is not in its environment.
    The exit code is the program's. What it used goes to standard error.

    Examples:

        headway exec -- python summarize.py

        headway exec --max-cost 2usd -- claude -p "Fix the tests"

        headway exec --emulate -- npm test
    """
    config = load(
        os.environ,
        flags=True,
        base_url=base_url,
        limits=limits,
        tier=tier,
        max_cost=max_cost,
        max_wait=max_wait,
    )
    waits = _Waits()
    with ExitStack() as stack:
        config = stack.enter_context(upstream_of(config, emulate=emulate))
        config.headers()  # a missing key is said before anything is set up
        listener = stack.enter_context(closing(listen("127.0.0.1", 0)))
        engine = stack.enter_context(Engine(config, hooks=waits.hooks()))
        keys, secret = _one_key(class_)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            code = runner.run(_run(command, engine, keys, secret, listener))
        if not quiet:
            _say(engine.usage(), waits)
    raise typer.Exit(code)


@dataclass(slots=True)
class _Waits:
    """How long calls stood in line, seconds, and how many were refused here."""

    in_all_s: float = 0.0
    longest_s: float = 0.0
    refused: int = 0

    def hooks(self) -> Hooks:
        """What the engine is to be given."""
        return Hooks(admitted=self._admitted, refused=self._refused)

    def _admitted(self, news: Admitted) -> None:
        self.in_all_s += news.queued_s
        self.longest_s = max(self.longest_s, news.queued_s)

    def _refused(self, news: Refused) -> None:
        self.refused += news.by == "headway"


def _one_key(class_: Class) -> tuple[Keys, str]:
    """A key for this run; the file that it is read from is gone at once."""
    secret, digest = new_secret("exec")
    with TemporaryDirectory(prefix="headway-") as folder:
        path = Path(folder) / "keys.json"
        with edit_keys(path) as keys:
            proof = Proof(sha256=digest, added=datetime.now(UTC))
            keys.append(Stored(name="exec", tenant="default", class_=class_, proofs=(proof,)))
        return Keys(path), secret


async def _run(command: list[str], engine: Engine, keys: Keys, secret: str, listener: socket.socket) -> int:
    """Serve for as long as the program runs; its exit code."""
    base_url = engine.config.base_url
    engine.meet(base_url)
    stopped = asyncio.Event()
    async with Client(base_url, limits=UPSTREAM, max_connections=MOST_UPSTREAM) as upstream:
        gateway = Gateway(engine, keys, upstream=upstream, bounds=_BOUNDS)
        serving = asyncio.create_task(serve(gateway, listener, stopped))
        try:
            return await _child(command, environment(os.environ, url_of(listener), secret))
        finally:
            stopped.set()
            await serving


async def _child(command: list[str], variables: dict[str, str]) -> int:
    running: list[subprocess.Popen[bytes]] = []
    loop = asyncio.get_running_loop()
    for number in _FORWARDED:  # before there is anybody who could answer to one of them
        loop.add_signal_handler(number, _forward, running, number)
    process = _start(command, variables)
    if isinstance(process, int):
        return process
    running.append(process)
    code = await asyncio.to_thread(process.wait)
    return code if code >= 0 else 128 - code


def _start(command: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes] | int:
    """The program, or the exit code that says why there is none. (uvloop's own way runs what Python runs after a fork.)"""
    try:
        return subprocess.Popen(command, env=variables)
    except FileNotFoundError:
        return _cannot(f"there is no program {command[0]!r}", NOT_FOUND)
    except OSError as error:
        return _cannot(f"{command[0]!r} cannot be run: {error.strerror}", NOT_RUNNABLE)


def _forward(running: list[subprocess.Popen[bytes]], number: int) -> None:
    """Hand a signal on. Ctrl-C and Ctrl-\\ reach both of us, so those of our own terminal are not sent twice."""
    if number in (signal.SIGINT, signal.SIGQUIT) and _is_in_front():
        return
    for process in running:
        process.send_signal(number)


def _is_in_front() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # no terminal, or no standard input
        return False


def environment(outer: Mapping[str, str], url: str, secret: str) -> dict[str, str]:
    """What the program gets: the gateway's address, its key, and no key of the API."""
    inner = {name: value for name, value in outer.items() if name != "ANTHROPIC_AUTH_TOKEN"}
    here = "127.0.0.1,localhost"
    for name in ("NO_PROXY", "no_proxy"):
        inner[name] = f"{inner[name]},{here}" if inner.get(name) else here
    return inner | {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": secret}


def _cannot(why: str, code: int) -> int:
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        Text.assemble(("error: ", "bold red"), visible(why))
    )
    return code


def _say(totals: tuple[Total, ...], waits: _Waits) -> None:
    total = _sum(totals)
    failed = total.attempts - total.calls
    tokens_in = total.input_tokens + total.cache_read_tokens + total.cache_write_tokens
    parts = [
        f"headway: {_counted(total.calls, 'call')}",
        f"{tokens_in:,} tokens in, {total.output_tokens:,} out",
        f"${total.nanousd / 1e9:,.6f}" + (" and calls of unknown price" if total.unpriced else ""),
        f"waited {waits.in_all_s:,.1f} s in all, {waits.longest_s:,.1f} s at most",
        *([f"{_counted(failed, 'attempt')} failed"] if failed > 0 else []),
        *([f"{_counted(waits.refused, 'call')} refused"] if waits.refused else []),
    ]
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(", ".join(parts), style="dim"))


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _sum(totals: tuple[Total, ...]) -> Total:
    names = ("calls", "attempts", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    added = {name: sum(getattr(each, name) for each in totals) for name in (*names, "nanousd", "unpriced")}
    return replace(Total("", ""), **added)
