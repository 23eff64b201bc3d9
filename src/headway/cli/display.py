"""Draws a running job: bars and colour on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headway.jobs.view import LimitView, View

TERMINAL_EVERY_S, PLAIN_EVERY_S = 0.2, 5.0
FIRST_AFTER_S = 1.0
NARROW = 76  # columns; below, only the most important is shown


class ScanDisplay:
    """Shows how far the scan is, if it takes longer than a second. Use as a context manager."""

    def __init__(self, console: Console, size: int) -> None:
        self._console = console
        self._size = max(size, 1)
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )
        self._shown_at = monotonic() + FIRST_AFTER_S - self._every_s
        self._is_live = False

    @property
    def _every_s(self) -> float:
        return TERMINAL_EVERY_S if self._live is not None else PLAIN_EVERY_S

    def __enter__(self) -> ScanDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None and self._is_live:
            self._live.stop()

    def show(self, read: int) -> None:
        """So many bytes are read and checked."""
        now = monotonic()
        if now - self._shown_at < self._every_s:
            return
        self._shown_at = now
        text = f"checking the job: {min(read / self._size, 1.0):.0%} of {short(self._size)}B"
        if self._live is None:
            _say(text)
            return
        if not self._is_live:
            self._is_live = True
            self._live.start()
        self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)


class Display:
    """Use as a context manager; `show` draws a picture of the job."""

    def __init__(self, console: Console, *, plain_lines: bool = False) -> None:
        self._console = console
        self._is_terminal = _can_draw(console) and not plain_lines
        self._live = Live(console=console, auto_refresh=False, transient=True) if self._is_terminal else None
        self._last = ""

    @property
    def every_s(self) -> float:
        """How often to show something."""
        return TERMINAL_EVERY_S if self._is_terminal else PLAIN_EVERY_S

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, view: View) -> None:
        """Draw the job as it is now."""
        if self._live is not None:
            self._live.update(draw(view, self._console.width), refresh=True)
            return
        line = plain(view)
        if line != self._last:
            _say(line)
            self._last = line


def _can_draw(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def _say(line: str) -> None:
    """One line to stderr. That nobody reads it any more is no reason to end a job."""
    with suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def draw(view: View, width: int) -> RenderableType:
    """The job as a few lines of bars and numbers, at most `width` wide."""
    bar = max(10, min(40, width - 50))
    head = Table.grid(padding=(0, 1))
    head.add_row(
        ProgressBar(total=max(view.total, 1), completed=view.done, width=bar),
        Text(f"{view.done:,} of {view.total:,}", style="bold", no_wrap=True),
        Text(f"{view.failed:,} failed", style="red", no_wrap=True) if view.failed else Text(""),
        Text(f"{view.in_flight:,} in flight" if width >= NARROW else "", style="cyan", no_wrap=True),
        Text(_left(view), no_wrap=True),
    )
    money = Text.assemble(
        ("tokens ", "dim"),
        f"{short(view.input_tokens)} in, {short(view.output_tokens)} out",
        (f" of about {short(view.expected_input)}, {short(view.expected_output)}   ", "dim"),
        ("cost ", "dim"),
        f"${view.usd:,.2f}",
        ("" if view.expected_usd is None else f" of about ${view.expected_usd:,.2f}", "dim"),
        (f"   {view.rate_limited:,} refused", "yellow") if view.rate_limited else "",
        no_wrap=width >= NARROW,
        overflow="ellipsis",
    )
    limits = Table.grid(padding=(0, 1))
    for limit in view.limits:
        limits.add_row(*_limit_row(limit, bar, width))
    rows: list[RenderableType] = [head, money, limits]
    if view.waits_for:
        rows.append(Text(f"next call waits for: {view.waits_for}", style="yellow", no_wrap=True))
    if view.note:
        rows.append(Text(visible(view.note), style="red", overflow="ellipsis", no_wrap=True))
    return Group(*rows)


def _limit_row(limit: LimitView, bar: int, width: int) -> tuple[RenderableType, ...]:
    full = "learning" if limit.fullness is None else f"{limit.fullness:4.0%} left"
    shown = ProgressBar(
        total=1.0,
        completed=limit.fullness or 0.0,
        width=max(8, bar // 2),
        complete_style="green" if not limit.binds else "yellow",
        finished_style="green",
    )
    used = f"{limit.share_used:4.0%} of quota used" if width >= NARROW else ""
    binds = Text("binds" if limit.binds else "", style="yellow", no_wrap=True)
    name = Text(f"{limit.name:>26}", no_wrap=True, overflow="ellipsis")
    return name, shown, Text(full, style="dim", no_wrap=True), Text(used, no_wrap=True), binds


def plain(view: View) -> str:
    """The job as one line of text."""
    parts = [
        f"{view.done:,}/{view.total:,} done",
        f"{view.failed:,} failed",
        f"{view.in_flight:,} in flight",
        f"{short(view.input_tokens)} in",
        f"{short(view.output_tokens)} out",
        f"${view.usd:,.4f}",
        f"{clock(view.elapsed_s)} gone",
    ]
    if view.left_s is not None and view.done < view.total:
        parts.append(f"{clock(view.left_s)} left")
    if view.rate_limited:
        parts.append(f"{view.rate_limited:,} refused")
    if view.waits_for:
        parts.append(f"waits for {view.waits_for}")
    if view.note:
        parts.append(visible(view.note))
    return ", ".join(parts)


def _left(view: View) -> str:
    gone = clock(view.elapsed_s)
    return (
        gone if view.left_s is None or view.done >= view.total else f"{gone} gone, {clock(view.left_s)} left"
    )


def clock(seconds: float) -> str:
    """Seconds as 7s, 1:05 or 2:03:04."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def short(amount: float) -> str:
    """A count for eyes: 950, 12.3k, 4.56M."""
    for bound, scale, unit, digits in ((1e3, 1, "", 0), (1e6, 1e3, "k", 1), (1e9, 1e6, "M", 2)):
        if amount < bound:
            return f"{amount / scale:,.{digits}f}{unit}"
    return f"{amount / 1e9:,.2f}G"


