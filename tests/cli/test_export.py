"""What is written for other programs is there whole, or not at all."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.cli.export import write_table, write_text
from headway.errors import OutputError

COLUMNS = [("name", "text"), ("count", "int"), ("share", "float")]
ROWS = [("a", 2**62, 0.5), ('b,"\n', 0, None)]


def full() -> Iterator[list[tuple[object, ...]]]:
    yield list(ROWS)
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    target = tmp_path / "report"
    target.write_text("before")
    with pytest.raises(OutputError, match="No space left"):
        write_table(COLUMNS, full(), format_, target)
    assert target.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["report"]


def test_json_is_one_object_a_line_with_exact_integers(tmp_path: Path) -> None:
    write_table(COLUMNS, [ROWS[:1], ROWS[1:]], "json", tmp_path / "r.jsonl")
    lines = (tmp_path / "r.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"name": "a", "count": 2**62, "share": 0.5},
        {"name": 'b,"\n', "count": 0, "share": None},
    ]


def test_csv_quotes_what_needs_it(tmp_path: Path) -> None:
    write_table(COLUMNS, [ROWS], "csv", tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_bytes() == f'name,count,share\na,{2**62},0.5\n"b,""\n",0,\n'.encode()


def test_parquet_keeps_kinds(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(COLUMNS, [ROWS], "parquet", tmp_path / "r.parquet")
    table = parquet.read_table(tmp_path / "r.parquet")
    assert [str(field.type) for field in table.schema] == ["string", "int64", "double"]
    assert table.to_pylist()[0] == {"name": "a", "count": 2**62, "share": 0.5}


def test_no_rows_are_a_table_all_the_same(tmp_path: Path) -> None:
    write_table(COLUMNS, [], "csv", tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == "name,count,share\n"


def test_a_link_stays_a_link_and_a_file_is_for_its_owner(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("before")
    (tmp_path / "link").symlink_to("there")
    write_text("after", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text() == "after"
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full here")
def test_a_device_is_written_not_replaced() -> None:
    with pytest.raises(OutputError, match="/dev/full"):
        write_text("x" * 10_000, Path("/dev/full"))
    assert Path("/dev/full").is_char_device()
    write_text("x", Path("/dev/null"))
