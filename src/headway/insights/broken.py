"""Prompts that are the same but for a block near the beginning, so that all behind it is never read from the cache.

Two requests that follow one another in a stream (a session, or the calls of one slice that look alike) are compared by
their fingerprints. Where the names of their cuts part, the content differs; where the sizes go on in step behind it, the
content behind is the same again. What lies there could have been read, had the change stood at the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import NamedTuple

from headway.core.fingerprint import Cut, unpack
from headway.insights import marks
from headway.insights.finding import Found
from headway.insights.tally import Tally
from headway.insights.thresholds import BREAK_SHARE, LEAST_CALLS, SMALL_CHANGE
from headway.insights.traffic import HOUR_NS, MINUTE_NS, Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import tokens, who

_NAMES = {"tools": "tool", "system": "system block", "messages": "message block"}
_CHANGES = {
    "reordered": "Send the tools in one fixed order: sort them by name.",
    "tools": "Keep the tools as they are from call to call: what changes in a description belongs in a message.",
    "system": "Move what changes (a date, a name, an id) out of the system prompt to the end of the last message.",
    "messages": "Leave earlier messages as they were: put what changes (a time, a state) into the last one.",
}
_SNIPPETS = {
    "reordered": 'tools=sorted(tools, key=lambda tool: tool["name"])',
    "tools": "",
    "system": 'messages=[..., {"role": "user", "content": f"{question}\\n(now: {now})"}]',
    "messages": "",
}


class _Parting(NamedTuple):
    """Where two requests part; how many bytes from there on are the same again, in all, and in other blocks behind.

    A block of tools or of the system prompt that keeps its length is the same but for a few bytes: a time, a name.
    """

    part: str
    place: int
    reordered: bool
    same_again: int
    same: int
    behind: int


class BrokenPrefix:
    """See the head of the module."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._last: Recent[Seen] = Recent(HOUR_NS)
        self._steps: Counter[tuple[int, object]] = Counter()
        self._cases: defaultdict[tuple[int, object, str, int, bool], Tally] = defaultdict(Tally)
        self._tokens: Counter[tuple[int, object, str, int, bool]] = Counter()
        self._sure: Counter[tuple[int, object, str, int, bool]] = Counter()
        self._groups: dict[int, Group] = {}

    def see(self, seen: Seen) -> None:
        mark, group = seen.fingerprint, seen.group
        if not mark or len(mark) < 32 or group.facts is None or seen.total < group.facts.min_cacheable_tokens:
            return
        shape = seen.shape if len(self._steps) < marks.MOST_SHAPES else marks.NO_SHAPE
        key = (group.tenant, group.model, seen.session, shape) if seen.session else (group.number, shape)
        last = self._last.get(key)
        self._last.put(key, seen, seen.at_ns)
        if last is None or last.fingerprint is None or seen.at_ns - last.at_ns > _life_ns(last, seen):
            return
        self._steps[(group.number, shape)] += 1
        before = last.fingerprint
        if marks.place_of(mark, marks.name(before, marks.count(before) - 1)) is None:
            self._compare(seen, unpack(before), unpack(mark), shape)

    def _compare(self, seen: Seen, before: list[Cut], now: list[Cut], shape: object) -> None:
        parting = _part(before, now)
        if parting is None or seen.rate is None or not now:
            return
        paid_tokens, scale = seen.total - seen.read, seen.total / max(now[-1].size, 1)
        again = min(round(parting.same * scale) - seen.read, paid_tokens)
        least = seen.group.least_cacheable or 0
        if parting.same_again * scale < least or again < max(least, 1):
            return
        paid = (seen.input_micros - seen.read * seen.rate.cache_read) // paid_tokens
        key = (seen.group.number, shape, parting.part, parting.place, parting.reordered)
        self._groups[seen.group.number] = seen.group
        self._cases[key].add(seen, again * (paid - seen.rate.cache_read))
        self._tokens[key] += again
        self._sure[key] += parting.behind * scale >= least

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            self._finding(key, tally)
            for key, tally in self._cases.items()
            if tally.count >= LEAST_CALLS and tally.count >= BREAK_SHARE * self._steps[key[:2]]
        ]

    def _finding(self, key: tuple[int, object, str, int, bool], tally: Tally) -> Found:
        group = self._groups[key[0]]
        _, _, part, place, reordered = key
        steps, again = self._steps[key[:2]], self._tokens[key]
        where = "the order of the tools changes" if reordered else f"{_NAMES[part]} {place + 1} changes"
        is_sure = self._sure[key] * 2 >= tally.count
        cached = group.cache_read_tokens + group.cache_write_tokens > 0
        change = _CHANGES["reordered" if reordered else part]
        return Found(
            rule="broken-prefix",
            title=f"{who(group.where)}: {where} from call to call, and {tokens(again / tally.count)} tokens are paid anew",
            where=group.where,
            certainty="sure" if is_sure else "likely",
            nature="prefix",
            sample=tally.count,
            least=LEAST_CALLS,
            evidence=(
                f"{tally.count:,} of {steps:,} calls part from the one before at {_NAMES[part]} {place + 1};",
                "behind it they are alike again."
                if is_sure
                else "its length stays, as if only a time or a name changed.",
            ),
            numbers={
                "breaks": tally.count,
                "steps": steps,
                "part": part,
                "place": place,
                "reordered": int(reordered),
                "tokens_paid_again": again,
            },
            change=change if cached else f"{change} Then set a cache breakpoint before it.",
            snippet=_SNIPPETS["reordered" if reordered else part],
            claims=tally.nanousd_claims,
            spread=tally.spread,
            quota=((group.pool, "input_tokens", float(again), 0.0),)
            if group.reads_are_free and group.pool
            else (),
            ids=tally.ids,
        )


def _life_ns(last: Seen, seen: Seen) -> int:
    return HOUR_NS if last.write_1h or seen.write_1h else 5 * MINUTE_NS


def _part(before: list[Cut], now: list[Cut]) -> _Parting | None:
    """Where they part; None where that cannot be told, or nothing is alike behind it."""
    at = next((i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a.name != b.name), None)
    if at is None or (before[at].part, before[at].place) != (now[at].part, now[at].place):
        return None
    sizes = {(cut.part, cut.place): cut.size for cut in now}
    start, shift = before[at].size, now[at].size - before[at].size
    in_step, level = start, 0
    for cut in before[at + 1 :]:
        size = sizes.get((cut.part, cut.place))
        if size is None:
            continue
        if size - cut.size == shift:
            in_step = cut.size
        if size == cut.size:
            level = cut.size
    if before[at].part == "tools" and _same_tools(before, now) and level:
        from_ = before[at - 1].size if at else 0
        return _Parting("tools", 0, True, level - from_, level, level - from_)  # where, is chance
    behind, block = in_step - start, start - (before[at - 1].size if at else 0)
    if before[at].part != "messages" and abs(shift) <= SMALL_CHANGE:
        return _Parting(before[at].part, before[at].place, False, behind + block, in_step, behind)
    return (
        _Parting(before[at].part, before[at].place, False, behind, in_step - block, behind)
        if behind
        else None
    )


def _same_tools(before: list[Cut], now: list[Cut]) -> bool:
    """Whether both have tools of the same sizes, in another order."""
    mine, theirs = _tools(before), _tools(now)
    return mine != theirs and sorted(mine) == sorted(theirs)


def _tools(cuts: list[Cut]) -> list[int]:
    sizes = [0] + [cut.size for cut in cuts if cut.part == "tools"]
    return [after - size for size, after in pairwise(sizes)]