def show_summary(summary: Mapping[str, Any], console: Console) -> None:
    """The summary for people."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    for name, what in _rows(summary):
        table.add_row(name, what)
    console.print(table)
    for kind, count in summary["errors"].items():
        console.print(Text(f"  {count:,} × {visible(kind)}", style="red"))
    if summary["stopped"]:
        stopped = summary["stopped"]
        console.print(Text.assemble(("stopped: ", "bold yellow"), visible(stopped["reason"])), soft_wrap=True)
        if stopped["hint"]:
            console.print(Text.assemble(("hint: ", "bold"), visible(stopped["hint"])), soft_wrap=True)
    elif summary["errored"] or summary["already_errored"]:
        hint = "what is errored can be run again with --retry-errored"
        console.print(Text.assemble(("hint: ", "bold"), hint), soft_wrap=True)


def _rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    done, tokens = [(f"{summary['succeeded']:,} succeeded", "bold")], summary["tokens"]
    for key, words, style in (
        ("errored", "errored", "red"),
        ("already_done", "done before", ""),
        ("left", "left", "yellow"),
    ):
        done += [(", ", ""), (f"{summary[key]:,} {words}", style)] if summary[key] else []
    yield "calls", Text.assemble(*done)
    yield "attempts", Text(f"{summary['attempts']:,}, {summary['rate_limited']:,} refused by a limit (429)")
    written = tokens["cache_write_5m"] + tokens["cache_write_1h"]
    cached = [f"{short(tokens['cache_read'])} read from cache"] if tokens["cache_read"] else []
    cached += [f"{short(written)} written to it"] if written else []
    counts = [f"{short(tokens['input'])} in", *cached, f"{short(tokens['output'])} out"]
    yield "tokens", Text(", ".join(counts))
    cost = f"${summary['cost_usd']:,.4f}"
    if summary["cost_before_usd"]:
        cost += f", after ${summary['cost_before_usd']:,.4f} in earlier runs"
    if summary["unpriced_attempts"]:
        cost += f", and {summary['unpriced_attempts']:,} attempts of unknown price"
    if summary["estimated_attempts"]:
        cost += f", {summary['estimated_attempts']:,} broken attempts estimated"
    yield "cost", Text(cost)
    yield "time", Text(clock(summary["elapsed_s"]))
    for limit in summary["limits"]:
        period = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}.get(limit["period_s"])
        per = f"a {period}" if period else f"in {limit['period_s']:g} s"
        used = f"{limit['share_used']:.0%} of {limit['amount']:,.0f} {per} used"
        yield limit["unit"].replace("_", " "), Text(f"{used}, bound for {clock(limit['bound_s'])}")
    yield "results", Text(visible(summary["output"]), overflow="fold")


def visible(text: str) -> str:
    """What others wrote, without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else "�" for character in text)
