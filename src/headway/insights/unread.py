"""Cache entries that are written and never read.

Token columns are enough for it; fingerprints, where there are any, tell one program's calls from another's.
"""

from __future__ import annotations

from headway.insights.finding import Found
from headway.insights.marks import MOST_SHAPES, NO_SHAPE
from headway.insights.rates import MILLION
from headway.insights.tally import Tally
from headway.insights.thresholds import LEAST_CALLS, SAME_LENGTH
from headway.insights.traffic import HOUR_NS, MINUTE_NS, Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import money, tokens, who


class _Written:
    """What the calls of one slice and shape wrote, and what was read of it."""

    __slots__ = ("group", "net", "read", "same", "same_micros", "writes", "written")

    def __init__(self, group: Group) -> None:
        self.group, self.net = group, Tally()
        self.writes = self.written = self.read = self.same = self.same_micros = 0


class UnreadCache:
    """Writes cost more than plain input, and only reads pay for it: slices in which they do not.

    Sessions that write the same length again and again and never read are looked at apart, so that others do not hide them.
    """

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._written: dict[tuple[int, tuple[int, int], bool], _Written] = {}
        self._last: Recent[Seen] = Recent(HOUR_NS)

    def see(self, seen: Seen) -> None:
        wrote, read, rate, group = seen.write_5m + seen.write_1h, seen.read, seen.rate, seen.group
        if rate is None or not (wrote or read):
            return
        is_same = wrote > 0 and not read and self._is_same_length(seen, wrote)
        shape = seen.shape if len(self._written) < MOST_SHAPES else NO_SHAPE
        key = (group.number, shape, is_same and seen.session != "")
        written = self._written.get(key)
        if written is None:
            written = self._written[key] = _Written(group)
        premium = seen.write_5m * (rate.cache_write_5m - rate.input) if seen.write_5m else 0
        premium += seen.write_1h * (rate.cache_write_1h - rate.input) if seen.write_1h else 0
        written.net.add(seen, premium - read * (rate.input - rate.cache_read))
        written.read += read
        written.writes += wrote > 0
        written.written += wrote
        if is_same:
            written.same += 1
            written.same_micros += wrote * (rate.cache_write_5m - rate.cache_read)

    def _is_same_length(self, seen: Seen, wrote: int) -> bool:
        """Whether as much was written a little while before, in the same stream of calls."""
        stream = (seen.group.number, seen.session, seen.shape)
        last = self._last.get(stream)
        self._last.put(stream, seen, seen.at_ns)
        if last is None or seen.at_ns - last.at_ns > 5 * MINUTE_NS:
            return False
        before = last.write_5m + last.write_1h
        return abs(wrote - before) <= SAME_LENGTH * before

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            _finding(written)
            for written in self._written.values()
            if written.writes >= LEAST_CALLS and written.net.micros > 0
        ]


def _finding(of: _Written) -> Found:
    never = "never read" if not of.read else f"read for {of.read / of.written:.0%} of what is written"
    read = tokens(of.read) if of.read else "none"
    evidence = [
        f"{of.writes:,} calls wrote {tokens(of.written)} tokens at a price above that of input; {read} of them were read."
    ]
    if of.same >= LEAST_CALLS:
        evidence.append(
            f"{of.same:,} times the same length was written again within 5 minutes: if that is the same text, something"
            f" before it changes, and keeping it still would save {money(of.same_micros // MILLION)} instead."
        )
    return Found(
        rule="unread-cache",
        title=f"{who(of.group.where)}: cache entries are written and {never}",
        where=of.group.where,
        certainty="sure",
        nature="prefix",
        sample=of.writes,
        least=LEAST_CALLS,
        evidence=tuple(evidence),
        numbers={
            "writes": of.writes,
            "tokens_written": of.written,
            "tokens_read": of.read,
            "same_length_again": of.same,
            "if_the_same_nanousd": of.same_micros // MILLION,
        },
        change="Leave cache_control out of these calls, or move the breakpoint before what differs from call to call.",
        claims=of.net.nanousd_claims,
        spread=of.net.spread,
        ids=of.net.ids,
    )
