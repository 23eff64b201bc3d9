from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import OutputError
from headway.jobs.result import Known, errored, read_result, succeeded, write_result
from headway.jobs.results import Results, Verdict

GOOD = write_result("a", succeeded({"usage": {}}))
BAD = write_result("b", errored("api_error", "down", "req_1"))


def keep(_known: Known) -> Verdict:
    return Verdict.KEEP


def reopened(path: Path, content: bytes) -> Results:
    path.write_bytes(content)
    return Results(path)


@given(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
)
def test_whatever_a_reply_holds_is_one_line_that_can_be_read_again(custom_id: str, message: object) -> None:
    line = write_result(custom_id, succeeded(message))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    known = read_result(line)
    assert known is not None
    assert (known.custom_id, known.succeeded) == (custom_id, True)


@given(st.binary(), st.integers(0, len(GOOD) - 2))
def test_what_is_no_result_is_none(noise: bytes, cut: int) -> None:
    assert read_result(GOOD[:cut]) is None
    assert read_result(b"{" + noise) is None


@pytest.mark.parametrize("cut", range(len(BAD)))
def test_a_last_line_cut_anywhere_is_mended(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "out"
    results = reopened(path, GOOD + BAD[:cut])
    is_whole = cut == len(BAD) - 1
    assert results.repair(keep) == 1 + is_whole
    results.append("c", succeeded({}))
    results.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines == [GOOD, *([BAD] if is_whole else []), write_result("c", succeeded({}))]


@pytest.mark.parametrize(
    "content",
    [
        GOOD + b"\0" * 4096,
        GOOD + b"\0" * 70 + b"\n",
        b"\0" * 9 + b"\n" + GOOD,
        GOOD[:9] + b"\0" * 99 + b"\n" + GOOD,
    ],
)
def test_nul_bytes_of_a_power_failure_are_dropped_wherever_they_are(tmp_path: Path, content: bytes) -> None:
    results = reopened(tmp_path / "out", content)
    assert results.repair(keep) == 1
    results.close()
    assert (tmp_path / "out").read_bytes() == GOOD


def test_other_damage_is_reported_with_its_line_and_nothing_is_changed(tmp_path: Path) -> None:
    content = GOOD + b"oops\n" + BAD
    results = reopened(tmp_path / "out", content)
    with pytest.raises(OutputError, match="line 2: not a result"):
        results.repair(keep)
    results.close()
    assert (tmp_path / "out").read_bytes() == content


def test_dropped_results_leave_the_others_their_mode_and_the_link_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(BAD + GOOD + BAD)
    (tmp_path / "out").chmod(0o640)
    (tmp_path / "link").symlink_to("out")
    results = Results(tmp_path / "link")
    assert results.repair(lambda known: Verdict.KEEP if known.succeeded else Verdict.DROP) == 1
    results.append("c", succeeded({}))
    results.close()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "out").read_bytes() == GOOD + write_result("c", succeeded({}))
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]


def test_a_result_that_is_not_of_this_job_is_an_error(tmp_path: Path) -> None:
    results = reopened(tmp_path / "out", GOOD)
    with pytest.raises(OutputError, match="'a' is not a line of this job"):
        results.repair(lambda _known: Verdict.FOREIGN)
    results.close()


def test_one_process_at_a_time_also_after_the_file_was_written_anew(tmp_path: Path) -> None:
    results = reopened(tmp_path / "out", BAD + GOOD)
    results.repair(lambda known: Verdict.KEEP if known.succeeded else Verdict.DROP)
    with pytest.raises(OutputError, match="another headway is writing"):
        Results(tmp_path / "out")
    results.close()
    Results(tmp_path / "out").close()


@pytest.mark.parametrize("content", [b"precious notes\n", b"no line end", b"{}\n", b"[1]"])
def test_restart_does_not_overwrite_what_are_no_results(tmp_path: Path, content: bytes) -> None:
    results = reopened(tmp_path / "out", content)
    if content == b"{}\n" or not content.startswith(b"{"):
        with pytest.raises(OutputError, match="something else than results"):
            results.restart()
        assert (tmp_path / "out").read_bytes() == content
    results.close()


@pytest.mark.parametrize("content", [b"", GOOD, GOOD[:20], b"\0" * 20, GOOD + BAD])
def test_restart_forgets_results(tmp_path: Path, content: bytes) -> None:
    results = reopened(tmp_path / "out", content)
    results.restart()
    assert results.is_empty
    results.close()
    assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize(
    ("place", "said"), [("folder", "not a file"), ("file/out", "cannot write"), ("loop", "cannot write")]
)
def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match=said):
        Results(tmp_path / place)
    with pytest.raises(OutputError, match="not a file"):
        Results(Path("/dev/null"))


class Full:
    """`os.write` on a disk with room for so many bytes more."""

    def __init__(self, room: int) -> None:
        self.room, self.write = room, os.write

    def __call__(self, descriptor: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        size = self.write(descriptor, data[: self.room])
        self.room -= size
        return size


@pytest.mark.parametrize("room", [0, 1, len(GOOD) - 1, len(GOOD), len(GOOD) + 5])
def test_on_a_full_disk_lines_wait_whole_and_are_written_when_there_is_room(
    tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path / "out")
    disk = Full(room)
    monkeypatch.setattr("headway.jobs.results.os.write", disk)
    fits = room >= len(GOOD)
    assert results.append("a", succeeded({"usage": {}})) is fits
    assert results.append("b", errored("api_error", "down", "req_1")) is False
    assert results.may_clear
    assert (tmp_path / "out").read_bytes() == (GOOD if fits else b"")
    disk.room = 10_000
    assert results.retry()
    assert (tmp_path / "out").read_bytes() == GOOD + BAD
    results.close()


def test_what_never_fits_is_put_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path / "out.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr("headway.jobs.results.os.write", Full(0))
        results.append("a", succeeded({"usage": {}}))
    place = results.rescue()
    assert place is not None
    assert place.read_bytes() == GOOD
    assert results.rescue() is None
    results.close()


def test_a_file_that_was_removed_is_said_and_written_again_at_the_end(tmp_path: Path) -> None:
    results = reopened(tmp_path / "out", GOOD)
    results.sync()
    (tmp_path / "out").unlink()
    with pytest.raises(OutputError, match="moved or removed"):
        results.sync()
    results.append("b", errored("api_error", "down", "req_1"))
    results.close()
    assert (tmp_path / "out").read_bytes() == GOOD + BAD


def test_results_have_the_form_of_message_batches() -> None:
    assert json.loads(GOOD) == {"custom_id": "a", "result": {"type": "succeeded", "message": {"usage": {}}}}
    assert json.loads(BAD) == {
        "custom_id": "b",
        "result": {
            "type": "errored",
            "error": {
                "type": "error",
                "error": {"type": "api_error", "message": "down"},
                "request_id": "req_1",
            },
        },
    }
