"""The half of `headway plan` that looks back: `--from-ledger 7d --what-if …`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from headway.cli.display import visible
from headway.cli.planjob import give, telling
from headway.cli.usage import since_ns
from headway.config import Config
from headway.errors import InputError

if TYPE_CHECKING:
    from headway.planner.replay import Replay


def replay_ledger(
    since: str,
    what_ifs: Sequence[str],
    config: Config,
    *,
    as_json: bool = False,
    html: Path | None = None,
) -> None:
    """Replay what the ledger of `config` has from `since` (7d, 24h, a date, all) on, and show it.

    Raises what `planner.replay.replay` raises, and InputError where no ledger is kept.
    """
    from headway.ledger.sqlite import default_path
    from headway.planner.replay import replay

    if config.ledger == "none":
        raise InputError("no ledger is kept, so there is nothing to replay", hint="Name one with --ledger.")
    path = Path(config.ledger) if config.ledger else default_path()

    begin_ns = since_ns(since, time.time_ns())
    with telling(Console(stderr=True, highlight=False)) as say:

        def tell(what: str, share: float) -> None:
            say(f"replaying, {visible(what)}: {min(share, 1.0):.0%}")

        made = replay(path, begin_ns, what_ifs, config=config, tell=tell)
    show_replay(made, as_json=as_json, html=html)


def show_replay(made: Replay, *, as_json: bool, html: Path | None) -> None:
    """On standard output, and as a page."""
    from headway.planner.replay_view import as_values, picture

    def made_page() -> str:
        from headway.planner.replay_page import page

        return page(made)

    give(lambda: as_values(made), partial(picture, made), made_page, as_json=as_json, html=html)
