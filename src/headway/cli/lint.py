"""`headway lint`: what of a prompt is unclear, breaks the cache, wastes tokens, or will be refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from headway.cli.display import visible
from headway.errors import InputError

if TYPE_CHECKING:  # the rules are loaded when there is something to read
    from headway.workbench.finding import Finding, Severity
    from headway.workbench.prompts import Source

_MANY = 1_000  # prompts, which take about half a second
_SHOWN = 5  # findings of one rule that are shown one by one
_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}

PromptFile = Annotated[
    str,
    typer.Argument(
        metavar="PROMPT", help="Plain text, a Messages request, a job, or VARIANTS.toml; - reads stdin."
    ),
]
SystemFile = Annotated[Path | None, typer.Option(help="A file with the system prompt that goes with it.")]
Model = Annotated[str | None, typer.Option(help="The model of a prompt that names none.")]
Form = Annotated[
    Literal["text", "json"], typer.Option("--format", help="text, or json: one object on stdout.")
]
AsJson = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Select = Annotated[
    str | None,
    typer.Option(help="Only these rules: HW301,HW2 (all of HW2xx), default, all. Opt-in rules need it."),
]
Ignore = Annotated[str | None, typer.Option(help="Not these rules.")]
FailOn = Annotated[
    Literal["info", "warning", "error", "never"], typer.Option(help="Exit code 1 from this severity on.")
]


def lint(
    prompt: PromptFile,
    system: SystemFile = None,
    model: Model = None,
    form: Form = "text",
    as_json: AsJson = False,
    select: Select = None,
    ignore: Ignore = None,
    fail_on: FailOn = "warning",
) -> None:
    """Say what of a prompt is unclear, breaks the prompt cache, wastes tokens, or will be refused. Nothing is sent.

    Each finding has its place, its reason, something better, and the tokens that would save. docs/lint.md has the rules.

    Examples:

        headway lint prompt.txt --system system.txt

        headway lint job.jsonl --ignore HW302

        headway lint variants.toml --select HW2

        headway lint request.json --json | jq .findings
    """
    from headway.workbench.measuring import Measure
    from headway.workbench.prompts import read_source, read_text
    from headway.workbench.rules import choose, worst
    from headway.workbench.rules import lint as look

    chosen = choose(select, ignore)
    beside = None if system is None else (str(system), read_text(str(system), _read(str(system))))
    source = read_source("standard input" if prompt == "-" else prompt, _read(prompt), beside)
    err = Console(stderr=True)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(
            "reading prompts", total=len(source.prompts), visible=len(source.prompts) > _MANY
        )
        found = look(source, Measure(model), chosen, lambda done: progress.update(task, completed=done))
    if as_json or form == "json":
        sys.stdout.buffer.write(msgspec.json.encode(_told(source, found)) + b"\n")
        sys.stdout.buffer.flush()
    else:
        _show(source, found, Console(highlight=False, soft_wrap=not sys.stdout.isatty()))
    if source.bad:  # nobody has looked at them
        raise typer.Exit(2)
    raise typer.Exit(1 if _fails(worst(found), fail_on) else 0)


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from None


def _fails(found: Severity | None, fail_on: str) -> bool:
    from headway.workbench.finding import Severity

    return found is not None and fail_on != "never" and found.rank >= Severity(fail_on).rank


def _told(source: Source, found: Sequence[Finding]) -> dict[str, object]:
    return {
        "file": source.name,
        "kind": source.kind,
        "prompts": len(source.prompts),
        "unreadable_lines": [number for number, _ in source.bad],
        "findings": [asdict(each) for each in found],
    }


def _show(source: Source, found: Sequence[Finding], console: Console) -> None:
    for number, problem in source.bad[:_SHOWN]:
        console.print(Text(f"{visible(source.name)}:{number}: {problem}", style="yellow"))
    if len(source.bad) > _SHOWN:
        console.print(Text(f"  … and {len(source.bad) - _SHOWN:,} more lines", style="yellow"))
    by_rule: dict[str, dict[str, list[Finding]]] = {}
    for each in found:
        by_rule.setdefault(each.rule, {}).setdefault(each.reason, []).append(each)
    for rule, by_reason in sorted(by_rule.items()):
        for same in list(by_reason.values())[:_SHOWN]:
            _show_one(same[0], len(same) - 1, console)
        rest = [each for same in list(by_reason.values())[_SHOWN:] for each in same]
        if rest:
            saves = sum(each.saves for each in rest)
            more = f"  … and {len(rest):,} more of {rule}"
            console.print(Text(more + (f", about {saves:,} tokens" if saves else ""), style="dim"))
    console.print(_summary(source, found))


def _show_one(each: Finding, again: int, console: Console) -> None:
    saves = f" (about {each.saves:,} tokens)" if each.saves else ""
    console.print(
        Text.assemble(
            (f"{visible(str(each.place))}: ", "bold"),
            (f"{each.rule} {each.severity.value}", _STYLES[each.severity.value]),
            f" {visible(each.reason)}",
            (saves, "dim"),
            (f" [and in {again:,} more places]" if again else "", "dim"),
        )
    )
    if each.better:
        console.print(
            Text.assemble(("    better: ", "green"), visible(re.sub(r"\s*\n\s*", " ", each.better)))
        )


def _summary(source: Source, found: Sequence[Finding]) -> Text:
    prompts = f"{len(source.prompts):,} prompt{'s' if len(source.prompts) != 1 else ''}"
    unread = f" {len(source.bad):,} line{'s' if len(source.bad) != 1 else ''} could not be read."
    unread = unread if source.bad else ""
    if not found:
        return Text(f"{prompts}, nothing found.{unread}", style="yellow" if unread else "green")
    counts = [
        (name, sum(each.severity.value == name for each in found)) for name in ("error", "warning", "info")
    ]
    told = ", ".join(
        f"{count:,} {name}{'s' if count != 1 and name != 'info' else ''}" for name, count in counts if count
    )
    return Text(f"{prompts}: {told}.{unread}")
