"""What `headway doctor` looks at, one after the other: settings, key, API, clock, ledger, machine."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx2

from headway.cli.findings import Findings, examine
from headway.config import Config
from headway.errors import ConfigError, HeadwayError, LedgerError
from headway.ledger.file import open_file
from headway.ledger.sqlite import default_path
from headway.settings.gather import SECRETS

State = Literal["ok", "warning", "problem"]
_PATIENCE_S = 5.0
_SLOW_S, _FAR_S = 2.0, 60.0  # a clock that is off by more is a warning, a problem
_FILES = 4096  # descriptors that a busy gateway needs
_ROOM = 200 * 2**20  # bytes for the ledger


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `hint` says what to do if it is not ok."""

    name: str
    state: State
    says: str
    hint: str = ""


def of_settings(folder: Path) -> Iterator[Check]:
    """What file counts, and what is wrong with what is set."""
    try:
        found: Findings = examine(os.environ, folder)
    except ConfigError as error:
        yield Check("settings", "problem", str(error), error.hint)
        return
    for problem in found.problems:
        yield Check("settings", "problem", str(problem), problem.hint)
    for warning in found.warnings:
        yield Check("settings", "warning", str(warning), warning.hint)
    if not found.problems:
        where = found.file or "no headway.toml"
        given = sum(row.source not in ("default", "") for row in found.rows)
        yield Check("settings", "ok", f"{where}, {given} set, the rest as they come")


def of_key(config: Config) -> Iterator[Check]:
    """Whether there is a key, and nothing strange about it. It is never shown."""
    name, key = ("api_key", config.api_key) if config.api_key else ("auth_token", config.auth_token)
    name = config.sources.get(name, name)  # a variable, or the file that it is in
    if not key:
        yield Check("key", "problem", "no key of the API", "export ANTHROPIC_API_KEY=...")
    elif not key.isascii() or not key.isprintable() or any(letter in key for letter in " \"'"):
        yield Check(
            "key", "problem", f"{name} has letters that no key has", "Look for quotes, spaces, line ends."
        )
    elif key.startswith("hw-"):
        hint = "It belongs to clients of a gateway; the gateway itself needs one of the API."
        yield Check("key", "warning", f"{name} is a virtual key of a gateway", hint)
    else:
        yield Check("key", "ok", f"{name} is set" if name in SECRETS.values() else f"it is in {name}")


def of_api(config: Config) -> Iterator[Check]:
    """Name, connection, certificate, and one cheap request; whether its answer says the same time."""
    parts = urlsplit(config.base_url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    proxy = next(
        (name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if os.environ.get(name)),
        "",
    )
    if proxy:
        hint = "Allow direct connections for them, or use the SDK door, which does use it."
        yield Check(
            "proxy", "warning", f"{proxy} is set; headway run and headway serve do not use proxies", hint
        )
    try:
        yield Check("name", "ok", f"{host} is {_address(host, port)}")
        yield _connected(host, port, tls=tls)
    except (OSError, UnicodeError) as error:
        what = "name" if isinstance(error, socket.gaierror) else "connection"
        where = host if what == "name" else f"{host}:{port}"
        yield Check(
            what,
            "problem",
            f"{where}: {_why(error)}",
            "Check the address (base_url), the network, a firewall.",
        )
        return
    yield from _asked(config)


def _address(host: str, port: int) -> str:
    return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])


def _connected(host: str, port: int, *, tls: bool) -> Check:
    began = time.monotonic()
    with socket.create_connection((host, port), timeout=_PATIENCE_S) as plain:
        took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        if not tls:
            near = host in ("localhost", "::1") or host.startswith("127.")
            hint = "" if near else "Keys and prompts can be read on the way: use https."
            return Check(
                "connection", "ok" if near else "warning", f"{host}:{port} in {took}, not encrypted", hint
            )
        with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure:
            ends = ssl.cert_time_to_seconds(str((secure.getpeercert() or {}).get("notAfter")))
            days = int((ends - time.time()) / 86400)
            return Check(
                "connection",
                "ok",
                f"{host}:{port} in {took}, {secure.version()}, certificate good for {days} days",
            )


def _asked(config: Config) -> Iterator[Check]:
    try:
        headers = dict(config.headers())
    except ConfigError:
        headers = {b"anthropic-version": config.api_version.encode()}
    began, wall = time.monotonic(), time.time()
    try:
        with httpx2.Client(timeout=_PATIENCE_S) as client:
            response = client.get(
                f"{config.base_url.rstrip('/')}/v1/models?limit=1", headers=list(headers.items())
            )
    except httpx2.HTTPError as error:
        yield Check(
            "api",
            "problem",
            f"no answer: {type(error).__name__}",
            "Try again; then https://status.claude.com",
        )
        return
    took_s = time.monotonic() - began
    yield _answered(config, response.status_code, took_s)
    if (said := response.headers.get("date")) is not None:
        yield from _clock(said, wall + took_s / 2, took_s)


