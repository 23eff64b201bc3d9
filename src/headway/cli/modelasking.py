"""What `headway models` goes by: settings, ledger, and what the API tells when it is asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from headway.cli.progress import Progress
from headway.config import Config
from headway.errors import HeadwayError, LedgerError
from headway.ledger.sqlite import default_path

if TYPE_CHECKING:  # a table of what is published asks nobody
    from headway.catalog.limits import KnownLimits
    from headway.catalog.measured import Measured
    from headway.catalog.organisation import Live

    _Read = Callable[[Path, Callable[[int], object]], dict[str, Measured]]

_FRESH_NS = 3600 * 10**9  # for so long the organisation's limits are not asked for again


@dataclass(slots=True)
class View:
    """What is asked, when, and what has to be said about it besides."""

    config: Config
    now_ns: int
    notes: list[str] = field(default_factory=list)

    @property
    def today(self) -> str:
        """The day, in UTC."""
        return datetime.fromtimestamp(self.now_ns / 1e9, UTC).date().isoformat()

    @property
    def path(self) -> Path | None:
        """The ledger; None: none is kept."""
        if self.config.ledger == "none":
            return None
        return Path(self.config.ledger) if self.config.ledger else default_path()

    def read_measured(self, read: _Read) -> dict[str, Measured]:
        """What the ledger measured. One that cannot be read is a note, unless it was named just now: then a LedgerError."""
        if self.path is None:
            return {}
        try:
            with Progress(sys.stderr, "adding up the ledger") as progress:
                return read(self.path, progress.left)
        except LedgerError as error:
            if self.config.sources.get("ledger") == "--ledger":
                raise
            self.notes.append(f"Nothing measured is shown: {error}.")
            return {}

    def limits(self) -> dict[str, KnownLimits]:
        """The limits that hold, by pool; those of a tier that was just asked for, whatever the organisation has."""
        from headway.catalog.limits import known_limits

        asked_for_tier = self.config.sources.get("tier") == "--tier"
        return known_limits(self.config, None if asked_for_tier else self.path, self.now_ns)


def ask(view: View, refresh: bool) -> tuple[Live, ...]:
    """Ask the API what it may tell; what it does not is a note, not an error."""
    admin_key = os.environ.get("ANTHROPIC_ADMIN_KEY", "").strip()
    if admin_key and (refresh or not _is_fresh(view)):
        try:
            _learn_limits(view, admin_key)
        except HeadwayError as error:
            view.notes.append(f"Your organisation's limits could not be had: {error}. {error.hint}")
    elif refresh and not admin_key:
        view.notes.append("Your organisation's limits need an Admin key: set ANTHROPIC_ADMIN_KEY.")
    if not refresh:
        return ()
    from headway.catalog.organisation import Api

    config = view.config
    key = config.api_key or config.auth_token
    if not key:
        view.notes.append("Models as the API lists them need a key: set ANTHROPIC_API_KEY.")
        return ()
    try:
        with _patience("Asking the API for its models"):
            return Api(config.base_url, key, config.api_version, bearer=not config.api_key).models()
    except HeadwayError as error:
        view.notes.append(f"The API's list of models could not be had: {error}. {error.hint}")
        return ()


def _patience(what: str) -> AbstractContextManager[object]:
    """Says what is waited for, on a terminal."""
    console = Console(stderr=True)
    return console.status(what) if console.is_terminal else nullcontext()


def _is_fresh(view: View) -> bool:
    from headway.catalog.organisation import recall

    kept = recall(view.path, view.config.base_url) if view.path else None
    return kept is not None and view.now_ns - kept.at_ns < _FRESH_NS


def _learn_limits(view: View, key: str) -> None:
    from headway.catalog.organisation import Api, keep

    with _patience("Asking the API for your organisation's limits"):
        groups = Api(view.config.base_url, key, view.config.api_version).rate_limits()
    if view.path is None:
        view.notes.append("Your organisation's limits are not kept: there is no ledger.")
    else:
        keep(view.path, view.config.base_url, groups, view.now_ns)
