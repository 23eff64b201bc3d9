"""Which calls a comparison is made of, what they are called, and in which order they go.

A call is named by what it asks: the hash of its request and a number among its equals. So a variant that is left alone
while another is reworded keeps its replies, and nothing is paid twice. Two variants that ask the same get replies of
their own: comparing them shows what chance alone does.

Inputs are blocks: all variants of an input go one after the other, each block in an order of its own, so that neither
the time of day, nor the load of the API, nor a run that is cut short favours a variant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any

import msgspec

from headway.workbench.variants import Input, Variant

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Trial:
    """One call: this variant on this input for the `repeat`-th time (from 1)."""

    id: str
    variant: str
    input: Input
    repeat: int
    request: Mapping[str, Any] = field(repr=False)


def trials(
    variants: Sequence[Variant], inputs: Sequence[Input], repeats: int, emulated: str = ""
) -> list[Trial]:
    """All calls, in the order in which they go. Replies of an emulator (its profile) are never taken for true ones."""
    found: list[Trial] = []
    equals: Counter[str] = Counter()
    for repeat in range(1, repeats + 1):
        for each in inputs:
            block = []
            for variant in variants:
                request = variant.request(each.fields)
                name = digest([emulated, request] if emulated else request)
                equals[name] += 1
                block.append(Trial(f"{name}-{equals[name]}", variant.name, each, repeat, request))
            found += _shuffled(block, f"{each.number} {repeat}")
    return found


def digest(value: Any) -> str:
    """A short name for a JSON value: equal values, equal names."""
    return blake2b(_encode(value), digest_size=8).hexdigest()


def lines(asked: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[bytes]:
    """Calls, by id, as the lines of a job."""
    for name, request in asked:
        yield msgspec.json.encode({"custom_id": name, "params": request}) + b"\n"


def _shuffled(block: list[Trial], seed: str) -> list[Trial]:
    """The same block in an order of its own, which is the same in every run."""
    return Random(seed).sample(block, len(block))
