"""A job file made ready to be planned: scanned, sized, with what the ledger tells."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import typer
from rich.console import Console, RenderableType
from rich.status import Status

from headway.assemble import build
from headway.cli.files import is_text, open_job
from headway.config import Config
from headway.errors import JobFileError
from headway.jobs.check import bad_report, checker
from headway.jobs.index import Index, scan
from headway.jobs.lines import Defaults
from headway.jobs.record import Options
from headway.ledger.sqlite import default_path
from headway.planner.beginnings import Shared
from headway.planner.reading import Glance, first_text
from headway.planner.replies import Replies
from headway.planner.shape import Check, shape_of
from headway.planner.sizes import Sizes
from headway.planner.stage import Staged, stage
from headway.planner.whatif import Material
from headway.planner.world import Tempo

SHOWN_AFTER_S = 1.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a plan is made from; `bad` says which lines cannot be run, and why."""

    staged: Staged
    material: Material
    bad: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What is said of the replies, instead of what the ledger tells; and how far back that is asked."""

    replies: Replies | None
    tempo: Tempo | None
    since_ns: int


def prepare(
    stack: ExitStack, job: str, config: Config, defaults: Defaults, beliefs: Beliefs, say: Say
) -> Ready:
    """Scan the job and look at the ledger. Raises JobFileError if nothing of it can be run."""
    source = stack.enter_context(open_job(job))
    name = "standard input" if job == "-" else job
    options = Options(source, name, None, defaults, is_text(job, source))
    parts = build(config, time.time_ns)
    check = checker(parts, options)
    glance = Glance(parts.provider, check, defaults, is_text=options.is_text)
    size = max(os.fstat(source.fileno()).st_size, 1)
    index = scan(source, glance, lambda read: say(f"reading the job: {read / size:.0%}"))
    report = bad_report(index, name).replace("; nothing was sent", "") if index.bad_count else ""
    if not index.good_count:
        raise JobFileError(report or f"{name} has no lines", hint="There is nothing to plan.")
    say("sizing a sample of the lines")
    staged = stage(
        shape_of(index, check),
        Sizes(index, check),
        config,
        "job" if job == "-" else Path(job).stem,  # the name under which `headway run` would record it
        replies=beliefs.replies,
        tempo=beliefs.tempo,
        ledger=_ledger_of(config),
        since_ns=beliefs.since_ns,
        at_ns=time.time_ns(),
    )
    material = Material(parts.provider, check, _beginnings(index, check, glance), _ledger_of(config))
    return Ready(staged, material, tuple(report.split("\n")) if report else ())


def _beginnings(index: Index, check: Check, glance: Glance) -> Callable[[int], Sequence[Shared]]:
    def text_of(number: int) -> str:
        messages = check(index.read(number), number + 1).line.request["messages"]
        return first_text(messages[0]["content"])

    return lambda least: glance.beginnings.shared(least, text_of)


def _ledger_of(config: Config) -> Path | None:
    if config.ledger == "none":
        return None
    return Path(config.ledger) if config.ledger else default_path()


@contextmanager
def telling(console: Console) -> Iterator[Say]:
    """Say on a terminal what is being done, once it takes longer than a second."""
    if not console.is_terminal:
        yield lambda _what: None
        return
    began, is_shown = time.monotonic(), False
    status = Status("planning", console=console)

    def say(what: str) -> None:
        nonlocal is_shown
        if not is_shown and time.monotonic() - began > SHOWN_AFTER_S:
            status.start()
            is_shown = True
        if is_shown:
            status.update(what)

    try:
        yield say
    finally:
        status.stop()


class Picture(Protocol):
    """What is shown to eyes, `width` columns wide; `colour`: whether its chart may have it."""

    def __call__(self, width: int, *, colour: bool) -> RenderableType: ...


def give(
    values: Callable[[], Any], picture: Picture, page: Callable[[], str], *, as_json: bool, html: Path | None
) -> None:
    """An answer as it was asked for: on standard output for machines or for eyes, and as a page."""
    if html is not None:
        from headway.charts.page import save

        save(html, page())
    if as_json:
        typer.echo(json.dumps(values()))
        return
    console = Console(highlight=False)
    colour = console.color_system is not None and not console.no_color
    console.print(picture(console.width, colour=colour))
    if html is not None:
        typer.echo(f"page: {html}")