def _answered(config: Config, status: int, took_s: float) -> Check:
    says = f"GET /v1/models answered {status} in {took_s * 1000:.0f} ms"
    has_key = bool(config.api_key or config.auth_token)
    match status:
        case 200:
            return Check("api", "ok", says)
        case 401 | 403 if has_key:
            return Check(
                "api", "problem", says, "The key is not accepted: is it whole, of this API, not revoked?"
            )
        case 401 | 403:
            return Check("api", "ok", f"{says}, as without a key")
        case 429:
            return Check("api", "ok", f"{says}: reachable, the quota is used up now")
        case 404:
            return Check(
                "api", "warning", says, "Something answers that is not the API itself: is base_url right?"
            )
        case _:
            hint = "It is in trouble, or it is not the API: https://status.claude.com, base_url"
            return Check("api", "problem", says, hint)


def _clock(said: str, local: float, took_s: float) -> Iterator[Check]:
    """A `date` is whole seconds, cut off."""
    try:
        theirs = parsedate_to_datetime(said).timestamp() + 0.5
    except (ValueError, OverflowError):
        return
    off = local - theirs
    sure = max(abs(off) - 0.5 - took_s / 2, 0.0)
    way = "ahead of" if off > 0 else "behind"
    says = f"{abs(off):,.0f} s {way} that of the API"
    hint = "Budgets by the day and the ledger go by the clock of this machine: set it, by NTP."
    if sure > _FAR_S:
        yield Check("clock", "problem", says, hint)
    elif sure > _SLOW_S:
        yield Check("clock", "warning", says, hint)
    else:
        yield Check("clock", "ok", "as that of the API, to within two seconds")


def of_ledger(config: Config) -> Iterator[Check]:
    """Whether it can be written. One that is not there yet is not made."""
    if config.ledger == "none":
        yield Check("ledger", "ok", "none is kept, as set")
        return
    path = Path(config.ledger) if config.ledger else default_path()
    try:
        if path.exists():
            with closing(open_file(path, wait_ms=1000)) as db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("ROLLBACK")
            yield Check("ledger", "ok", f"{path}, {path.stat().st_size / 2**20:,.1f} MiB")
        else:
            yield _place_for(path)
        free = shutil.disk_usage(_nearest(path)).free
    except (LedgerError, sqlite3.Error, OSError) as error:
        hint = "Calls go on without it, and are not recorded. Name another place: HEADWAY_LEDGER"
        yield Check("ledger", "problem", str(error), hint)
        return
    if free < _ROOM:
        yield Check(
            "disk", "warning", f"{free / 2**20:,.0f} MiB are free for the ledger", "Make room, or move it."
        )


def _place_for(path: Path) -> Check:
    folder = _nearest(path)
    if os.access(folder, os.W_OK | os.X_OK):
        return Check("ledger", "ok", f"{path} will be made by the first call")
    return Check(
        "ledger",
        "problem",
        f"{path} cannot be made: {folder} cannot be written",
        "Name another place: HEADWAY_LEDGER",
    )


def _nearest(path: Path) -> Path:
    return next(folder for folder in path.absolute().parents if folder.is_dir())


def of_keys() -> Iterator[Check]:
    """The virtual keys of the gateway, if there are any."""
    from headway.gateway.keyfile import default_path as keys_path
    from headway.gateway.keyfile import read_keys

    path = keys_path()
    if not path.exists():
        return
    try:
        known = read_keys(path)
    except HeadwayError as error:
        yield Check("keys", "problem", str(error), error.hint)
    else:
        good = sum(key.revoked is None for key in known)
        yield Check("keys", "ok", f"{path}, {good} of {len(known)} not revoked")


def of_machine() -> Iterator[Check]:
    """What makes headway fast, and how many files it may open."""
    missing = [name for name in ("uvloop", "httptools") if find_spec(name) is None]
    if missing and sys.platform != "win32":
        hint = "pip install 'headway[speed]'"
        yield Check("speed", "warning", f"{' and '.join(missing)} not installed: slower under load", hint)
    else:
        yield Check("speed", "ok", "uvloop and httptools are there")
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = "any number of" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        hint = f"ulimit -n {min(hard, 65_536) if hard > 0 else 65_536}; each call of a gateway takes two."
        yield Check("files", "warning", f"{most} files may be open at a time", hint)
    else:
        yield Check("files", "ok", f"{most} files may be open at a time")


def _why(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not good: {error.verify_message}"
        case ssl.SSLError():
            return "it does not speak TLS as it should"
        case socket.gaierror():
            return "there is no such name, or no name server answers"
        case TimeoutError():
            return f"no answer for {_PATIENCE_S:.0f} s"
        case OSError():
            return (error.strerror or type(error).__name__).lower()
        case _:
            return "it is no name of a host"
