"""What the sync and the async transport share: whose engine, what is passed through, what was given up."""

from __future__ import annotations

import os
import weakref
from typing import Any

import httpx2

from headway.exchange.passing import Passing
from headway.runtime import Engine, shared
from headway.transport.reply import is_own_timeout
from headway.transport.request import Asked
from headway.transport.sdk import GivenUp


class Door:
    """A transport's way to its engine."""

    def __init__(self, engine: Engine | None) -> None:
        self.engine = engine
        self._engines: dict[tuple[str, bytes], Engine] = {}
        self._given_up = GivenUp()
        _living.add(self)

    def renew(self) -> None:
        """In a forked child: whatever a thread of the parent may hold is made anew."""
        self._given_up = GivenUp()

    def engine_for(self, url: httpx2.URL) -> Engine:
        """The engine that calls to this address are paced by."""
        address = (url.scheme, url.netloc)
        engine = self._engines.get(address)
        if engine is None:
            origin = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
            engine = self.engine or shared(origin)
            engine.meet(origin)
            self._engines[address] = engine
        return engine

    def stop_if_given_up(self, asked: Asked, body: bytes) -> None:
        """Raise at once what a call failed with for good, if this is the SDK asking again."""
        given_up = self._given_up
        if given_up.is_empty:
            return None
        address = str(asked.request.url)
        if not asked.is_again:
            return given_up.forget(address, body)
        error = given_up.again(address, body)
        if error is not None:
            raise error
        return None

    def given_up(self, error: httpx2.RequestError, asked: Asked, body: bytes) -> httpx2.RequestError:
        """The connection failed for good. A timeout is the caller's own, who may well try again."""
        if not is_own_timeout(error):
            self._given_up.note(str(asked.request.url), body, error)
        return error

    def passing(self, asked: Asked, engine: Engine) -> Passing:
        """Note a call that draws on no limit."""
        return Passing(engine, asked.request.method, asked.path, asked.scope, asked.identity.model)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a headway transport holds connections and a shared engine, and cannot be pickled: make it in the process "
            "that uses it, with headway.client() or headway.async_client()"
        )


_living: weakref.WeakSet[Door] = weakref.WeakSet()


def _after_fork() -> None:
    for door in list(_living):
        door.renew()


os.register_at_fork(after_in_child=_after_fork)
