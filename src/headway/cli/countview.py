"""What `headway count` shows people: a request or a job, what it takes, and where it goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headway.cli.display import short, visible
from headway.cli.figures import duration
from headway.cli.usage import dollars
from headway.context.counting import Count
from headway.context.explaining import Explanation, cache_lines, said
from headway.context.jobfile import JobCount
from headway.context.report import JobReport, ModelSum, Report
from headway.context.taking import Draw, Fit, beyond
from headway.core.limit import Limit

_WAYS = {"fit": "by estimate", "ctok": "by ctok", "provider": "by the provider"}
_KINDS = {"text": "text of one message", "messages": "a list of messages", "request": "a request"}
_STYLES = {"fits": "green", "may fit": "yellow", "does not fit": "bold red", "not known": "yellow"}
_PERIODS = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "day"}
_WIDE = 100  # columns with room for bars
_BAR = 20
_FEW = 1  # sources of limits that are shown one limit a line


def picture(found: Report, name: str, kind: str, why: str, width: int, *, explain: bool) -> Group:
    """One request, `width` columns wide."""
    grid = _grid()
    grid.add_row("input", Text(f"{visible(name)}: {_KINDS[kind]}"))
    grid.add_row("model", Text.assemble((visible(found.model), "bold"), (f"  ({why})", "dim")))
    grid.add_row("tokens", _tokens(found.count))
    if found.count.way != "fit":
        grid.add_row("", Text(f"headway's own estimate was {found.estimate}", style="dim"))
    grid.add_row("window", _window(found.fit, found.max_tokens, _messages(found)))
    for label, text in _money(found):
        grid.add_row(label, text)
    parts: list[RenderableType] = [grid]
    if explain:
        parts += [Text(""), *_explained(found.explanation, width)]
    return Group(
        *parts, *_limits(found.draws, width, found.model, is_refused=found.fit.verdict == "does not fit")
    )


def job_picture(found: JobReport, name: str, fallback: str, why: str, width: int) -> Group:
    """One job, `width` columns wide."""
    counted = found.count
    grid = _grid()
    grid.add_row(
        "input", Text(f"{visible(name)}: a job of {counted.lines:,} line{'' if counted.lines == 1 else 's'}")
    )
    if fallback in counted.models:
        which = "for every line" if why == "--model" else "where a line names none"
        grid.add_row("model", Text(f"{visible(fallback)} {which} ({why})"))
    grid.add_row("tokens", _tokens(counted.count))
    if 0 < counted.asked < counted.lines:
        grid.add_row(
            "", Text(f"{counted.asked:,} lines were counted so, the rest is corrected by them", style="dim")
        )
    grid.add_row(
        "a line",
        Text(f"{counted.p50:,} half of them, {counted.p90:,} nine in ten, {counted.most:,} the most"),
    )
    parts: list[RenderableType] = [grid, *_models(found.models, width), *_largest(counted)]
    for model, draws in found.draws.items():
        title = f"its largest line, on {visible(model)}" if len(found.draws) > 1 else "its largest line"
        parts += _limits(draws, width, model, title=title)
    return Group(*parts, *_bad(counted))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column(overflow="fold")
    return grid


def _tokens(count: Count) -> Text:
    spread = f"  {count.low:,} to {count.high:,}, nine times in ten" if count.low < count.high else ""
    return Text.assemble((f"{count.tokens:,}", "bold"), spread, (f"  ({_WAYS[count.way]})", "dim"))


def _window(fit: Fit, max_tokens: int, messages: int) -> Text:
    if fit.window is None or fit.left is None:
        return Text(fit.note, style="yellow")
    used = (fit.window - fit.left) / fit.window
    text = Text.assemble((fit.verdict, _STYLES[fit.verdict]), f": {_percent(used)} of {fit.window:,}")
    if fit.note:
        text.append(f"; {fit.note}")
        if fit.verdict == "does not fit" and messages > 1:
            text.append(". headway.context.fit trims a conversation", style="dim")
    elif fit.left is not None:
        text.append(f"; {fit.left:,} left for a reply of at most {max_tokens:,}")
    return text


def _messages(found: Report) -> int:
    return sum(bool(item.role) for item in found.explanation.items)


def _money(found: Report) -> Iterator[tuple[str, Text]]:
    cost = found.cost
    if cost.input is None:
        yield "cost", Text("no price is known for this model", style="yellow")
        return
    yield "cost", Text.assemble((dollars(cost.input), "bold"), " for the input alone")
    if found.max_tokens and cost.expected is not None and cost.most is not None:
        likely = f"{dollars(cost.expected)} with {found.expected_output:,} tokens out"
        yield "", Text.assemble(likely, (f"  ({found.expected_because})", "dim"))
        yield "", Text(f"{dollars(cost.most)} at most, with all {found.max_tokens:,}")
    if cost.read is not None and cost.written is not None:
        hour = f", {cost.hour:,} of them for an hour" if cost.hour else ""
        cacheable = f"{cost.cacheable:,} tokens in the prompt cache{hour}"
        yield (
            "cached",
            Text(
                f"{dollars(cost.read)} for the input if read, {dollars(cost.written)} if written: {cacheable}"
            ),
        )


def _limits(
    draws: Sequence[Draw], width: int, model: str, title: str = "", *, is_refused: bool = False
) -> Iterator[RenderableType]:
    """What it takes of each limit, and a sentence for each that it empties."""
    if not draws:
        yield Text(f"No limits are known for {visible(model)}: name yours with --limits.", style="dim")
        return
    yield Text("")
    sources = list(dict.fromkeys(draw.source for draw in draws))
    yield _of_tiers(draws, sources, title) if len(sources) > _FEW else _of_limits(draws, width, title)
    if is_refused:
        return  # said already, by the window
    for note in dict.fromkeys(f"{_named(draw)}: {beyond(draw)}." for draw in draws if draw.is_whole):
        yield Text(note, style="yellow")


def _of_limits(draws: Sequence[Draw], width: int, title: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.add_column(f"limit of {title}" if title else "limit", no_wrap=True, overflow="ellipsis")
    for head in ("takes", "of", "share", "refilled in"):
        table.add_column(head, justify="right", no_wrap=True)
    if width >= _WIDE:
        table.add_column("")
    for draw in draws:
        table.add_row(*_limit_row(draw, width))
    return table


def _of_tiers(draws: Sequence[Draw], sources: Sequence[str], title: str) -> Table:
    """All tiers, a line each, where nobody said which one it is."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.add_column(f"tier, {title}" if title else "tier", no_wrap=True, overflow="ellipsis")
    units = list(dict.fromkeys(draw.limit.unit for draw in draws))
    for unit in units:
        table.add_column(unit.value.replace("_", " "), justify="right", no_wrap=True)
    for source in sources:
        cells = {draw.limit.unit: _of_tier(draw) for draw in draws if draw.source == source}
        table.add_row(visible(source), *[cells.get(unit, Text("")) for unit in units])
    return table


