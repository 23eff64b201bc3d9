"""Rules about what the requests of a job share in the prompt cache: HW204, HW205, HW208. Found by comparing them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from headway.workbench.finding import Finding, Severity
from headway.workbench.measuring import Measure
from headway.workbench.prompts import Piece, Prompt

_READ = 0.9  # of the price of a token is saved when it is read from the cache
_WRITE = 0.25  # of it is paid on top when it is written
_SAME_IN = 0.9  # of the requests of a job: text that so many have is the same
_ALIKE = 20  # characters of a line from which on it is worth comparing
_LOOKED_AT = 2_000  # requests of a job
_FEW = 3  # requests, below which nothing is said about what changes between them


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
    if common >= least and not any(prompt.breakpoints for prompt in group):
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


def never_read(prompts: Sequence[Prompt], measure: Measure) -> Iterator[Finding]:
    """HW208: requests that write to the cache what no other request of the job can read. A write costs a quarter more."""
    written: list[tuple[Prompt, tuple[str, ...], int]] = []
    readable: Counter[str] = Counter()
    for prompt in prompts[:_LOOKED_AT]:
        if prompt.breakpoints:
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
        saves = round(sum(tokens for _, tokens in idle) / len(idle) * _WRITE)
        reason = f"{len(idle):,} requests write to the cache what no other can read: each write costs a quarter more."
        better = "Put the breakpoint behind text that the requests share, or take it out."
        yield Finding("HW208", Severity.WARNING, idle[0][0].own, reason, better, saves)
