"""Reads the head of a request: where it goes, who presents which key, what goes on to the provider, what is for us.

One spelling for each path: what a server could read as another path (dots, doubled or encoded slashes, letters in percent
form) is refused, as the limits and budgets of a call are found by its path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from headway.gateway.refusal import Denied

TRAILER = "headway-trailer"
_PREFIX = b"headway-"
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~:@!$&'()*+,=-]|%[0-9A-Fa-f]{2})+)+/?|/")
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_-]+)+")  # nearly all: nothing in it can be read in two ways
_QUERY = re.compile(rb"[!-~]*")
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_SAME = re.compile(rb"[A-Za-z0-9._~/\\%\x00-\x1f\x7f-]")  # encoded, these are the same path, or another one
# Between two neighbours only, set by the connection, a credential, or where a client sits.
_KEPT_BACK = frozenset(
    b"connection keep-alive proxy-connection proxy-authorization proxy-authenticate te trailer transfer-encoding upgrade "
    b"http2-settings expect host content-length accept-encoding cookie x-api-key authorization forwarded via "
    b"x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-real-ip".split()
)


class Head(msgspec.Struct, frozen=True):
    """`target` is path and query as they go on; `headers` go on, too, without any credential. `ours` are those for headway,
    names in lower case. `presented` is the key; empty: none. `coding` is what the client said to Accept-Encoding, `length`
    how many bytes of body it announced (None: it did not say). `host` and `is_tls` are how the client reaches us."""

    method: str
    path: str
    target: str
    presented: bytes
    headers: list[tuple[bytes, bytes]]
    ours: Mapping[str, str]
    has_version: bool
    coding: bytes
    origin: bytes
    host: bytes
    is_tls: bool
    length: int | None


def read_head(scope: Mapping[str, Any]) -> Head:
    """What the ASGI scope of a request says. Raises Denied for a path that can be read in two ways, and for odd methods."""
    kept: list[tuple[bytes, bytes]] = []
    ours: dict[str, str] = {}
    key = bearer = coding = origin = host = named = b""
    has_version, length, is_tls = False, None, scope.get("scheme") == "https"
    for pair in scope["headers"]:
        name, value = pair
        if name in _KEPT_BACK:
            if name == b"x-api-key":
                key = key or value.strip()
            elif name == b"authorization":
                bearer = bearer or _bearer(value)
            elif name == b"accept-encoding":
                coding = value
            elif name == b"host":
                host = value
            elif name == b"x-forwarded-proto":
                is_tls = value.strip().lower() == b"https"
            elif name == b"content-length":
                length = int(value)
            elif name == b"connection":
                named = named + b"," + value
        elif name.startswith(_PREFIX):
            ours[name.decode("latin-1")] = value.decode("utf-8", "replace")
        else:
            kept.append(pair)
            if name == b"anthropic-version":
                has_version = True
            elif name == b"origin":
                origin = value
    if named and named != b",keep-alive":
        mine = {token.strip().lower() for token in named.split(b",")}
        kept = [pair for pair in kept if pair[0] not in mine]
    path, target = _place(scope)
    method, presented = scope["method"], key or bearer
    if method not in _METHODS:
        raise Denied(405, "invalid_request_error", "The API has no such method.")
    return Head(
        method, path, target, presented, kept, ours, has_version, coding, origin, host, is_tls, length
    )


def _place(scope: Mapping[str, Any]) -> tuple[str, str]:
    path = scope["raw_path"].decode("latin-1")
    if _PLAIN.fullmatch(path) is None and not _is_one_path(path):
        raise Denied(400, "invalid_request_error", "The path of the request is not in its plain form.")
    query = scope["query_string"]
    if not query:
        return path, path
    if _QUERY.fullmatch(query) is None:
        raise Denied(
            400, "invalid_request_error", "The query of the request holds characters that a URL has not."
        )
    return path, f"{path}?{query.decode('ascii')}"


def _is_one_path(path: str) -> bool:
    if _PATH.fullmatch(path) is None or any(part in (".", "..") for part in path.split("/")):
        return False
    return not any(_SAME.search(unquote_to_bytes(run)) for run in _ENCODED.findall(path))


def _bearer(value: bytes) -> bytes:
    kind, _, token = value.strip().partition(b" ")
    return token.strip() if kind.lower() == b"bearer" else b""
