"""A call in flight: what it holds, how far its reply is, and what is learnt from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from headway.core.books import Posting
from headway.core.call import Reading, Unit, Usage
from headway.core.meter import Hold
from headway.core.needs import Needs
from headway.core.pool import Pool
from headway.core.ports import Store
from headway.core.steps import Ticket

PROGRESS_TOKENS = 64  # of output, that are told to the meters at once
LOOK_FIRST, LOOK_AGAIN = 0.75, 1.5  # its length is guessed anew at this share of the guess, then so on


class Running(Struct, eq=False):
    """A ticket in flight. `began`: some of its reply has come, so that others can read what it wrote to the cache.

    `charged` is what its tenant was charged for it in line, in seconds of the limit that it draws on most.
    """

    ticket: Ticket
    pool: Pool
    needs: Needs
    posting: Posting
    look_at: float  # the length at which to guess anew how long it will be
    headed: bool = False
    began: bool = False
    readings: Sequence[Reading] = ()
    produced: float = 0.0
    charged: float = 0.0

    @property
    def seconds(self) -> float:
        """What it is expected to take of the limit that it draws on most, in seconds of that."""
        most, holds = 0.0, self.needs.holds
        for limit in self.pool.limits:
            seconds = holds[limit.unit].need * limit.period_s / limit.amount
            if seconds > most:
                most = seconds
        return most or 1.0

    def took(self, used: Mapping[Unit, float]) -> None:
        """It is over and took this: that is what its tenant pays for, whatever was expected."""
        most = 0.0
        for limit in self.pool.limits:
            seconds = used.get(limit.unit, 0.0) * limit.period_s / limit.amount
            if seconds > most:
                most = seconds
        if self.pool.limits:
            self.pool.line.correct(self.ticket.call, most - self.charged)
        self.pool.count(used)

    def grow(self, tokens: float, store: Store, now: float) -> None:
        """It has put out `tokens` so far."""
        lengths, holds = self.needs.lengths, self.needs.holds
        lengths.grow(self.produced, tokens)
        self.produced = tokens
        hold = holds[Unit.OUTPUT_TOKENS]
        if tokens > self.look_at:
            self.look_at = LOOK_AGAIN * tokens
            guess = lengths.expect(hold.most, tokens)
            hold = holds[Unit.OUTPUT_TOKENS] = Hold(guess.mean, guess.variance, hold.most)
        store.produce(self.ticket.id, tokens, hold, now)

    def teach(self, usage: Usage) -> None:
        """It ended well and took this. Calls that are not estimated (token counts, batches) teach nothing."""
        estimate, tokens = self.ticket.call.estimate, usage.output_tokens
        if estimate.max_output_tokens == 0 or estimate.input_tokens <= 0.0:
            return
        lengths = self.needs.lengths
        lengths.grow(self.produced, tokens)
        lengths.end(tokens, cut_off=tokens >= estimate.max_output_tokens)
        total = (
            usage.input_tokens
            + usage.cache_read_tokens
            + usage.cache_write_5m_tokens
            + usage.cache_write_1h_tokens
        )
        self.needs.ratio.learn(estimate.input_tokens, total)


def used_by(usage: Usage, *, cache_is_free: bool, requests: float) -> dict[Unit, float]:
    """What the limits are charged with. Where `cache_is_free`, input that is read from the cache is not."""
    charged = usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    if not cache_is_free:
        charged += usage.cache_read_tokens
    return {
        Unit.REQUESTS: requests,
        Unit.INPUT_TOKENS: charged,
        Unit.OUTPUT_TOKENS: usage.output_tokens,
        Unit.TOKENS: charged + usage.output_tokens,
    }
