from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headway.errors import JobFileError, OutputError
from headway.jobs.state import State, check_unchanged, load, save, state_path, with_spent

STATE = State("job.jsonl", 100, 3, "abc", "def", 7)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    assert load(tmp_path / "out") is None
    save(tmp_path / "out", STATE)
    assert load(tmp_path / "out") == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["out.headway.json"]


def test_the_same_input_may_go_on_and_another_may_not() -> None:
    check_unchanged(Path("out"), STATE, with_spent(STATE, 99))
    with pytest.raises(JobFileError, match="3 lines and 100 bytes then, 4 lines and 120 bytes now") as caught:
        check_unchanged(Path("out"), STATE, replace(STATE, size=120, lines=4, digest="xyz"))
    assert "--accept-changes" in caught.value.hint


def test_other_defaults_for_the_rest_of_the_lines_are_noticed_too() -> None:
    with pytest.raises(JobFileError, match="another --model"):
        check_unchanged(Path("out"), STATE, replace(STATE, defaults="xyz"))
    check_unchanged(Path("out"), replace(STATE, defaults=""), STATE)


def test_a_state_that_cannot_be_read_or_written_is_said_with_a_way_out(tmp_path: Path) -> None:
    state_path(tmp_path / "out").write_bytes(b'{"size": "large"')
    with pytest.raises(OutputError) as caught:
        load(tmp_path / "out")
    assert "--restart" in caught.value.hint
    with pytest.raises(OutputError, match="cannot write"):
        save(tmp_path / "no" / "out", STATE)
