"""A sample sized exactly tells what the whole job takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.planner.shape import SIZED, shape_of
from planner.jobs import line, mixed, params, read


def test_all_input_is_known_within_one_percent_from_a_sample(tmp_path: Path) -> None:
    found = read(tmp_path / "job.jsonl", mixed(3 * SIZED))
    shape = shape_of(found.index, found.check)
    exact = sum(found.check(found.index.read(n), n + 1).estimate.input_tokens for n in range(3 * SIZED))
    assert shape.lines == 3 * SIZED
    assert shape.input_tokens == pytest.approx(exact, rel=0.01)


def test_a_small_job_is_sized_exactly(tmp_path: Path) -> None:
    found = read(tmp_path / "job.jsonl", mixed(200))
    exact = sum(found.check(found.index.read(n), n + 1).estimate.input_tokens for n in range(200))
    assert shape_of(found.index, found.check).input_tokens == pytest.approx(exact)


def test_kinds_too_rare_to_be_sampled_still_count(tmp_path: Path) -> None:
    rare = [line(f"r{number}", params("odd " * 40, max_tokens=2**number)) for number in range(12)]
    found = read(tmp_path / "job.jsonl", [*mixed(2 * SIZED), *rare])
    assert shape_of(found.index, found.check).lines == 2 * SIZED + 12


def test_models_come_by_their_share(tmp_path: Path) -> None:
    more = [line(f"o{number}", params(model="claude-opus-4-8")) for number in range(5)]
    found = read(tmp_path / "job.jsonl", [*mixed(50), *more])
    assert shape_of(found.index, found.check).models == ("claude-sonnet-4-20250514", "claude-opus-4-8")
