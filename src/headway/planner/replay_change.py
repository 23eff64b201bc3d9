"""Makes the calls of a what-if out of those of the ledger: moved, ranked, dropped, to the Batch API, more of them, or fewer.

Tokens stay as they were counted, except between models whose tokenizers differ: there the same text has 1.3 times the
tokens, or that much less. Durations stay: how fast another model would be is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import assert_never
from zlib import crc32

from msgspec import structs

from headway.core.call import Usage
from headway.ledger.price import Prices
from headway.planner.replay_rows import Asked
from headway.planner.replay_whatif import Budgeted, Change, Loaded, Moved, Ranked, Taken
from headway.providers.catalog import Catalog

DENSER = 1.3  # tokens of the same text from Claude 4.7 on: "about 30 % more", models overview of 2026-11-24
SPREAD_S = 300.0  # calls that are added come within so long after those they are like
OFF_LIMITS = ""  # the pool of what draws on no limit


class Changes:
    """What a what-if does to calls. `begins_ns` is the wall time at which the recording begins, for prices."""

    def __init__(self, changes: Sequence[Change], prices: Prices, begins_ns: int) -> None:
        self.batched = self.dropped = 0
        self._prices, self._begins_ns, self._catalog = prices, begins_ns, Catalog.load()
        self._loads = [change for change in changes if isinstance(change, Loaded)]
        self._edits = [change for change in changes if not isinstance(change, Loaded | Budgeted)]

    def of(self, rows: Iterator[Asked]) -> Iterator[Asked]:
        """The calls instead of `rows`, in order of time again."""
        if self._edits:
            rows = self._edited(rows)
        return self._loaded(rows) if self._loads else rows

    def _edited(self, rows: Iterator[Asked]) -> Iterator[Asked]:
        for asked in rows:
            if all(self._edit(change, asked) for change in self._edits if change.whose.are(asked)):
                yield asked

    def _edit(self, change: Change, asked: Asked) -> bool:
        """Change a call; False: it is not there any more."""
        match change:
            case Moved(_, model):
                self._move(asked, model)
            case Ranked(_, class_, weight):
                asked.class_ = class_ or asked.class_
                asked.weight = weight or asked.weight
            case Taken(_, to_batch):
                if not to_batch:
                    self.dropped += 1
                    return False
                self.batched += 1
                asked.pool = OFF_LIMITS
                asked.cost = self._price(asked, batch=True)
            case Loaded() | Budgeted():
                pass
            case _:
                assert_never(change)
        return True

    def _move(self, asked: Asked, model: str) -> None:
        before, after = self._catalog.model(asked.model), self._catalog.model(model)
        assert after is not None, "the what-if names a model that is known"
        times = 1.0
        if before is not None and before.tokenizer != after.tokenizer:
            times = DENSER if after.tokenizer > before.tokenizer else 1.0 / DENSER
        for name in ("estimated_input", "input", "read", "written_5m", "written_1h", "output"):
            setattr(asked, name, round(getattr(asked, name) * times))
        asked.most_output = max(asked.most_output, asked.output)
        was_off = asked.pool == OFF_LIMITS
        asked.model, asked.pool = model, OFF_LIMITS if was_off else after.pool
        asked.cost = self._price(asked, batch=False)

    def _price(self, asked: Asked, *, batch: bool) -> int | None:
        usage = Usage(
            input_tokens=asked.input,
            cache_read_tokens=asked.read,
            cache_write_5m_tokens=asked.written_5m,
            cache_write_1h_tokens=asked.written_1h,
            output_tokens=asked.output,
            web_searches=asked.searches,
            model=asked.model,
        )
        at_ns = self._begins_ns + round(asked.at * 1e9)
        return self._prices.cost(asked.model, usage, at_ns, batch=batch).nanousd

    def _loaded(self, rows: Iterator[Asked]) -> Iterator[Asked]:
        """A call, or a whole session, so many times; part of a time is a draw that is always the same."""
        later: list[tuple[float, int, Asked]] = []
        serial = 0
        for number, asked in enumerate(rows):
            while later and later[0][0] <= asked.at:
                yield heappop(later)[2]
            name = f"{asked.tenant}/{asked.session}" if asked.session else f"{asked.tenant}/#{number}"
            for copy in range(self._copies(asked, name)):
                if copy == 0:
                    yield asked
                    continue
                serial += 1
                another = _copy(asked, name, copy)
                heappush(later, (another.at, serial, another))
        while later:
            yield heappop(later)[2]

    def _copies(self, asked: Asked, name: str) -> int:
        times = 1.0
        for load in self._loads:
            if load.whose.are(asked):
                times *= load.times
        return int(times) + (_draw(name, 0) < times - int(times))


def _copy(asked: Asked, name: str, copy: int) -> Asked:
    at = asked.at + _draw(name, copy) * SPREAD_S
    session = f"{asked.session}+{copy}" if asked.session else ""
    return structs.replace(asked, at=at, session=session)


def _draw(name: str, copy: int) -> float:
    """Between 0 and 1, always the same for the same."""
    return crc32(f"{name}/{copy}".encode()) / 2**32
