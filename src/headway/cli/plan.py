"""`headway plan`: how long a job takes and what it costs, before anything is sent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.status import Status

from headway.cli.files import is_text, open_job
from headway.cli.usage import since_ns
from headway.config import Config, load
from headway.errors import JobFileError

if TYPE_CHECKING:
    from headway.planner.beginnings import Shared
    from headway.planner.plan import Plan
    from headway.planner.stage import Staged
    from headway.planner.whatif import Material, WhatIf

SHOWN_AFTER_S = 1.0


def plan(
    job: Annotated[str, typer.Argument(metavar="JOB.jsonl", help="The job file; - reads standard input.")],
    model: Annotated[str | None, typer.Option(help="Model for lines that name none.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Output maximum for lines that give none.", min=0)
    ] = None,
    system: Annotated[str | None, typer.Option(help="System prompt for lines that have none.")] = None,
    tier: Annotated[
        str | None, typer.Option(help="Published limits to plan with, e.g. tier-2, build.")
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option(
            help="Limits to plan with, e.g. requests=50/min,input_tokens=30k/min,output_tokens=8k/min."
        ),
    ] = None,
    burst: Annotated[
        str | None, typer.Option(help="What full buckets hold: 5s of refill, or requests=100,…")
    ] = None,
    output_tokens: Annotated[
        str | None,
        typer.Option(
            help="Length of replies: a mean such as 300, or lognormal:MEDIAN:SIGMA. "
            "Default: learnt from the ledger, else assumed."
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="At most so many calls in flight. Default: as the limits allow.", min=1)
    ] = None,
    since: Annotated[
        str, typer.Option(help="How far back the ledger is asked: 30d, 24h, a date, or all.")
    ] = "30d",
    ledger: Annotated[
        str | None, typer.Option(help="The ledger's file, or none. Default: the platform's data folder.")
    ] = None,
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Plan for models that the catalog does not know.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: exact integers, nanodollars.")
    ] = False,
) -> None:
    """Say how long a job takes, what it costs, which limit binds, and what would change that. Nothing is sent.

    The answer comes from the engine of `headway run` itself, in virtual time.

    Examples:

        headway plan prompts.jsonl --tier tier-2

        headway plan prompts.jsonl --limits requests=50/min,output_tokens=8k/min --output-tokens 300

        headway plan prompts.jsonl --json | jq .seconds.p90
    """
    arguments: dict[str, Any] = {
        "limits": limits,
        "tier": tier,
        "burst": burst,
        "concurrency": concurrency,
        "ledger": ledger,
        "any_model": any_model or None,
    }
    config = load(os.environ, flags=True, **arguments)
    with ExitStack() as stack:
        console = Console(stderr=True, highlight=False)
        say = stack.enter_context(_telling(console))
        staged, bad, material = _staged(
            stack, job, config, (model, max_tokens, system), output_tokens, since, say
        )
        from headway.ledger.price import Prices
        from headway.planner.plan import plan as make
        from headway.planner.whatif import what_ifs

        prices = Prices()
        made = make(staged.scene, staged.doubt, prices, say)
        changes = list(what_ifs(staged.scene, made, material, prices, say))
    if as_json:
        typer.echo(json.dumps(as_values(made, staged, bad, changes)))
    else:
        from headway.cli.planview import picture

        out = Console(highlight=False)
        out.print(picture(made, staged, bad, changes, datetime.now().astimezone()))


def _staged(
    stack: ExitStack,
    job: str,
    config: Config,
    defaults: tuple[str | None, int | None, str | None],
    output_tokens: str | None,
    since: str,
    say: Any,
) -> tuple[Staged, list[str], Material]:
    """Scan the job and look at the ledger. Raises JobFileError if nothing of it can be run."""
    from headway.assemble import build
    from headway.jobs.check import bad_report, checker
    from headway.jobs.index import scan
    from headway.jobs.lines import Defaults
    from headway.jobs.record import Options
    from headway.planner.reading import Glance, first_text
    from headway.planner.replies import stated
    from headway.planner.shape import shape_of
    from headway.planner.sizes import Sizes
    from headway.planner.stage import stage
    from headway.planner.whatif import Material

    replies = stated(output_tokens) if output_tokens else None
    now_ns = time.time_ns()
    back_to = since_ns(since, now_ns)
    source = stack.enter_context(open_job(job))
    name = "standard input" if job == "-" else job
    options = Options(source, name, None, Defaults(*defaults), is_text(job, source))
    parts = build(config, time.time_ns)
    full = checker(parts, options)
    glance = Glance(parts.provider, full, options.defaults, is_text=options.is_text)
    size = max(os.fstat(source.fileno()).st_size, 1)
    index = scan(source, glance, lambda read: say(f"reading, {read / size:.0%}"))
    report = bad_report(index, name).replace("; nothing was sent", "") if index.bad_count else ""
    if not index.good_count:
        raise JobFileError(report or f"{name} has no lines", hint="There is nothing to plan.")
    say("sizing a sample of the lines")
    shape = shape_of(index, full)
    staged = stage(
        shape,
        Sizes(index, full),
        config,
        _job_name(job),
        replies=replies,
        ledger=_ledger_of(config),
        since_ns=back_to,
        at_ns=now_ns,
    )

    def beginnings(least: int) -> Sequence[Shared]:
        def text_of(number: int) -> str:
            messages = full(index.read(number), number + 1).line.request["messages"]
            return first_text(messages[0]["content"])

        return glance.beginnings.shared(least, text_of)

    return staged, report.split("\n") if report else [], Material(parts.provider, full, beginnings)


def _job_name(job: str) -> str:
    """The name under which `headway run` would record it."""
    return "job" if job == "-" else Path(job).stem


def _ledger_of(config: Config) -> Path | None:
    from headway.ledger.sqlite import default_path

    if config.ledger == "none":
        return None
    return Path(config.ledger) if config.ledger else default_path()


@contextmanager
def _telling(console: Console) -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is being done, once it takes longer than a second."""
    began = time.monotonic()
    if not console.is_terminal:
        yield lambda _what: None
        return
    with Status("planning", console=console) as status:
        status.stop()
        shown = False

        def say(what: str) -> None:
            nonlocal shown
            if not shown and time.monotonic() - began > SHOWN_AFTER_S:
                status.start()
                shown = True
            if shown:
                status.update(what)

        yield say


