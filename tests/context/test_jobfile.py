"""A job adds up: its lines are counted like requests, and what cannot be run is in no sum."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from headway.context.counting import Count, facts_of
from headway.context.jobfile import JobCount, count_job
from headway.errors import JobFileError
from headway.jobs.lines import Defaults
from headway.providers.sizing import size

MODEL = "claude-opus-4-8"


def request(words: int, **more: Any) -> dict[str, Any]:
    return {
        "model": MODEL,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "word " * words}],
        **more,
    }


def counted(tmp_path: Path, *lines: Any, **settings: Any) -> JobCount:
    path = tmp_path / "job.jsonl"
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    )
    with path.open("rb") as file:
        return count_job(file, defaults=Defaults(MODEL, 100), **settings)


def line(name: str, words: int, **more: Any) -> dict[str, Any]:
    return {"custom_id": name, "params": request(words, **more)}


def test_the_sum_is_that_of_the_lines(tmp_path: Path) -> None:
    found = counted(tmp_path, *[line(f"l{n}", n * 10) for n in range(1, 101)])
    sizes = [round(size(request(n * 10), facts_of(MODEL)).input_tokens) for n in range(1, 101)]
    assert found.lines == 100
    assert found.count.tokens == pytest.approx(sum(sizes), abs=100)
    assert (found.p50, found.p90, found.most) == (sizes[49], sizes[89], sizes[99])
    assert [(each.custom_id, each.line, each.tokens) for each in found.largest] == [
        (f"l{n}", n, sizes[n - 1]) for n in (100, 99, 98, 97, 96)
    ]
    assert sum(found.models[MODEL].ceilings) == 10_000


def test_lines_that_cannot_be_run_are_told_and_not_counted(tmp_path: Path) -> None:
    good, large = line("a", 10), line("b", 1000, max_tokens=10**6)
    found = counted(tmp_path, good, good, large, b"{broken", {"custom_id": "x", "params": {}})
    assert found.lines == 1
    assert found.bad == 4
    assert found.too_large == 1
    assert found.count.tokens == found.most


def test_models_are_summed_apart_and_may_be_replaced(tmp_path: Path) -> None:
    lines = [line("a", 10), line("b", 10, model="claude-opus-4"), {"prompt": "Hello"}]
    assert {model: sums.lines for model, sums in counted(tmp_path, *lines).models.items()} == {
        MODEL: 2,
        "claude-opus-4": 1,
    }
    replaced = counted(tmp_path, *lines, model="claude-haiku-4-5", max_tokens=7)
    assert {model: list(sums.ceilings) for model, sums in replaced.models.items()} == {
        "claude-haiku-4-5": [7, 7, 7]
    }


def test_a_job_without_a_line_that_can_be_counted_says_why(tmp_path: Path) -> None:
    with pytest.raises(JobFileError, match=r"line 1.*neither"):
        counted(tmp_path, {"custom_id": "a"})


def test_lines_that_another_counts_correct_the_rest(tmp_path: Path) -> None:
    lines = [line(f"l{n}", 20 + n) for n in range(400)]
    plain = counted(tmp_path, *lines)
    asked: list[Any] = []

    def twice(requests: Sequence[Mapping[str, Any]]) -> list[Count]:
        """One who always counts twice the estimate."""
        asked.extend(requests)
        sizes = [2 * round(size(request, facts_of(MODEL)).input_tokens) for request in requests]
        return [Count(tokens, tokens, tokens, "provider") for tokens in sizes]

    found = counted(tmp_path, *lines, ask=twice)
    assert 100 < found.asked == len(asked) <= 200
    assert found.count.tokens == pytest.approx(2 * plain.count.tokens, rel=0.001)
    assert found.count.high - found.count.low < 0.01 * found.count.tokens
    assert found.most == 2 * plain.most
    assert found.count.way == "provider"
    few = counted(tmp_path, *lines[:9], ask=twice)
    assert few.asked == 9
    assert few.count.low == few.count.tokens == few.count.high


def test_where_nobody_else_counts_it_is_as_estimated(tmp_path: Path) -> None:
    assert counted(tmp_path, line("a", 10), ask=lambda _: None) == counted(tmp_path, line("a", 10))
