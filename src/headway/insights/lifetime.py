"""Cache entries that die just before they are wanted, or that live too long for their price.

Token columns are enough for it; fingerprints, where there are any, tell streams of calls apart and make sure that the
content is the same.
"""

from __future__ import annotations

from headway.insights import marks
from headway.insights.finding import Found
from headway.insights.tally import Tally
from headway.insights.thresholds import LEAST_CALLS, LIFE_SHARE, READ_HALF, SAME_LENGTH
from headway.insights.traffic import HOUR_NS, MINUTE_NS, Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import tokens, who

_LIFE_5M = 5 * MINUTE_NS


def _stream(seen: Seen) -> object:
    """What tells the calls that share entries from others: the session, and how the fixed part of the prompt looks."""
    group, mark = seen.group, seen.fingerprint
    if seen.session:
        return (group.tenant, group.model, seen.session, seen.shape)
    steady = seen.shape[0]
    return (group.number, marks.name(mark, steady - 1) if mark and steady > 0 else None)


class _Entries:
    """What the calls of one slice and shape would cost with entries of another life."""

    __slots__ = (
        "again",
        "group",
        "has_names",
        "longer",
        "read",
        "rewrites",
        "shorter",
        "writes_1h",
        "written_1h",
    )

    def __init__(self, seen: Seen) -> None:
        self.group, self.has_names = seen.group, bool(seen.fingerprint)
        self.longer, self.shorter = Tally(), Tally()
        self.rewrites = self.again = self.writes_1h = self.written_1h = self.read = 0


class CacheLifetime:
    """Five minutes cost 1.25 times the price to write, an hour 2 times. Which is cheaper depends on the pauses."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._entries: dict[tuple[int, tuple[int, int]], _Entries] = {}
        self._last: Recent[Seen] = Recent(HOUR_NS)
        self._roots: Recent[Seen] = Recent(HOUR_NS)

    def see(self, seen: Seen) -> None:
        rate = seen.rate
        if rate is None or not (seen.read or seen.write_5m or seen.write_1h):
            return
        shape = seen.shape if len(self._entries) < marks.MOST_SHAPES else marks.NO_SHAPE
        key = (seen.group.number, shape)
        entries = self._entries.get(key)
        if entries is None:
            entries = self._entries[key] = _Entries(seen)
        last = self._before(seen)
        is_known = seen.session != "" or bool(seen.fingerprint)
        paused = last is not None and _LIFE_5M < seen.at_ns - last.at_ns <= HOUR_NS
        again = kept = cached = 0
        if last is not None and (paused or not is_known):
            cached = _in_common(last, seen)
        if paused:
            again = _written_again(seen, cached)
            kept = min(seen.read, cached)
        if seen.write_5m:
            extra = seen.write_5m * (rate.cache_write_1h - rate.cache_write_5m)
            entries.longer.add(seen, again * (rate.cache_write_1h - rate.cache_read) - extra)
            entries.rewrites += again > 0
            entries.again += again
        if (seen.write_1h or kept) and (is_known or cached):
            gain = seen.write_1h * (rate.cache_write_1h - rate.cache_write_5m)
            entries.shorter.add(seen, gain - kept * (rate.cache_write_5m - rate.cache_read))
            entries.writes_1h += seen.write_1h > 0
            entries.written_1h += seen.write_1h
        entries.read += seen.read

    def _before(self, seen: Seen) -> Seen | None:
        """The call before in its stream; for the first of a session, the last with the same fixed part of the prompt."""
        stream, mark = _stream(seen), seen.fingerprint
        last = self._last.get(stream)
        self._last.put(stream, seen, seen.at_ns)
        steady = seen.shape[0]
        if mark and steady > 0:
            root = marks.name(mark, steady - 1)
            last = last or self._roots.get(root)
            self._roots.put(root, seen, seen.at_ns)
        return last

    def found(self, _: Traffic, /) -> list[Found]:
        found = []
        for entries in self._entries.values():
            least = max(LIFE_SHARE * entries.group.nanousd, 1)
            longer, shorter = entries.longer, entries.shorter
            if entries.rewrites >= LEAST_CALLS and longer.nanousd >= max(least, 2 * longer.spread):
                found.append(_longer(entries))
            is_read = entries.read * 2 >= entries.written_1h
            if (
                entries.writes_1h >= LEAST_CALLS
                and is_read
                and shorter.nanousd >= max(least, 2 * shorter.spread)
            ):
                found.append(_shorter(entries))
        return found


def _longer(of: _Entries) -> Found:
    group, tally, calls, again = of.group, of.longer, of.rewrites, of.again
    return Found(
        rule="cache-lifetime",
        title=f"{who(group.where)}: cache entries die after 5 minutes, just before they are wanted again",
        where=group.where,
        certainty="sure" if of.has_names else "likely",
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


def _shorter(of: _Entries) -> Found:
    group, tally, writes, written = of.group, of.shorter, of.writes_1h, of.written_1h
    return Found(
        rule="cache-lifetime",
        title=f"{who(group.where)}: an hour of cache is paid where 5 minutes would do",
        where=group.where,
        certainty="sure" if of.has_names else "likely",
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
        1 - SAME_LENGTH
    )  # as conversations do; without a session, only the same length tells
    return cached if grown and (seen.session or now <= cached * (1 + SAME_LENGTH)) else 0


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
