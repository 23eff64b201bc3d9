"""Cache entries that are written and never read, that die just before they are wanted, or that live too long for their price.

Token columns are enough for it; fingerprints, where there are any, tell streams apart and make sure that the content is
the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from headway.insights import marks
from headway.insights.finding import Found
from headway.insights.rates import MILLION
from headway.insights.tally import Tally
from headway.insights.thresholds import LEAST_CALLS, READ_HALF
from headway.insights.traffic import HOUR_NS, MINUTE_NS, Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import money, tokens, who

_LIFE_5M = 5 * MINUTE_NS
_SAME_SIZE = 0.02
_Key = tuple[int, object]  # a slice, and the shape of its requests where it is known


def _stream(seen: Seen) -> object:
    """What tells the calls that share entries from others: the session, and how the fixed part of the prompt looks."""
    mark = seen.fingerprint
    if seen.session:
        return (seen.group.tenant, seen.group.model, seen.session, marks.shape(mark) if mark else None)
    steady = marks.fixed(mark) if mark else 0
    return (seen.group.number, marks.name(mark, steady - 1) if mark and steady else None)


def _key(seen: Seen) -> _Key:
    return (seen.group.number, marks.shape(seen.fingerprint) if seen.fingerprint else None)


class UnreadCache:
    """Writes cost more than plain input, and only reads pay for it: slices, and sessions, in which they do not."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._net: defaultdict[_Key, Tally] = defaultdict(Tally)
        self._written: Counter[_Key] = Counter()
        self._read: Counter[_Key] = Counter()
        self._writes: Counter[_Key] = Counter()
        self._same: Counter[_Key] = Counter()
        self._same_micros: Counter[_Key] = Counter()
        self._groups: dict[int, Group] = {}
        self._last: Recent[Seen] = Recent(HOUR_NS)

    def see(self, seen: Seen) -> None:
        wrote, rate = seen.write_5m + seen.write_1h, seen.rate
        if rate is None or not (wrote or seen.read):
            return
        key = _key(seen)
        self._groups[seen.group.number] = seen.group
        premium = seen.write_5m * (rate.cache_write_5m - rate.input)
        premium += seen.write_1h * (rate.cache_write_1h - rate.input)
        self._net[key].add(seen, premium - seen.read * (rate.input - rate.cache_read))
        self._written[key] += wrote
        self._read[key] += seen.read
        self._writes[key] += wrote > 0
        stream = _stream(seen)
        last = self._last.get(stream)
        self._last.put(stream, seen, seen.at_ns)
        if last is not None and wrote and not seen.read and seen.at_ns - last.at_ns <= _LIFE_5M:
            before = last.write_5m + last.write_1h
            if abs(wrote - before) <= _SAME_SIZE * before:
                self._same[key] += 1
                self._same_micros[key] += wrote * (rate.cache_write_5m - rate.cache_read)

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            self._finding(key, tally)
            for key, tally in self._net.items()
            if self._writes[key] >= LEAST_CALLS and tally.micros > 0
        ]

    def _finding(self, key: _Key, tally: Tally) -> Found:
        group, written, read = self._groups[key[0]], self._written[key], self._read[key]
        never = "never read" if not read else f"read for {read / written:.0%} of what is written"
        evidence = [
            f"{self._writes[key]:,} calls wrote {tokens(written)} tokens at a price above that of input, {tokens(read)} read."
        ]
        if self._same[key] >= LEAST_CALLS:
            more = money(self._same_micros[key] // MILLION)
            evidence.append(
                f"{self._same[key]:,} times the same length was written again within 5 minutes: if that is the same text,"
                f" something before it changes, and keeping it still would save {more} instead."
            )
        return Found(
            rule="unread-cache",
            title=f"{who(group.where)}: cache entries are written and {never}",
            where=group.where,
            certainty="sure",
            nature="prefix",
            sample=self._writes[key],
            least=LEAST_CALLS,
            evidence=tuple(evidence),
            numbers={
                "writes": self._writes[key],
                "tokens_written": written,
                "tokens_read": read,
                "same_length_again": self._same[key],
                "if_the_same_nanousd": self._same_micros[key] // MILLION,
            },
            change="Leave cache_control out of these calls, or move the breakpoint before what differs from call to call.",
            claims=tally.nanousd_claims or {},
            spread=tally.spread,
            ids=tally.ids,
        )


class CacheLifetime:
    """Five minutes cost 1.25 times the price to write, an hour 2 times. Which is cheaper depends on the pauses."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._longer: defaultdict[_Key, Tally] = defaultdict(Tally)
        self._shorter: defaultdict[_Key, Tally] = defaultdict(Tally)
        self._again: defaultdict[_Key, list[int]] = defaultdict(lambda: [0, 0])
        self._hour: defaultdict[_Key, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._groups: dict[int, Group] = {}
        self._last: Recent[Seen] = Recent(HOUR_NS)
        self._roots: Recent[Seen] = Recent(HOUR_NS)

    def see(self, seen: Seen) -> None:
        rate = seen.rate
        if rate is None or not (seen.read or seen.write_5m or seen.write_1h):
            return
        key = _key(seen)
        self._groups[seen.group.number] = seen.group
        last = self._before(seen)
        gap_ns = seen.at_ns - last.at_ns if last is not None else 0
        again = kept = 0
        if last is not None and _LIFE_5M < gap_ns <= HOUR_NS:
            cached = _in_common(last, seen)
            again = _written_again(seen, cached)
            kept = min(seen.read, cached)
        if seen.write_5m:
            extra = seen.write_5m * (rate.cache_write_1h - rate.cache_write_5m)
            self._longer[key].add(seen, again * (rate.cache_write_1h - rate.cache_read) - extra)
            self._again[key][0] += again > 0
            self._again[key][1] += again
        if (seen.write_1h or kept) and (seen.session or seen.fingerprint):
            gain = seen.write_1h * (rate.cache_write_1h - rate.cache_write_5m)
            self._shorter[key].add(seen, gain - kept * (rate.cache_write_5m - rate.cache_read))
            hour = self._hour[key]
            hour[0] += seen.write_1h > 0
            hour[1] += seen.write_1h
        self._hour[key][2] += seen.read

    def _before(self, seen: Seen) -> Seen | None:
        """The call before in its stream; for the first of a session, the last with the same fixed part of the prompt."""
        stream, mark = _stream(seen), seen.fingerprint
        last = self._last.get(stream)
        self._last.put(stream, seen, seen.at_ns)
        steady = marks.fixed(mark) if mark else 0
        if mark and steady:
            root = marks.name(mark, steady - 1)
            last = last or self._roots.get(root)
            self._roots.put(root, seen, seen.at_ns)
        return last

    def found(self, _: Traffic, /) -> list[Found]:
        found = []
        for key, tally in self._longer.items():
            if self._again[key][0] >= LEAST_CALLS and tally.micros > 0:
                found.append(self._longer_finding(key, tally))
        for key, tally in self._shorter.items():
            writes, written, read = self._hour[key]
            if writes >= LEAST_CALLS and read * 2 >= written and tally.micros > 0:
                found.append(self._shorter_finding(key, tally))
        return found

    def _longer_finding(self, key: _Key, tally: Tally) -> Found:
        group, (calls, again) = self._groups[key[0]], self._again[key]
        return Found(
            rule="cache-lifetime",
            title=f"{who(group.where)}: cache entries die after 5 minutes, just before they are wanted again",
            where=group.where,
            certainty="sure" if key[1] is not None else "likely",
            nature="prefix",
            sample=calls,
            least=LEAST_CALLS,
            evidence=(
                f"{calls:,} calls came 5 to 60 minutes after the one before and wrote {tokens(again)} tokens again.",
                "Reading them at the dearer price of an hour's entries is cheaper, all writes counted.",
            ),
            numbers={"rewrites": calls, "tokens_rewritten": again, "ttl": "1h"},
            change="Let these entries live for an hour.",
            snippet='"cache_control": {"type": "ephemeral", "ttl": "1h"}',
            claims=tally.nanousd_claims,
            spread=tally.spread,
            quota=_free(group, again),
            ids=tally.ids,
        )

    def _shorter_finding(self, key: _Key, tally: Tally) -> Found:
        group, (writes, written, _) = self._groups[key[0]], self._hour[key]
        return Found(
            rule="cache-lifetime",
            title=f"{who(group.where)}: an hour of cache is paid where 5 minutes would do",
            where=group.where,
            certainty="sure" if key[1] is not None else "likely",
            nature="prefix",
            sample=writes,
            least=LEAST_CALLS,
            evidence=(
                f"{writes:,} calls wrote {tokens(written)} tokens at 2 times the price; most reads came within 5 minutes.",
            ),
            numbers={"writes": writes, "tokens_written": written, "ttl": "5m"},
            change='Leave "ttl": "1h" out: each read keeps an entry alive for another 5 minutes.',
            snippet='"cache_control": {"type": "ephemeral"}',
            claims=tally.nanousd_claims,
            spread=tally.spread,
            ids=tally.ids,
        )


def _free(group: Group, amount: int) -> tuple[tuple[str, str, float, float], ...]:
    return ((group.pool, "input_tokens", float(amount), 0.0),) if group.pool and group.reads_are_free else ()


def _in_common(last: Seen, seen: Seen) -> int:
    """Tokens that an earlier call had in the cache and that this one could have read. By length where there are no names."""
    cached = last.read + last.write_5m + last.write_1h
    if last.fingerprint and seen.fingerprint:
        return min(cached, _shared(last.fingerprint, seen.fingerprint, seen.total))
    now = seen.read + seen.write_5m + seen.write_1h
    grown = now >= cached * (
        1 - _SAME_SIZE
    )  # as conversations do; without a session, only the same length tells
    return cached if grown and (seen.session or now <= cached * (1 + _SAME_SIZE)) else 0


def _written_again(seen: Seen, cached: int) -> int:
    """Tokens that this call wrote though an earlier one had: because they had expired. 0: none, or other ones."""
    again = min(cached - seen.read, seen.write_5m)
    if seen.fingerprint:
        return max(again, 0)
    is_gone = seen.read < READ_HALF * cached and again >= (seen.group.least_cacheable or 1024)
    return again if is_gone else 0


def _shared(before: bytes, now: bytes, total: int) -> int:
    """Tokens of the beginning that two requests have in common: at the longest cut of the first that the second has."""
    whole = marks.size(now, marks.count(now) - 1) or 1
    for at in range(marks.count(before) - 1, -1, -1):
        if marks.place_of(now, marks.name(before, at)) is not None:
            return round(marks.size(before, at) * total / whole)
    return 0
