from __future__ import annotations

import pytest

from .prompted import in_job, in_request, in_text, request, rules_of


@pytest.mark.parametrize(
    "text",
    [
        "Summarize the attached document for the board.",
        "Please translate this attached letter into French for them.",
        "Extract all dates from the enclosed report.",
        "Answer the question using only the following text:",
        "Tell me what you think of the text below:",
    ],
)
def test_something_named_that_is_not_there_is_found(text: str) -> None:
    assert "HW101" in in_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "I have attached my estimate to the claim, and they have not answered.",
        "Summarize the following text:\n\nThe cat sat on the mat.",
        "Explain how to send an email with an attached document.",
        "Tell the user that the attached file was received.",
        "Fasse das angehängte Dokument zusammen, bitte, und zwar kurz.",
    ],
)
def test_other_uses_of_the_words_are_not(text: str) -> None:
    assert "HW101" not in in_text(text)


def test_what_is_attached_is_there() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    text = {"type": "text", "text": "Describe the attached image for the reader."}
    assert "HW101" not in rules_of(in_request(request([image, text])))
    assert "HW101" in rules_of(in_request(request([text])))


@pytest.mark.parametrize(
    "text", ["Write to [INSERT NAME] about it.", "TODO: say what to do.", "Write for <YOUR COMPANY>."]
)
def test_what_is_left_over_is_found(text: str) -> None:
    assert "HW102" in in_text(text)


@pytest.mark.parametrize(
    "text", ["Write [1] and [a, b] as they are.", "int x = 3; // TODO: mend\nint y;\n", "See <your> notes."]
)
def test_brackets_in_data_and_code_are_not(text: str) -> None:
    assert "HW102" not in in_text(text)


def test_a_place_that_was_not_filled_is_found_in_a_request_and_is_right_in_a_template() -> None:
    text = "Write a letter to {customer_name} about the delay."
    assert "HW102" in rules_of(in_request(request(text)))
    assert "HW102" not in in_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return f'{x} {y}'\n",
        'Answer like {"a": 1} and { b } and {2,3} please.',
        "Templates may hold {{A}}, {{B}}, {{C}} and {{D}}.",
    ],
)
def test_braces_that_are_no_places_are_not(text: str) -> None:
    assert "HW102" not in rules_of(in_request(request(text)))


def test_in_a_job_one_line_about_templates_is_not_enough() -> None:
    odd, plain = request("Explain what {{name}} does."), request("Explain what this does.")
    assert "HW102" not in rules_of(in_job(odd, *[plain] * 20))
    assert "HW102" in rules_of(in_job(*[odd] * 3, plain))


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("Classify the ticket that the customer sent to us.", True),
        ("Classify the ticket. Answer with one word: billing or other.", False),
        ("Extract the names from the text, as JSON.", False),
        ("Extract the names that are in the text, and nothing else.", True),
        ("Write a poem about the sea and the people who live by it.", False),
        ("Klassifiziere das Ticket, das der Kunde uns geschickt hat.", False),
    ],
)
def test_output_for_a_program_needs_a_form(text: str, is_found: bool) -> None:
    assert ("HW104" in in_text(text)) == is_found


def test_a_schema_in_the_request_is_a_form() -> None:
    system = "Classify the ticket that the customer sent to us."
    assert "HW104" in rules_of(in_request(request(system=system)))
    assert "HW104" not in rules_of(
        in_request(request(system=system, output_config={"format": {"type": "json_schema"}}))
    )
