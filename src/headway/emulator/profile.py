"""What the emulated provider is like: which limits it enforces, how it counts, how fast it is, how often it fails."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl

from headway.emulator.rules import Admit, Output, Refused, Remaining
from headway.emulator.settings import Kind, Setting, SpendCap, read_value
from headway.emulator.tiers import NO_LIMITS, TIERS, Limits, find_model
from headway.errors import ConfigError

_LIMIT_KEYS = tuple(f.name for f in fields(Limits))
_MISHAPS = ("overloaded", "error", "reset", "cut", "short", "stream_error", "stall")
_EXAMPLE = "claude-opus-4/tier-1?burst=5s&ttft=0.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything that decides what the emulator does; `SETTINGS` says what each field means.

    Times in seconds, speeds in tokens per second, probabilities from 0 to 1. The real burst capacity, ramp rule and
    admission test are not published: those here are assumptions, to be varied.
    """

    model_class: str
    tier: str
    limits: Limits = NO_LIMITS
    burst_s: float = 5.0
    admit: Admit = Admit.DEBT
    output: Output = Output.PRODUCED
    remaining: Remaining = Remaining.BURST
    refused: Refused = Refused.FREE
    input_error: float = 0.1
    ttft_s: float = 0.6
    ttft_sigma: float = 0.35
    speed: float = 60.0
    output_mean: float = 250.0
    output_sigma: float = 0.8
    output_share: float | None = None
    overloaded: float = 0.0
    error: float = 0.0
    reset: float = 0.0
    cut: float = 0.0
    short: float = 0.0
    stream_error: float = 0.0
    stall: float = 0.0
    stall_s: float = 30.0
    seed: int = 0
    spend_cap: SpendCap | None = None
    ramp: float | None = None
    ramp_floor: float = 60.0
    minute_s: float = 60.0
    key: str | None = field(default=None, repr=False)

    def limits_of(self, pool: str) -> Limits:
        """What is enforced on a pool: this profile's limits on its own class, the tier's on every other."""
        if self.model_class in ("any", pool):
            return self.limits
        published = TIERS.get(pool, {}).get(self.tier)
        return self.limits if published is None else _scaled(published, 60.0 / self.minute_s)


SETTINGS = (
    Setting(
        "burst", "burst_s", "some_seconds", "how much of a limit may be used at once, as a time of refill"
    ),
    Setting("admit", "admit", Admit, "debt: any level above 0 lets in; fit: the request must fit"),
    Setting(
        "output",
        "output",
        Output,
        "produced: counted as it is made; reserved: max_tokens ahead, corrected later",
    ),
    Setting(
        "remaining",
        "remaining",
        Remaining,
        "what the remaining headers show: burst, what the bucket holds, or minute, the limit less what is not refilled",
    ),
    Setting("refused", "refused", Refused, "whether a 429 uses up a request: free or counted"),
    Setting("input_error", "input_error", "share", "how far the estimate of input at admission may be off"),
    Setting("ttft", "ttft_s", "seconds", "time to the first token, median"),
    Setting("ttft_sigma", "ttft_sigma", "number", "spread of it, as the sigma of a lognormal"),
    Setting("speed", "speed", "positive", "output tokens per second, within 20 %"),
    Setting("output_mean", "output_mean", "positive", "mean output tokens of a reply"),
    Setting("output_sigma", "output_sigma", "number", "spread of it, as the sigma of a lognormal"),
    Setting("output_share", "output_share", "share", "mean output as a share of max_tokens instead"),
    Setting("overloaded", "overloaded", "share", "share of attempts that get a 529"),
    Setting("error", "error", "share", "share of attempts that get a 500"),
    Setting("reset", "reset", "share", "share of attempts whose connection is reset before any reply"),
    Setting("cut", "cut", "share", "share of replies whose connection closes in the middle"),
    Setting("short", "short", "share", "share of streams that end properly, but without message_stop"),
    Setting("stream_error", "stream_error", "share", "share of streams with an error event in the middle"),
    Setting("stall", "stall", "share", "share of replies that fall silent in the middle"),
    Setting("stall_s", "stall_s", "silence", "for how long they are silent; never: for good"),
    Setting("seed", "seed", "whole", "the same seed and body give the same reply"),
    Setting(
        "spend_cap",
        "spend_cap",
        "spend_cap",
        "what may be spent before every call gets a 429: 20usd, 500requests",
    ),
    Setting(
        "ramp", "ramp", "positive", "a minute may have this many times the requests of the one before it"
    ),
    Setting("ramp_floor", "ramp_floor", "number", "requests a minute that are never a ramp"),
    Setting("key", "key", "text", "the only API key accepted"),
)


def parse_profile(text: str) -> Profile:
    """Read `model-class/tier?key=value&…`. Raises ConfigError that names the nearest known word."""
    place, _, query = text.partition("?")
    model_name, _, tier = place.strip("/").partition("/")
    model_class = _model_class(model_name)
    tiers = TIERS[model_class]
    tier = tier or "unlimited"
    if tier not in tiers:
        raise ConfigError(f"Unknown tier {tier!r} for {model_class}.", hint=_nearest(tier, tiers))
    values = dict(parse_qsl(query, keep_blank_values=True))
    time_scale = _read("time_scale", "positive", values.pop("time_scale", "1"))
    limits = {key: _read(key, "amount", values.pop(key)) for key in _LIMIT_KEYS if key in values}
    readers = {known.key: known for known in SETTINGS}
    for key in values:
        if key not in readers:
            known = (*readers, *_LIMIT_KEYS, "time_scale")
            raise ConfigError(f"Unknown setting {key!r} in the profile.", hint=_nearest(key, known))
    read = {readers[key].field: _read(key, readers[key].kind, value) for key, value in values.items()}
    profile = Profile(model_class=model_class, tier=tier, limits=replace(tiers[tier], **limits), **read)
    if sum(getattr(profile, name) for name in _MISHAPS) > 1.0:
        raise ConfigError(
            "The shares of mishaps in the profile add up to more than 1.", hint=", ".join(_MISHAPS)
        )
    return _faster(profile, time_scale)


def _faster(profile: Profile, times: float) -> Profile:
    """The same provider with time running `times` faster: limits, refill, replies. Bursts keep their size in units."""
    if times == 1.0:
        return profile
    return replace(
        profile,
        limits=_scaled(profile.limits, times),
        burst_s=profile.burst_s / times,
        ttft_s=profile.ttft_s / times,
        speed=profile.speed * times,
        stall_s=profile.stall_s / times,
        minute_s=profile.minute_s / times,
    )


def _scaled(limits: Limits, times: float) -> Limits:
    amounts = {key: getattr(limits, key) for key in _LIMIT_KEYS}
    return Limits(**{key: None if amount is None else amount * times for key, amount in amounts.items()})


def _model_class(name: str) -> str:
    if name in TIERS:
        return name
    model = find_model(name)
    if model is None:
        raise ConfigError(f"Unknown model class {name!r} in the profile.", hint=_nearest(name, TIERS))
    return model.pool


def _read(key: str, kind: Kind, value: str) -> Any:
    try:
        return read_value(kind, value)
    except ValueError as wrong:
        message = f"{key}={value} in the profile is not {wrong}."
        raise ConfigError(message, hint=f"Example: {_EXAMPLE}") from None


def _nearest(word: str, known: Any) -> str:
    near = get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
