"""How many tokens a job file takes: in all, and how they are spread over its lines. Some 40 bytes of memory a line."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import Any, BinaryIO

from headway.context.counting import NINE_IN_TEN, Count, Way
from headway.context.sampling import Ratio, drawn, ratio_of
from headway.errors import JobFileError
from headway.jobs.ids import Ids
from headway.jobs.index import BadLine, Checked, Index, scan
from headway.jobs.lines import PATH, Defaults, Line, read_line
from headway.providers.anthropic import Anthropic
from headway.providers.catalog import oversize

_LARGEST = 5
_MOST = 2**32 - 1

Ask = Callable[[Sequence[Mapping[str, Any]]], list[Count] | None]


@dataclass(slots=True)
class Sums:
    """What the lines of one model take. Tokens; `inputs` and `ceilings` (their max_tokens) are of each line."""

    input_tokens: float = 0.0
    doubt: float = 0.0
    inputs: array[int] = field(default_factory=lambda: array("I"))
    ceilings: array[int] = field(default_factory=lambda: array("I"))

    @property
    def lines(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True)
class Largest:
    """One of the largest lines."""

    custom_id: str
    line: int
    tokens: int


@dataclass(frozen=True, slots=True)
class JobCount:
    """A job in tokens. `p50`, `p90` and `most` are input tokens of a line; `bad` lines are in none of the sums.

    `too_large` lines are for a window that they do not fit in: they count as bad, too. `asked`: so many lines were counted
    by another than our fit, and all of it is corrected by what came of that.
    """

    lines: int
    count: Count
    p50: int
    p90: int
    most: int
    largest: tuple[Largest, ...]
    bad: int
    bad_lines: tuple[BadLine, ...]
    too_large: int
    asked: int = 0
    models: Mapping[str, Sums] = field(default_factory=dict)


@dataclass(slots=True)
class _Counter:
    """Adds up lines as they are checked."""

    defaults: Defaults
    provider: Anthropic
    model: str | None
    max_tokens: int | None
    sizes: array[int] = field(default_factory=lambda: array("I"))
    numbers: array[int] = field(default_factory=lambda: array("I"))  # of lines, from 1
    largest: list[tuple[int, int, str]] = field(default_factory=list)
    sums: dict[str, Sums] = field(default_factory=dict)
    too_large: int = 0
    ids: Ids = field(default_factory=Ids)

    def request(self, data: bytes, number: int) -> tuple[dict[str, Any], Line]:
        """What a line asks, with what replaces its own words."""
        line = read_line(data, number, self.defaults, is_text=False)
        request: dict[str, Any] = dict(line.request)
        request |= {"model": self.model} if self.model else {}
        request |= {} if self.max_tokens is None else {"max_tokens": self.max_tokens}
        return request, line

    def check(self, data: bytes, number: int) -> Checked:
        """What `jobs.index.scan` asks of every line. Raises JobFileError."""
        request, line = self.request(data, number)
        identity = self.provider.identify(PATH, request)
        estimate = self.provider.estimate(request)
        facts = self.provider.catalog.model(identity.model)
        problem = oversize(facts, estimate) if facts else None
        if problem:
            self.too_large += 1
            raise JobFileError(problem.text)
        if self.ids.add(line.custom_id) is not None:
            raise JobFileError("another line before it has the same custom_id")
        checked = Checked(line, identity, estimate)
        self._add(checked, number)
        return checked

    def _add(self, checked: Checked, number: int) -> None:
        estimate, tokens = checked.estimate, round(checked.estimate.input_tokens)
        self.sizes.append(min(tokens, _MOST))
        self.numbers.append(number)
        entry = (tokens, -number, checked.line.custom_id)
        (heappush if len(self.largest) < _LARGEST else heappushpop)(self.largest, entry)
        sums = self.sums.setdefault(checked.identity.model, Sums())
        sums.input_tokens += estimate.input_tokens
        sums.doubt += estimate.error * estimate.input_tokens
        sums.inputs.append(min(tokens, _MOST))
        sums.ceilings.append(min(estimate.max_output_tokens, _MOST))


def count_job(
    file: BinaryIO,
    *,
    defaults: Defaults,
    model: str | None = None,
    max_tokens: int | None = None,
    ask: Ask | None = None,
    progress: Callable[[int], None] = lambda _read: None,
) -> JobCount:
    """Count every line. `defaults` are for lines that say nothing, `model` and `max_tokens` replace what lines say.

    The interval of the sum supposes that all lines are off the same way, as texts of one kind are. With `ask`, which
    gets requests and gives counts of another (None: of none of them), a sample of lines is counted by that, and the rest
    is corrected by it. Raises JobFileError if the file cannot be read, or has no line that can be counted; what `ask` does.
    """
    counter = _Counter(defaults, Anthropic(), model, max_tokens)
    index = scan(file, counter.check, progress)
    if not counter.sizes:
        reason = f": {index.bad[0]}" if index.bad else ""
        raise JobFileError(f"the job has no line that can be counted{reason}")
    known = None if ask is None else _asked(counter, index, ask)
    ratio, way = known or (Ratio(1.0, 0.0, 0), "fit")
    sizes = sorted(round(size * ratio.mean) for size in counter.sizes)
    for sums in counter.sums.values():
        sums.input_tokens *= ratio.mean
        sums.inputs = array("I", (min(round(size * ratio.mean), _MOST) for size in sums.inputs))
    return JobCount(
        lines=len(sizes),
        count=_count(counter.sums, ratio, way),
        p50=sizes[(len(sizes) - 1) // 2],
        p90=sizes[int(0.9 * (len(sizes) - 1))],
        most=sizes[-1],
        largest=tuple(
            Largest(name, -number, round(tokens * ratio.mean))
            for tokens, number, name in sorted(counter.largest, reverse=True)
        ),
        bad=index.bad_count,
        bad_lines=tuple(index.bad),
        too_large=counter.too_large,
        asked=ratio.lines,
        models=dict(sorted(counter.sums.items(), key=lambda each: -each[1].input_tokens)),
    )


def _asked(counter: _Counter, index: Index, ask: Ask) -> tuple[Ratio, Way] | None:
    """The ratio by a sample of the lines, and who counted them. None: nobody did."""
    places = drawn(counter.sizes)
    alone = list(dict.fromkeys(places))
    requests = [
        counter.request(index.read(counter.numbers[place] - 1), counter.numbers[place]) for place in alone
    ]
    counts = ask([request for request, _ in requests])
    if counts is None:
        return None
    truths = {place: count.tokens for place, count in zip(alone, counts, strict=True)}
    estimates = [float(counter.sizes[place]) for place in places]
    is_all = len(alone) == len(counter.sizes)
    ratio = ratio_of(estimates, [float(truths[place]) for place in places], is_all=is_all)
    return Ratio(ratio.mean, ratio.spread, len(alone)), counts[0].way


def _count(sums: Mapping[str, Sums], ratio: Ratio, way: Way) -> Count:
    tokens = sum(each.input_tokens for each in sums.values())
    if way == "fit":
        spread = NINE_IN_TEN * sum(each.doubt for each in sums.values())
    else:
        spread = tokens * ratio.spread / ratio.mean if ratio.mean else tokens
    return Count(round(tokens), max(0, round(tokens - spread)), round(tokens + spread), way)