def _of_tier(draw: Draw) -> Text:
    return Text.assemble((_percent(draw.share), _style(draw)), (f" of {_amount(draw.limit)}", "dim"))


def _style(draw: Draw) -> str:
    return "bold red" if draw.share > 1 else "yellow" if draw.share > 0.5 else ""


def _limit_row(draw: Draw, width: int) -> Iterator[RenderableType]:
    style = _style(draw)
    yield Text(_named(draw))
    yield f"{draw.amount:,}"
    yield _amount(draw.limit)
    yield Text(_percent(draw.share), style=style)
    yield _seconds(draw.refill_s)
    if width >= _WIDE:
        yield ProgressBar(
            total=1.0, completed=min(draw.share, 1.0), width=_BAR, complete_style=style or "green"
        )


def _named(draw: Draw) -> str:
    unit = draw.limit.unit.value.replace("_", " ")
    return visible(f"{unit}, {draw.source}" if draw.source else unit)


def _amount(limit: Limit) -> str:
    period = _PERIODS.get(limit.period_s, f"{limit.period_s:g}s")
    amount = (
        f"{limit.amount:,.0f}"
        if limit.amount < 10_000
        else short(limit.amount).replace(".0k", "k").replace(".00M", "M")
    )
    return f"{amount}/{period}"


def _models(models: Sequence[ModelSum], width: int) -> Iterator[RenderableType]:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=max(20, width - 56))
    for head in ("lines", "input", "output", "cost", "as batch", "at most"):
        table.add_column(head, justify="right", no_wrap=True)
    for each in models:
        cells = (_price(each.cost_nanousd), _price(each.batch_nanousd), _price(each.most_nanousd))
        tokens = (f"{each.lines:,}", short(each.input_tokens), f"~{short(each.expected_output_tokens)}")
        table.add_row(Text(visible(each.model)), *tokens, *cells)
    yield Text("")
    yield table
    yield Text("Output and cost by what replies usually take; at most, with all of max_tokens.", style="dim")


def _largest(counted: JobCount) -> Iterator[RenderableType]:
    if counted.lines < 2:
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.add_column("largest lines", no_wrap=True, overflow="ellipsis", max_width=50)
    table.add_column("line", justify="right")
    table.add_column("tokens", justify="right")
    for each in counted.largest:
        table.add_row(Text(visible(each.custom_id)), f"{each.line:,}", f"{each.tokens:,}")
    yield Text("")
    yield table


def _bad(counted: JobCount) -> Iterator[RenderableType]:
    if not counted.bad:
        return
    large = f", {counted.too_large:,} of them too large for their model" if counted.too_large else ""
    yield Text("")
    lines = (
        "1 line cannot be run and is not counted"
        if counted.bad == 1
        else f"{counted.bad:,} lines cannot be run and are not counted"
    )
    yield Text(f"{lines}{large}:", style="yellow")
    for bad in counted.bad_lines[:5]:
        yield Text(f"  {visible(str(bad))}", style="yellow", overflow="fold")
    if counted.bad > 5:
        yield Text(f"  … and {counted.bad - 5:,} more", style="yellow")


def _explained(explanation: Explanation, width: int) -> Iterator[RenderableType]:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("what", no_wrap=True, overflow="ellipsis")
    if width >= _WIDE:
        table.add_column("")
    shown, rest = explanation.split()
    for item in shown:
        bar = [ProgressBar(total=1.0, completed=item.share, width=_BAR)] if width >= _WIDE else []
        style = "" if item.cacheable else "default"
        table.add_row(f"{item.tokens:,}", f"{item.share:.1%}", Text(said(item), style=style), *bar)
    if rest:
        share = sum(item.share for item in rest)
        table.add_row(f"{sum(item.tokens for item in rest):,}", f"{share:.1%}", f"{len(rest):,} smaller ones")
    yield table
    kinds = ", ".join(f"{kind} {tokens:,}" for kind, tokens in explanation.kinds.items())
    yield Text(visible(f"by kind: {kinds}"), style="dim")
    for line in cache_lines(explanation):
        yield Text(visible(line), style="dim")


def _price(nanousd: int | None) -> str:
    return "?" if nanousd is None else dollars(nanousd)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}" if share >= 0.00095 else "<0.1%"


def _seconds(seconds: float) -> str:
    return duration(seconds * 1000)
