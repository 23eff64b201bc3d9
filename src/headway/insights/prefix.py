"""Beginnings that requests share and that are paid in full each time.

Three ways to set a breakpoint are played through with the requests as they came: after the system prompt, after the first
block of the first message (a document that questions follow), and after the last message (a conversation, which reads what
its last turn wrote). For each, with entries that live five minutes and an hour. What an entry costs to write counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from headway.insights import marks
from headway.insights.finding import Found
from headway.insights.tally import Tally
from headway.insights.thresholds import AN_HOUR_GAINS, LEAST_CALLS
from headway.insights.traffic import HOUR_NS, MINUTE_NS, Group, Recent, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import tokens, who

_LIVES = ((5 * MINUTE_NS, "5m"), (HOUR_NS, "1h"))
_LOOKED_BACK = 20  # blocks before a breakpoint in which an entry is found
_PLACES = ("system", "document", "conversation")

_SNIPPETS = {
    "system": '{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"%s}}',
    "document": '{"type": "text", "text": FIRST, "cache_control": {"type": "ephemeral"%s}}',
    "conversation": 'client.messages.create(..., cache_control={"type": "ephemeral"%s})',
}
_CHANGES = {
    "system": "Set a cache breakpoint on the last block of the system prompt",
    "document": "Set a cache breakpoint after the first block, which stays the same from call to call",
    "conversation": "Set a cache breakpoint on the last message (automatic caching), so that each turn reads the one before",
}


class _Way:
    """One place for a breakpoint and one life, played through for one slice."""

    __slots__ = ("calls", "saved", "tokens_read")

    def __init__(self) -> None:
        self.saved = Tally()
        self.calls = 0
        self.tokens_read = 0


class UncachedPrefix:
    """See the head of the module."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._used: tuple[Recent[int], ...] = tuple(Recent[int](HOUR_NS) for _ in _PLACES)
        self._ways: defaultdict[tuple[int, tuple[int, int]], dict[tuple[int, int], _Way]] = defaultdict(dict)
        self._groups: dict[int, Group] = {}

    def see(self, seen: Seen) -> None:
        least, mark = seen.group.least_cacheable, seen.fingerprint
        if least is None or not mark or seen.fresh < least or seen.rate is None:
            return
        cuts = marks.count(mark)
        whole = marks.size(mark, cuts - 1) if cuts else 0
        if not whole or len(self._ways) > 20_000:
            return
        scale = seen.total / whole
        self._groups[seen.group.number] = seen.group
        ways = self._ways[(seen.group.number, seen.shape)]
        for place, (wanted, seeks) in enumerate(_breakpoints(mark, cuts)):
            self._play(seen, ways, place, wanted, seeks, scale, least)

    def _play(
        self,
        seen: Seen,
        ways: dict[tuple[int, int], _Way],
        place: int,
        wanted: list[int],
        seeks: Sequence[int],
        scale: float,
        least: int,
    ) -> None:
        """What this request would have read and written with breakpoints at the cuts `wanted`."""
        mark, rate, used = seen.fingerprint, seen.rate, self._used[place]
        assert mark is not None
        assert rate is not None
        ends = [(at, round(marks.size(mark, at) * scale)) for at in wanted]
        ends = [(at, size) for at, size in ends if size >= least]
        if not ends:
            return
        hit = next(
            (
                (round(marks.size(mark, at) * scale), last)
                for at in seeks
                if (last := used.get(marks.name(mark, at))) is not None
            ),
            (0, 0),
        )
        most = min(ends[-1][1], seen.total)
        paid = seen.input_micros
        for number, (life_ns, _) in enumerate(_LIVES):
            read = min(hit[0], most) if hit[0] and seen.at_ns - hit[1] <= life_ns else 0
            write = rate.cache_write_1h if number else rate.cache_write_5m
            cost = read * rate.cache_read + (most - read) * write + (seen.total - most) * rate.input
            way = ways.get((place, number))
            if way is None:
                way = ways[(place, number)] = _Way()
            way.saved.add(seen, paid - cost)
            way.calls += read > 0
            way.tokens_read += read
        for at, _ in ends:
            used.put(marks.name(mark, at), seen.at_ns, seen.at_ns)

    def found(self, _: Traffic, /) -> list[Found]:
        best: dict[tuple[int, tuple[int, int]], _Way] = {}
        for (number, _shape), ways in self._ways.items():
            if not ways:
                continue
            key, way = _best(ways)
            if way.saved.micros > 0:
                mine = best.setdefault((number, key), _Way())
                mine.saved.join(way.saved)
                mine.calls += way.calls
                mine.tokens_read += way.tokens_read
        return [
            self._finding(self._groups[number], key, way)
            for (number, key), way in best.items()
            if way.calls >= LEAST_CALLS
        ]

    def _finding(self, group: Group, key: tuple[int, int], way: _Way) -> Found:
        place, life = _PLACES[key[0]], _LIVES[key[1]][1]
        each = way.tokens_read / way.calls
        what = "each turn re-sends" if place == "conversation" else f"{way.calls:,} calls repeat"
        lasting = "" if life == "5m" else ', "ttl": "1h"'
        return Found(
            rule="uncached-prefix",
            title=f"{who(group.where)}: {what} {tokens(each)} tokens uncached",
            where=group.where,
            certainty="sure",
            nature="prefix",
            sample=way.calls,
            least=LEAST_CALLS,
            evidence=(
                f"{way.calls:,} of {way.saved.count:,} calls began exactly as one within {life} before.",
                "What it costs to write the entries is counted.",
            ),
            numbers={
                "calls": way.saved.count,
                "calls_that_would_read": way.calls,
                "tokens_that_would_be_read": way.tokens_read,
                "breakpoint": place,
                "ttl": life,
            },
            change=_CHANGES[place] + (", with an hour to live." if lasting else "."),
            snippet=_SNIPPETS[place] % lasting,
            claims=way.saved.nanousd_claims,
            spread=way.saved.spread,
            quota=((group.pool, "input_tokens", float(way.tokens_read), 0.0),)
            if group.reads_are_free and group.pool
            else (),
            ids=way.saved.ids,
        )


def _best(ways: dict[tuple[int, int], _Way]) -> tuple[tuple[int, int], _Way]:
    """The way that saves most; with five minutes to live unless an hour is clearly better."""
    shorter = max((item for item in ways.items() if not item[0][1]), key=lambda item: item[1].saved.micros)
    longer = max((item for item in ways.items() if item[0][1]), key=lambda item: item[1].saved.micros)
    return longer if longer[1].saved.micros > AN_HOUR_GAINS * max(shorter[1].saved.micros, 0) else shorter


def _breakpoints(mark: bytes, cuts: int) -> Iterator[tuple[list[int], Sequence[int]]]:
    """For each of the places: the cuts that get a breakpoint, and the cuts at which an entry would be looked for."""
    steady = marks.fixed(mark)
    system = [steady - 1] if steady else []
    yield system, range(steady - 1, steady - 2, -1) if steady else range(0)
    first = [steady] if cuts - steady >= 2 else []
    yield [*system, *first] if first else [], range(steady, max(steady - 2, -1), -1)
    back = list(
        range(cuts - 2, max(cuts - 1 - _LOOKED_BACK, -1), -1)
    )  # a copy of all of it is another finding
    yield sorted({*system, cuts - 1}), back + [at for at in system if at not in back]
