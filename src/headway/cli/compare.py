"""`headway compare`: prompt variants over the same inputs, and which one to take."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Annotated, BinaryIO

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from headway.cli.display import Display, visible
from headway.cli.files import is_text, open_job
from headway.cli.run import DEFAULT_PROFILE
from headway.cli.usage import dollars, humane
from headway.config import Config, load

if TYPE_CHECKING:  # what a comparison needs is loaded when there is one
    from headway.workbench.comparison import Comparison, Options, Report
    from headway.workbench.summary import Spread, Summary
    from headway.workbench.verdict import Beside

_NAMES = 24  # columns of the names of the figures
_LEAST, _MOST = 18, 24  # columns of a variant

VariantsFile = Annotated[
    Path, typer.Argument(metavar="VARIANTS.toml", help="The variants, and how to check them.")
]
InputsFile = Annotated[
    str,
    typer.Argument(
        metavar="INPUTS.jsonl", help="An object a line, with the fields of the prompts; - reads stdin."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Where results go. Default: VARIANTS.results.jsonl in this folder."),
]
MaxCost = Annotated[
    str | None,
    typer.Option(help="Never spend more on this comparison, in all its runs, judge included: 5usd."),
]
Repeat = Annotated[int, typer.Option(help="How often each variant gets each input.", min=1, max=1000)]
Baseline = Annotated[
    str | None, typer.Option(help="The variant that the others are held against. Default: the first.")
]
JudgeModel = Annotated[
    str | None, typer.Option(metavar="MODEL", help="The model that judges; it wins over \\[judge].")
]
Margin = Annotated[
    float,
    typer.Option(help="How much worse still counts as not worse, in points of 100.", min=0.1, max=50),
]
Confidence = Annotated[
    float, typer.Option(help="Confidence of all intervals together, in percent.", min=50, max=99.9)
]
Emulate = Annotated[
    str | None,
    typer.Option(
        "--emulate",
        metavar="[PROFILE]",
        help=f"Run against the built-in emulator; no key needed. Without a profile: {DEFAULT_PROFILE}.",
    ),
]
LedgerFile = Annotated[
    str | None,
    typer.Option("--ledger", help="The ledger's file, or none. Default: the platform's data folder."),
]
RetryErrored = Annotated[
    bool, typer.Option("--retry-errored", help="Ask again what ended with an error before.")
]
Show = Annotated[bool, typer.Option("--show", help="Only show what is on file: nothing is sent.")]
AsJson = Annotated[bool, typer.Option("--json", help="The report as one JSON object on stdout.")]


def compare(
    variants: VariantsFile,
    inputs: InputsFile,
    output: Output = None,
    max_cost: MaxCost = None,
    repeat: Repeat = 1,
    baseline: Baseline = None,
    judge: JudgeModel = None,
    margin: Margin = 5.0,
    confidence: Confidence = 95.0,
    emulate: Emulate = None,
    ledger: LedgerFile = None,
    retry_errored: RetryErrored = False,
    show: Show = False,
    as_json: AsJson = False,
) -> None:
    """Run prompt variants over the same inputs, under your quota, and say which is the cheapest that is not worse.

    Resumable: the same command goes on where it ended, and a variant that you left alone is not asked again.

    Examples:

        headway compare variants.toml inputs.jsonl --emulate      try the set-up, without a key

        headway compare variants.toml inputs.jsonl --max-cost 5usd

        headway compare variants.toml inputs.jsonl --show         the figures again; nothing is sent
    """
    from headway.assemble import build
    from headway.workbench.comparison import Comparison

    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_job(inputs))
        options = _options(
            (variants, inputs, source, output),
            (repeat, baseline, judge, retry_errored),
            (margin, confidence),
            emulate,
        )
        config = load(os.environ, flags=True, max_cost=max_cost, ledger=ledger)
        if emulate is not None and not show:
            config = stack.enter_context(_emulated(config, emulate))
        elif not show:
            config.headers()  # a missing key is said before anything else
        comparison = Comparison(options, build(config, time_ns))
        stack.callback(comparison.close)
        raise typer.Exit(_go(comparison, as_json, show=show))


def _options(
    files: tuple[Path, str, BinaryIO, Path | None],
    how: tuple[int, str | None, str | None, bool],
    percent: tuple[float, float],
    emulate: str | None,
) -> Options:
    from headway.workbench.comparison import Options
    from headway.workbench.variants import read_inputs, read_sheet

    variants, name, source, output = files
    repeats, baseline, judge, retry_errored = how
    sheet = read_sheet(variants)
    called = "standard input" if name == "-" else name
    return Options(
        sheet=sheet,
        inputs=read_inputs(source, called, is_text=is_text(name, source)),
        inputs_name=called,
        output=output or Path(f"{sheet.name}.results.jsonl"),
        repeats=repeats,
        baseline=baseline,
        judge_model=judge,
        margin=percent[0] / 100.0,
        confidence=percent[1] / 100.0,
        retry_errored=retry_errored,
        emulated=emulate or "",
    )


@contextlib.contextmanager
def _emulated(config: Config, profile: str) -> Iterator[Config]:
    """The same settings, against an emulator in a process of its own. It is recorded only where a ledger is named."""
    from headway.emulator.process import spawn

    with spawn(profile) as emulator:
        ledger = config.ledger or "none"
        yield replace(config, base_url=emulator.url, api_key="sk-emulated", auth_token=None, ledger=ledger)


def _go(comparison: Comparison, as_json: bool, *, show: bool) -> int:
    """Ask, unless only what is there is to be shown; then show it. Returns the exit code."""
    err = Console(stderr=True, highlight=False)
    stop = None
    if not show:
        err.print(_before(comparison))
        with Display(err) as display:
            stop = comparison.run(display.show, display.every_s)
    report = comparison.report()
    if as_json:
        told = {"stopped": stop and stop.reason, "results": str(comparison.options.output), **asdict(report)}
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()
    elif show and report.missing == report.calls:
        sys.stdout.write(
            f"There are no replies yet: {report.calls:,} calls are to be made. Leave --show out.\n"
        )
    else:
        console = Console(highlight=False)
        console.print(picture(report, console.width))
        console.print(
            Text(f"results: {visible(str(comparison.options.output))}", style="dim"), soft_wrap=True
        )
    if comparison.bench.ledger_problem:
        err.print(Text(f"ledger: {visible(comparison.bench.ledger_problem)}", style="yellow"))
    if stop is not None:
        err.print(Text.assemble(("stopped: ", "bold yellow"), visible(stop.reason)), soft_wrap=True)
        err.print(Text.assemble(("hint: ", "bold"), visible(stop.hint)), soft_wrap=True)
        return stop.exit_code
    return 1 if any(each.errors for each in report.summaries) else 0


def _before(comparison: Comparison) -> str:
    """What is about to be asked, and what that will cost."""
    calls, left, cost = len(comparison.trials), comparison.left, comparison.expected_nanousd
    about = f", about {dollars(cost)} by estimate" if cost else ""
    if left == calls:
        return f"{calls:,} calls{about}."
    if not left:
        return f"{calls:,} calls, all of them have replies already."
    return f"{calls:,} calls, {calls - left:,} of them have replies already; {left:,} are left{about}."


def picture(report: Report, width: int) -> Group:
    """The report for eyes: figures down, variants across, in as many tables as the width asks for; then the verdict."""
    beside: dict[str, Beside | None] = {report.verdict.baseline: None}
    beside |= {each.variant: each for each in report.verdict.others}
    column = max(_LEAST, min(_MOST, max(len(each.variant) for each in report.summaries) + 2))
    fit = max(1, (width - _NAMES) // column)
    parts: list[RenderableType] = [
        _table(report, report.summaries[start : start + fit], beside, column)
        for start in range(0, len(report.summaries), fit)
    ]
    lines = [
        Text(visible(line), style="bold" if not place else "")
        for place, line in enumerate(report.verdict.lines)
    ]
    return Group(*parts, "", *lines, *(Text(visible(note), style="dim") for note in _notes(report)))


def _table(
    report: Report, summaries: Sequence[Summary], beside: Mapping[str, Beside | None], column: int
) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("", style="dim", no_wrap=True)
    for each in summaries:
        chosen = each.variant == report.verdict.choice
        name = Text(visible(each.variant), style="bold green" if chosen else "bold", overflow="ellipsis")
        table.add_column(name, justify="right", no_wrap=True, max_width=column)
    for figure, value in _FIGURES:
        cells = [value(each, beside[each.variant]) for each in summaries]
        if any(cell for cell in cells):
            table.add_row(figure, *(Text(visible(cell)) for cell in cells))
    return table


def _notes(report: Report) -> Iterator[str]:
    """What figures alone would hide."""
    verdict = report.verdict
    for each in report.summaries:
        if cut := each.stop_reasons.get("max_tokens", 0):
            yield f"{each.variant}: {cut:,} of {each.calls:,} replies were cut off at max_tokens."
    if report.check or report.judge_model:
        said = (report.check, report.judge_model and f"judge {report.judge_model}")
        yield (
            f"Passed: {' and '.join(filter(None, said))}. Not worse: above -{verdict.margin * 100:g} points of "
            f"{verdict.baseline}. Intervals: {verdict.confidence:.0%}; shares by Wilson's score, differences by "
            f"Tango's (paired, {len(verdict.others)} at once), cost by bootstrap."
        )
    if report.judge_calls:
        took = f"Judging took {report.judge_calls:,} calls and {dollars(report.judge_cost_nanousd)}"
        first = report.judge_first
        won = "" if first is None else f" Of two answers the one it read first won in {first:.0%}."
        yield f"{took}, not in the costs above.{won}"
    unscored = sum(each.unscored for each in report.summaries)
    if unscored and not report.missing:
        yield f"{unscored:,} calls have no score: the judge did not say, or the API failed. They do not count."
    if report.missing:
        yield f"{report.missing:,} of {report.calls:,} calls have no reply yet: figures are of those that have."
    if any(each.unpriced for each in report.summaries):
        yield "Some calls have no known price; their tokens count, their cost does not."
    if report.emulated:
        yield "Emulated: replies are filler. This tries the set-up; it says nothing about the prompts."


def _errors(each: Summary, _beside: Beside | None) -> str:
    return f"{each.errors:,}" if each.errors else ""


def _passed(each: Summary, _beside: Beside | None) -> str:
    found = each.score
    return "" if found is None else f"{found.value:.0%} ({found.low * 100:.0f}-{found.high * 100:.0f})"


def _points(_each: Summary, beside: Beside | None) -> str:
    found = None if beside is None else beside.difference
    return (
        ""
        if found is None
        else f"{found.value * 100:+.0f} ({found.low * 100:+.0f} to {found.high * 100:+.0f})"
    )


def _word(_each: Summary, beside: Beside | None) -> str:
    return "" if beside is None or beside.difference is None else beside.word.value


def _cost(each: Summary, _beside: Beside | None) -> str:
    return dollars(each.cost_nanousd // each.calls) if each.calls and each.unpriced < each.calls else "?"


def _times(_each: Summary, beside: Beside | None) -> str:
    found = None if beside is None else beside.cost_ratio
    return "" if found is None else f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"


def _mean(total: Callable[[Summary], int]) -> Callable[[Summary, Beside | None], str]:
    return lambda each, _beside: humane(total(each) // each.calls) if each.calls else ""


def _cached(each: Summary, _beside: Beside | None) -> str:
    return (
        f"{each.cached:.0%}"
        if each.cached and each.cache_read_tokens
        else "-"
        if each.cache_write_tokens
        else ""
    )


def _spread(
    spread: Callable[[Summary], Spread], show: Callable[[float], str]
) -> Callable[[Summary, Beside | None], str]:
    def value(each: Summary, _beside: Beside | None) -> str:
        found = spread(each)
        long_end = "-" if found.p90 is None else show(found.p90)
        return "" if found.p50 is None else f"{show(found.p50)} / {long_end}"

    return value


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.2f}s" if ms < 9_995 else f"{ms / 1000:.1f}s"


def _ends(each: Summary, _beside: Beside | None) -> str:
    ends = {name: count for name, count in each.stop_reasons.items() if name != "end_turn"}
    return ", ".join(f"{count:,} {name}" for name, count in ends.items())


_FIGURES: tuple[tuple[str, Callable[[Summary, Beside | None], str]], ...] = (
    ("calls", lambda each, _beside: f"{each.calls:,}"),
    ("errors", _errors),
    ("passed", _passed),
    ("beside the baseline", _points),
    ("so it is", _word),
    ("cost a call", _cost),
    ("cost, times", _times),
    ("input a call", _mean(lambda each: each.input_tokens)),
    ("read from cache", _cached),
    ("output a call", _mean(lambda each: each.output_tokens)),
    (
        "output P50 / P90",
        _spread(lambda each: each.output_tokens_a_call, lambda tokens: humane(round(tokens))),
    ),
    ("first token P50 / P90", _spread(lambda each: each.first_token_ms, _seconds)),
    ("whole reply P50 / P90", _spread(lambda each: each.total_ms, _seconds)),
    ("ended otherwise", _ends),
)
