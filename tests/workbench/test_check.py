from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from headway.errors import InputError
from headway.workbench.check import Check, read_check

HERE = Path()


def check(table: dict[str, Any], folder: Path = HERE) -> Check:
    found = read_check(table, folder)
    assert found is not None
    return found


def test_no_table_is_no_check() -> None:
    assert read_check({}, HERE) is None


def test_a_pattern_may_match_anywhere_unless_it_says_where() -> None:
    assert check({"regex": "yes"}).passes("oh yes", {})
    assert not check({"regex": "^yes$"}).passes("oh yes", {})


def test_fields_in_a_pattern_stand_for_themselves() -> None:
    found = check({"regex": "^{answer}$"})
    assert found.wants == ("answer",)
    assert found.passes("1+1", {"answer": "1+1"})
    assert not found.passes("11", {"answer": "1+1"})


def test_repetitions_in_a_pattern_are_no_places() -> None:
    assert check({"regex": "^.{1,3}$"}).passes("abc", {})
    assert not check({"regex": "^.{1,3}$"}).passes("abcd", {})


def test_a_text_is_contained_or_not() -> None:
    assert check({"contains": "{a}!"}).passes("x 7! y", {"a": 7})
    assert not check({"contains": "{a}!"}).passes("x 7 y", {"a": 7})


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_a_schema_is_met_bare_or_in_a_fence_and_by_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA), "utf-8")
    found = check({"schema": "schema.json"}, tmp_path)
    assert found.passes('{"n": 1}', {})
    assert found.passes('```json\n{"n": 1}\n```', {})
    for text in ('{"n": "1"}', "{}", "Sure: {}", "", "[" * 100_000):
        assert not found.passes(text, {}), text[:20]


def test_a_function_beside_the_sheet_is_told_output_and_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "checks_of_mine", raising=False)
    (tmp_path / "checks_of_mine.py").write_text(
        "def same(output, fields):\n    return output == fields['want']\n\n\ndef broken(output, fields):\n    return 1 / 0\n"
    )
    found = check({"python": "checks_of_mine:same"}, tmp_path)
    assert found.passes("a", {"want": "a"})
    assert not found.passes("a", {"want": "b"})
    assert str(tmp_path) not in sys.path
    with pytest.raises(InputError, match="checks_of_mine:broken raised ZeroDivisionError"):
        check({"python": "checks_of_mine:broken"}, tmp_path).passes("a", {})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"regex": "a", "contains": "b"}, "regex, contains"),
        ({"rexeg": "a"}, "rexeg"),
        ({"regex": ""}, "not empty"),
        ({"regex": "("}, "no regular expression"),
        ({"schema": "none.json"}, "cannot read"),
        ({"python": "no_such_module_here:f"}, "no_such_module_here"),
        ({"python": "json:no_such"}, "no_such"),
        ({"python": "json"}, "json"),
    ],
)
def test_a_check_that_cannot_be_made_is_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_check(table, HERE)
    assert said in str(caught.value)


def test_a_schema_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "no such"}', "utf-8")
    with pytest.raises(InputError, match="no JSON schema"):
        read_check({"schema": "schema.json"}, tmp_path)
