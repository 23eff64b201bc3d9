from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .prompted import FIXED, found, in_job, in_request, in_text, request, rules_of

MARK = {"cache_control": {"type": "ephemeral"}}


def block(text: str, *, marked: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text} | (MARK if marked else {})


@pytest.mark.parametrize(
    "line",
    [
        "Current time: 2026-11-24 15:04:05",
        "Today is Tuesday, 24 November 2026, 15:04.",
        "session_id: 7f3a9c21-aaaa",
        "Request ID = req0123456789",
    ],
)
def test_what_changes_with_each_call_before_fixed_text_is_found_with_what_it_costs(line: str) -> None:
    (one,) = [each for each in in_request(request(system=f"{line}\n{FIXED}")) if each.rule == "HW201"]
    assert 2_500 < one.saves < 5_000


def test_behind_the_fixed_text_or_before_too_little_of_it_it_is_not() -> None:
    line = "Current time: 2026-11-24 15:04:05"
    assert "HW201" not in rules_of(in_request(request(system=f"{FIXED}\n{line}")))
    assert "HW201" not in rules_of(in_request(request(system=f"{line}\n{FIXED[:500]}")))


@pytest.mark.parametrize(
    "line", ["The train leaves at 15:04.", "Today we speak of the sea.", "The user id is secret."]
)
def test_times_and_ids_without_a_label_are_not(line: str) -> None:
    assert "HW201" not in rules_of(in_request(request(system=f"{line}\n{FIXED}")))


def test_a_place_before_fixed_text_is_found_and_behind_it_is_not() -> None:
    assert "HW202" in in_text(f"The customer is {{name}}.\n{FIXED}")
    assert "HW202" not in in_text(f"{FIXED}\nThe customer is {{name}}.")
    assert "HW202" in in_text("The question: {question}", f"The customer is {{name}}.\n{FIXED}")


def test_a_breakpoint_behind_too_little_is_found() -> None:
    short = request([block("Be brief.", marked=True), block("Hi")])
    assert "HW206" in rules_of(in_request(short))
    assert "HW206" not in rules_of(in_request(request([block(FIXED, marked=True), block("Hi")])))
    assert "HW206" in rules_of(
        in_request(request([block(FIXED[:6000], marked=True)], model="claude-haiku-4-5"))
    )


def test_a_fifth_breakpoint_is_found() -> None:
    assert "HW207" in rules_of(in_request(request([block(FIXED, marked=True) for _ in range(5)])))
    assert "HW207" not in rules_of(in_request(request([block(FIXED, marked=True) for _ in range(4)])))


def test_short_prompts_are_never_told_about_caching() -> None:
    jobs = in_job(*[request(f"Ticket {number}: it broke.") for number in range(50)])
    assert not [each for each in jobs if each.rule.startswith("HW2")]
    assert not [
        each
        for each in found("p.txt", "Today is 2026-11-24 15:04. {name} asks.")
        if each.rule.startswith("HW2")
    ]


def test_a_variant_that_could_be_cached_and_is_not_is_found(tmp_path: Path) -> None:
    sheet = (
        '[[variant]]\nmodel = "claude-opus-4-8"\nmax_tokens = 5\nprompt = "{x}"\nsystem = """'
        + FIXED
        + '"""\n'
    )
    path = tmp_path / "v.toml"
    for text, is_found in ((sheet, True), (sheet + "cache = true\n", False)):
        path.write_text(text)
        assert ("HW205" in rules_of(found(str(path), text))) == is_found
