"""The engine that users hold: settings made to run, with its ledger, shared by threads, event loops and clients.

One engine is one organisation's quota. Unless told otherwise, everything in a process that talks to the same base URL
shares one (`shared`).
"""

from __future__ import annotations

import atexit
import logging
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from itertools import count
from secrets import token_hex
from threading import Lock
from types import TracebackType
from typing import Any

import httpx2

from headway.assemble import Parts, build, fingerprinting, open_ledger
from headway.config import Config, load
from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.core.cap import parse_cap
from headway.core.ports import Level
from headway.core.retry import Retry
from headway.core.totals import Total
from headway.drivers.turnstile import Turnstile
from headway.errors import ConfigError, LedgerError
from headway.hooks import Hooks, teller
from headway.ledger.lessons import keep_learnt, recall_lessons
from headway.ledger.price import Prices
from headway.ledger.sqlite import NoLedger, SqliteLedger
from headway.providers.density import Density

RETRIES = 4  # of a failed call, about six seconds in all: somebody waits for it
_log = logging.getLogger("headway")


class Engine:
    """Paces, meters and records the calls of every client that is given it. Safe to share between threads and loops.

        engine = headway.Engine(tier="tier-2", hooks=headway.Hooks(waiting=print))
        client = anthropic.Anthropic(http_client=headway.client(engine=engine))

    `settings` are those of `headway.toml` as arguments: they win over the environment, which wins over the file. Raises
    ConfigError for settings that cannot be used, LedgerError if a ledger that you named cannot be opened.

    In a forked child it begins anew: the child paces on its own and knows nothing of its parent's calls.
    """

    def __init__(
        self, config: Config | None = None, *, hooks: Hooks | Sequence[Hooks] = (), **settings: Any
    ) -> None:
        if config is not None and settings:
            raise ConfigError("give either a Config or settings, not both")
        self.config = load(os.environ, **settings) if config is None else config
        retries = self.config.retries
        self.retry = Retry(RETRIES if retries is None else retries)
        self._tell = teller(hooks)
        budget = self.config.session.budget
        with self.config.blaming("session.budget"):
            self.session_cap = parse_cap(budget, "session") if budget else None
        self._lock = Lock()
        self._origin = ""
        self._is_closed = False
        parts = build(self.config, time.time_ns)
        self.ledger = _ledger_of(self.config, parts.prices)
        self._set_up(parts)
        _living.add(self)
        atexit.register(_close, weakref.ref(self))

    def _set_up(self, parts: Parts) -> None:
        self.catalog, self.provider, self.prices, self.core = (
            parts.catalog,
            parts.provider,
            parts.prices,
            parts.engine,
        )
        if isinstance(self.ledger, SqliteLedger):
            self.provider = fingerprinting(parts.provider, self.config)
        self.core.lessons = self._lessons
        self.density = Density()
        self.turnstile = Turnstile(self.core, self.ledger, time.monotonic, time.time_ns, self._tell)
        self._ids, self._serial = token_hex(5), count(1)

    def begin_anew(self) -> None:
        """After a fork, in the child: locks may be held and tickets belong to threads that are not here."""
        self._lock = Lock()
        self.turnstile.retire(NoLedger())
        self._set_up(build(self.config, time.time_ns))

    def meet(self, origin: str) -> None:
        """Calls go to this origin. What is learnt about its buckets is kept under the first one's name."""
        if not self._origin:
            self._origin = origin

    def new_id(self) -> str:
        """A name for a call that no other call has, in any process."""
        return f"{self._ids}-{next(self._serial)}"

    def usage(self) -> tuple[Total, ...]:
        """What was used so far, by session and model, calls in flight included. Live; the ledger has it for good."""
        return self.turnstile.look(lambda: self.core.usage())

    def levels(self) -> Mapping[str, tuple[Level, ...]]:
        """How full each limit is that is known, by pool."""
        now = time.monotonic()
        return self.turnstile.look(
            lambda: {name: self.core.levels(name, now) for name in tuple(self.core.pools)}
        )

    def flush(self, timeout_s: float = 10.0) -> None:
        """Wait until all that was recorded is on file. Raises LedgerError if that takes too long."""
        self.ledger.flush(timeout_s)

    def close(self) -> None:
        """Keep what was learnt and end the ledger's thread. Calls in flight may still end; a second time does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        keep_learnt(self.ledger, self._origin, self.core, time.time_ns())
        self.ledger.stop()
        if self.ledger.problem:
            _log.warning("ledger: %s", self.ledger.problem)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError(
            "a headway engine lives in one process and cannot be pickled: make one where it is used, with headway.Engine()"
        )

    def _lessons(self, pool: str) -> Mapping[Unit, Lesson]:
        return recall_lessons(self.ledger, self._origin, pool, time.time_ns())


_living: weakref.WeakSet[Engine] = weakref.WeakSet()
_shared: dict[str, Engine] = {}
_sharing = Lock()


def shared(origin: str) -> Engine:
    """The engine of this process for calls to `origin`, made with the settings at hand when it is first asked for."""
    engine = _shared.get(origin)
    if engine is None:
        with _sharing:
            engine = _shared.get(origin)
            if engine is None:
                engine = _shared[origin] = Engine(base_url=origin)
    return engine


def engine(base_url: str | None = None) -> Engine:
    """The engine that clients without one of their own share in this process, for calls to `base_url` (default: the API
    that the settings name): `headway.engine().usage()`."""
    url = httpx2.URL(base_url or load(os.environ).base_url)
    return shared(f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}")


def _ledger_of(config: Config, prices: Prices) -> SqliteLedger | NoLedger:
    """The ledger of the settings. One that nobody asked for and that cannot be opened is done without: calls must go on."""
    try:
        return open_ledger(config, prices)
    except LedgerError as error:
        if config.ledger:
            raise
        _log.warning("calls are not recorded: %s", error)
        return NoLedger()


def _close(engine: weakref.ref[Engine]) -> None:
    living = engine()
    if living is not None:
        living.close()


def _after_fork() -> None:
    global _sharing
    _sharing = Lock()
    engines = list(_living)
    for engine in engines:
        engine.begin_anew()
    if engines:
        _log.warning(
            "this process was forked: its calls are paced on their own, beside those of the parent. "
            "Processes share one quota through one gateway, not through copies of an engine."
        )


os.register_at_fork(after_in_child=_after_fork)
