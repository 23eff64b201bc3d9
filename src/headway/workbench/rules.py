"""All rules of lint, and what is made of their findings: which count, which are one and the same, which come first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from headway.errors import InputError
from headway.workbench import asking, caching, contradictions, missing, sharing, tools, waste, wording
from headway.workbench.finding import Finding, Severity
from headway.workbench.measuring import Measure
from headway.workbench.prompts import Prompt, Source

_IGNORE = re.compile(r"headway:\s*ignore((?:[\s,]+HW\d+)+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rule:
    """`id` is its name in flags and comments. `opt_in`: only where it is selected."""

    id: str
    title: str
    opt_in: bool = False


RULES = (
    Rule("HW101", "Something is named that is not there"),
    Rule("HW102", "A place that nobody filled"),
    Rule("HW103", "Instructions that contradict each other"),
    Rule("HW104", "No form is given for output that a program will read", opt_in=True),
    Rule("HW105", "Words that leave open what is meant", opt_in=True),
    Rule("HW106", "Data without marks where it begins and ends"),
    Rule("HW107", "The question before a long document"),
    Rule("HW108", "Capitals for emphasis", opt_in=True),
    Rule("HW201", "A time or an id before fixed text"),
    Rule("HW202", "A place to be filled before fixed text"),
    Rule("HW203", "Tools in changing order"),
    Rule("HW204", "Text that is always the same behind text that changes"),
    Rule("HW205", "A shared beginning that is not cached"),
    Rule("HW206", "A breakpoint before which there is too little to cache"),
    Rule("HW207", "Too many breakpoints"),
    Rule("HW208", "Cache entries that nobody can read"),
    Rule("HW301", "The same paragraph again"),
    Rule("HW302", "Indented JSON"),
    Rule("HW303", "Base64 in text"),
    Rule("HW304", "HTML markup around text"),
    Rule("HW305", "Blanks at line ends and runs of empty lines"),
    Rule("HW306", "Tools that are not used"),
    Rule("HW401", "No max_tokens, or one that is no number of tokens"),
    Rule("HW402", "max_tokens above what the model can put out"),
    Rule("HW403", "A prompt that is too long for its model"),
    Rule("HW404", "A model that is unknown, deprecated or retired"),
    Rule("HW405", "A prefill that is not taken"),
    Rule("HW406", "Sampling parameters that are gone"),
    Rule("HW407", "Messages that the API refuses"),
    Rule("HW408", "Thinking without room"),
)

_Alone = Callable[[Prompt], Iterator[Finding]]
_Counted = Callable[[Prompt, Callable[[str], int]], Iterator[Finding]]
_Measured = Callable[[Prompt, Measure], Iterator[Finding]]
_ALONE: tuple[_Alone, ...] = (
    missing.named_but_missing,
    missing.left_over,
    missing.no_format,
    contradictions.contradictions,
    wording.vague,
    wording.no_delimiters,
    wording.question_first,
    wording.shouting,
)
_COUNTED: tuple[_Counted, ...] = (
    waste.repeated,
    waste.indented_json,
    waste.base64_text,
    waste.html,
    waste.blanks,
)
_MEASURED: tuple[_Measured, ...] = (
    caching.changing_first,
    caching.place_first,
    caching.uncached_template,
    caching.breakpoints,
    asking.ceiling,
    asking.model,
    asking.prefill,
    asking.sampling,
    asking.shape,
)


def lint(
    source: Source,
    measure: Measure,
    chosen: frozenset[str],
    progress: Callable[[int], None] = lambda _done: None,
) -> list[Finding]:
    """All findings of the rules that are `chosen`, in the order of the file; what comments in it ignore is left out."""
    found: list[Finding] = []
    for number, prompt in enumerate(source.prompts):
        progress(number)
        found += [finding for rule in _ALONE for finding in rule(prompt)]
        found += [finding for counted in _COUNTED for finding in counted(prompt, measure.tokens)]
        found += [finding for measured in _MEASURED for finding in measured(prompt, measure)]
    found += missing.unfilled(source.prompts)
    if source.kind == "job":
        found += _of_the_job(source.prompts, measure)
    else:
        found += tools.unused(source.prompts, measure.tokens)
    found = [each for each in dict.fromkeys(found) if each.rule in chosen - ignored(source)]
    return sorted(found, key=lambda each: (each.place.line, each.place.row, each.place.path, each.rule))


def _of_the_job(prompts: Sequence[Prompt], measure: Measure) -> Iterator[Finding]:
    yield from tools.in_changing_order(prompts)
    yield from sharing.fixed_behind_changing(prompts, measure)
    yield from sharing.never_read(prompts, measure)
    yield from tools.unused(prompts, measure.tokens)


def ignored(source: Source) -> frozenset[str]:
    """The rules that a comment in the file switches off: `# headway: ignore HW101, HW203`. JSON has no comments."""
    if source.kind in ("request", "job"):
        return frozenset()
    return frozenset(
        name.upper()
        for match in _IGNORE.finditer(source.text)
        for name in re.findall(r"HW\d+", match[1], re.IGNORECASE)
    )


def choose(select: str | None, ignore: str | None) -> frozenset[str]:
    """The rules that count: all that are not opt-in, or those of `select`, less those of `ignore`. HW2 means all of HW2xx,
    `all` and `default` what they say.

    Raises InputError for a rule that there is not.
    """
    chosen = set(_named("default" if select is None else select, "--select"))
    if not chosen:
        raise InputError("--select names no rule", hint="Like HW301, HW3 for all of those, default, or all.")
    return frozenset(chosen - set(_named(ignore or "", "--ignore")))


def _named(text: str, flag: str) -> Iterator[str]:
    for name in filter(None, re.split(r"[\s,]+", text)):
        match name.lower():
            case "all":
                wanted = [rule.id for rule in RULES]
            case "default":
                wanted = [rule.id for rule in RULES if not rule.opt_in]
            case _:
                wanted = [rule.id for rule in RULES if rule.id.startswith(name.upper())]
        if not wanted:
            raise InputError(
                f"{flag}: there is no rule {name!r}",
                hint="Like HW301, HW3 for all of those, or all. docs/lint.md lists them.",
            )
        yield from wanted


def worst(found: Sequence[Finding]) -> Severity | None:
    """The worst severity among findings."""
    return max((each.severity for each in found), key=lambda each: each.rank, default=None)
