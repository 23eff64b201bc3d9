"""Virtual keys: whose a presented secret is, and what its bearer may do.

A secret is `hw-NAME-RANDOM`, with 190 random bits. It is kept as its plain SHA-256: what nobody can guess needs no slow
hash, and each call is checked with it. The name of a key shows in lists and logs, the secret never.
"""

from __future__ import annotations

import logging
import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

from headway.core.call import Class
from headway.errors import ConfigError, InputError
from headway.gateway.keyfile import Stored, read_keys
from headway.gateway.period import parse_plan

_LETTERS = string.ascii_letters + string.digits
_RANDOM = 32  # letters of 62: 190 bits
_LONGEST = 100  # bytes of a secret; what is longer is none
_NEVER_NS = 2**63 - 1
_log = logging.getLogger("headway")


@dataclass(frozen=True, slots=True)
class Key:
    """What one virtual key may do. `id` is its name. `models` are glob patterns (none: all models). `budgets` are those of
    its tenant, as written on any of its keys ("20usd/day"). `expires_ns` is wall time, `most_in_flight` counts calls (None:
    as the limits allow)."""

    id: str
    tenant: str
    class_: Class
    weight: float = 1.0
    models: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()
    expires_ns: int | None = None
    most_in_flight: int | None = None

    def allows(self, model: str) -> bool:
        """Whether it may ask this model."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)


OPEN = Key("open", "default", Class.STANDARD)  # of everybody, where no key is asked for

_Proof = tuple[bytes, int]  # the SHA-256 of a secret, and until when it is good


@dataclass(frozen=True, slots=True)
class _Known:
    key: Key | None
    proofs: tuple[_Proof, ...]


_NO_PROOF: _Proof = (secrets.token_bytes(32), 0)
_NOBODY = _Known(None, (_NO_PROOF, _NO_PROOF))


class Keys:
    """The keys of a file (None: there are none). `clock` is wall time in nanoseconds.

    Raises ConfigError if the file cannot be used; nothing after that does.
    """

    def __init__(self, path: Path | None, clock: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._clock = clock
        self._known: dict[bytes, _Known] = {} if path is None else _index(path)

    def find(self, presented: str | bytes) -> Key | None:
        """Whose this is; None for an unknown, expired or revoked one.

        Takes the same time for every secret that is not right: a known name with a wrong secret, or an unknown name.
        """
        secret = presented.encode("utf-8", "replace") if isinstance(presented, str) else presented
        secret = secret[:_LONGEST]
        digest, now = sha256(secret).digest(), self._clock()
        known = self._known.get(secret[3:].rpartition(b"-")[0], _NOBODY)
        found = None
        for proof, until in known.proofs:
            if compare_digest(proof, digest) and now < until:
                found = known.key
        return found

    def all(self) -> tuple[Key, ...]:
        """All keys that are good now, by name."""
        now = self._clock()
        return tuple(
            known.key
            for _, known in sorted(self._known.items())
            if known.key is not None and any(now < until for _, until in known.proofs)
        )

    def reload(self) -> None:
        """Read the file again. If that cannot be done the keys stay as they are, and the log says why."""
        if self._path is None:
            return
        try:
            self._known = _index(self._path)
        except ConfigError as error:
            _log.error("the keys stay as they were: %s", error)


def new_secret(name: str) -> tuple[str, str]:
    """A secret for a key of that name, and its SHA-256 in hex."""
    secret = f"hw-{name}-{''.join(secrets.choice(_LETTERS) for _ in range(_RANDOM))}"
    return secret, sha256(secret.encode()).hexdigest()


def _index(path: Path) -> dict[bytes, _Known]:
    stored = [each for each in read_keys(path) if each.revoked is None]
    of_tenants: dict[str, dict[str, None]] = {}
    for each in stored:
        of_tenants.setdefault(each.tenant, {}).update(dict.fromkeys(each.budgets))
        for budget in each.budgets:
            _check(path, each.name, budget)
    budgets = {tenant: tuple(written) for tenant, written in of_tenants.items()}
    return {each.name.encode(): _known(each, budgets[each.tenant]) for each in stored}


def _check(path: Path, name: str, budget: str) -> None:
    try:
        parse_plan(budget)
    except InputError as error:
        raise ConfigError(f"{path}: key {name}: {error}", hint=error.hint) from None


def _known(stored: Stored, budgets: tuple[str, ...]) -> _Known:
    expires_ns = None if stored.expires is None else _ns(stored.expires)
    key = Key(
        id=stored.name,
        tenant=stored.tenant,
        class_=stored.class_,
        weight=stored.weight,
        models=stored.models,
        budgets=budgets,
        expires_ns=expires_ns,
        most_in_flight=stored.max_in_flight,
    )
    last = _NEVER_NS if expires_ns is None else expires_ns
    proofs = [
        (bytes.fromhex(proof.sha256), min(last, _NEVER_NS if proof.expires is None else _ns(proof.expires)))
        for proof in stored.proofs
    ]
    return _Known(key, (*proofs, *[_NO_PROOF] * (2 - len(proofs))))


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
