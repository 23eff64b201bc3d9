"""The connections below: as the anthropic SDK makes its own, with TCP keep-alive and the proxies of the environment.

Read in anthropic 2.12.0, `_base_client.py`, `_DefaultHttpxClient`: passing a transport of one's own drops both.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.request import getproxies

import httpx2

LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
TIMEOUT = httpx2.Timeout(timeout=600, connect=5.0)  # an int, as theirs: the SDK sends it as text
_KEEP_ALIVE = (("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5), ("TCP_KEEPIDLE", 60))


def plain(proxy: str | None = None, **options: Any) -> httpx2.HTTPTransport:
    """A transport with the SDK's settings; `options` are those of httpx2.HTTPTransport."""
    return httpx2.HTTPTransport(proxy=proxy, **_with_defaults(options))


def plain_async(proxy: str | None = None, **options: Any) -> httpx2.AsyncHTTPTransport:
    """The same, asynchronous."""
    return httpx2.AsyncHTTPTransport(proxy=proxy, **_with_defaults(options))


def proxies() -> dict[str, str | None]:
    """Patterns of addresses and the proxy for them, as the environment says; None: no proxy for these."""
    found = getproxies()
    mounts: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if address := found.get(scheme):
            mounts[f"{scheme}://"] = address if "://" in address else f"http://{address}"
    for host in filter(None, (part.strip() for part in found.get("no", "").split(","))):
        if host == "*":
            return {}
        bare = host.lstrip(".")
        mounts.update({f"all://{bare}": None, f"all://*.{bare}": None} if "://" not in host else {host: None})
    return mounts


def _with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    keep_alive = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in _KEEP_ALIVE:
        if (option := getattr(socket, name, None)) is not None:
            keep_alive.append((socket.IPPROTO_TCP, option, value))
    return {"limits": LIMITS, "socket_options": keep_alive, **options}
