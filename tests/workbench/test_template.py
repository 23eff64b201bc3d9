from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.workbench.template import filled, places, split_at_first_place


def test_only_names_in_braces_are_places_so_json_needs_no_care() -> None:
    text = 'Answer like {"a": 1, "b": {"c": 2}} about {topic} and { topic } and {2}.'
    assert places(text) == ("topic",)
    assert filled(text, {"topic": "cats"}) == text.replace("{topic}", "cats")


def test_doubled_braces_stand_for_themselves() -> None:
    assert places("{{name}} {name}") == ("name",)
    assert filled("{{name}} {name}", {"name": "x"}) == "{name} x"


def test_what_is_filled_in_is_not_filled_again() -> None:
    assert filled("{a} {b}", {"a": "{b}", "b": "{a}"}) == "{b} {a}"


def test_values_that_are_no_text_become_json() -> None:
    assert filled("{a} {b} {c}", {"a": 1, "b": {"x": [1]}, "c": None}) == '1 {"x":[1]} null'


def test_a_missing_field_is_named() -> None:
    with pytest.raises(KeyError, match="topic"):
        filled("{topic}", {})


def test_places_in_lists_and_objects_are_found_and_filled() -> None:
    value = [{"content": "{a}"}, "{b}", 3]
    assert places(value) == ("a", "b")
    assert filled(value, {"a": "1", "b": "2"}) == [{"content": "1"}, "2", 3]


@given(st.text(alphabet="ab{} \n"), st.text())
def test_a_text_is_the_same_whole_or_split_at_its_first_place(text: str, value: str) -> None:
    fields = {"a": value, "b": value, "ab": value, "ba": value, "aa": value, "bb": value}
    fields |= dict.fromkeys(places(text), value)
    head, rest = split_at_first_place(text)
    assert head + filled(rest, fields) == filled(text, fields)
    assert bool(rest) == bool(places(text))
