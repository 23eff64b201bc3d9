"""Makes a `Call` of a limited request: what it draws on, what it will take, whose it is, and whether it can work at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headway.core.call import Call, Class, Estimate, Identity
from headway.errors import RequestTooLarge
from headway.exchange.scope import Scope
from headway.providers.catalog import oversize
from headway.runtime import Engine

_NOTHING = Estimate(0.0, 0)


def call_of(path: str, request: dict[str, Any], scope: Scope, engine: Engine, body: bytes = b"") -> Call:
    """The call that a limited request is; `body` is the same as it came. Raises RequestTooLarge if its model can never serve
    it."""
    identity = engine.provider.identify(path, request)
    is_message = draws_tokens(identity)
    estimate = _NOTHING
    if is_message:
        estimate = engine.provider.estimate(request, body)
    config, said = engine.config, engine.config.session
    session = scope.session or _user_of(request)
    caps = scope.caps
    if not caps and engine.session_cap is not None:
        caps = (replace(engine.session_cap, name=f"session {session or '(none)'}"),)
    max_wait_s = said.max_wait_s if scope.max_wait_s is None else scope.max_wait_s
    call = Call(
        id=engine.new_id(),
        path=path,
        body=b"",  # what goes out is the request itself
        identity=identity,
        estimate=estimate,
        tenant=scope.tenant or said.tenant or "default",
        class_=scope.class_ or (Class(said.class_) if said.class_ else Class.STANDARD),
        session=session,
        job=scope.job,
        label=scope.label if scope.tags else "",
        deadline=scope.deadline,
        max_wait_s=config.max_wait_s if max_wait_s is None else max_wait_s,
        stream=request.get("stream") is True,
        caps=caps if is_message else (),
    )
    if is_message:
        _check(call, engine)
    return call


def draws_tokens(identity: Identity) -> bool:
    """Whether a call of this pool is a message: counting tokens and batches are limited by requests alone."""
    return identity.pool not in (None, "anthropic/count_tokens", "anthropic/batches")


def _check(call: Call, engine: Engine) -> None:
    facts = engine.catalog.model(call.identity.model)
    found = oversize(facts, call.estimate) if facts else None
    if found is None:
        return
    error = RequestTooLarge(
        found.text,
        what=found.what,
        tokens=found.tokens,
        most=found.most,
        hint="Shorten the prompt, lower max_tokens, or choose a model with more room.",
    )
    engine.turnstile.refused(call, error)
    raise error


def _user_of(request: dict[str, Any]) -> str:
    """The session of a request that says nothing else: the user that it names to the provider."""
    metadata = request.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user[:200] if isinstance(user, str) else ""
