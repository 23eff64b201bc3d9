"""The proxies that the gateway is compared with, each on one core, and what they take of it.

nginx does nothing but proxy, with connections to the upstream kept open. `bare` is our own server and our own client with
nothing between them. LiteLLM and Portkey are looked for in the environment variables LITELLM (its command) and PORTKEY
(its start-server.js); a row of one that is not there is skipped.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROXY_CORE, LOAD_CORE = "0", "1"
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log /dev/null crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  client_max_body_size 64m; client_body_buffer_size 256k;
  keepalive_requests 100000000;
  upstream api {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering {buffering};
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that runs. `pids` are the processes whose time is its own."""

    name: str
    port: int
    pids: tuple[int, ...]
    headers: tuple[tuple[str, str], ...] = ()
    admin: int = 0
    ledger: Path | None = None

    def cpu_s(self) -> float:
        """CPU seconds so far, all threads."""
        return sum(_cpu_s(pid) for pid in self.pids)

    def memory_kb(self) -> int:
        """Resident memory, KB."""
        return sum(_memory_kb(pid) for pid in self.pids)

    def descriptors(self) -> int:
        """Files and sockets that are open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids)


def _cpu_s(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _memory_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def pinned(core: str, *command: str) -> list[str]:
    """The command, on one core."""
    return ["taskset", "-c", core, *command]


@contextlib.contextmanager
def started(
    command: Sequence[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when its input does, or soon after."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()


@contextlib.contextmanager
def origin(*options: str, core: str = LOAD_CORE) -> Iterator[int]:
    """The fast API; its port."""
    command = pinned(core, sys.executable, str(HERE / "gateway_origin.py"), *options)
    with started(command) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@contextlib.contextmanager
def nginx(folder: Path, upstream: int, *, core: str = PROXY_CORE, stream: bool = False) -> Iterator[Proxy]:
    """nginx, one worker."""
    port = _free_port()
    settings = folder / "nginx.conf"
    buffering = "off" if stream else "on"
    settings.write_text(NGINX.format(folder=folder, upstream=upstream, port=port, buffering=buffering))
    command = pinned(core, shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(settings), "-p", str(folder))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _await(port)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Proxy("nginx", port, (process.pid, *map(int, children)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


@contextlib.contextmanager
def ours(
    folder: Path,
    upstream: int,
    *options: str,
    core: str = PROXY_CORE,
    keys: Sequence[dict[str, Any]] | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Proxy]:
    """The gateway with everything on; `--bare`: nothing of it but its server and its client."""
    home = folder / f"home-{len(list(folder.iterdir()))}"
    home.mkdir()
    write_keys(home / "keys.json", keys or [{"name": "bench", "budgets": ["100000usd/day"]}])
    name = "bare" if "--bare" in options else "headway"
    url = f"http://127.0.0.1:{upstream}"
    command = pinned(core, sys.executable, str(HERE / "gateway_serve.py"), url, str(home), *options)
    settings = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home)}
    with started(command, settings | (environment or {})) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        headers = (("x-api-key", secret_of("bench")),)
        yield Proxy(name, said["port"], (process.pid,), headers, said["admin"], home / "ledger.sqlite3")


def write_keys(path: Path, keys: Sequence[dict[str, Any]]) -> None:
    """A file of keys whose secrets are `secret_of` their names."""
    added = datetime.now(UTC).isoformat()
    stored = [
        {"tenant": key["name"], **key}
        | {"proofs": [{"sha256": sha256(secret_of(key["name"]).encode()).hexdigest(), "added": added}]}
        for key in keys
    ]
    path.touch(mode=0o600)
    path.write_text(json.dumps({"version": 1, "keys": stored}))


def secret_of(name: str) -> str:
    """The secret of a key of these benchmarks."""
    return f"hw-{name}-{'0' * 32}"


@contextlib.contextmanager
def litellm(folder: Path, upstream: int, *, core: str = PROXY_CORE) -> Iterator[Proxy | None]:
    """LiteLLM's proxy, one worker, a master key, no database."""
    command = os.environ.get("LITELLM")
    if not command:
        yield None
        return
    port = _free_port()
    settings = folder / "litellm.json"
    model = {"model": "anthropic/claude-opus-4-20250514", "api_key": "none"}
    model["api_base"] = f"http://127.0.0.1:{upstream}"
    settings.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "claude-opus-4-20250514", "litellm_params": model}],
                "litellm_settings": {"telemetry": False},
                "general_settings": {"master_key": "sk-bench"},
            }
        )
    )
    options = ["--config", str(settings), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "1"]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    with _background(pinned(core, command, *options), quiet) as process:
        _await(port, 120.0)
        yield Proxy("litellm", port, _all(process.pid), (("x-api-key", "sk-bench"),))


@contextlib.contextmanager
def portkey(upstream: int, *, core: str = PROXY_CORE) -> Iterator[Proxy | None]:
    """Portkey's gateway, told by headers where the API is."""
    script = os.environ.get("PORTKEY")
    if not script:
        yield None
        return
    port = _free_port()
    command = pinned(core, "node", script, f"--port={port}", "--headless")
    with _background(command, {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}) as process:
        _await(port, 60.0)
        told = (
            ("x-api-key", "none"),
            ("authorization", "Bearer none"),
            ("x-portkey-provider", "anthropic"),
            ("x-portkey-custom-host", f"http://127.0.0.1:{upstream}/v1"),
        )
        yield Proxy("portkey", port, _all(process.pid), told)


@contextlib.contextmanager
def _background(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _all(pid: int) -> tuple[int, ...]:
    """A process and all that it started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += _all(int(child))
    return tuple(found)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await(port: int, patience_s: float = 10.0) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
