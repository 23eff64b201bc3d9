from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Estimate, Identity
from headway.errors import JobFileError
from headway.jobs.ids import Ids
from headway.jobs.index import LINE_LIMIT, PREFIXES_KEPT, Checked, Index, scan
from headway.jobs.lines import Line


def check(data: bytes, number: int) -> Checked:
    """A line here is its id, an input size and a prefix."""
    try:
        custom_id, size, prefix = json.loads(data)
    except ValueError:
        raise JobFileError("not readable") from None
    return Checked(Line(custom_id, {}, {}), Identity("p", "m"), Estimate(size, 100, prefix=prefix))


@pytest.fixture
def scanned(tmp_path: Path) -> Iterator[Callable[[bytes], Index]]:
    files: list[BufferedRandom] = []

    def of(data: bytes) -> Index:
        path = tmp_path / f"{len(files)}.jsonl"
        path.write_bytes(data)
        files.append(path.open("r+b"))
        return scan(files[-1], check)

    yield of
    for file in files:
        file.close()


@contextmanager
def appended(path: Path, data: bytes) -> Iterator[None]:
    with path.open("ab") as file:
        file.write(data)
    yield


def line(custom_id: str, size: int = 10, prefix: str = "") -> bytes:
    return json.dumps([custom_id, size, prefix]).encode()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_are_found_again_whatever_ends_them(scanned: Callable[[bytes], Index], end: bytes) -> None:
    index = scanned(b"\xef\xbb\xbf" + line("a") + end + b"  " + end + line("b"))
    assert (index.good_count, index.lines, index.bad_count) == (2, 3, 0)
    assert [index.read(number) for number in range(3)] == [line("a"), b"", line("b")]
    assert index.ids.line_of("b") == 2
    assert index.ids.line_of("c") is None


def test_bad_and_repeated_lines_are_noted_with_their_numbers(scanned: Callable[[bytes], Index]) -> None:
    index = scanned(b"\n".join((line("a"), b"oops", line("a"), b'{"custom_id": "x"', line("c"))))
    assert [str(bad) for bad in index.bad] == [
        "line 2: not readable",
        "line 3 (a): the same custom_id as line 1",
        "line 4: not readable",
    ]
    assert list(index.bad_lines) == [1, 2, 3]
    assert index.good_count == 2


def test_a_line_longer_than_the_api_takes_is_bad_and_does_not_shift_the_others(tmp_path: Path) -> None:
    path = tmp_path / "job"
    path.write_bytes(line("a") + b"\n" + b"x" * (LINE_LIMIT + 10) + b"\n" + line("b") + b"\n")
    with path.open("rb") as file:
        index = scan(file, check)
        assert index.read(2) == line("b")
    assert str(index.bad[0]).startswith("line 2: 33,554,443 bytes are more than")
    assert index.good_count == 2


def test_only_some_bad_lines_are_kept_to_be_shown(scanned: Callable[[bytes], Index]) -> None:
    index = scanned(b"oops\n" * 500)
    assert (index.bad_count, len(index.bad)) == (500, 20)


def test_a_changed_file_is_noticed_when_a_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "job"
    path.write_bytes(line("a") + b"\n" + line("b") + b"\n")
    with path.open("rb") as file:
        index = scan(file, check)
        with appended(path, line("c")):
            assert index.read(1) == line("b")
        path.write_bytes(line("a") + b"\n" + line("x") + b"\n")
        with pytest.raises(JobFileError, match="changed while the job ran"):
            index.read(0)


def test_another_file_put_in_its_place_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "job"
    path.write_bytes(line("a"))
    with path.open("rb") as file:
        index = scan(file, check)
        path.unlink()
        path.write_bytes(b"new")
        assert index.read(0) == line("a")


def test_lines_that_share_no_prefix_do_not_fill_the_memory_with_cells(
    scanned: Callable[[bytes], Index],
) -> None:
    count = 3 * PREFIXES_KEPT
    lonely = b"\n".join(line(f"a{n}", prefix=f"p{n}") for n in range(count))
    shared = b"\n".join(line(f"b{n}", prefix="shared") for n in range(50))
    index = scanned(shared + b"\n" + lonely)
    cells = index.take_cells(bytearray(index.lines))
    assert len(cells) <= PREFIXES_KEPT + 2
    assert sorted(number for cell in cells for number in cell.lines) == list(range(count + 50))
    assert max(len(cell.lines) for cell in cells if cell.kind.prefix) == 50


def test_cells_are_handed_over_without_what_is_done(scanned: Callable[[bytes], Index]) -> None:
    index = scanned(b"\n".join(line(f"a{n}") for n in range(4)))
    (cell,) = index.take_cells(bytearray((0, 1, 0, 1)))
    assert list(cell.lines) == [0, 2]
    assert index.cells == []


@given(st.lists(st.none() | st.text(max_size=3)))
def test_ids_know_the_first_line_of_each(names: list[str | None]) -> None:
    ids, first = Ids(), dict[str, int]()
    for number, name in enumerate(names):
        if name is None:
            ids.skip()
        else:
            assert ids.add(name) == first.get(name)
            first.setdefault(name, number)
    assert all(ids.line_of(name) == number for name, number in first.items())


def test_ids_find_every_line_of_a_large_file_again() -> None:
    ids = Ids()
    assert all(ids.add(f"task-{number}") is None for number in range(20_000))
    assert all(ids.line_of(f"task-{number}") == number for number in range(20_000))
    assert ids.add("task-7") == 7


def test_the_index_takes_at_most_32_bytes_a_line(scanned: Callable[[bytes], Index]) -> None:
    lines = 12_288  # three quarters of a table: the moment before it grows is not the worst, the one after is
    index = scanned(b"\n".join(line(f"a{n}") for n in range(lines + 1)))
    arrays = [index.offsets, index.ids._hashes, index.ids._table, *(cell.lines for cell in index.cells)]
    assert sum(array.itemsize * len(array) for array in arrays) + lines <= 32 * lines
