"""The jobs of the benchmarks: lines in the form of Message Batches, drawn from a seed, with `out=` in each prompt."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from origin import takes

MODEL = "claude-sonnet-4-20250514"
_TEXT = (
    "the of and a to in is on with for as by an at from or that this it are was be which its after before during "
    "first next last value item line report station order parcel engine river harbour signal cargo bridge window"
)
WORDS = _TEXT.split()

Draw = tuple[int, int, int]  # words of input, tokens of output, max_tokens


def _long_tail(random_: random.Random, mean: float, sigma: float, most: int) -> int:
    """Lognormal with about this mean, cut off at `most`."""
    return max(1, min(most, round(mean * random_.lognormvariate(-sigma * sigma / 2, sigma))))


def mixed(random_: random.Random, _share: float) -> Draw:
    """Long tails on both sides, as a production chat service has them: about four tokens in for one out."""
    most = random_.choice((1024, 2048, 4096))
    return _long_tail(random_, 872, 0.9, 8_000), _long_tail(random_, 213, 0.8, most), most


def balanced(random_: random.Random, _share: float) -> Draw:
    """As mixed, with longer replies: input and output tokens bind within a tenth of each other."""
    most = random_.choice((1024, 2048, 4096))
    return _long_tail(random_, 700, 0.9, 8_000), _long_tail(random_, 354, 0.8, most), most


def output_bound(random_: random.Random, _share: float) -> Draw:
    return random_.randint(40, 200), _long_tail(random_, 300, 0.7, 4096), 8192


def short(random_: random.Random, _share: float) -> Draw:
    return random_.randint(10, 50), random_.randint(5, 30), 256


def two_kinds(random_: random.Random, share: float) -> Draw:
    """All that read much first, then all that write much."""
    if share < 0.5:
        return random_.randint(800, 1_600), random_.randint(10, 60), 1024
    return random_.randint(40, 140), _long_tail(random_, 560, 0.5, 2048), 2048


def reserved(random_: random.Random, _share: float) -> Draw:
    return random_.randint(40, 200), round(1024 * 0.05 * random_.uniform(0.7, 1.3)), 1024


def reserved_long(random_: random.Random, _share: float) -> Draw:
    return random_.randint(40, 200), round(4096 * 0.05 * random_.uniform(0.7, 1.3)), 4096


KINDS: dict[str, Callable[[random.Random, float], Draw]] = {
    "mixed": mixed,
    "balanced": balanced,
    "output-bound": output_bound,
    "short": short,
    "two-kinds": two_kinds,
    "reserved": reserved,
    "reserved-long": reserved_long,
}


def lines(kind: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` requests of a kind, in the order in which the file has them."""
    random_ = random.Random(f"{kind}-{seed}")
    for number in range(count):
        words, out, most = KINDS[kind](random_, number / count)
        text = f"Note {number}, out={out}: " + " ".join(random_.choices(WORDS, k=words))
        params = {"model": MODEL, "max_tokens": most, "messages": [{"role": "user", "content": text}]}
        yield {"custom_id": f"n{number}", "params": params}


def write(path: Path, kind: str, count: int, seed: int) -> list[Draw]:
    """Write a job file; returns what each line takes: input tokens, output tokens, max_tokens."""
    needs = []
    with path.open("w", encoding="utf-8") as file:
        for line in lines(kind, count, seed):
            needs.append(takes(line["params"]))
            file.write(json.dumps(line) + "\n")
    return needs
