"""Reads a request that an SDK is about to send: is it limited, whose is it, what will it take? Makes a `Call` of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import httpx2

from headway.core.call import Call, Class, Estimate, Identity
from headway.errors import RequestTooLarge
from headway.providers.catalog import oversize
from headway.providers.parsed import parse_object
from headway.runtime import Engine
from headway.transport.scope import PREFIX, Scope, current, from_headers

_NOTHING = Estimate(0.0, 0)
_BYTES_PREFIX = PREFIX.encode()
_RETRY_COUNT = b"x-stainless-retry-count"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, without what was meant for headway only. `identity.pool` is None if it draws on no limit.

    `is_again`: the SDK tried it before.
    """

    request: httpx2.Request
    identity: Identity
    scope: Scope
    is_again: bool


def ask(request: httpx2.Request, engine: Engine) -> Asked:
    """Read what the head of a request says. Raises InputError for a `headway-*` header that cannot be read."""
    identity = engine.provider.identify(request.url.path, {})
    scope, ours, again = current(), {}, False
    for name, value in request.headers.raw:
        start = name[:8].lower()
        if start == _BYTES_PREFIX:
            ours[name.decode("ascii", "replace").lower()] = value.decode("utf-8", "replace")
        elif start == b"x-stainl" and name.lower() == _RETRY_COUNT:
            again = value != b"0"
    if ours:
        scope = from_headers(ours, scope)
        request = _without(request)
    return Asked(request, identity, scope, again)


def call_of(asked: Asked, body: bytes, engine: Engine) -> Call:
    """The call that a limited request is. Raises RequestTooLarge if its model can never serve it."""
    parsed = parse_object(body) or {}
    path, scope, config = asked.request.url.path, asked.scope, engine.config
    identity = engine.provider.identify(path, parsed)
    estimate = engine.provider.estimate(parsed) if draws_tokens(identity) else _NOTHING
    facts = engine.catalog.model(identity.model) if estimate is not _NOTHING else None
    too_large = oversize(facts, estimate) if facts else None
    if too_large is not None:
        raise RequestTooLarge(
            too_large.text,
            what=too_large.what,
            tokens=too_large.tokens,
            most=too_large.most,
            hint="Shorten the prompt, lower max_tokens, or choose a model with more room.",
        )
    said = config.session
    session = scope.session or _user_of(parsed)
    caps = scope.caps
    if not caps and engine.session_cap is not None:
        caps = (replace(engine.session_cap, name=f"session {session or '(none)'}"),)
    max_wait_s = said.max_wait_s if scope.max_wait_s is None else scope.max_wait_s
    return Call(
        id=engine.new_id(),
        path=path,
        body=b"",  # what goes out is the request itself
        identity=identity,
        estimate=estimate,
        tenant=scope.tenant or said.tenant or "default",
        class_=scope.class_ or Class(said.class_ or Class.STANDARD),
        session=session,
        label=scope.label,
        deadline=scope.deadline,
        max_wait_s=config.max_wait_s if max_wait_s is None else max_wait_s,
        stream=parsed.get("stream") is True,
        caps=caps if estimate is not _NOTHING else (),
    )


def draws_tokens(identity: Identity) -> bool:
    """Whether a call of this pool is a message: counting tokens and batches are limited by requests alone."""
    return identity.pool not in (None, "anthropic/count_tokens", "anthropic/batches")


def _user_of(request: dict[str, object]) -> str:
    """The session of a request that says nothing else: the user that it names to the provider."""
    metadata = request.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user[:200] if isinstance(user, str) else ""


def _without(request: httpx2.Request) -> httpx2.Request:
    """The same request, without the headers that are for headway."""
    kept = [(name, value) for name, value in request.headers.raw if name[:8].lower() != _BYTES_PREFIX]
    return httpx2.Request(
        request.method, request.url, headers=kept, stream=request.stream, extensions=request.extensions
    )
