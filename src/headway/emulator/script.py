"""What will become of a request, drawn once when it arrives: how long, how fast, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from math import cos, exp, log, pi, sqrt

from headway.emulator.profile import Profile

_SHARE_SIGMA = 0.3
_SPEED_SPREAD = 0.2


class Mishap(StrEnum):
    """What goes wrong. The first three come instead of a reply, the others in the middle of one."""

    OVERLOADED = "overloaded"
    ERROR = "error"
    RESET = "reset"
    CUT = "cut"
    SHORT = "short"
    STREAM_ERROR = "stream_error"
    STALL = "stall"


INSTEAD = frozenset((Mishap.OVERLOADED, Mishap.ERROR, Mishap.RESET))
_STREAMS_ONLY = frozenset((Mishap.SHORT, Mishap.STREAM_ERROR))


@dataclass(frozen=True, slots=True)
class Script:
    """The course of one reply. `output_tokens` are really produced (fewer when it breaks off), `stop_reason` is how it ends.

    `break_at` is the share of the whole reply after which a mishap comes; `estimate_error` is by what share the server's
    own first estimate of the input is off. Speed in tokens per second.
    """

    output_tokens: int
    stop_reason: str
    ttft_s: float
    speed: float
    estimate_error: float
    mishap: Mishap | None = None
    break_at: float = 0.5

    @property
    def produced_s(self) -> float:
        """Seconds from the first token to the last."""
        return self.output_tokens / self.speed


class Chance:
    """Even draws between 0 and 1 from a digest: equal bytes, equal draws, on every machine."""

    __slots__ = ("_digest", "_left")

    def __init__(self, *parts: bytes) -> None:
        self._digest = blake2b(b"\0".join(parts), digest_size=64).digest()
        self._left = 0

    def draw(self) -> float:
        """The next even draw, above 0 and below 1; eight in all, then they repeat."""
        start = 8 * (self._left % 8)
        self._left += 1
        return (int.from_bytes(self._digest[start : start + 8], "big") + 0.5) / 2**64

    def lognormal(self, mean: float, sigma: float) -> float:
        """A draw with this mean (not median)."""
        return exp(log(mean) - sigma * sigma / 2 + sigma * self.normal())

    def normal(self) -> float:
        """A draw from the standard normal distribution; uses up two even draws."""
        return sqrt(-2.0 * log(self.draw())) * cos(2.0 * pi * self.draw())


def draw_mishap(profile: Profile, digest: bytes, attempt: int, stream: bool) -> Mishap | None:
    """What goes wrong with the `attempt`-th request of the body with this digest. A retry draws anew."""
    draw = Chance(b"mishap", b"%d" % profile.seed, b"%d" % attempt, digest).draw()
    for mishap in Mishap:
        draw -= getattr(profile, mishap.value)
        if draw < 0.0:
            return None if mishap in _STREAMS_ONLY and not stream else mishap
    return None


def write_script(
    profile: Profile, digest: bytes, ceiling: int, full: str, steered: int | None, mishap: Mishap | None
) -> Script:
    """Draw the course of a reply of at most `ceiling` tokens; `full` is the stop reason if it gets there.

    `steered` is the output length a test asked for; None: drawn.
    """
    chance = Chance(b"script", b"%d" % profile.seed, digest)
    estimate_error = profile.input_error * (2.0 * chance.draw() - 1.0)
    speed = profile.speed * (1.0 + _SPEED_SPREAD * (2.0 * chance.draw() - 1.0))
    break_at = 0.2 + 0.6 * chance.draw()
    ttft = profile.ttft_s * exp(profile.ttft_sigma * chance.normal()) if profile.ttft_s else 0.0
    wanted = _wanted(profile, chance, ceiling) if steered is None else steered
    produced = min(wanted, ceiling)
    if mishap is not None and mishap is not Mishap.STALL:
        produced = int(produced * break_at)
    stop_reason = full if wanted >= ceiling else "end_turn"
    return Script(produced, stop_reason, ttft, speed, estimate_error, mishap, break_at)


def _wanted(profile: Profile, chance: Chance, ceiling: int) -> int:
    mean, sigma = profile.output_mean, profile.output_sigma
    if profile.output_share is not None:
        mean, sigma = max(1.0, profile.output_share * ceiling), _SHARE_SIGMA
    return max(1, round(chance.lognormal(mean, sigma)))
