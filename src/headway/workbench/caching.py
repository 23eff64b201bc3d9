"""Rules about the prompt cache that one prompt shows: HW201, HW202, HW205 of variants, HW206, HW207.

A cache matches from the start, so what changes belongs behind what does not. Only prompts that are long enough to be
cached are looked at: each model has a least length (`min_cacheable_tokens`). Reads cost a tenth of the price of input,
writes a quarter more (https://platform.claude.com/docs/en/build-with-claude/prompt-caching, read 2026-11-24).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.workbench.english import is_code
from headway.workbench.finding import Finding, Severity
from headway.workbench.measuring import Measure
from headway.workbench.prompts import Prompt
from headway.workbench.template import split_at_first_place

_CHANGING = re.compile(
    r"\b(?:current|today(?:'?s)?|local|now|system)[ _]?(?:date|time|datetime|timestamp)?(?: and time)?\s*(?:is|=|:)"
    r"[^\n]{0,40}?\d\d?:\d\d"
    r"|\b(?:timestamp|generated at|as of)\s*[:=]?\s*\d[^\n]{0,20}?\d\d?:\d\d"
    r"|\b(?:session|request|trace|conversation|correlation|run|message|user)[ _-]?(?:id|uuid)\s*(?:is|=|:)\s*[\"']?"
    r"(?=[\w-]*\d)[\w-]{8,}"
    r"|\b(?:nonce|cache[_-]?buster|random seed)\s*[:=]\s*\S{4,}",
    re.IGNORECASE,
)
_BEHIND = "and {:,} tokens of fixed text stand behind it: no cache can hold them."
_READ = 0.9  # of the price of a token is saved when it is read from the cache
_MOST_BREAKPOINTS = 4
_SURE = 0.85  # the estimate may be so far off before a breakpoint is called too early


def changing_first(prompt: Prompt, measure: Measure) -> Iterator[Finding]:
    """HW201: a time or an id, by its label, before text that never changes."""
    for place, piece in enumerate(prompt.pieces):
        if piece.role not in ("system", "user") or piece.message > 0:
            return
        for match in _CHANGING.finditer(piece.text):
            behind = [piece.text[match.end() :]]
            behind += [
                each.text
                for each in prompt.pieces[place + 1 :]
                if each.role == "system" or prompt.is_template
            ]
            still = measure.tokens("\n".join(behind)) if piece.role == "system" or prompt.is_template else 0
            if still >= measure.least(prompt.model):
                reason = f"{match[0][:60]!r} changes with each call, {_BEHIND.format(still)}"
                better = "Put it at the end: into the last message, behind the breakpoint."
                yield Finding(
                    "HW201", Severity.WARNING, piece.at(match.start()), reason, better, round(still * _READ)
                )
                return


def place_first(prompt: Prompt, measure: Measure) -> Iterator[Finding]:
    """HW202: a place that is filled anew for each input before text that never changes."""
    if not prompt.is_template:
        return
    for number, piece in enumerate(prompt.pieces):
        if piece.role not in ("system", "user"):
            continue
        before, rest = split_at_first_place(piece.text)
        if not rest or (not prompt.request and is_code(piece.text)):
            continue
        name = rest[1 : rest.index("}")]
        behind = [rest[len(name) + 2 :], *(each.text for each in prompt.pieces[number + 1 :])]
        still = measure.tokens("\n".join(behind))
        if still >= measure.least(prompt.model):
            reason = f"{{{name}}} changes with each input, {_BEHIND.format(still)}"
            better = f"Put the fixed text first and {{{name}}} last."
            yield Finding(
                "HW202", Severity.WARNING, piece.at(len(before)), reason, better, round(still * _READ)
            )
        return


def uncached_template(prompt: Prompt, measure: Measure) -> Iterator[Finding]:
    """HW205 of a variant: it begins with the same text for each input, long enough to be cached, and does not say so."""
    if not prompt.is_template or not prompt.request or prompt.breakpoints:
        return
    still = ""
    for piece in prompt.pieces:
        before, rest = split_at_first_place(piece.text)
        still += before
        if rest:
            break
    tokens = measure.tokens(still)
    if tokens >= measure.least(prompt.model):
        reason = f"{tokens:,} tokens at the start are the same for all inputs, and no breakpoint lets the cache hold them."
        yield Finding("HW205", Severity.WARNING, prompt.own, reason, "cache = true", round(tokens * _READ))


def breakpoints(prompt: Prompt, measure: Measure) -> Iterator[Finding]:
    """HW206, HW207: breakpoints that do nothing because what is before them is too short, or that are too many."""
    marks = prompt.breakpoints
    if marks > _MOST_BREAKPOINTS and prompt.is_messages:
        reason = f"{marks} blocks have cache_control; the API takes {_MOST_BREAKPOINTS} at most."
        yield Finding(
            "HW207",
            Severity.ERROR,
            prompt.own,
            reason,
            "Keep one after the system prompt and one on the last message.",
        )
    if not marks or not prompt.model or not prompt.is_messages:
        return
    held, least = measure.cacheable(prompt.request), measure.least(prompt.model)
    if 0 < held < _SURE * least:
        reason = f"{prompt.model} caches from {least:,} tokens on; about {held:,} stand before the last breakpoint."
        yield Finding(
            "HW206",
            Severity.WARNING,
            prompt.own,
            reason,
            "Take cache_control out, or move more fixed text before it.",
        )
