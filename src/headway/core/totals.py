"""Live totals of what was used, by session and model."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from headway.core.call import Usage

PAIRS_KEPT = 10_000  # of session and model; names come from outside, so the memory for them has a bound
OTHERS, OTHER_MODELS_KEPT = "(others)", 100


@dataclass(frozen=True, slots=True)
class Total:
    """What the calls of one session with one model took so far.

    `calls` gave a reply, `attempts` is all that was sent, `refused` those answered 429. `nanousd` is whole nanodollars
    of what has a price; `unpriced` counts attempts that took something whose price is not known. `in_flight` are now.
    """

    session: str
    model: str
    calls: int = 0
    attempts: int = 0
    refused: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    nanousd: int = 0
    unpriced: int = 0


@dataclass(slots=True)
class Row:
    """A total that is being counted. `into` is the row that it was folded into."""

    calls: int = 0
    attempts: int = 0
    refused: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    nanousd: int = 0
    unpriced: int = 0
    into: Row | None = None

    def take(self, usage: Usage, nanousd: int | None) -> None:
        """An attempt took this, its parts included, and cost so much (None: not known)."""
        self._add(usage)
        for part in usage.parts:
            self._add(part)
        if nanousd is not None:
            self.nanousd += nanousd
        elif tokens_of(usage):
            self.unpriced += 1

    def _add(self, usage: Usage) -> None:
        self.input_tokens += usage.input_tokens
        self.cache_read_tokens += usage.cache_read_tokens
        self.cache_write_tokens += usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
        self.output_tokens += usage.output_tokens

    def fold(self, into: Row) -> None:
        """Count this in another row from now on."""
        into.calls += self.calls
        into.attempts += self.attempts
        into.refused += self.refused
        into.in_flight += self.in_flight
        into.input_tokens += self.input_tokens
        into.cache_read_tokens += self.cache_read_tokens
        into.cache_write_tokens += self.cache_write_tokens
        into.output_tokens += self.output_tokens
        into.nanousd += self.nanousd
        into.unpriced += self.unpriced
        self.into = into


class Totals:
    """All totals. The pairs used least recently are folded into one session when there are too many."""

    def __init__(self, pairs: int = PAIRS_KEPT, other_models: int = OTHER_MODELS_KEPT) -> None:
        self._pairs = pairs
        self._other_models = other_models
        self._rows: OrderedDict[tuple[str, str], Row] = OrderedDict()
        self._others: dict[str, Row] = {}

    def go(self, session: str, model: str) -> Row:
        """An attempt goes; its row, to be settled with."""
        pair = (session, model)
        row = self._rows.get(pair)
        if row is None:
            row = self._rows[pair] = Row()
            while len(self._rows) + len(self._others) > self._pairs:
                self._fold()
        else:
            self._rows.move_to_end(pair)
        row.attempts += 1
        row.in_flight += 1
        return row

    def all(self) -> tuple[Total, ...]:
        """What is counted now, the pairs used least recently first."""
        others = (((OTHERS, model), row) for model, row in self._others.items())
        return tuple(
            Total(
                session,
                model,
                row.calls,
                row.attempts,
                row.refused,
                row.in_flight,
                row.input_tokens,
                row.cache_read_tokens,
                row.cache_write_tokens,
                row.output_tokens,
                row.nanousd,
                row.unpriced,
            )
            for (session, model), row in (*others, *self._rows.items())
        )

    def _fold(self) -> None:
        (_, model), row = self._rows.popitem(last=False)
        if model not in self._others and len(self._others) >= self._other_models:
            model = OTHERS
        row.fold(self._others.setdefault(model, Row()))


def tokens_of(usage: Usage) -> int:
    """All input and output of an attempt, its parts included."""
    return (
        usage.input_tokens
        + usage.cache_read_tokens
        + usage.cache_write_5m_tokens
        + usage.cache_write_1h_tokens
        + usage.output_tokens
        + (sum(map(tokens_of, usage.parts)) if usage.parts else 0)
    )
