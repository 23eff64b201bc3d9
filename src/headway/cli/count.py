"""`headway count`: how many tokens, what they cost, whether they fit, which limit they take."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from headway.cli.display import ScanDisplay
from headway.cli.files import open_job
from headway.config import Config, load
from headway.errors import ConfigError, InputError

if TYPE_CHECKING:
    from headway.context.exact import Counter
    from headway.context.jobfile import Ask, JobCount
    from headway.context.reading import Asked, JobFile
    from headway.context.report import JobReport, Report

MAX_TOKENS = 4096  # of a text or a list of messages, which have none: what `headway send` allows

_File = Annotated[
    str, typer.Argument(metavar="FILE|-", help="Text, a request, or a job; - reads standard input.")
]
_Model = Annotated[
    str | None, typer.Option(help="Count for this model. Default: the request's, else the one asked last.")
]
_MaxTokens = Annotated[int | None, typer.Option(help="Output maximum, in place of the request's.", min=0)]
_System = Annotated[str | None, typer.Option(help="System prompt, where there is none.")]
_Exact = Annotated[
    bool,
    typer.Option("--exact", help="Let the provider count: free, but it needs a key and sends the request."),
]
_Explain = Annotated[bool, typer.Option("--explain", help="Show where the tokens of a request go.")]
_Tier = Annotated[str | None, typer.Option(help="Published limits to hold it against, e.g. tier-2, build.")]
_Limits = Annotated[str | None, typer.Option(help="Your limits, e.g. requests=50/min,input_tokens=30k/min.")]
_Ledger = Annotated[
    str | None, typer.Option(help="The ledger's file, or none. Default: the platform's data folder.")
]
_Json = Annotated[bool, typer.Option("--json", help="For machines: exact integers, nanodollars.")]


def count(
    file: _File,
    model: _Model = None,
    max_tokens: _MaxTokens = None,
    system: _System = None,
    exact: _Exact = False,
    explain: _Explain = False,
    tier: _Tier = None,
    limits: _Limits = None,
    ledger: _Ledger = None,
    as_json: _Json = False,
) -> None:
    """Count tokens before they are sent: how many, what they cost, whether they fit, which limit they take.

    Offline, unless you ask for --exact. What FILE is, is seen by its content: a request or messages for the Messages
    API as JSON, a job file (JSONL), or any text.

    Examples:

        headway count prompt.txt --model claude-opus-4-8

        git diff | headway count - --tier tier-2

        headway count request.json --explain       where the tokens go

        headway count request.json --exact         the provider's own count

        headway count job.jsonl                    totals, spread, the largest lines
    """
    from headway.context.reading import JobFile, read  # other commands start without it

    config = load(os.environ, flags=True, tier=tier, limits=limits, ledger=ledger)
    name = "standard input" if file == "-" else file
    with ExitStack() as stack:
        source = read(stack.enter_context(open_job(file)), name)
        if isinstance(source, JobFile):
            if explain:
                raise InputError(
                    f"--explain is for one request, and {name} is a job", hint="Leave --explain out."
                )
            ask = stack.enter_context(_counter(config)).count_all if exact else None
            _job(config, source, name, model, max_tokens, system, ask, as_json)
        else:
            _one(config, source, name, model, max_tokens, system, exact, explain, as_json)


def _one(
    config: Config,
    source: Asked,
    name: str,
    model: str | None,
    max_tokens: int | None,
    system: str | None,
    exact: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Count one request and show it."""
    from headway.context.report import report

    request: dict[str, Any] = dict(source.request)
    _check(request, name)
    request["model"], why = _chosen(config, model, request.get("model"))
    if max_tokens is not None:
        request["max_tokens"] = max_tokens
    elif request.get("max_tokens") is None:
        request["max_tokens"] = MAX_TOKENS
    if system is not None:
        request.setdefault("system", system)
    counted = None
    if exact:
        with _counter(config) as counter:
            counted = counter.count(request)
    found = report(config, request, counted, ledger=_ledger(config), at_ns=time.time_ns())
    if as_json:
        typer.echo(json.dumps(_for_machines(found, name, source.kind, why, explain)))
        return
    from headway.cli.countview import picture

    console = Console()
    console.print(picture(found, name, source.kind, why, console.width, explain=explain))


