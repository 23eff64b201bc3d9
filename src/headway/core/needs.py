"""What one call is expected to take of each limit, from its estimate and what calls like it took."""

from __future__ import annotations

from msgspec import Struct

from headway.core.call import Call, Unit
from headway.core.forecast import Forecast, Lengths, Ratio
from headway.core.meter import Hold

UNTAUGHT_CALLS = (
    6  # until so many replies, output that is not seen as it grows is held with a deviation on top
)


_ONE = Hold(1.0)


class Needs(Struct, frozen=True):
    """A hold for every unit; what input and output were judged by; all input tokens, read from cache or not."""

    holds: dict[Unit, Hold]
    lengths: Lengths
    ratio: Ratio
    input_tokens: float


def needs_of(call: Call, forecast: Forecast, *, reads: float) -> Needs:
    """`reads`: as many tokens of the prompt, by its estimate, will be read from the cache, free of the input limit."""
    estimate = call.estimate
    lengths, ratio = forecast.of(call)
    total = counted = estimate.input_tokens * ratio.value
    if reads:
        counted = max(total - reads * ratio.value, 1.0)
    error = (ratio.error(estimate.error) * counted) ** 2
    output, variance = lengths.expect(estimate.max_output_tokens)
    if not call.stream and lengths.taught < UNTAUGHT_CALLS:
        output = min(output + variance**0.5, estimate.max_output_tokens)
    holds = {
        Unit.REQUESTS: _ONE,
        Unit.INPUT_TOKENS: Hold(counted, error),
        Unit.OUTPUT_TOKENS: Hold(output, variance, estimate.max_output_tokens),
        Unit.TOKENS: Hold(counted + output, error + variance),
    }
    return Needs(holds, lengths, ratio, total)