def as_values(made: Plan, staged: Staged, bad: list[str], changes: Sequence[WhatIf]) -> dict[str, Any]:
    """The plan for machines: seconds, whole tokens, whole nanodollars, shares from 0 to 1."""
    course = made.course
    cost = made.nanousd
    return {
        "lines": made.lines,
        "bad_lines": bad,
        "models": list(staged.scene.shape.models),
        "input_tokens": round(made.input_tokens),
        "output_tokens": {key: round(value) for key, value in asdict(made.output_tokens).items()},
        "seconds": {key: round(value, 3) for key, value in asdict(made.seconds).items()},
        "cost_nanousd": None if cost is None else dict(zip(("p10", "p50", "p90"), cost, strict=True)),
        "unpriced_models": list(made.unpriced),
        "waits": {name: round(share, 4) for name, share in course.waited.items()},
        "in_flight": {"p50": course.in_flight[0], "most": course.in_flight[1]},
        "rate_limited": round(course.refused, 1),
        "memory_bytes": made.memory,
        "simulated_lines": course.simulated,
        "limits": [
            {"pool": pool, "unit": limit.unit.value, "amount": limit.amount, "period_s": limit.period_s}
            for pool, known in staged.known.items()
            for limit in known.limits
        ],
        "what_ifs": [asdict(change) for change in changes],
        "known": list(staged.facts),
        "assumed": list(staged.guesses),
    }
