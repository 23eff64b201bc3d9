"""`headway plan`: how long a job takes and what it costs, before anything is sent; or what past traffic would have done."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from headway.cli.usage import since_ns
from headway.config import Config, load
from headway.errors import InputError

if TYPE_CHECKING:
    from headway.cli.planjob import Beliefs, Ready, Say
    from headway.cli.planview import Shown

# What only a job is planned with.
_OF_JOBS = (
    "model",
    "max_tokens",
    "system",
    "at",
    "output_tokens",
    "speed",
    "first_token",
    "since",
    "any_model",
)


def plan(
    ctx: typer.Context,
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB.jsonl]", help="The job file; - reads standard input.")
    ] = None,
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
    concurrency: Annotated[
        int | None, typer.Option(help="At most so many calls in flight. Default: as the limits allow.", min=1)
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Lines come at this rate instead of all at once, e.g. 2/min, 10/s.")
    ] = None,
    output_tokens: Annotated[
        str | None,
        typer.Option(
            help="Length of replies: a mean such as 300, or lognormal:MEDIAN:SIGMA. "
            "Default: learnt from the ledger, else assumed."
        ),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Output tokens a second. Default: learnt, else assumed.", min=0.1)
    ] = None,
    first_token: Annotated[
        str | None, typer.Option(help="Time to the first token, e.g. 600ms. Default: learnt, else assumed.")
    ] = None,
    from_ledger: Annotated[
        str | None,
        typer.Option(help="Replay the ledger's traffic since then instead of a job: 7d, 24h, a date, all."),
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            help="With --from-ledger: a change to replay it with, e.g. tier=build; may be repeated."
        ),
    ] = None,
    since: Annotated[
        str, typer.Option(help="How far back the ledger is asked for replies: 30d, 24h, a date, or all.")
    ] = "30d",
    ledger: Annotated[
        str | None, typer.Option(help="The ledger's file, or none. Default: the platform's data folder.")
    ] = None,
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Plan for models that the catalog does not know.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help='Write a page to keep, too. Needs pip install "headway[charts]".')
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: exact integers, nanodollars.")
    ] = False,
) -> None:
    """Say how long a job takes, what it costs, which limit binds, and what would change that. Nothing is sent.

    The answer comes from the engine of `headway run` itself, in virtual time. With --from-ledger it is about the
    traffic that there was: who would have waited how long if something were other.

    Examples:

        headway plan prompts.jsonl --tier tier-2

        headway plan prompts.jsonl --limits output_tokens=8k/min --output-tokens 300

        headway plan prompts.jsonl --at 2/min      whether the quota suffices, if they come one by one

        headway plan prompts.jsonl --json | jq .seconds.p90

        headway plan --from-ledger 7d --what-if tier=build --what-if "load=2x"
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
    if (job is None) == (from_ledger is None):
        raise InputError(
            "give a job file, or --from-ledger, and not both",
            hint="headway plan JOB.jsonl, or headway plan --from-ledger 7d.",
        )
    from headway.cli.planjob import telling

    if job is None:
        _refuse_of_jobs(ctx)
        from headway.cli.replaying import replay_ledger

        replay_ledger(from_ledger or "", what_if or [], config, as_json=as_json, html=html)
        return
    if what_if:
        raise InputError("--what-if goes with --from-ledger", hint="A plan of a job has its own what-ifs.")
    with ExitStack() as stack:
        say = stack.enter_context(telling(Console(stderr=True, highlight=False)))
        beliefs = _beliefs(output_tokens, speed, first_token, since)
        ready = _prepare(stack, job, config, (model, max_tokens, system), beliefs, say)
        shown = _planned(ready, at, say)
    _show(shown, as_json=as_json, html=html)  # progress is gone by now


def _refuse_of_jobs(ctx: typer.Context) -> None:
    """What a job file would be planned with says nothing of traffic that there was."""
    for name in _OF_JOBS:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} goes with a job file, not with --from-ledger", hint="See --what-if.")


def _beliefs(output_tokens: str | None, speed: float | None, first_token: str | None, since: str) -> Beliefs:
    from headway.cli.planjob import Beliefs
    from headway.core.limit import parse_duration
    from headway.planner.replies import stated
    from headway.planner.world import Tempo

    usual, tempo = Tempo(), None
    if speed is not None or first_token is not None:
        first_s = parse_duration(first_token, of="--first-token") if first_token else usual.first_s
        tempo = Tempo(first_s, usual.first_sigma, speed or usual.speed, usual.speed_sigma)
    replies = stated(output_tokens) if output_tokens else None
    return Beliefs(replies, tempo, since_ns(since, time.time_ns()))


def _prepare(
    stack: ExitStack,
    job: str,
    config: Config,
    defaults: tuple[str | None, int | None, str | None],
    beliefs: Beliefs,
    say: Say,
) -> Ready:
    from headway.cli.planjob import prepare
    from headway.jobs.lines import Defaults

    return prepare(stack, job, config, Defaults(*defaults), beliefs, say)


def _planned(ready: Ready, at: str | None, say: Say) -> Shown:
    from headway.cli.planview import Shown
    from headway.core.limit import parse_amount
    from headway.ledger.price import Prices
    from headway.planner.arrivals import arrivals_of
    from headway.planner.plan import plan as make
    from headway.planner.whatif import what_ifs

    arrivals = None
    if at is not None:
        amount, period_s = parse_amount(at, of="--at")
        say("lines that come one by one")
        arrivals = arrivals_of(ready.staged.scene, amount / period_s)
    prices, scene = Prices(), ready.staged.scene
    made = make(scene, ready.staged.doubt, prices, say)
    changes = [] if arrivals else list(what_ifs(scene, made, ready.material, prices, say))
    return Shown(made, ready.staged, ready.bad, tuple(changes), arrivals, datetime.now().astimezone())


def _show(shown: Shown, *, as_json: bool, html: Path | None) -> None:
    from headway.cli.planjob import give
    from headway.cli.planview import as_values, picture

    def made_page() -> str:
        from headway.cli.planpage import page

        return page(shown)

    give(lambda: as_values(shown), partial(picture, shown), made_page, as_json=as_json, html=html)
