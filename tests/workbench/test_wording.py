from __future__ import annotations

import pytest

from headway.workbench.finding import Finding

from .prompted import found, in_request, in_text, request, rules_of


def test_open_words_are_found_in_instructions() -> None:
    assert "HW105" in in_text("List the colours, shapes, etc. that the user can choose from.")
    assert "HW105" not in in_text("List all of the colours that the user can choose from.")


def data_findings(text: str) -> list[Finding]:
    return [each for each in found("prompt.txt", text) if each.rule == "HW106"]


def test_data_within_a_line_gets_tags() -> None:
    (one,) = data_findings("Translate the email {email} into French for the customer.")
    assert one.better == "<email>{email}</email>"


@pytest.mark.parametrize(
    "text",
    [
        "Translate into French:\n\n{email}",
        "Translate this for the customer: <email>{email}</email>",
        'Translate "{email}" into French for the customer.',
        "Write about {topic} for the reader of the paper.",
        "Translate {{email}} into French for the customer.",
    ],
)
def test_data_with_marks_or_alone_needs_none(text: str) -> None:
    assert data_findings(text) == []


def test_a_question_before_a_long_document_is_found_and_one_behind_it_is_not() -> None:
    question, document = (
        "Please summarize what the report says about the sea.",
        "The sea is blue and deep. " * 4_000,
    )
    assert "HW107" in rules_of(in_request(request(f"{question}\n\n{document}")))
    assert "HW107" not in rules_of(in_request(request(f"{document}\n\n{question}")))
    assert "HW107" not in rules_of(in_request(request(f"{question}\n\n{document[:2000]}")))


def test_much_shouting_is_found_and_a_word_is_not() -> None:
    assert "HW108" in in_text(
        "You MUST do this. NEVER do that. ALWAYS ask. This is CRITICAL. It is IMPORTANT to the user."
    )
    assert "HW108" not in in_text("You MUST do this for the user, and then you will tell them.")
