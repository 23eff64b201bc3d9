from __future__ import annotations

import pytest

from .prompted import found, in_text


@pytest.mark.parametrize(
    "text",
    [
        "Be concise. Give a detailed answer to each of the questions.",
        "Keep your answers short. Explain it in great detail to the user.",
        "Respond only with valid JSON. Explain your reasoning to the user.",
        "Always respond in English to the user. Respond in German.",
        "Use bullet points for the answer. Do not use bullet points.",
    ],
)
def test_what_cannot_both_be_done_is_found(text: str) -> None:
    assert "HW103" in in_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Be concise. Do not give a detailed answer unless the user asks for it.",
        "Be concise and answer the question of the user.",
        'Respond only with valid JSON, with the keys "reasoning" and "answer". Explain your reasoning in it.',
        "Think step by step in <thinking> tags, then respond only with JSON after that.",
        "Answer in English. If the user asks for it, you should translate to German.",
        "Use markdown for code. Do not use emojis in the answer to the user.",
        "Be brief.\n\n```\nbe detailed in the answer to the user\n```",
        "Sei kurz. Gib eine ausführliche Antwort. Antworte nur mit JSON. Erkläre alles.",
    ],
)
def test_what_can_both_be_done_is_not(text: str) -> None:
    assert "HW103" not in in_text(text)


def test_both_places_are_said_across_files() -> None:
    (one,) = [
        each
        for each in found("p.txt", "Give a detailed answer to the user.", "You are kind.\nBe brief.")
        if each.rule == "HW103"
    ]
    assert "system.txt:2:1" in one.reason
    assert str(one.place) == "p.txt:1:8"
