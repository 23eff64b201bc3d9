"""The same request, word for word, answered before."""

from __future__ import annotations

from collections import Counter, defaultdict

from headway.insights import marks
from headway.insights.finding import Found
from headway.insights.tally import Tally
from headway.insights.thresholds import ASKED_AGAIN_NS, LEAST_CALLS, REPEAT_SHARE
from headway.insights.traffic import HOUR_NS, Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import tokens, who

_REMEMBERED_NS = 24 * HOUR_NS


class RepeatedRequests:
    """An answer that was paid for within a day before could be used again, if the same one will do."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._answered: Recent[tuple[int, bool, int]] = Recent(_REMEMBERED_NS, most=100_000)
        self._repeats: defaultdict[int, Tally] = defaultdict(Tally)
        self._which: defaultdict[int, set[bytes]] = defaultdict(set)
        self._tokens: Counter[int] = Counter()
        self._groups: dict[int, Group] = {}

    def see(self, seen: Seen) -> None:
        mark = seen.fingerprint
        last = marks.whole(mark) if mark and seen.rate is not None else b""
        if not last:
            return
        key = (seen.group.tenant, last)
        before = self._answered.get(key)
        was_cut = seen.stop_reason in ("max_tokens", "length")
        self._answered.put(key, (seen.at_ns, was_cut, seen.total), seen.at_ns)
        if (
            before is None
            or seen.at_ns - before[0] > _REMEMBERED_NS
            or not _is_as_long(seen.total, before[2])
        ):
            return
        if before[1] and seen.at_ns - before[0] <= ASKED_AGAIN_NS:
            return  # it was asked again because its reply was cut off: another finding
        number = seen.group.number
        self._groups[number] = seen.group
        self._repeats[number].add(seen, seen.micros)
        self._tokens[number] += seen.fresh + seen.write_5m + seen.write_1h
        which = self._which[number]
        if len(which) < 1000:
            which.add(last)

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            self._finding(self._groups[number], tally)
            for number, tally in self._repeats.items()
            if tally.count >= LEAST_CALLS and tally.count >= REPEAT_SHARE * self._groups[number].ok
        ]

    def _finding(self, group: Group, tally: Tally) -> Found:
        different = len(self._which[group.number])
        return Found(
            rule="repeated-requests",
            title=f"{who(group.where)}: {tally.count:,} requests had been answered before, word for word",
            where=group.where,
            certainty="likely",
            nature="repeat",
            sample=tally.count,
            least=LEAST_CALLS,
            evidence=(
                f"{tally.count:,} of {group.ok:,} calls repeat {different:,}{' or more' if different == 1000 else ''}"
                f" requests of the 24 hours before: {tokens(self._tokens[group.number])} input tokens.",
            ),
            numbers={"repeats": tally.count, "of": group.ok, "different": different},
            change="Keep answers by their request, and use them again where the same answer will do. Where many answers to"
            " one question are wanted, all is well.",
            claims=tally.nanousd_claims,
            spread=tally.spread,
            quota=((group.pool, "input_tokens", float(self._tokens[group.number]), 0.0),)
            if group.pool
            else (),
            ids=tally.ids,
        )


def _is_as_long(now: int, before: int) -> bool:
    """What is the same word for word has the same tokens, read from a cache or not. Anything else is a mix-up of names."""
    return abs(now - before) <= 0.01 * before + 2
