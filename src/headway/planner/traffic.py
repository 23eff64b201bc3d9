"""What others take of the pools that a job draws on, as far as the ledger shows it, and the job beside them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from headway.core.call import Unit
from headway.errors import LedgerError
from headway.ledger.file import read_file
from headway.planner.scene import Scene

LOOKED_BACK_S = 86_400.0
LEAST_SHARE = 0.03  # of a limit, below which others are not worth a word
MOST_SHARE = 0.95  # of a limit that others can have: something is always left
_SUMS = """
    SELECT count(*), total(input_tokens + cache_write_5m_tokens + cache_write_1h_tokens), total(output_tokens)
    FROM attempts WHERE pool = ? AND job <> ? AND at_ns >= ? AND outcome = 'ok'"""


@dataclass(frozen=True, slots=True)
class Others:
    """What share of each limit of each pool other calls took in the last day, on the mean; in 0 to 1."""

    shares: Mapping[tuple[str, Unit], float]

    @property
    def largest(self) -> tuple[Unit, float] | None:
        """The limit that they took most of, if that is worth a word."""
        unit, share = max(
            ((unit, share) for (_, unit), share in self.shares.items()),
            key=lambda each: each[1],
            default=(Unit.REQUESTS, 0.0),
        )
        return (unit, share) if share >= LEAST_SHARE else None


def others_of(path: Path | None, scene: Scene) -> Others:
    """All calls of the last day but those of this job. LedgerError for a file that cannot be read."""
    if path is None or not path.exists():
        return Others({})
    since_ns = scene.at_ns - round(LOOKED_BACK_S * 1e9)
    shares: dict[tuple[str, Unit], float] = {}
    try:
        with closing(read_file(path)) as db:
            for pool in scene.pools:
                calls, tokens_in, tokens_out = db.execute(_SUMS, (pool, scene.job, since_ns)).fetchone()
                taken = {
                    Unit.REQUESTS: calls,
                    Unit.INPUT_TOKENS: tokens_in,
                    Unit.OUTPUT_TOKENS: tokens_out,
                    Unit.TOKENS: tokens_in + tokens_out,
                }
                for limit in scene.limits(pool):
                    shares[pool, limit.unit] = taken[limit.unit] / LOOKED_BACK_S / limit.rate
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    return Others(shares)


def beside(scene: Scene, others: Others) -> Scene:
    """The scene with what others leave of the limits."""
    limits = {
        pool: tuple(
            replace(
                limit,
                amount=limit.amount * (1.0 - min(others.shares.get((pool, limit.unit), 0.0), MOST_SHARE)),
            )
            for limit in scene.limits(pool)
        )
        for pool in scene.pools
    }
    written = {
        pool: ",".join(f"{limit.unit.value}={limit.amount / limit.period_s * 60.0:.3f}/min" for limit in each)
        for pool, each in limits.items()
    }
    config = replace(scene.config, tier=None, limits=None, pool_limits=written)
    return replace(scene, config=config, limits=limits.__getitem__)
