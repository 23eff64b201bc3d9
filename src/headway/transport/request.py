"""Reads the head of a request that an SDK is about to send: is it limited, and whose is it?"""

from __future__ import annotations

import httpx2
from msgspec import Struct

from headway.core.call import Identity
from headway.exchange.scope import PREFIX, Scope, current, from_headers
from headway.runtime import Engine

_BYTES_PREFIX = PREFIX.encode()
_RETRY_COUNT = b"x-stainless-retry-count"
_LENGTH = len(_RETRY_COUNT)


class Asked(Struct, frozen=True):
    """A request, without what was meant for headway only. `identity.pool` is None if it draws on no limit.

    `is_again`: the SDK tried it before.
    """

    request: httpx2.Request
    path: str
    identity: Identity
    scope: Scope
    is_again: bool


def ask(request: httpx2.Request, engine: Engine) -> Asked:
    """Read what the head of a request says. Raises InputError for a `headway-*` header that cannot be read."""
    path = request.url.path
    identity = engine.provider.identify(path, {})
    scope, ours, again = current(), {}, False
    for (
        name,
        value,
    ) in request.headers.raw:  # some twenty, nearly all of them told apart by first letter and length
        if name[:1] in b"hH":
            if name[:8].lower() == _BYTES_PREFIX:
                ours[name.decode("ascii", "replace").lower()] = value.decode("utf-8", "replace")
        elif len(name) == _LENGTH and name.lower() == _RETRY_COUNT:
            again = value != b"0"
    if ours:
        scope = from_headers(ours, scope)
        request = _without(request)
    return Asked(request, path, identity, scope, again)


def _without(request: httpx2.Request) -> httpx2.Request:
    """The same request, without the headers that are for headway."""
    kept = [(name, value) for name, value in request.headers.raw if name[:8].lower() != _BYTES_PREFIX]
    return httpx2.Request(
        request.method, request.url, headers=kept, stream=request.stream, extensions=request.extensions
    )
