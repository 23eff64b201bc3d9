from __future__ import annotations

import pytest

from headway.workbench.english import bare, is_code, is_english, sentences


@pytest.mark.parametrize(
    "text",
    [
        "Summarise the document in one sentence.",
        "You are a helpful assistant that answers questions about returns.",
        "If the customer asks for a refund, tell them what they have to do.",
    ],
)
def test_english_is_known(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Fasse das Dokument in einem Satz zusammen und antworte nur mit JSON.",
        "Résume le document joint en une phrase, s'il te plaît, et sois bref.",
        "Resume el documento adjunto en una sola frase y responde en español.",
        "Vat het bijgevoegde document samen in een enkele zin en wees kort.",
        "请用一句话总结附件中的文件,并且只返回 JSON。",
        "文書を一文で要約してください。",
        "Обобщи прикреплённый документ одним предложением.",
        "def f(x):\n    return {y: x[y] for y in range(3)}",
        "Hi",
        "",
    ],
)
def test_other_languages_and_code_are_not_english(text: str) -> None:
    assert not is_english(text)


def test_code_and_examples_are_blanked_and_places_stay() -> None:
    text = "Be brief.\n```\nbe detailed\n```\n<example>\nbe long\n</example>\nEnd."
    found = bare(text)
    assert len(found) == len(text)
    assert "detailed" not in found
    assert "long" not in found
    assert found.index("End.") == text.index("End.")
    assert found.count("\n") == text.count("\n")


def test_sentences_say_where_they_begin() -> None:
    text = "One. Two!\nThree"
    assert [text[start : start + 3] for start, _ in sentences(text)] == ["One", "Two", "Thr"]


def test_code_is_known_by_its_lines() -> None:
    assert is_code("int main() {\n")
    assert is_code("import os\n")
    assert not is_code("Write about {topic}; be brief.")
