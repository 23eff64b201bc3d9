"""Rules about the prompt cache, HW201 to HW208: it matches from the start, so what changes belongs behind what does not.

Only prompts that are long enough to be cached are looked at: each model has a least length (`min_cacheable_tokens`).
Reads cost a tenth of the price of input, writes a quarter more (https://platform.claude.com/docs/en/build-with-claude/prompt-caching,
read 2026-11-24).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from headway.workbench.english import is_code
from headway.workbench.finding import Finding, Severity
from headway.workbench.measuring import Measure
from headway.workbench.prompts import Piece, Prompt
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
_SAME_IN = 0.9  # of the requests of a job: text that so many have is the same
_ALIKE = 20  # characters of a line from which on it is worth comparing
_LOOKED_AT = 2_000  # requests of a job
_FEW = 3  # requests, below which nothing is said about what changes between them
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
    if not prompt.is_template or not prompt.request or _breakpoints(prompt):
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


def tools_in_changing_order(prompts: Sequence[Prompt]) -> Iterator[Finding]:
    """HW203: the same tools in another order. They come first, so nothing behind them is read from the cache."""
    orders: dict[tuple[str, frozenset[str]], tuple[str, ...]] = {}
    changed: Counter[tuple[str, frozenset[str]]] = Counter()
    first: dict[tuple[str, frozenset[str]], Prompt] = {}
    for prompt in prompts:
        tools = prompt.request.get("tools")
        names = tuple(
            str(tool.get("name"))
            for tool in (tools if isinstance(tools, list) else [])
            if isinstance(tool, dict)
        )
        if len(names) > 1:
            kind = (prompt.model, frozenset(names))
            if orders.setdefault(kind, names) != names:
                changed[kind] += 1
                first.setdefault(kind, prompt)
    for kind, count in changed.items():
        reason = f"The same {len(kind[1])} tools stand in another order than in earlier requests ({count:,} times)."
        better = "Sort them by name before sending."
        yield Finding("HW203", Severity.WARNING, first[kind].own, reason, better)


def fixed_behind_changing(prompts: Sequence[Prompt], measure: Measure) -> Iterator[Finding]:
    """HW204 and HW205: what the requests of a job have in common, and whether a cache can hold it."""
    groups: dict[tuple[str, str], list[Prompt]] = defaultdict(list)
    for prompt in prompts[:_LOOKED_AT]:
        groups[prompt.model, str(prompt.request.get("tools"))].append(prompt)
    for (model, _), group in groups.items():
        if len(group) >= _FEW:
            yield from _in_common(group, model, measure)


def _in_common(group: Sequence[Prompt], model: str, measure: Measure) -> Iterator[Finding]:
    texts = [_lines(prompt) for prompt in group]
    shared = min(map(len, texts))
    for lines in texts[1:]:
        shared = next((at for at in range(shared) if lines[at][0] != texts[0][at][0]), shared)
    common = measure.tokens("\n".join(line for line, *_ in texts[0][:shared]))
    least, count = measure.least(model), len(group)
    if common >= least and not any(_breakpoints(prompt) for prompt in group):
        reason = f"{count:,} requests begin with the same {common:,} tokens, and no breakpoint lets the cache hold them."
        better = 'Put "cache_control": {"type": "ephemeral"} on the last block that is the same.'
        yield Finding("HW205", Severity.WARNING, group[0].own, reason, better, round(common * _READ))
    held = Counter(
        line for lines in texts for line in {line for line, *_ in lines[shared:] if len(line) >= _ALIKE}
    )
    still = {line for line, times in held.items() if times >= _SAME_IN * count}
    behind = [(line, piece, offset) for line, piece, offset in texts[0][shared:] if line in still]
    tokens = measure.tokens("\n".join(line for line, *_ in behind))
    if tokens >= least:
        _, piece, offset = texts[0][shared]
        reason = (
            f"Here the requests begin to differ, and {tokens:,} tokens that are the same in {_SAME_IN:.0%} or more of "
            f"{count:,} requests stand behind: no cache can hold them."
        )
        better = "Put what is the same first, and what changes last."
        yield Finding("HW204", Severity.WARNING, piece.at(offset), reason, better, round(tokens * _READ))


def _lines(prompt: Prompt) -> list[tuple[str, Piece, int]]:
    """Every line of the prompt in the order in which the API reads it, with its place."""
    found = []
    for piece in prompt.pieces:
        offset = 0
        for line in piece.text.split("\n"):
            found.append((line, piece, offset))
            offset += len(line) + 1
    return found


def breakpoints(prompt: Prompt, measure: Measure) -> Iterator[Finding]:
    """HW206, HW207: breakpoints that do nothing because what is before them is too short, or that are too many."""
    marks = _breakpoints(prompt)
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


def never_read(prompts: Sequence[Prompt], measure: Measure) -> Iterator[Finding]:
    """HW208: requests that write to the cache what no other request of the job can read. A write costs a quarter more."""
    written: list[tuple[Prompt, tuple[str, ...], int]] = []
    readable: Counter[str] = Counter()
    for prompt in prompts[:_LOOKED_AT]:
        if _breakpoints(prompt):
            names, reads, tokens = measure.entries(prompt.request)
            readable.update(set(reads))
            if names:
                written.append((prompt, names, tokens))
    if len(written) < _FEW:
        return
    idle = [
        (prompt, tokens) for prompt, names, tokens in written if all(readable[name] < 2 for name in names)
    ]
    if len(idle) == len(written):
        saves = round(sum(tokens for _, tokens in idle) / len(idle) * (1.25 - 1.0))
        reason = f"{len(idle):,} requests write to the cache what no other can read: each write costs a quarter more."
        better = "Put the breakpoint behind text that the requests share, or take it out."
        yield Finding("HW208", Severity.WARNING, idle[0][0].own, reason, better, saves)


def _breakpoints(prompt: Prompt) -> int:
    """Blocks with cache_control, automatic caching among them."""
    request = prompt.request
    found = bool(request.get("cache_control")) + sum(piece.closes for piece in prompt.pieces)
    tools = request.get("tools")
    return found + sum(
        bool(tool.get("cache_control"))
        for tool in (tools if isinstance(tools, list) else [])
        if isinstance(tool, dict)
    )
