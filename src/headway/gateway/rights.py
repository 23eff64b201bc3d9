"""What the bearer of a key may do: whose calls they are, how urgent at most, which models and which paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec

from headway.core.call import Class
from headway.exchange.scope import Scope, from_headers
from headway.gateway.head import TRAILER, Head
from headway.gateway.keys import OPEN, Key, Keys
from headway.gateway.refusal import Denied

AT_ONCE_S = (
    0.005  # who may not wait at all still has the time in which it is found out that nothing is in the way
)
_URGENCY = {Class.INTERACTIVE: 0, Class.STANDARD: 1, Class.BULK: 2}
_FREE = re.compile(r"/v1/(?:models|files)(?:/.*)?")  # costs nothing, names no model to be asked
_LOOPBACK = re.compile(
    rb"(?:https?://)?(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a call of each class may stand in line if nothing else is said, seconds."""

    interactive: float = 60.0
    standard: float = 300.0
    bulk: float = 3600.0

    def of(self, class_: Class) -> float:
        """That of one class."""
        return float(getattr(self, class_.value))


class _Params(msgspec.Struct):
    model: str = ""


class _Line(msgspec.Struct):
    params: _Params


class _Batch(msgspec.Struct):
    requests: list[_Line]


_batch = msgspec.json.Decoder(_Batch).decode


def key_of(head: Head, keys: Keys, *, is_open: bool) -> Key:
    """Whose request it is. Raises Denied: no key, or none that is good; for `is_open`, a page that has no business here."""
    found = keys.find(head.presented)
    if found is not None:
        return found
    if not is_open:
        raise Denied(401, "authentication_error", "invalid x-api-key: it is no key of this gateway")
    if _LOOPBACK.fullmatch(head.host) is None or (head.origin and _LOOPBACK.fullmatch(head.origin) is None):
        raise Denied(
            403, "permission_error", "Without a key this gateway serves programs of its own machine only."
        )
    return OPEN


def scope_of(head: Head, key: Key, waits: Waits | None) -> Scope:
    """What the key and the `headway-*` headers say; `waits` is for who says nothing of it (None: no word of ours).

    Raises InputError for headers that cannot be read.
    """
    if not head.ours:
        return _usual(key, waits)
    said = from_headers({name: value for name, value in head.ours.items() if name != TRAILER}, Scope())
    if said.tenant not in ("", key.tenant):
        raise Denied(403, "permission_error", "headway-tenant: calls belong to the tenant of their key.")
    class_ = key.class_ if said.class_ is None else max(said.class_, key.class_, key=_URGENCY.__getitem__)
    wait_s = said.max_wait_s
    if wait_s is not None:
        wait_s = max(wait_s, AT_ONCE_S)
    elif waits is not None:
        wait_s = waits.of(class_)
    return replace(said, tenant=key.tenant, class_=class_, max_wait_s=wait_s)


@lru_cache(maxsize=1024)
def _usual(key: Key, waits: Waits | None) -> Scope:
    return Scope(
        tenant=key.tenant,
        class_=key.class_,
        max_wait_s=None if waits is None else max(waits.of(key.class_), AT_ONCE_S),
    )


def check_call(key: Key, head: Head, pool: str, request: Mapping[str, Any] | None, body: bytes) -> None:
    """Raise Denied if a limited call asks for more than the key allows."""
    if not (key.models or key.budgets) or head.method != "POST":
        return
    if pool == "anthropic/batches":
        if key.budgets:
            raise Denied(
                403, "permission_error", "This key has a budget, in which batches cannot be counted."
            )
        _check_batch(key, body)
        return
    if request is None:
        raise Denied(400, "invalid_request_error", "The body of the request is no JSON object.")
    model = request.get("model")
    _check_model(key, model if isinstance(model, str) else "")


def check_path(key: Key, head: Head) -> None:
    """Raise Denied if a restricted key asks for something of which it is not known what it costs."""
    if (key.models or key.budgets) and _FREE.fullmatch(head.path) is None:
        raise Denied(
            403,
            "permission_error",
            f"This key has a budget or is for some models, and may not ask for {head.path}.",
        )


def _check_batch(key: Key, body: bytes) -> None:
    try:
        lines = _batch(body).requests
    except (msgspec.DecodeError, UnicodeError):
        raise Denied(
            400, "invalid_request_error", "The body of the request is no batch of messages."
        ) from None
    for line in lines:
        _check_model(key, line.params.model)


def _check_model(key: Key, model: str) -> None:
    if not key.allows(model):
        raise Denied(403, "permission_error", f"This key may not use the model {model[:100]!r}.")
