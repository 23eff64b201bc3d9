from __future__ import annotations

from typing import Any

from .prompted import FIXED, in_job, request, rules_of

MARK = {"cache_control": {"type": "ephemeral"}}


def block(text: str, *, marked: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text} | (MARK if marked else {})


def test_fixed_text_behind_what_changes_is_found_in_a_job() -> None:
    behind = [request(f"Ticket {number}: it broke.\n{FIXED}") for number in range(6)]
    (one,) = [each for each in in_job(*behind) if each.rule == "HW204"]
    assert str(one.place) == "job.jsonl:1 params.messages[0].content 1:1"
    assert one.saves > 2_500
    before = [
        request([block(FIXED, marked=True), block(f"Ticket {number}: it broke.")]) for number in range(6)
    ]
    assert rules_of(in_job(*before)) & {"HW204", "HW205", "HW208"} == set()


def test_a_shared_beginning_without_a_breakpoint_is_found() -> None:
    requests = [request(f"{FIXED}\nTicket {number}") for number in range(6)]
    (one,) = [each for each in in_job(*requests) if each.rule == "HW205"]
    assert "6 requests begin with the same" in one.reason
    assert "HW205" not in rules_of(in_job(*[request(f"Ticket {number}") for number in range(6)]))


def test_entries_that_nobody_reads_are_found_and_a_growing_conversation_is_not() -> None:
    alone = [request([block(f"{number} {FIXED}", marked=True), block("Hi")]) for number in range(4)]
    assert "HW208" in rules_of(in_job(*alone))
    turns: list[dict[str, Any]] = []
    conversation = []
    for number in range(4):
        turns = [*turns, {"role": "user", "content": [block(f"{number} {FIXED}", marked=True)]}]
        conversation.append(request() | {"messages": turns})
        turns = [*turns, {"role": "assistant", "content": "Yes."}]
    assert "HW208" not in rules_of(in_job(*conversation))
