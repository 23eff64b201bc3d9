"""max_tokens: far above what replies use, where it is reserved; and too low, so that replies are cut and asked again."""

from __future__ import annotations

from collections import Counter, defaultdict

from headway.insights import marks
from headway.insights.finding import Found
from headway.insights.tally import Sketch, Tally
from headway.insights.thresholds import (
    ASKED_AGAIN_NS,
    CUT_SHARE,
    LEAST_CALLS,
    LEAST_SHAPE,
    RESERVED_TIMES,
    ROOM_OVER_P99,
)
from headway.insights.traffic import Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import tokens, who

# Who counts max_tokens against the limit when a call starts (documentation of each, read 2026-11-24). Anthropic does not:
# since early 2026 it counts output as it is produced, https://platform.claude.com/docs/en/api/rate-limits.
RESERVING = frozenset(("openai", "azure", "groq", "bedrock", "aws", "cerebras"))
_MOST_CEILINGS = 1000  # different ones of a slice that are told apart


class ReservedOutput:
    """A large max_tokens costs quota where it is reserved, although replies are short."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._used: defaultdict[int, Sketch] = defaultdict(Sketch)
        self._asked: Counter[int] = Counter()
        self._input: Counter[int] = Counter()
        self._ids: defaultdict[int, list[int]] = defaultdict(list)
        self._groups: dict[int, Group] = {}

    def see(self, seen: Seen) -> None:
        group = seen.group
        if not seen.max_output or not group.pool or not _reserves(group):
            return
        self._groups[group.number] = group
        self._used[group.number].add(seen.output)
        self._asked[group.number] += seen.max_output
        self._input[group.number] += seen.total
        if len(self._ids[group.number]) < 3:
            self._ids[group.number].append(seen.id)

    def found(self, _: Traffic, /) -> list[Found]:
        found = []
        for number, used in self._used.items():
            p99, mean = used.quantile(0.99), self._asked[number] / used.count
            if used.count >= LEAST_SHAPE and mean >= RESERVED_TIMES * max(p99, 1.0):
                found.append(self._finding(self._groups[number], used, p99, mean))
        return found

    def _finding(self, group: Group, used: Sketch, p99: float, mean: float) -> Found:
        room = _round_up(ROOM_OVER_P99 * p99)
        freed = max(self._asked[group.number] - used.count * room, 0)
        whole = self._asked[group.number] + self._input[group.number]
        return Found(
            rule="reserved-output",
            title=f"{who(group.where)}: max_tokens reserves {mean / max(p99, 1.0):.0f} times what replies use",
            where=group.where,
            certainty="sure",
            nature="wait",
            sample=used.count,
            least=LEAST_SHAPE,
            evidence=(
                f"{used.count:,} calls asked for {tokens(mean)} tokens on average; 99 % of their replies stayed below"
                f" {tokens(p99)}. {group.provider} counts what is asked for, not what comes.",
            ),
            numbers={"calls": used.count, "mean_max_tokens": round(mean), "p99_output_tokens": round(p99)},
            change=f"Set max_tokens={room}.",
            quota=((group.pool, "tokens", float(freed), float(whole)),),
            ids=tuple(self._ids[group.number]),
        )


class CutReplies:
    """Replies that ended at max_tokens and were asked for again: paid twice."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._cut: Recent[Seen] = Recent(ASKED_AGAIN_NS)
        self._again: defaultdict[int, Tally] = defaultdict(Tally)
        self._cuts: Counter[int] = Counter()
        self._ceiling: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self._groups: dict[int, Group] = {}

    def see(self, seen: Seen) -> None:
        group, was_cut = seen.group, _was_cut(seen)
        if not was_cut and not self._cuts:
            return
        key = _same_call(seen)
        before = self._cut.get(key)
        if before is not None and _is_again(before, seen):
            self._again[before.group.number].add(before, before.micros)
        if was_cut:
            self._groups[group.number] = group
            self._cuts[group.number] += 1
            ceilings = self._ceiling[group.number]
            if len(ceilings) < _MOST_CEILINGS:
                ceilings[seen.max_output or seen.output] += 1
            self._cut.put(key, seen, seen.at_ns)

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            self._finding(self._groups[number], tally)
            for number, tally in self._again.items()
            if tally.count >= LEAST_CALLS
            and self._cuts[number] >= CUT_SHARE * max(self._groups[number].ok, 1)
            and tally.micros > 0
        ]

    def _finding(self, group: Group, tally: Tally) -> Found:
        cuts, ceiling = self._cuts[group.number], self._ceiling[group.number].most_common(1)[0][0]
        room = _round_up(2 * ceiling)
        return Found(
            rule="cut-replies",
            title=f"{who(group.where)}: {cuts:,} replies were cut off at max_tokens, {tally.count:,} asked for again",
            where=group.where,
            certainty="sure",
            nature="repeat",
            sample=tally.count,
            least=LEAST_CALLS,
            evidence=(
                f"{cuts / max(group.ok, 1):.0%} of {group.ok:,} replies ended at max_tokens, most at {ceiling:,} tokens;"
                " the same request followed soon after, and both were paid.",
            ),
            numbers={"cut": cuts, "asked_again": tally.count, "usual_max_tokens": ceiling},
            change=f"Ask for more at once: max_tokens={room}. What is not used costs nothing"
            f"{' but quota' if _reserves(group) else ''}.",
            claims=tally.nanousd_claims,
            spread=tally.spread,
            ids=tally.ids,
        )


def _reserves(group: Group) -> bool:
    return group.provider in RESERVING or group.pool.split("/")[0] in RESERVING


def _was_cut(seen: Seen) -> bool:
    if seen.stop_reason:
        return seen.stop_reason in ("max_tokens", "length")
    return 0 < seen.max_output <= seen.output


def _same_call(seen: Seen) -> object:
    """What a request and its repetition have in common: all of it, else session and label, else the call."""
    name = marks.whole(seen.fingerprint) if seen.fingerprint else b""
    if name:
        return (seen.group.tenant, name)
    who_ = (seen.session, seen.label)
    return (seen.group.tenant, seen.group.model, *(who_ if any(who_) else (seen.call_id,)))


def _is_again(before: Seen, seen: Seen) -> bool:
    """Whether this is the same request once more, soon after."""
    close = abs(seen.total - before.total) <= max(0.01 * before.total, 2)
    return close and 0 < seen.at_ns - before.at_ns <= ASKED_AGAIN_NS and seen.id != before.id


def _round_up(count: float) -> int:
    """To two digits of a power of two's eighth: what people write as max_tokens."""
    step = 64
    while step * 16 < count:
        step *= 2
    return int(-(-count // step) * step)
