from __future__ import annotations

import base64
import json
from random import Random

import pytest

from headway.workbench.finding import Finding

from .prompted import found, in_text, measure

PARAGRAPH = (
    "Returns are accepted within thirty days when the parcel is unopened and the receipt is there. " * 3
)


def only(rule: str, text: str) -> Finding:
    (one,) = [each for each in found("prompt.txt", text) if each.rule == rule]
    return one


def test_a_paragraph_that_comes_again_is_found_where_it_does_with_what_it_costs() -> None:
    one = only("HW301", f"{PARAGRAPH}\n\nSomething else.\n\n{PARAGRAPH}\n")
    assert one.place.row == 5
    assert abs(one.saves - measure().tokens(PARAGRAPH.strip())) <= 1


def test_short_lines_may_come_again() -> None:
    assert "HW301" not in in_text("Yes.\n\nNo.\n\nYes.\n\nYes.\n\nYes.")


def test_indented_json_is_found_with_what_compact_json_saves() -> None:
    value = {"items": [{"name": f"n{number}", "price": number, "tags": ["a", "b"]} for number in range(20)]}
    text = f"Look at this data:\n{json.dumps(value, indent=4)}\nand answer."
    compact = f"Look at this data:\n{json.dumps(value, separators=(',', ':'))}\nand answer."
    one = only("HW302", text)
    assert one.place.row == 2
    assert one.saves == pytest.approx(measure().tokens(text) - measure().tokens(compact), abs=3)
    assert "HW302" not in in_text(compact)


def test_a_small_example_of_json_may_be_indented() -> None:
    assert "HW302" not in in_text('Answer like this:\n{\n  "name": "x",\n  "age": 3\n}\n')


def test_base64_in_text_is_found_and_hashes_numbers_and_words_are_not() -> None:
    blob = base64.b64encode(Random(1).randbytes(600)).decode()
    assert "HW303" in in_text(f"Look: {blob}")
    for other in ("ab01" * 100, "1" * 400, "a" * 400, "https://x/" + "a/b" * 100):
        assert "HW303" not in in_text(f"Look: {other}")


PAGE = "".join(
    f'<div class="row col-{number}"><span style="color: red">Item {number}</span></div>\n'
    for number in range(40)
)


def test_a_web_page_with_its_dress_is_found_unless_the_task_is_about_html() -> None:
    assert "HW304" in in_text(f"What do the items cost the customer?\n{PAGE}")
    assert "HW304" not in in_text(f"Mend the HTML of the page for the customer.\n{PAGE}")
    assert "HW304" not in in_text("Put the answer into <answer> tags, and the reason into <reason> tags.")


def test_blanks_that_do_nothing_are_found_and_indentation_is_not() -> None:
    assert "HW305" in in_text(
        "\n".join(f"A line of text that is number {number}.        " for number in range(60))
        + "\n\n\n\n\n\nEnd"
    )
    assert "HW305" not in in_text("\n".join(f"        indented {number}" for number in range(60)))
    assert "HW305" not in in_text("A line.  \nAnother line.\n")


def test_long_json_is_one_block() -> None:
    value = {"items": [{"name": number, "text": "x y z"} for number in range(9_000)]}
    assert only("HW302", f"Look:\n{json.dumps(value, indent=2)}").place.row == 2