def _check(request: dict[str, Any], name: str) -> None:
    """Refuse what the API would: InputError, as a line of a job is refused."""
    most, model = request.get("max_tokens"), request.get("model")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 0):
        raise InputError(f"{name}: `max_tokens` must be a whole number, not {most!r:.40}")
    if model is not None and not isinstance(model, str):
        raise InputError(f"{name}: `model` must be a name, not {model!r:.40}")


def _job(
    config: Config,
    source: JobFile,
    name: str,
    model: str | None,
    max_tokens: int | None,
    system: str | None,
    ask: Ask | None,
    as_json: bool,
) -> None:
    """Count all lines of a job and show what they add up to."""
    from headway.cli.countview import job_picture
    from headway.context.ctoks import refined_all
    from headway.context.jobfile import count_job
    from headway.context.report import job_report
    from headway.jobs.lines import Defaults

    fallback, why = _chosen(config, model, None)
    size = os.fstat(source.file.fileno()).st_size
    with ScanDisplay(Console(stderr=True, highlight=False), size) as scanning:
        counted: JobCount = count_job(
            source.file,
            defaults=Defaults(fallback, MAX_TOKENS, system),
            model=model,
            max_tokens=max_tokens,
            ask=ask or refined_all,
            progress=scanning.show,
        )
    found = job_report(config, counted, at_ns=time.time_ns())
    if as_json:
        typer.echo(json.dumps(_job_for_machines(found, name)))
        return
    console = Console()
    console.print(job_picture(found, name, fallback, why, console.width))


def _chosen(config: Config, flag: str | None, asked: object) -> tuple[str, str]:
    """The model to count for, and why that one."""
    from headway.context.history import last_model
    from headway.providers.catalog import Catalog

    if flag:
        return flag, "--model"
    if isinstance(asked, str) and asked.strip():
        return asked, "as the request says"
    path = _ledger(config)
    if path is not None and (last := last_model(path)):
        return last, "the one asked last"
    active = [each for each in Catalog.load().models if each.family == "opus" and each.status == "active"]
    newest = max(active, key=lambda facts: [int(part) for part in facts.generation.split(".")])
    return newest.id, "the newest Opus; choose with --model"


def _ledger(config: Config) -> Path | None:
    from headway.ledger.sqlite import default_path

    if config.ledger == "none":
        return None
    return Path(config.ledger) if config.ledger else default_path()


@contextmanager
def _counter(config: Config) -> Iterator[Counter]:
    """One who asks the provider, paced by an engine of its own."""
    from headway.context.exact import Counter
    from headway.runtime import Engine

    try:
        config.headers()  # a missing key is said before anything is set up
    except ConfigError as error:
        raise ConfigError(
            str(error), hint="Set ANTHROPIC_API_KEY, or leave --exact out to count offline."
        ) from None
    with Engine(config) as engine, Counter(engine) as counter:
        yield counter


def _for_machines(found: Report, name: str, kind: str, why: str, explain: bool) -> dict[str, Any]:
    shown = {
        "input": name,
        "kind": kind,
        "model": found.model,
        "model_because": why,
        "tokens": asdict(found.count),
        "max_tokens": found.max_tokens,
        "expected_output_tokens": found.expected_output,
        "cacheable_tokens": found.cost.cacheable,
        "window": asdict(found.fit),
        "cost_nanousd": asdict(found.cost),
        "limits": [_draw(draw) for draw in found.draws],
    }
    return shown | ({"explanation": found.explanation.to_dict()} if explain else {})


def _job_for_machines(found: JobReport, name: str) -> dict[str, Any]:
    counted = found.count
    return {
        "input": name,
        "kind": "job",
        "lines": counted.lines,
        "counted_lines": counted.asked,
        "bad_lines": counted.bad,
        "too_large_lines": counted.too_large,
        "tokens": asdict(counted.count),
        "tokens_per_line": {"p50": counted.p50, "p90": counted.p90, "max": counted.most},
        "largest": [asdict(each) for each in counted.largest],
        "models": [asdict(each) for each in found.models],
        "limits": {model: [_draw(draw) for draw in each] for model, each in found.draws.items()},
    }


def _draw(draw: Any) -> dict[str, Any]:
    return {
        "source": draw.source,
        "unit": draw.limit.unit.value,
        "limit": round(draw.limit.amount),
        "period_s": draw.limit.period_s,
        "amount": draw.amount,
        "share": round(draw.share, 6),
        "refill_s": round(draw.refill_s, 3),
        "is_whole": draw.is_whole,
    }
