"""Conversations whose history is most of what they cost: sent again with each turn, longer each time.

Without a cache, that is what caching is for. With one, a read is cheap and a very long history still is not: then it is
asked whether all of it is needed, and figured what compacting it would save.
"""

from __future__ import annotations

from collections import defaultdict

from msgspec import Struct

from headway.insights.finding import Found
from headway.insights.tally import Tally
from headway.insights.thresholds import (
    CACHED_HISTORY_TOKENS,
    COMPACT_AT,
    COMPACT_TO,
    GROWN_TIMES,
    HISTORY_SHARE,
    LEAST_HISTORY,
    LEAST_TURNS,
    SUMMARY,
)
from headway.insights.traffic import HOUR_NS, MINUTE_NS, Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import tokens, who


class _Conversation(Struct):
    """Sums over one session. Money in millionths of a nanodollar."""

    last: Seen
    first_tokens: int
    turns: int = 0
    peak_tokens: int = 0
    sent_tokens: int = 0
    history_tokens: int = 0
    read_tokens: int = 0
    written_tokens: int = 0
    cost: int = 0
    history_cost: int = 0
    if_cached: int = 0
    if_compacted: int = 0
    compacted: int = 0  # what the history would be long, had it been compacted


class _Kind:
    """The conversations of one slice that have one thing in common."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.saved = Tally()
        self.sessions = self.turns = self.peak = self.history = self.sent = self.written = 0
        self.cost = self.history_cost = 0


class GrowingHistory:
    """See the head of the module."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._open: Recent[_Conversation] = Recent(2 * HOUR_NS)
        self._kinds: dict[tuple[int, bool], _Kind] = {}
        self._sizes: defaultdict[tuple[int, bool], int] = defaultdict(int)

    def see(self, seen: Seen) -> None:
        if not seen.session or seen.rate is None:
            return
        key = (seen.group.tenant, seen.group.model, seen.session)
        state = self._open.get(key)
        fresh = state is None
        if state is None:
            state = _Conversation(seen, seen.total)
        _turn(state, seen, first=fresh)
        for ended in self._open.put(key, state, seen.at_ns):
            self._end(ended)

    def _end(self, state: _Conversation) -> None:
        grown = state.peak_tokens >= GROWN_TIMES * state.first_tokens
        if state.turns < LEAST_TURNS or not grown or state.history_cost < HISTORY_SHARE * state.cost:
            return
        cached = state.read_tokens >= 0.5 * state.history_tokens
        if cached and state.sent_tokens < CACHED_HISTORY_TOKENS * state.turns:
            return
        group = state.last.group
        kind = self._kinds.setdefault((group.number, cached), _Kind(group))
        kind.saved.add(state.last, max(state.if_compacted if cached else state.if_cached, 0))
        kind.sessions += 1
        kind.turns += state.turns
        kind.peak = max(kind.peak, state.peak_tokens)
        kind.history += state.history_tokens
        kind.sent += state.sent_tokens
        kind.written += state.written_tokens
        kind.cost += state.cost
        kind.history_cost += state.history_cost

    def found(self, _: Traffic, /) -> list[Found]:
        for state in self._open.rest():
            self._end(state)
        return [
            _finding(kind, cached)
            for (_, cached), kind in self._kinds.items()
            if kind.turns >= LEAST_HISTORY and kind.saved.micros > 0
        ]


def _turn(state: _Conversation, seen: Seen, *, first: bool) -> None:
    """One more call of a conversation: what of it is history, what that costs, what it would cost otherwise."""
    rate = seen.rate
    assert rate is not None
    before = 0 if first else state.last.total
    history = min(before, seen.total)
    read = min(seen.read, history)
    paid = (seen.input_micros - seen.read * rate.cache_read) // max(seen.total - seen.read, 1)
    new = seen.total - history
    state.turns += 1
    state.peak_tokens = max(state.peak_tokens, seen.total)
    state.sent_tokens += seen.total
    state.history_tokens += history
    state.read_tokens += read
    state.written_tokens += seen.write_5m + seen.write_1h
    state.cost += seen.micros
    state.history_cost += read * rate.cache_read + (history - read) * paid
    kept = first or seen.at_ns - state.last.at_ns <= 5 * MINUTE_NS
    if kept:
        state.if_cached += (history - read) * (paid - rate.cache_read) - new * (rate.cache_write_5m - paid)
    else:
        state.if_cached -= seen.total * (rate.cache_write_5m - paid)
    if state.compacted + new > COMPACT_AT:
        state.if_compacted -= state.compacted * rate.cache_read + SUMMARY * rate.output
        state.if_compacted -= COMPACT_TO * rate.cache_write_5m
        state.compacted = COMPACT_TO
    state.compacted = min(state.compacted + new, seen.total)
    state.if_compacted += (seen.total - state.compacted) * rate.cache_read
    state.last = seen


def _finding(kind: _Kind, cached: bool) -> Found:
    group, share = kind.group, kind.history_cost / max(kind.cost, 1)
    compact = f"Compact a conversation at {tokens(COMPACT_AT)} tokens, or keep what matters with headway.context.fit."
    cache = (
        "Set a cache breakpoint on the last message (automatic caching): each turn then reads the history."
    )
    anew = not cached and kind.written * 2 > kind.sent
    how = "cached" if cached else "written to the cache anew each time" if anew else "uncached"
    if anew:
        cache = "Something near the beginning changes from turn to turn (a time, the order of tools): keep it still."
    free = group.pool and not cached and group.reads_are_free
    return Found(
        rule="growing-history",
        title=f"{who(group.where)}: history sent again is {share:.0%} of what {kind.sessions:,} conversations cost",
        where=group.where,
        certainty="question" if cached else "likely",
        nature="prefix",
        sample=kind.turns,
        least=LEAST_HISTORY,
        evidence=(
            f"{kind.turns:,} calls of {kind.sessions:,} conversations sent {tokens(kind.sent / kind.turns)} tokens each"
            f" on average, {tokens(kind.peak)} at most, {how}.",
        ),
        numbers={
            "conversations": kind.sessions,
            "calls": kind.turns,
            "history_tokens": kind.history,
            "history_share_of_cost": round(share, 4),
            "longest_tokens": kind.peak,
        },
        change=f"Is all of it needed? {compact}" if cached else f"{cache} {compact}",
        snippet="" if cached or anew else 'client.messages.create(..., cache_control={"type": "ephemeral"})',
        claims=kind.saved.nanousd_claims,
        spread=kind.saved.spread,
        quota=((group.pool, "input_tokens", float(kind.history), 0.0),) if free else (),
        ids=kind.saved.ids,
    )
