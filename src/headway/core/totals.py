"""Live totals of what was used, by session and model."""

from __future__ import annotations

from dataclasses import dataclass


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
